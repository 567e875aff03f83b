//! A run once everything is set up: the rings are drained until told to stop, and it is
//! summed up what became of the calls.

use std::{
    ffi::OsString,
    os::fd::OwnedFd,
    process::ExitCode,
    time::{Duration, Instant},
};

use rustix::{
    event::{Timespec, epoll},
    process::{Pid, Signal, kill_process},
};
use tracer_common::copies::Copies;

use super::{
    Failure,
    args::{Detail, Trace},
    diagnostics,
    notify::Manager,
    output,
    pace::Pace,
    reload::Reload,
    signals::Signals,
};
use crate::{
    encode::{Encoder, table::escape},
    filter::pushdown::Divided,
    health::Counts,
    pipeline::{Change, Pipeline},
    process,
    source::{Hook, Live, Running, Shape, Stopped},
};

/// Least time between two records of a loss.
const LOSS_EVERY: Duration = Duration::from_secs(1);
/// Records after which a drain looks up, at the latest.
const LOOK_UP: u32 = 1024;
/// The longest that a drain goes on without a look at anything else.
const LONGEST: Duration = Duration::from_millis(25);
/// How long to sleep at most while no sink takes anything.
const HELD: Duration = Duration::from_millis(25);
/// How often the wall clock is looked at.
const CLOCK_EVERY: Duration = Duration::from_secs(1);

/// Everything that is at work while tracing.
pub struct Session {
    pub live: Live,
    pub reload: Reload,
    pub pipeline: Pipeline,
    pub signals: Signals,
    pub manager: Manager,
    pub command: Option<Running>,
    pub command_started: bool,
    pub max_loss: Option<u64>,
    pub deadline: Option<Instant>,
    pub quiet: bool,
    pub rings: Shape,
    pub pace: Pace,
    /// Where to say how things stand.
    #[cfg(feature = "metrics")]
    pub board: Option<crate::metrics::Board>,
}

/// Why tracing stopped.
enum Stop {
    Signal,
    Limit,
    CommandEnded,
    Closed,
    Failed(Failure),
}

impl Session {
    /// Says that nothing is missed from now on.
    pub fn attached(&mut self, options: &Trace, divided: &Divided) -> Result<(), Failure> {
        self.pipeline.started();
        self.pipeline.flush()?;
        // Whoever reads that it is attached may ask at once.
        #[cfg(feature = "metrics")]
        self.publish(&self.counts()?);
        let events: Vec<_> = options.select.events.iter().map(|event| event.name).collect();
        let selected = divided.kernel.pids.iter().filter(|(_, include)| *include).count()
            + options.command.len().min(1);
        let processes = match selected {
            0 => format!("all {}", process::count()),
            selected => selected.to_string(),
        };
        if !self.quiet {
            let plan = self.live.plan();
            diagnostics::say(format_args!(
                "attached: hook {}{}, events {}, processes {processes}, {}{}",
                plan.hook.name(),
                if plan.typed && plan.hook == Hook::RawTracepoint { " (typed)" } else { "" },
                events.join(","),
                self.rings,
                // Asked for and not to be had is worth knowing.
                match (options.capture.detail, plan.copies == Copies::NONE) {
                    (Detail::Full, true) => ", no copies of the kernel's own".to_owned(),
                    (Detail::Full, false) => {
                        let names: Vec<_> = plan.copies.names().collect();
                        format!(", the kernel's own {}", names.join(" and "))
                    }
                    _ => String::new(),
                }
            ));
        }
        self.manager.ready(self.live.plan().hook.name());
        Ok(())
    }

    /// Lets COMMAND go.
    pub fn release(&mut self, stopped: Stopped, command: &[OsString]) -> Result<(), Failure> {
        let fail = |error: std::io::Error| {
            let program = command.first().map(|program| escape(program.as_encoded_bytes()));
            Failure::Runtime(format!("cannot run {}: {error}", program.unwrap_or_default()))
        };
        let ended = self.signals.waker().map_err(fail)?;
        self.command = Some(stopped.release(ended).map_err(fail)?);
        self.command_started = true;
        Ok(())
    }

    pub fn run(mut self) -> Result<ExitCode, Failure> {
        let stop = match self.drain_until_stopped() {
            Ok(stop) => stop,
            Err(failure) => Stop::Failed(failure),
        };
        self.finish(stop)
    }

    /// What wakes the loop.
    fn poll(&self) -> Result<OwnedFd, Failure> {
        let runtime = |error: rustix::io::Errno| Failure::Runtime(error.to_string());
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(runtime)?;
        // Edge-triggered: the ring is readable whenever it holds anything, and what
        // matters is only when the kernel asks to be drained before the next tick.
        let token = epoll::EventData::new_u64(0);
        for ring in self.live.wakeups() {
            epoll::add(&poll, ring, token, epoll::EventFlags::IN | epoll::EventFlags::ET)
                .map_err(runtime)?;
        }
        epoll::add(&poll, self.signals.readable(), token, epoll::EventFlags::IN)
            .map_err(runtime)?;
        for output in &self.pipeline.outputs {
            if let Some(reader) = output.sink.hangup() {
                // Errors are always reported. What can't be waited for, such as
                // /dev/null, has no reader that could go away.
                let closed = epoll::EventData::new_u64(1);
                let _ = epoll::add(&poll, reader, closed, epoll::EventFlags::empty());
            }
        }
        Ok(poll)
    }

    fn drain_until_stopped(&mut self) -> Result<Stop, Failure> {
        let mut poll = self.poll()?;
        let mut reported = Instant::now();
        let mut clock_read = Instant::now();
        let mut events = Vec::with_capacity(4);
        // There is more in the ring than the last drain took.
        let mut more = false;
        let mut reloading = false;
        loop {
            events.clear();
            let tick = match self.pipeline.has_room() {
                _ if more => Duration::ZERO,
                true => self.pace.wait(),
                // Somebody calls once there is room again.
                false => HELD,
            };
            let tick = Timespec { tv_sec: 0, tv_nsec: i64::from(tick.subsec_nanos()) };
            match epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), Some(&tick)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(Failure::Runtime(error.to_string())),
            }
            if events.iter().any(|event| event.data.u64() == 1) {
                return Ok(Stop::Closed);
            }
            self.signals.clear();
            if self.signals.take_resized() {
                self.resize();
            }
            if self.signals.take_hangup() {
                self.manager.reloading();
                self.pipeline.attend();
                self.reload.ask();
                reloading = true;
            }
            if let Some(change) = self.reload.take() {
                self.change(change)?;
                poll = self.poll()?;
            }
            if reloading && !self.reload.is_under_way() {
                self.manager.reloaded();
                reloading = false;
            }
            // Looked at before draining: what was written before COMMAND ended is
            // in the ring by now.
            let command_ended = self.command_started && !self.live.any_followed();
            more = self.drain();
            self.live.pass_on_said();
            self.pipeline.flush()?;
            let now = Instant::now();
            if now - clock_read >= CLOCK_EVERY {
                self.pipeline.clock.correct();
                clock_read = now;
            }
            // Reading the counters of all CPUs costs more than an idle tick.
            let due = now - reported >= LOSS_EVERY;
            let asked = self.signals.take_report();
            if due || asked || self.max_loss.is_some() || self.manager.is_due(now) {
                let counts = self.counts()?;
                self.manager.alive(&self.pipeline.from_first(&counts), now);
                self.check_loss(&counts)?;
                if due {
                    self.pipeline.report_loss(&counts);
                    reported = now;
                    #[cfg(feature = "metrics")]
                    self.publish(&counts);
                }
                if asked {
                    self.sum_up(&counts);
                }
            }
            if self.signals.stop() {
                return Ok(Stop::Signal);
            }
            if self.pipeline.is_complete() || self.deadline.is_some_and(|deadline| now >= deadline)
            {
                return Ok(Stop::Limit);
            }
            if command_ended {
                return Ok(Stop::CommandEnded);
            }
        }
    }

    /// Takes what is in the rings, while the sinks have room, and looks up now and then:
    /// under a flood there is much of it. True where there is more to take at once.
    fn drain(&mut self) -> bool {
        let Self { live, pipeline, pace, .. } = self;
        let until = Instant::now() + LONGEST;
        let (mut records, mut late) = (0_u32, false);
        if pipeline.has_room() {
            let drained = live.drain(|record| {
                pipeline.record(record);
                records = records.wrapping_add(1);
                if !pipeline.take_handed_over() && !records.is_multiple_of(LOOK_UP) {
                    return true;
                }
                late = Instant::now() >= until;
                !late && pipeline.has_room()
            });
            pace.drained(drained, Instant::now());
        }
        late
    }

    /// Takes all that is left once the programs are detached. A sink that has no room is
    /// waited for with patience.
    fn drain_rest(&mut self) -> Result<(), Failure> {
        let mut result = Ok(());
        loop {
            let Self { live, pipeline, .. } = self;
            let all = pipeline.has_room()
                && live.drain_last(|record| {
                    pipeline.record(record);
                    !pipeline.take_handed_over() || pipeline.has_room()
                });
            result = result.and(pipeline.flush());
            if all {
                return Ok(result?);
            }
            pipeline.wait_for_room();
        }
    }

    /// Puts a change in place that was read from the configuration.
    fn change(&mut self, change: Change) -> Result<(), Failure> {
        let says = match change.changes.as_slice() {
            [] => "nothing has changed".to_owned(),
            changes => changes.join("; "),
        };
        if !change.changes.is_empty() {
            let counts = self.counts()?;
            self.pipeline.change(change, &counts);
        }
        diagnostics::say(format_args!("reloaded: {says}"));
        Ok(())
    }

    /// Whether more was lost than may be.
    fn check_loss(&self, counts: &Counts) -> Result<(), Failure> {
        let lost = self.pipeline.lost(counts);
        match self.max_loss {
            Some(most) if lost > most => Err(Failure::Loss { lost, most }),
            _ => Ok(()),
        }
    }

    fn counts(&self) -> Result<Counts, Failure> {
        let mut counts = self.pipeline.counts(&self.live.stats()?, self.live.missed());
        counts.runs_left_out = self.live.left_out();
        Ok(counts)
    }

    /// The summary: a line, and one more for each destination where it is not the same.
    fn sum_up(&self, counts: &Counts) {
        diagnostics::say(format_args!("{}", self.pipeline.from_first(counts)));
        for (destination, counts) in self.pipeline.others(counts) {
            diagnostics::say(format_args!("{destination}: {counts}"));
        }
    }

    fn resize(&mut self) {
        let width = output::width();
        for output in &mut self.pipeline.outputs {
            if let Encoder::Table(table) = &mut output.encoder {
                table.resize(width);
            }
        }
    }

    /// Stops the hooks, hands on what is left, and sums up.
    fn finish(mut self, stop: Stop) -> Result<ExitCode, Failure> {
        self.manager.stopping();
        self.live.detach();
        let drained = self.drain_rest();
        self.live.pass_on_said();
        self.pipeline.settle();
        let mut counts = self.counts()?;
        let first = self.pipeline.from_first(&counts);
        if first.seen() != first.kernel_seen {
            log::error!(
                "the accounting does not add up: the kernel side saw {} calls; {first}",
                first.kernel_seen
            );
        }
        self.pipeline.report_loss(&counts);
        self.pipeline.ended(&counts);
        self.pipeline.end_recording();
        self.pipeline.close();
        let flushed = drained.and(self.pipeline.flush().map_err(Into::into));
        counts = self.counts()?;
        if let (Some(command), Stop::Signal) = (&self.command, &stop) {
            // Its descendants are its own affair.
            if let Some(pid) = i32::try_from(command.pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::TERM);
            }
        }
        let closed =
            |failure: &Failure| matches!(failure, Failure::Pipeline(error) if error.is_closed());
        match stop {
            Stop::Closed => return Ok(ExitCode::SUCCESS),
            Stop::Failed(failure) if closed(&failure) => return Ok(ExitCode::SUCCESS),
            _ => {}
        }
        if let Err(failure) = &flushed
            && closed(failure)
        {
            return Ok(ExitCode::SUCCESS);
        }
        if !self.quiet {
            self.sum_up(&counts);
        }
        if let Stop::Failed(failure) = stop {
            return Err(failure);
        }
        flushed?;
        if let Some(failure) = self.pipeline.take_failure() {
            return Err(failure.into());
        }
        self.check_loss(&counts)?;
        match (stop, self.command) {
            (Stop::CommandEnded, Some(command)) => command_status(command),
            _ => Ok(ExitCode::SUCCESS),
        }
    }
}

/// COMMAND's own status; a signal's as shells show it.
fn command_status(command: Running) -> Result<ExitCode, Failure> {
    use std::os::unix::process::ExitStatusExt;
    let status = command.status().map_err(|error| Failure::Runtime(error.to_string()))?;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code & 0xff).unwrap_or(1)))
}

//! Tracing: sets everything up for a [`Session`], and runs it.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::ExitCode,
    time::Instant,
};

#[cfg(feature = "metrics")]
use std::{io, net::SocketAddr};

use clap::ValueEnum;
use tracer_common::{
    detail::{self, MAX_PAYLOADS},
    registry::{EVENTS, Event},
};

use super::{
    Failure,
    args::{self, Detail, FilterIn, Switch, Trace},
    cgroup,
    config::{self, Loaded, Sources},
    confine, diagnostics,
    notify::Manager,
    output,
    pace::Pace,
    reload::{Reload, Reloader},
    session::Session,
    signals::{Signals, Wakers},
};
#[cfg(feature = "metrics")]
use crate::metrics;
use crate::{
    decode::Clock,
    encode::table::escape,
    event::RunId,
    filter::{
        Criteria,
        pushdown::{self, Divided},
    },
    health::{Run, Stream},
    pipeline::{Output, Pipeline},
    process::{self, Processes},
    recording,
    sink::{Destination, OnFull, Spool},
    source::{Hook, Live, Options, PassedOver, Shape, Stopped},
};

/// Bytes of a destination's spool, where nothing else is said.
const SPOOL: u64 = 1 << 30;

/// Traces until a signal, a limit, a failure, or the end of COMMAND.
pub fn run(loaded: Loaded, sources: Sources) -> Result<ExitCode, Failure> {
    let Loaded { cli, matches, file, .. } = loaded;
    let mut options = cli.trace;
    if let Some(program) = options.command.first() {
        find(program)?;
    }
    check(&options)?;
    let detail = detail_of(&options.capture)?;
    let divided = divide(&options)?;
    log::info!("{}", divided.describe());
    let run = this_run()?;
    #[cfg(feature = "metrics")]
    let listener = listen(&options)?;
    let mut spool = open_spool(&options)?;
    let mut outputs = output::open(&options.output, run.id, spool.as_mut())?;
    if let Some(spool) = &spool {
        spool.tell_of_others();
    }
    outputs.iter_mut().for_each(|output| output.sink.prepare());
    let signals = Signals::register().map_err(|error| Failure::Runtime(error.to_string()))?;
    let manager = Manager::connect();
    let divert = options.output.write.iter().any(|write| write.destination == Destination::Stdout);
    let command = start(&options.command, divert)?;

    let mut filters = divided.kernel.clone();
    filters.pids.extend(command.as_ref().map(|command| (command.pid(), true)));
    let wanted = hook(&options);
    options.select.events = events(&options);
    let rings = Shape::new(options.capture.buffer, options.capture.rings)
        .map_err(|error| Failure::Runtime(error.to_string()))?;
    let captured = Options {
        events: options.select.events.clone(),
        messages: match options.capture.detail {
            Detail::Call => 0,
            Detail::Messages | Detail::Full => options.capture.messages,
        },
        detail,
        rings,
        filters,
        unrolled: false,
        talkative: log::log_enabled!(target: "tracer_ebpf", log::Level::Debug),
    };
    let (mut live, passed_over) = Live::attached(&captured, wanted)?;
    let taken = live.plan().hook;
    if !options.output.quiet {
        say_which(taken, &passed_over);
    }
    let clock = Clock::now();
    let stream = Stream {
        hook: taken.name().into(),
        kernel: live.kernel().to_owned(),
        events: options.select.events.iter().map(|event| event.name.into()).collect(),
        kernel_copies: (options.capture.detail == Detail::Full)
            .then(|| live.plan().copies.names().map(Into::into).collect()),
    };
    let mut pipeline = Pipeline::new(stream, clock, outputs);
    pipeline.origin.run = Some(run);
    pipeline.filter = divided.user.clone();
    pipeline.processes = Processes::live();
    pipeline.health = options.output.health == Switch::On;
    pipeline.redact = options.capture.redact;
    pipeline.most = options.capture.count;
    if let Some(path) = &options.capture.record {
        let header = recording::Header {
            stream: pipeline.origin.stream.clone(),
            arch: std::env::consts::ARCH.to_owned(),
            run: pipeline.origin.run.clone(),
            clock,
            setup: Some(setup(&options.capture, &live)),
        };
        let writer = recording::Writer::create(path, &header).map_err(|error| {
            Failure::Runtime(format!("cannot write the recording {}: {error}", path.display()))
        })?;
        pipeline.keep(writer);
    }
    if options.follow {
        follow_existing(&mut live, &divided)?;
    }
    // From here on no more rights are needed than those of draining; threads that are
    // started now have no others either.
    let read = file.iter().flat_map(|file| config::places(file)).collect();
    let granted = confine::apply(&options, &live, read)?;
    let wakers = signals.wakers().map_err(|error| Failure::Runtime(error.to_string()))?;
    let outputs = std::mem::take(&mut pipeline.outputs).into_iter();
    let outputs = outputs.map(|output| queued(output, &options, &wakers));
    pipeline.outputs = outputs.collect::<Result<_, _>>()?;

    let reload = match file {
        None => Reload::Never,
        Some(_) => Reload::new(Reloader {
            sources,
            start: matches.clone(),
            now: matches,
            divided: divided.clone(),
            events: options.select.events.clone(),
            writes: output::writes(&options.output),
            run: pipeline.origin.run_id(),
            spool,
            wakers,
            granted,
        }),
    };
    let mut session = Session {
        live,
        reload,
        pipeline,
        signals,
        manager,
        command: None,
        command_started: false,
        max_loss: options.capture.max_loss,
        deadline: options.capture.duration.map(|duration| Instant::now() + duration),
        quiet: options.output.quiet,
        rings,
        pace: Pace::new(rings.wake_mark()),
        #[cfg(feature = "metrics")]
        board: listener.map(answering).transpose()?,
    };
    session.attached(&options, &divided)?;
    if let Some(command) = command {
        session.release(command, &options.command)?;
    }
    session.run()
}

/// The listener for whoever asks how things stand.
#[cfg(feature = "metrics")]
fn listen(options: &Trace) -> Result<Option<metrics::Server>, Failure> {
    let bind = |address: &SocketAddr| {
        metrics::Server::bind(*address)
            .map_err(|error| Failure::Runtime(format!("cannot listen on {address}: {error}")))
    };
    options.metrics.as_ref().map(bind).transpose()
}

/// Answers there from now on.
#[cfg(feature = "metrics")]
fn answering(server: metrics::Server) -> Result<metrics::Board, Failure> {
    let fail = |error: io::Error| Failure::Runtime(format!("metrics: {error}"));
    let (board, address) = (metrics::Board::default(), server.address().map_err(fail)?);
    server.start(board.clone()).map_err(fail)?;
    log::info!("metrics on http://{address}/metrics");
    Ok(board)
}

/// The hook that is asked for, if it is a certain one.
fn hook(options: &Trace) -> Option<Hook> {
    match options.capture.hook {
        args::Hook::Auto => None,
        args::Hook::Fentry => Some(Hook::Fentry),
        args::Hook::Kprobe => Some(Hook::Kprobe),
        args::Hook::RawTracepoint => Some(Hook::RawTracepoint),
        args::Hook::Tracepoint => Some(Hook::Tracepoint),
    }
}

/// The events: those that are asked for, or all that the hook sees.
pub fn events(options: &Trace) -> Vec<&'static Event> {
    if !options.select.events.is_empty() {
        return options.select.events.clone();
    }
    let hook = hook(options);
    EVENTS.iter().filter(|event| hook.is_none_or(|hook| hook.sees(event))).collect()
}

/// What can be seen to be wrong with options before anything is done.
pub fn check(options: &Trace) -> Result<(), Failure> {
    detail_of(&options.capture)?;
    let away = options.output.write.iter().any(|write| write.destination.may_be_away());
    if options.spool.is_some() && !away {
        let says = "--spool is for destinations that may be away: no --write names one";
        return Err(Failure::Usage(says.to_owned()));
    }
    let pids = &options.select.pid;
    if options.follow && options.command.is_empty() && pids.iter().all(|term| term.negated) {
        return Err(Failure::Usage("--follow needs a --pid that is not negated".to_owned()));
    }
    Ok(())
}

/// The spool, where one is asked for.
fn open_spool(options: &Trace) -> Result<Option<Spool>, Failure> {
    let Some(path) = &options.spool else { return Ok(None) };
    let spool = Spool::open(path, options.spool_size.unwrap_or(SPOOL));
    spool.map(Some).map_err(|error| {
        Failure::Runtime(format!("cannot use the spool {}: {error}", path.display()))
    })
}

/// Puts a queue before a destination.
pub fn queued(output: Output, options: &Trace, wakers: &Wakers) -> Result<Output, Failure> {
    let on_full = match options.on_full {
        args::OnFull::Drop => OnFull::Drop,
        args::OnFull::Block => OnFull::Block,
    };
    let wake = wakers.waker().map_err(|error| Failure::Runtime(error.to_string()))?;
    output.queued(options.queue, on_full, Box::new(wake)).map_err(Failure::Sink)
}

/// What tells this run from another.
fn this_run() -> Result<Run, Failure> {
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let mut bits = [0; 8];
    rustix::rand::getrandom(&mut bits, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Failure::Runtime(format!("no random numbers: {error}")))?;
    let uname = rustix::system::uname();
    let host = uname.nodename().to_string_lossy().into_owned();
    Ok(Run {
        id: RunId::new(u64::from_ne_bytes(bits)),
        boot_id: boot_id.trim().to_owned(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").into(),
        host: Some(host).filter(|host| !host.is_empty() && host != "(none)"),
    })
}

/// What a recording says about how the programs were set up.
fn setup(capture: &args::Capture, live: &Live) -> recording::Setup {
    let detail = capture.detail.to_possible_value();
    recording::Setup {
        detail: detail.map(|detail| detail.get_name().to_owned()).unwrap_or_default(),
        messages: capture.messages,
        payload: capture.payload,
        offsets_sha256: live.offsets_sha256(),
        config_sha256: live.config_sha256(),
    }
}

/// Says which hook was taken and why the cheaper ones were not, and what it does not see.
fn say_which(hook: Hook, passed_over: &[PassedOver]) {
    if !passed_over.is_empty() {
        let reasons: Vec<_> = passed_over
            .iter()
            .map(|PassedOver { hook, error }| format!("not {}: {}", hook.name(), error.brief()))
            .collect();
        diagnostics::say(format_args!("hook {} ({})", hook.name(), reasons.join("; ")));
    }
    if let Some(blind) = hook.blind_spot() {
        diagnostics::say(format_args!("note: with hook {} {blind}", hook.name()));
    }
}

/// What is kept of each message beside its header and name.
fn detail_of(capture: &args::Capture) -> Result<detail::Detail, Failure> {
    let args::Capture { payload, messages, .. } = *capture;
    if capture.detail != Detail::Full {
        return match payload {
            0 => Ok(detail::Detail::NONE),
            _ => Err(Failure::Usage("--payload needs --detail full".to_owned())),
        };
    }
    if u64::from(payload) * u64::from(messages) > u64::from(MAX_PAYLOADS) {
        return Err(Failure::Usage(format!(
            "--payload {payload} for each of {messages} messages is more than the {MAX_PAYLOADS} \
             bytes that can be kept of a call: ask for fewer bytes, or for fewer --messages"
        )));
    }
    Ok(detail::Detail::full(payload))
}

/// Which calls are wanted.
pub fn criteria(options: &Trace) -> Result<Criteria, Failure> {
    let mut criteria = output::criteria(&options.select);
    criteria.cgroups = cgroup::resolve(&options.select.cgroup)?;
    Ok(criteria)
}

/// Whether children are traced too.
pub fn follows(options: &Trace) -> bool {
    options.follow || !options.command.is_empty()
}

/// The same, divided between the kernel and the daemon.
pub fn divide(options: &Trace) -> Result<Divided, Failure> {
    let divide = match options.filter_in {
        FilterIn::Kernel => pushdown::divide,
        FilterIn::Daemon => pushdown::divide_for_daemon,
    };
    Ok(divide(criteria(options)?, follows(options)))
}

/// Children that were there before the programs were attached. Children of theirs
/// that came since are followed by the programs, or found in the next round.
fn follow_existing(live: &mut Live, divided: &Divided) -> Result<(), Failure> {
    let mut known: Vec<u32> =
        divided.kernel.pids.iter().filter(|(_, include)| *include).map(|(pid, _)| *pid).collect();
    let roots = known.clone();
    loop {
        let found: Vec<_> = roots
            .iter()
            .flat_map(|pid| process::descendants(*pid))
            .filter(|pid| !known.contains(pid))
            .collect();
        if found.is_empty() {
            return Ok(());
        }
        for pid in &found {
            live.set_pid(*pid, true)?;
        }
        known.extend(found);
    }
}

fn start(command: &[OsString], divert: bool) -> Result<Option<Stopped>, Failure> {
    if command.is_empty() {
        return Ok(None);
    }
    Stopped::spawn(command, divert)
        .map(Some)
        .map_err(|error| Failure::Runtime(format!("cannot start a process: {error}")))
}

/// Refuses a COMMAND that does not exist before anything is set in motion.
fn find(program: &OsStr) -> Result<(), Failure> {
    let executable = |path: &Path| {
        fs::metadata(path)
            .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    let shown = escape(program.as_encoded_bytes());
    if shown.contains('/') {
        if executable(Path::new(program)) {
            return Ok(());
        }
        return Err(Failure::Runtime(format!("COMMAND {shown}: no such executable file")));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|directory| executable(&directory.join(program))) {
        return Ok(());
    }
    Err(Failure::Runtime(format!(
        "COMMAND {shown}: not found in PATH ({})",
        path.to_string_lossy()
    )))
}

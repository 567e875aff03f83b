//! From records to sinks: decode, filter, encode, write, and count what becomes of
//! every call. The only place that sees all of them.

mod change;
mod health;
mod replay;
mod results;

use std::io;

use tracer_common::{record::RecordKind, registry::Event};

use self::results::Results;
use crate::{
    decode::{self, Clock},
    encode::Encoder,
    event,
    filter::Criteria,
    health::{Counts, Origin, Stream},
    hot::Hot,
    process::Processes,
    record::{self, Record},
    recording::{self, Fate},
    sink::{self, CHUNK, Caller, OnFull, Sink, SinkError, Wake},
    tally::Tally,
};

use change::Leaving;
pub use change::{Change, Slot};

/// Why events can't be handed on any more.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// A sink failed.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The recording could not be written.
    #[error("cannot write the recording: {0}")]
    Recording(io::Error),
}

impl PipelineError {
    /// Whether the reader of the events has gone away, which is no failure of ours.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Sink(error) if error.is_closed())
    }
}

/// A sink with its encoder.
pub struct Output {
    /// Where to.
    pub sink: Sink,
    /// As what.
    pub encoder: Encoder,
    /// As of the last health record of a loss there.
    reported: Counts,
    /// What had become of calls when it was opened, if others were before it.
    opened: Counts,
}

impl Output {
    /// Events from now on.
    pub fn new(sink: Sink, encoder: Encoder) -> Self {
        Self { sink, encoder, reported: Counts::default(), opened: Counts::default() }
    }

    /// With a queue before the sink, which is prepared for it: [`Sink::queued`].
    ///
    /// # Errors
    /// [`SinkError`]
    pub fn queued(self, limit: usize, on_full: OnFull, wake: Wake) -> Result<Self, SinkError> {
        Ok(Self { sink: self.sink.queued(limit, on_full, wake)?, ..self })
    }
}

/// The pipeline.
pub struct Pipeline {
    /// The events that are wanted, where the source does not see to that.
    pub events: Option<Vec<&'static Event>>,
    /// What is left to filter here.
    pub filter: Criteria,
    /// How kernel clocks become wall-clock time.
    pub clock: Clock,
    /// Where events go.
    pub outputs: Vec<Output>,
    /// The executables of callers.
    pub processes: Processes,
    /// Whether payload is shown as a hash only.
    pub redact: bool,
    /// Whether health records are wanted.
    pub health: bool,
    recording: Option<recording::Writer>,
    /// Stop after that many events.
    pub most: Option<u64>,
    /// Where the stream comes from.
    pub origin: Origin,
    hot: Hot,
    seq: u64,
    /// Events given to the sinks.
    passed: u64,
    filtered: Tally,
    malformed: u64,
    results: Results,
    /// A chunk was handed over since [`Pipeline::take_handed_over`].
    handed_over: bool,
    failed: Option<PipelineError>,
    /// A destination failed, and others go on.
    without: Option<SinkError>,
    /// Destinations that were taken out, and still have something to write.
    leaving: Leaving,
    /// The recording failed; events go on until the next [`Pipeline::flush`].
    recording_failed: Option<io::Error>,
}

impl Pipeline {
    /// A pipeline that has handled nothing yet.
    pub fn new(stream: Stream, clock: Clock, outputs: Vec<Output>) -> Self {
        Self {
            events: None,
            filter: Criteria::default(),
            clock,
            outputs,
            processes: Processes::default(),
            redact: false,
            health: true,
            recording: None,
            most: None,
            origin: Origin { stream, run: None },
            hot: Hot::default(),
            seq: 0,
            passed: 0,
            filtered: Tally::default(),
            malformed: 0,
            results: Results::default(),
            handed_over: false,
            failed: None,
            without: None,
            leaving: Leaving::default(),
            recording_failed: None,
        }
    }

    /// Handles one record. Failures are kept for [`Pipeline::flush`]: the records
    /// that follow are still counted.
    pub fn record(&mut self, bytes: &[u8]) {
        let fate = match record::parse(bytes) {
            Ok(parsed) => self.parsed(&parsed),
            Err(error) => {
                log::debug!("malformed record of {} bytes: {error}", bytes.len());
                self.malformed += 1;
                Fate::Malformed
            }
        };
        let Self { recording, processes, clock, .. } = self;
        let Some(writer) = recording else { return };
        let mut kept = processes.take_facts().iter().try_for_each(|fact| writer.fact(fact));
        kept = kept.and_then(|()| writer.record(fate, bytes, *clock));
        self.kept(kept);
    }

    /// Keeps from now on, in a recording that is new, what is handled.
    pub fn keep(&mut self, recording: recording::Writer) {
        self.processes.keep_facts();
        self.recording = Some(recording);
    }

    /// What became of something that was to be kept in the recording.
    fn kept(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.recording = None;
            self.recording_failed.get_or_insert(error);
        }
    }

    /// Handles a record that could be parsed.
    fn parsed(&mut self, parsed: &Record<'_>) -> Fate {
        if parsed.kind == RecordKind::Image {
            self.processes.learn(parsed);
            return Fate::NoCall;
        }
        if self.show_ordinary(parsed) {
            self.results.add(parsed);
            return Fate::Shown;
        }
        let event = self.decoded(parsed);
        if !self.wants(parsed, &event) || self.is_complete() {
            self.filtered.add(parsed.call.header.cpu);
            return Fate::Filtered;
        }
        self.results.add(parsed);
        self.show(event, caller(parsed));
        Fate::Shown
    }

    fn decoded(&mut self, parsed: &Record<'_>) -> event::Event {
        let mut event = decode::decode(parsed, &self.clock);
        self.processes.complete(parsed, &mut event);
        if self.redact {
            event.redact();
        }
        event
    }

    /// Whether the record is of an event that is wanted.
    fn names(&self, parsed: &Record<'_>) -> bool {
        let named = |events: &Vec<&Event>| events.iter().any(|event| event.id == parsed.event.id);
        self.events.as_ref().is_none_or(named)
    }

    fn wants(&self, parsed: &Record<'_>, event: &event::Event) -> bool {
        self.names(parsed) && self.filter.matches(event)
    }

    /// Shows an ordinary call by the short way, where events go out as JSON whatever they
    /// hold; false where it is for the long way.
    fn show_ordinary(&mut self, parsed: &Record<'_>) -> bool {
        let plain =
            |output: &Output| matches!(output.encoder, Encoder::Json) && !output.sink.is_over();
        let fits = self.filter.is_empty()
            && !self.is_complete()
            && self.outputs.iter().all(plain)
            && self.names(parsed);
        let Some((first, others)) = self.outputs.split_first_mut().filter(|_| fits) else {
            return false;
        };
        let buffer = first.sink.buffer();
        let start = buffer.len();
        let (run, seq) = (self.origin.run_id(), self.seq + 1);
        if !self.hot.line(parsed, &self.clock, &mut self.processes, (run, seq), buffer) {
            return false;
        }
        let caller = Some(caller(parsed));
        for other in others {
            other.sink.buffer().extend_from_slice(&first.sink.buffer()[start..]);
            other.sink.end_line(seq, caller);
        }
        first.sink.end_line(seq, caller);
        self.seq = seq;
        self.passed += 1;
        if first.sink.pending() >= CHUNK {
            self.write();
        }
        true
    }

    /// Gives an event to the sinks.
    fn show(&mut self, mut event: event::Event, caller: Caller) {
        event.run_id = self.origin.run_id();
        event.seq = self.next_seq();
        self.passed += 1;
        let mut full = false;
        for Output { sink, encoder, .. } in &mut self.outputs {
            if sink.is_over() {
                sink.lose(caller.cpu);
                continue;
            }
            match encoder.event(&event, &self.origin, sink.buffer()) {
                Ok(()) => sink.end_line(event.seq, Some(caller)),
                Err(error) => {
                    log::error!("event {}: {error}", event.seq);
                    sink.lose(caller.cpu);
                }
            }
            full |= sink.pending() >= CHUNK;
        }
        if full {
            self.write();
        }
    }

    /// Events that were shown: their names, their results, and how many.
    pub fn results(&self) -> Vec<(&'static str, &'static str, u64)> {
        self.results.list()
    }

    /// Whether as many events as wanted have passed; the rest counts as filtered.
    pub fn is_complete(&self) -> bool {
        self.most.is_some_and(|most| self.passed >= most)
    }

    /// Whether something failed that the next [`Pipeline::flush`] will report.
    pub fn has_failed(&self) -> bool {
        self.failed.is_some() || self.recording_failed.is_some()
    }

    fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    /// Writes to the recording, and then hands over to every sink, so that the recording
    /// has what was shown.
    fn write(&mut self) {
        self.write_recording();
        for output in &mut self.outputs {
            output.sink.flush();
        }
        self.take_errors();
        self.handed_over = true;
    }

    /// What became of the sinks: where one fails, the others go on.
    fn take_errors(&mut self) {
        if let Some(error) = self.leaving.look() {
            self.without.get_or_insert(error);
        }
        let errors = self.outputs.iter_mut().filter_map(|output| output.sink.take_error());
        for error in errors.collect::<Vec<_>>() {
            let others = self.outputs.iter().any(|output| !output.sink.is_over());
            if error.is_closed() || !others {
                self.failed.get_or_insert(error.into());
            } else {
                log::error!("{error}; the other destinations go on");
                self.without.get_or_insert(error);
            }
        }
    }

    /// The first failure of a destination where others went on, once.
    pub fn take_failure(&mut self) -> Option<PipelineError> {
        self.without.take().map(PipelineError::Sink)
    }

    fn write_recording(&mut self) {
        let flushed = self.recording.as_mut().map_or(Ok(()), recording::Writer::flush);
        self.kept(flushed);
    }

    /// Whether sinks were handed anything since the last call.
    pub fn take_handed_over(&mut self) -> bool {
        std::mem::take(&mut self.handed_over)
    }

    /// Whether no sink keeps records waiting.
    pub fn has_room(&self) -> bool {
        self.outputs.iter().all(|output| output.sink.has_room())
    }

    /// Waits until there is room; a sink that takes nothing for [`sink::PATIENCE`] is
    /// given up.
    pub fn wait_for_room(&mut self) {
        let sinks = self.outputs.iter_mut().map(|output| &mut output.sink);
        sink::wait_until(sinks, Sink::has_room);
    }

    /// Waits until all that was handed over is written, with the same patience.
    pub fn settle(&mut self) {
        let sinks = self.outputs.iter_mut().map(|output| &mut output.sink);
        sink::wait_until(sinks, |sink| sink.is_over() || sink.outcome().1 == 0);
    }

    /// Has files opened anew.
    pub fn attend(&mut self) {
        self.outputs.iter_mut().for_each(|output| output.sink.attend());
    }

    /// Nothing more will come: waits until all that is under way has come to its end, with
    /// the same patience.
    pub fn close(&mut self) {
        self.write();
        self.outputs.iter_mut().for_each(|output| output.sink.close());
        let sinks = self.outputs.iter_mut().map(|output| &mut output.sink);
        sink::wait_until(sinks, |sink| sink.is_over() || sink.has_ended());
        self.leaving.wait();
        self.take_errors();
    }

    /// Writes all that waits, or hands it over to who does.
    ///
    /// # Errors
    /// The first failure there was.
    pub fn flush(&mut self) -> Result<(), PipelineError> {
        self.write();
        let recording = self.recording_failed.take().map(PipelineError::Recording);
        self.failed.take().or(recording).map_or(Ok(()), Err)
    }

    /// Says in the recording that nothing follows. A failure is kept for
    /// [`Pipeline::flush`].
    pub fn end_recording(&mut self) {
        if let Some(mut recording) = self.recording.take() {
            let ended = recording.end();
            self.kept(ended);
        }
    }
}

/// Whose call a record is of.
fn caller(record: &Record<'_>) -> Caller {
    Caller { cpu: record.call.header.cpu, pid: record.call.task.pid }
}

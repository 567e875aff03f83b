//! From records to sinks: decode, filter, encode, write, and count what becomes of
//! every call. The only place that sees all of them.

use std::io;

use tracer_common::{record::RecordKind, registry::Event, stats::Stats};

use crate::{
    decode::{self, Clock},
    encode::Encoder,
    filter::Criteria,
    health::{Counts, Health, Kind, Lost, Run, Stream},
    hot::Hot,
    process::Processes,
    record, recording,
    sink::{Sink, SinkError},
};

/// Bytes after which a sink is written to, even in the middle of a drain.
const FLUSH: usize = 256 << 10;

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
    /// The raw records' copy.
    pub recording: Option<recording::Writer>,
    /// Stop after that many events.
    pub most: Option<u64>,
    /// What stays the same in health records.
    pub stream: Stream,
    hot: Hot,
    seq: u64,
    /// Events given to the sinks.
    passed: u64,
    filtered: u64,
    malformed: u64,
    written: u64,
    sink_lost: u64,
    /// As of the last health record of a loss.
    reported: Counts,
    failed: Option<PipelineError>,
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
            stream,
            hot: Hot::default(),
            seq: 0,
            passed: 0,
            filtered: 0,
            malformed: 0,
            written: 0,
            sink_lost: 0,
            reported: Counts::default(),
            failed: None,
        }
    }

    /// Handles one record. Failures are kept for [`Pipeline::flush`]: the records
    /// that follow are still counted.
    pub fn record(&mut self, bytes: &[u8]) {
        if let Some(recording) = &mut self.recording
            && let Err(error) = recording.record(bytes)
        {
            self.recording = None;
            self.failed.get_or_insert(PipelineError::Recording(error));
        }
        let parsed = match record::parse(bytes) {
            Ok(parsed) => parsed,
            Err(error) => {
                log::debug!("malformed record of {} bytes: {error}", bytes.len());
                self.malformed += 1;
                return;
            }
        };
        if parsed.kind == RecordKind::Image {
            self.processes.learn(&parsed);
            return;
        }
        let of_wanted_event = self
            .events
            .as_ref()
            .is_none_or(|events| events.iter().any(|wanted| wanted.id == parsed.event.id));
        if !of_wanted_event || self.is_complete() {
            self.filtered += 1;
            return;
        }
        if self.is_plain() && self.failed.is_none() && self.line(&parsed) {
            return;
        }
        let mut event = decode::decode(&parsed, &self.clock);
        self.processes.complete(&parsed, &mut event);
        if self.redact {
            event.redact();
        }
        if !self.filter.matches(&event) {
            self.filtered += 1;
            return;
        }
        if self.failed.is_some() {
            self.sink_lost += 1;
            return;
        }
        event.seq = self.next_seq();
        self.passed += 1;
        let mut full = false;
        for Output { sink, encoder } in &mut self.outputs {
            match encoder.event(&event, sink.buffer()) {
                Ok(()) => sink.line(true),
                Err(error) => log::error!("event {}: {error}", event.seq),
            }
            full |= sink.pending() >= FLUSH;
        }
        if full {
            self.write();
        }
    }

    /// Whether events are wanted whatever they hold, as JSON and nothing else.
    fn is_plain(&self) -> bool {
        self.filter.is_empty()
            && self.outputs.iter().all(|output| matches!(output.encoder, Encoder::Json))
    }

    /// Writes the line of an ordinary call; false where it is none.
    fn line(&mut self, record: &record::Record<'_>) -> bool {
        let Some((first, others)) = self.outputs.split_first_mut() else { return false };
        let buffer = first.sink.buffer();
        let (start, seq) = (buffer.len(), self.seq + 1);
        if !self.hot.line(record, &self.clock, &mut self.processes, seq, buffer) {
            return false;
        }
        for other in others {
            other.sink.buffer().extend_from_slice(&first.sink.buffer()[start..]);
            other.sink.line(true);
        }
        first.sink.line(true);
        self.seq = seq;
        self.passed += 1;
        if first.sink.pending() >= FLUSH {
            self.write();
        }
        true
    }

    /// Whether as many events as wanted have passed; the rest counts as filtered.
    pub fn is_complete(&self) -> bool {
        self.most.is_some_and(|most| self.passed >= most)
    }

    /// Whether something failed that the next [`Pipeline::flush`] will report.
    pub fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    /// Writes to every sink. An event counts as written once the first sink has it,
    /// which is the only one unless more are asked for.
    fn write(&mut self) {
        for (i, output) in self.outputs.iter_mut().enumerate() {
            let (flushed, error) = match output.sink.flush() {
                Ok(flushed) => (flushed, None),
                Err((flushed, error)) => (flushed, Some(error)),
            };
            if i == 0 {
                self.written += flushed.written;
                self.sink_lost += flushed.lost;
            }
            if let Some(error) = error {
                self.failed.get_or_insert(error.into());
            }
        }
    }

    /// Writes all that waits.
    ///
    /// # Errors
    /// The first failure there was.
    pub fn flush(&mut self) -> Result<(), PipelineError> {
        self.write();
        if let Some(recording) = &mut self.recording
            && let Err(error) = recording.flush()
        {
            self.failed.get_or_insert(PipelineError::Recording(error));
        }
        self.failed.take().map_or(Ok(()), Err)
    }

    /// What has become of the calls that the kernel's counters know, and of those that
    /// the kernel let go by.
    pub fn counts(&self, per_cpu: &[Stats], missed: u64) -> Counts {
        let mut total = Stats::default();
        per_cpu.iter().for_each(|stats| total.add(stats));
        Counts {
            emitted: self.written,
            filtered: self.filtered + total.filtered,
            lost: Lost::new(&total, missed, self.malformed, self.sink_lost),
            unfinished: total.begun.saturating_sub(total.ended),
            kernel_seen: total.seen + missed,
            entry_no_room: total.entry_no_room,
            entry_missed: total.entry_missed,
            return_missed: total.return_missed,
            follow_no_room: total.follow_no_room,
            runs_left_out: 0,
            by_cpu: per_cpu.iter().map(|stats| Lost::new(stats, 0, 0, 0)).collect(),
        }
    }

    /// The first line of the stream: everything is attached.
    pub fn started(&mut self, run: Run) {
        let nothing = Counts::default();
        if !self.health {
            return;
        }
        let seq = self.next_seq();
        let health = Health::new(Kind::Start, seq, &self.stream, &nothing, &nothing).of_run(run);
        self.emit(&health);
    }

    /// Reports loss, if there was any since the last report.
    pub fn report_loss(&mut self, counts: &Counts) {
        if counts.lost.total > self.reported.lost.total
            || counts.follow_no_room > self.reported.follow_no_room
        {
            let reported = std::mem::replace(&mut self.reported, counts.clone());
            log::warn!("calls were lost; so far {counts}");
            if self.health {
                let seq = self.next_seq();
                let health = Health::new(Kind::Loss, seq, &self.stream, counts, &reported);
                self.emit(&health);
            }
        }
    }

    /// The last line of the stream.
    pub fn ended(&mut self, counts: &Counts) {
        if !self.health {
            return;
        }
        let seq = self.next_seq();
        let health = Health::new(Kind::End, seq, &self.stream, counts, &Counts::default());
        self.emit(&health);
    }

    fn emit(&mut self, health: &Health) {
        for Output { sink, encoder } in &mut self.outputs {
            match encoder.health(health, sink.buffer()) {
                Ok(()) => sink.line(false),
                Err(error) => log::error!("health record: {error}"),
            }
        }
    }
}

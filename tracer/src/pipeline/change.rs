//! Other filters and destinations while events go on.

use std::thread::{self, JoinHandle};

use super::{Output, Pipeline};
use crate::{
    filter::Criteria,
    health::{Counts, Kind, Report},
    sink::{self, Sink, SinkError},
};

use jiff::Timestamp;
use tracer_common::registry::Event;

/// What is to be changed; nothing of it can fail any more.
pub struct Change {
    /// What is filtered here from now on.
    pub filter: Option<Criteria>,
    /// The events that are wanted from now on; all of the source.
    pub events: Option<Vec<&'static Event>>,
    /// The destinations from now on, in their order.
    pub outputs: Vec<Slot>,
    /// What it amounts to, for people.
    pub changes: Vec<String>,
}

/// A place among the destinations.
pub enum Slot {
    /// The one that had that place goes on.
    Kept(usize),
    /// Another one.
    New(Box<Output>),
}

impl Pipeline {
    /// Makes a change between two events: those handled so far were the old filters' and
    /// went to the old destinations. `counts` are those of now. Destinations that are kept
    /// are told by a record of a reload, those that are new begin with one of a start, and
    /// those that are left out end with one of an end; what waits for these is written by
    /// and by, while events go on.
    pub fn change(&mut self, change: Change, counts: &Counts) {
        self.write();
        if let Some(filter) = change.filter {
            self.filter = filter;
        }
        if let Some(events) = change.events {
            self.origin.stream.events = events.iter().map(|event| event.name.into()).collect();
            self.events = Some(events);
        }
        let time = Timestamp::now();
        let nothing = Counts::default();
        let report = |kind, counts: &Counts| Report { time, ..Report::new(kind, counts, &nothing) };
        let reload = |counts: &Counts| Report {
            changes: change.changes.clone(),
            ..report(Kind::Reload, counts)
        };
        // All streams have a line of this number.
        let seq = self.health.then(|| self.next_seq());
        if seq.is_some() {
            self.record_report(&reload(&self.from_first(counts)));
            self.write_recording();
        }
        let opened = Counts {
            // Calls that are in the rings still come to those that are new.
            kernel_seen: self.passed + counts.filtered + counts.lost.total,
            ..counts.clone()
        };
        let mut old: Vec<_> = std::mem::take(&mut self.outputs).into_iter().map(Some).collect();
        for slot in change.outputs {
            let (mut output, kind) = match slot {
                Slot::New(output) => (Output { opened: opened.clone(), ..*output }, Kind::Start),
                Slot::Kept(at) => match old.get_mut(at).and_then(Option::take) {
                    Some(output) => (output, Kind::Reload),
                    None => continue,
                },
            };
            if let Some(seq) = seq {
                let (report, run) = match kind {
                    Kind::Start => (report(kind, &nothing), self.origin.run.as_ref()),
                    _ => (reload(&output.counts(counts)), None),
                };
                output.report(&report, seq, &self.origin, run);
            }
            self.outputs.push(output);
        }
        for mut output in old.into_iter().flatten() {
            if let Some(seq) = seq {
                let end = report(Kind::End, &output.counts(counts));
                output.report(&end, seq, &self.origin, None);
            }
            self.leaving.add(output.sink);
        }
    }

    /// Calls lost since the start, on their way to what is or was the first destination.
    pub fn lost(&self, counts: &Counts) -> u64 {
        let first = self.outputs.first().map(|output| output.sink.outcome().0);
        let at = first.map_or(0, |outcome| outcome.queue_full.total() + outcome.failed.total());
        counts.lost.total + at + self.leaving.lost
    }
}

/// Destinations that come to their end while others go on.
#[derive(Default)]
pub struct Leaving {
    threads: Vec<JoinHandle<(u64, Option<SinkError>)>>,
    /// Events that were lost on their way to those that have ended.
    lost: u64,
}

impl Leaving {
    /// Closes one; it gets the time that it takes as long as it takes something.
    fn add(&mut self, mut sink: Sink) {
        sink.close();
        let settle = move || {
            sink::wait_until([&mut sink].into_iter(), |sink| sink.is_over() || sink.has_ended());
            let outcome = sink.outcome().0;
            (outcome.queue_full.total() + outcome.failed.total(), sink.take_error())
        };
        match thread::Builder::new().name("tracer-settle".to_owned()).spawn(settle) {
            Ok(thread) => self.threads.push(thread),
            // It ends by itself, and what becomes of it is not told.
            Err(error) => log::error!("a destination that was taken out: {error}"),
        }
    }

    /// Says what became of those that have ended, and how the first of them failed that did.
    pub fn look(&mut self) -> Option<SinkError> {
        let mut failed = None;
        while let Some(at) = self.threads.iter().position(JoinHandle::is_finished) {
            let (lost, error) = self.threads.swap_remove(at).join().unwrap_or_default();
            self.lost += lost;
            if let Some(error) = error.filter(|error| !error.is_closed()) {
                log::error!("{error}; it was taken out, with {lost} events lost");
                failed.get_or_insert(error);
            }
        }
        failed
    }

    /// Waits until all have ended, which they do by themselves.
    pub fn wait(&mut self) {
        while !self.threads.is_empty() && !self.threads.iter().all(JoinHandle::is_finished) {
            thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

//! Health records: what was seen, filtered, emitted and lost.

use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use tracer_common::stats::Stats;

use crate::event::rfc3339;

/// The schema of [`Health`].
pub const SCHEMA: &str = "tracer.health/1";

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Everything is attached.
    Start,
    /// Calls were lost since the last such record, or since the start.
    Loss,
    /// Totals since the start.
    End,
}

impl Kind {
    /// As in the JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Loss => "loss",
            Self::End => "end",
        }
    }
}

/// Calls lost, by cause. Causes that did not occur are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// The sum of the causes.
    pub total: u64,
    /// The ring buffer had no room for the record.
    #[serde(skip_serializing_if = "is_zero")]
    pub ring_full: u64,
    /// The table of calls under way had no room.
    #[serde(skip_serializing_if = "is_zero")]
    pub pending_full: u64,
    /// The kernel left out the program that would have seen the call.
    #[serde(skip_serializing_if = "is_zero")]
    pub missed: u64,
    /// The record could not be parsed.
    #[serde(skip_serializing_if = "is_zero")]
    pub malformed: u64,
    /// The event could not be written.
    #[serde(skip_serializing_if = "is_zero")]
    pub sink: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Lost {
    /// Sums up the causes.
    pub fn new(kernel: &Stats, missed: u64, malformed: u64, sink: u64) -> Self {
        let (ring_full, pending_full) = (kernel.ring_full, kernel.pending_full);
        let total = ring_full + pending_full + missed + malformed + sink;
        Self { total, ring_full, pending_full, missed, malformed, sink }
    }

    fn since(self, earlier: Self) -> Self {
        Self {
            total: self.total - earlier.total,
            ring_full: self.ring_full - earlier.ring_full,
            pending_full: self.pending_full - earlier.pending_full,
            missed: self.missed - earlier.missed,
            malformed: self.malformed - earlier.malformed,
            sink: self.sink - earlier.sink,
        }
    }

    /// `4 (ring_full 4)`
    pub fn describe(&self) -> String {
        let causes: Vec<_> = [
            ("ring_full", self.ring_full),
            ("pending_full", self.pending_full),
            ("missed", self.missed),
            ("malformed", self.malformed),
            ("sink", self.sink),
        ]
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
        if causes.is_empty() {
            self.total.to_string()
        } else {
            format!("{} ({})", self.total, causes.join(", "))
        }
    }
}

/// Calls lost on one CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ByCpu {
    /// The CPU.
    pub cpu: usize,
    /// What it lost.
    pub lost: Lost,
}

/// What has become of the calls, since the start.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Written.
    pub emitted: u64,
    /// Left out by the filters, in the kernel or here.
    pub filtered: u64,
    /// Lost.
    pub lost: Lost,
    /// Begun and not ended yet.
    pub unfinished: u64,
    /// Reported without what only their beginning knew, since there was no room to
    /// remember it.
    pub entry_no_room: u64,
    /// Reported without what only their beginning knew, since the kernel did not show
    /// it.
    pub entry_missed: u64,
    /// Reported without their return, since the kernel did not show it.
    pub return_missed: u64,
    /// Runs of programs that the kernel left out.
    pub runs_left_out: u64,
    /// Children that could not be followed.
    pub follow_no_room: u64,
    /// Loss on each CPU.
    pub by_cpu: Vec<Lost>,
    /// Calls that ended, as the kernel programs counted them; once all that they
    /// wrote is read, the sum of the others.
    pub kernel_seen: u64,
}

impl Counts {
    /// Calls that have been accounted for.
    pub fn seen(&self) -> u64 {
        self.emitted + self.filtered + self.lost.total
    }

    fn since(&self, earlier: &Self) -> Self {
        Self {
            emitted: self.emitted - earlier.emitted,
            filtered: self.filtered - earlier.filtered,
            lost: self.lost.since(earlier.lost),
            unfinished: self.unfinished,
            kernel_seen: self.kernel_seen - earlier.kernel_seen,
            entry_no_room: self.entry_no_room - earlier.entry_no_room,
            entry_missed: self.entry_missed - earlier.entry_missed,
            return_missed: self.return_missed - earlier.return_missed,
            runs_left_out: self.runs_left_out - earlier.runs_left_out,
            follow_no_room: self.follow_no_room - earlier.follow_no_room,
            by_cpu: self
                .by_cpu
                .iter()
                .enumerate()
                .map(|(cpu, lost)| lost.since(earlier.by_cpu.get(cpu).copied().unwrap_or_default()))
                .collect(),
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seen {}, filtered {}, emitted {}, lost {}",
            self.seen(),
            self.filtered,
            self.emitted,
            self.lost.describe()
        )?;
        for (count, what) in [
            (self.unfinished, "unfinished"),
            (self.entry_no_room + self.entry_missed, "without their beginning"),
            (self.return_missed, "without their return"),
            (self.runs_left_out, "program runs left out by the kernel"),
            (self.follow_no_room, "children not followed"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}

/// What tells one run from another.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// The kernel's boot id.
    pub boot_id: String,
    /// The tracer's process id.
    pub pid: u32,
    /// The tracer's version.
    pub version: &'static str,
}

/// What stays the same in a stream's health records.
#[derive(Clone, Debug, Serialize)]
pub struct Stream {
    /// Where the programs are attached.
    pub hook: &'static str,
    /// The kernel's release.
    pub kernel: String,
    /// The events.
    pub events: Vec<&'static str>,
    /// What is captured of what the kernel itself goes by; only where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_copies: Option<Vec<&'static str>>,
}

/// A health record.
#[derive(Clone, Debug, Serialize)]
pub struct Health {
    schema: &'static str,
    /// What it is about.
    pub kind: Kind,
    #[serde(serialize_with = "time")]
    time: Timestamp,
    seq: u64,
    #[serde(flatten)]
    stream: Stream,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<Run>,
    seen: u64,
    emitted: u64,
    filtered: u64,
    lost: Lost,
    unfinished: u64,
    #[serde(skip_serializing_if = "is_zero")]
    entry_no_room: u64,
    #[serde(skip_serializing_if = "is_zero")]
    entry_missed: u64,
    #[serde(skip_serializing_if = "is_zero")]
    return_missed: u64,
    #[serde(skip_serializing_if = "is_zero")]
    runs_left_out: u64,
    #[serde(skip_serializing_if = "is_zero")]
    follow_no_room: u64,
    by_cpu: Vec<ByCpu>,
    #[serde(skip)]
    text: String,
}

fn time<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    rfc3339(*time).serialize(to)
}

impl Health {
    /// A record of what happened since `earlier`.
    pub fn new(kind: Kind, seq: u64, stream: &Stream, now: &Counts, earlier: &Counts) -> Self {
        let counts = now.since(earlier);
        let by_cpu = counts.by_cpu.iter().copied().enumerate();
        Self {
            schema: SCHEMA,
            kind,
            text: counts.to_string(),
            time: Timestamp::now(),
            seq,
            stream: stream.clone(),
            run: None,
            seen: counts.seen(),
            emitted: counts.emitted,
            filtered: counts.filtered,
            lost: counts.lost,
            unfinished: counts.unfinished,
            entry_no_room: counts.entry_no_room,
            entry_missed: counts.entry_missed,
            return_missed: counts.return_missed,
            runs_left_out: counts.runs_left_out,
            follow_no_room: counts.follow_no_room,
            by_cpu: by_cpu
                .filter(|(_, lost)| lost.total > 0)
                .map(|(cpu, lost)| ByCpu { cpu, lost })
                .collect(),
        }
    }

    /// With what tells this run from another.
    pub fn of_run(mut self, run: Run) -> Self {
        self.run = Some(run);
        self
    }

    /// The counts in one line, for people.
    pub fn summary(&self) -> &str {
        &self.text
    }
}

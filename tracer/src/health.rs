//! Health records: what was seen, filtered, emitted and lost.

use std::{borrow::Cow, fmt};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use tracer_common::stats::Stats;

use crate::event::{NANOSECONDS, rfc3339};

/// The schema of [`Health`].
pub const SCHEMA: &str = "tracer.health/1";

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lost {
    /// The sum of the causes.
    pub total: u64,
    /// The ring buffer had no room for the record.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ring_full: u64,
    /// The table of calls under way had no room.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pending_full: u64,
    /// The kernel left out the program that would have seen the call.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missed: u64,
    /// The record could not be parsed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub malformed: u64,
    /// The event could not be written.
    #[serde(default, skip_serializing_if = "is_zero")]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ByCpu {
    /// The CPU.
    pub cpu: usize,
    /// What it lost.
    pub lost: Lost,
}

/// What has become of the calls, since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
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
        self.emitted.saturating_add(self.filtered).saturating_add(self.lost.total)
    }

    /// So many more that are filtered instead of emitted; or fewer, below 0.
    pub fn with_filtered(mut self, more: i64) -> Self {
        let moved = more.unsigned_abs();
        let (from, to) = if more > 0 {
            (&mut self.emitted, &mut self.filtered)
        } else {
            (&mut self.filtered, &mut self.emitted)
        };
        let moved = moved.min(*from);
        *from -= moved;
        *to = to.saturating_add(moved);
        self
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
            (self.entry_no_room.saturating_add(self.entry_missed), "without their beginning"),
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// The kernel's boot id.
    pub boot_id: String,
    /// The tracer's process id.
    pub pid: u32,
    /// The tracer's version.
    pub version: Cow<'static, str>,
}

/// What stays the same in a stream's health records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stream {
    /// Where the programs are attached.
    pub hook: Cow<'static, str>,
    /// The kernel's release.
    pub kernel: String,
    /// The events.
    pub events: Vec<Cow<'static, str>>,
    /// What is captured of what the kernel itself goes by; only where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_copies: Option<Vec<Cow<'static, str>>>,
}

/// What there is to report, before it has its place in a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What it is about.
    pub kind: Kind,
    /// When.
    pub time: Timestamp,
    /// The counts since the last report of a loss, or since the start.
    pub counts: Counts,
}

impl Report {
    /// Of what happened since `earlier`, as of now.
    pub fn new(kind: Kind, now: &Counts, earlier: &Counts) -> Self {
        Self { kind, time: Timestamp::now(), counts: now.since(earlier) }
    }
}

/// A health record.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Health {
    /// The schema that the record follows.
    #[schemars(extend("const" = SCHEMA))]
    schema: &'static str,
    /// What it is about.
    pub kind: Kind,
    /// When it was made: RFC 3339, UTC, nanoseconds.
    #[serde(serialize_with = "time")]
    #[schemars(extend("pattern" = NANOSECONDS))]
    time: Timestamp,
    /// Position in the stream; events count too.
    seq: u64,
    #[serde(flatten)]
    stream: Stream,
    /// What tells one run from another; in the start record.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<Run>,
    /// Calls that ended: the sum of the next three, of `lost` the total.
    seen: u64,
    /// Calls written to the first destination.
    emitted: u64,
    /// Calls left out by the filters.
    filtered: u64,
    /// Calls lost.
    lost: Lost,
    /// Calls that had begun and not ended.
    unfinished: u64,
    /// Calls shown without what only their beginning knew, for want of room to remember
    /// it; left out where 0, like the next ones.
    #[serde(skip_serializing_if = "is_zero")]
    entry_no_room: u64,
    /// Calls shown without their beginning, since the kernel did not show it.
    #[serde(skip_serializing_if = "is_zero")]
    entry_missed: u64,
    /// Calls shown without their return, likewise.
    #[serde(skip_serializing_if = "is_zero")]
    return_missed: u64,
    /// How often the kernel left a program out where it should have run.
    #[serde(skip_serializing_if = "is_zero")]
    runs_left_out: u64,
    /// Children that could not be followed.
    #[serde(skip_serializing_if = "is_zero")]
    follow_no_room: u64,
    /// Loss on each CPU that lost any.
    by_cpu: Vec<ByCpu>,
    #[serde(skip)]
    text: String,
}

fn time<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    rfc3339(*time).serialize(to)
}

impl Health {
    /// The record of a report.
    pub fn new(seq: u64, stream: &Stream, report: &Report) -> Self {
        let Report { kind, time, ref counts } = *report;
        let by_cpu = counts.by_cpu.iter().copied().enumerate();
        Self {
            schema: SCHEMA,
            kind,
            text: counts.to_string(),
            time,
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

//! Health records: what was seen, filtered, emitted and lost.

mod counts;

use std::borrow::Cow;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use crate::event::{NANOSECONDS, RunId, rfc3339};
pub use counts::{ByCpu, Counts, Lost, OnCpu};

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
    /// Filters or destinations were changed; totals since the start.
    Reload,
}

impl Kind {
    /// As in the JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Loss => "loss",
            Self::End => "end",
            Self::Reload => "reload",
        }
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What tells one run from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// Its id, which all lines have; zeros in recordings from before there were any.
    #[serde(default)]
    pub id: RunId,
    /// The kernel's boot id.
    pub boot_id: String,
    /// The tracer's process id.
    pub pid: u32,
    /// The tracer's version.
    pub version: Cow<'static, str>,
    /// The machine's name (uname(2), nodename); left out where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
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

/// Where a stream comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// What stays the same in its health records.
    pub stream: Stream,
    /// The run; none of a recording from before this was kept.
    pub run: Option<Run>,
}

impl Origin {
    /// The machine's name, where it is known.
    pub fn host(&self) -> Option<&str> {
        self.run.as_ref()?.host.as_deref()
    }

    /// The tracer's version, likewise.
    pub fn version(&self) -> Option<&str> {
        self.run.as_ref().map(|run| run.version.as_ref())
    }

    /// The run's id, or zeros.
    pub fn run_id(&self) -> RunId {
        self.run.as_ref().map(|run| run.id).unwrap_or_default()
    }
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
    /// What was changed, by a reload.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
}

impl Report {
    /// Of what happened since `earlier`, as of now.
    pub fn new(kind: Kind, now: &Counts, earlier: &Counts) -> Self {
        Self { kind, time: Timestamp::now(), counts: now.since(earlier), changes: Vec::new() }
    }
}

/// What became of the calls: the first is the sum of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Calls that ended.
    pub seen: u64,
    /// Calls written to this destination.
    pub emitted: u64,
    /// Calls left out by the filters.
    pub filtered: u64,
    /// Calls lost.
    pub lost: u64,
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
    pub time: Timestamp,
    /// The run that it is of: the same in all lines of a stream.
    run_id: RunId,
    /// Position in the stream; events count too.
    pub seq: u64,
    #[serde(flatten)]
    stream: Stream,
    /// What tells one run from another; in the start record.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<Run>,
    /// Calls that ended: the sum of the next three, of `lost` the total.
    seen: u64,
    /// Calls written to this destination.
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
    /// What was changed, for people; in records of a reload.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<String>,
    /// Each CPU that lost any; in the end record, each that saw any.
    by_cpu: Vec<ByCpu>,
    #[serde(skip)]
    text: String,
}

fn time<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    rfc3339(*time).serialize(to)
}

impl Health {
    /// The record of a report.
    pub fn new(run_id: RunId, seq: u64, stream: &Stream, report: &Report) -> Self {
        let Report { kind, time, ref counts, ref changes } = *report;
        let by_cpu = counts.by_cpu.iter().enumerate();
        let told = |on_cpu: &OnCpu| match kind {
            Kind::End => on_cpu.seen() > 0,
            Kind::Start | Kind::Loss | Kind::Reload => on_cpu.lost.total > 0,
        };
        Self {
            schema: SCHEMA,
            kind,
            text: counts.to_string(),
            time,
            run_id,
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
            changes: changes.clone(),
            by_cpu: by_cpu
                .filter(|(_, on_cpu)| told(on_cpu))
                .map(|(cpu, on_cpu)| ByCpu::new(cpu, on_cpu))
                .collect(),
        }
    }

    /// With what tells this run from another.
    pub fn of_run(mut self, run: Run) -> Self {
        self.run = Some(run);
        self
    }

    /// What became of the calls.
    pub fn totals(&self) -> Totals {
        let Self { seen, emitted, filtered, lost, .. } = *self;
        Totals { seen, emitted, filtered, lost: lost.total }
    }

    /// The counts in one line, for people.
    pub fn summary(&self) -> &str {
        &self.text
    }
}

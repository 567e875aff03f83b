//! What `tracer verify` says, for people and for programs; docs/VERIFY.md explains it.

use std::{collections::BTreeMap, collections::HashSet, fmt};

use serde::Serialize;

use crate::{encode::table::escape, event::RunId, health::Lost};

/// The schema of [`Report`].
pub const SCHEMA: &str = "tracer.verify/1";

/// All of it.
#[derive(Debug, Serialize)]
pub struct Report {
    schema: &'static str,
    /// Whether nothing is missing.
    pub complete: bool,
    /// Files read.
    pub files: u64,
    /// Lines in them, but for empty ones.
    pub lines: u64,
    /// Lines that are pieces of JSON.
    pub torn: u64,
    /// Lines that are something else than the tracer's.
    pub foreign: u64,
    /// The first of both.
    pub not_ours: Vec<Sample>,
    /// Runs that follow another one of the same boot of the same machine.
    pub restarts: u64,
    /// By the time of their first line.
    pub runs: Vec<RunReport>,
}

/// A line that is not ours.
#[derive(Debug, Serialize)]
pub struct Sample {
    /// The file's name, escaped.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// A piece of JSON.
    pub torn: bool,
    /// How it begins, escaped.
    pub text: String,
}

/// Lines that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The first `seq`.
    pub first: u64,
    /// The last one.
    pub last: u64,
}

/// What a start record says.
#[derive(Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Started {
    /// The kernel's boot id.
    pub boot_id: String,
    /// The tracer's process id.
    pub pid: u32,
    /// The tracer's version.
    pub version: String,
    /// The machine's name.
    pub host: Option<String>,
}

/// A run.
#[derive(Debug, Serialize)]
pub struct RunReport {
    /// Its id.
    pub run_id: RunId,
    /// Whether nothing is missing of it.
    pub complete: bool,
    /// By the start record.
    pub started: Option<Started>,
    /// There is a start record.
    pub has_start: bool,
    /// There is an end record.
    pub has_end: bool,
    /// It follows another run of the same boot.
    pub restart: bool,
    /// The earliest time of a line; empty where none has any.
    pub first_time: String,
    /// The latest.
    pub last_time: String,
    /// Lines, duplicates too.
    pub lines: u64,
    /// Events, each counted once.
    pub events: u64,
    /// The same by name.
    pub by_event: BTreeMap<String, u64>,
    /// The greatest `seq`.
    pub last_seq: u64,
    /// How many `seq` below it are missing.
    pub missing: u64,
    /// How many more that is than `lost.queue_full` and `lost.sink` declare.
    pub undeclared: u64,
    /// Gaps.
    pub gap_count: u64,
    /// The first 20.
    pub gaps: Vec<Gap>,
    /// Lines whose `seq` had been there.
    pub duplicates: u64,
    /// Calls lost by the health records.
    pub lost: Lost,
}

impl Report {
    pub(super) fn new(
        mut runs: Vec<RunReport>,
        (files, lines): (u64, u64),
        (torn, foreign): (u64, u64),
        not_ours: Vec<Sample>,
    ) -> Self {
        let mut boots = HashSet::new();
        for run in &mut runs {
            let boot = run.started.as_ref().map(|started| started.boot_id.clone());
            run.restart = boot.is_some_and(|boot| !boots.insert(boot));
        }
        let restarts = runs.iter().filter(|run| run.restart).count() as u64;
        let whole = !runs.is_empty() && runs.iter().all(|run| run.complete);
        let complete = whole && torn == 0 && foreign == 0;
        let schema = SCHEMA;
        Self { schema, complete, files, lines, torn, foreign, not_ours, restarts, runs }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for run in &self.runs {
            writeln!(f, "{run}")?;
        }
        for Sample { file, line, torn, text } in &self.not_ours {
            let what = if *torn { "torn" } else { "not the tracer's" };
            writeln!(f, "{file}:{line}: {what}: {text}")?;
        }
        let Self { files, lines, torn, foreign, restarts, .. } = self;
        write!(f, "{}: ", if self.complete { "complete" } else { "INCOMPLETE" })?;
        let runs = self.runs.len();
        write!(f, "files {files}, lines {lines}, runs {runs}, restarts {restarts}, ")?;
        writeln!(f, "torn lines {torn}, foreign lines {foreign}")
    }
}

impl fmt::Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.complete { "complete" } else { "INCOMPLETE" };
        writeln!(f, "run {}: {word}", self.run_id)?;
        if let Some(Started { boot_id, pid, version, host }) = &self.started {
            let host = host.as_deref().unwrap_or("(unknown)");
            let [host, boot_id, version] =
                [host, boot_id, version].map(|text| escape(text.as_bytes()));
            let again = if self.restart { ", a restart" } else { "" };
            writeln!(f, "  host {host}, boot {boot_id}, pid {pid}, tracer {version}{again}")?;
        }
        if !self.first_time.is_empty() {
            let [from, to] = [&self.first_time, &self.last_time].map(|at| escape(at.as_bytes()));
            writeln!(f, "  from {from} to {to}")?;
        }
        let Self { lines, events, duplicates, last_seq, .. } = self;
        write!(
            f,
            "  lines {lines}, last seq {last_seq}, duplicates {duplicates}, events {events}"
        )?;
        for (name, count) in &self.by_event {
            write!(f, ", {} {count}", escape(name.as_bytes()))?;
        }
        writeln!(f)?;
        if !self.has_start {
            writeln!(f, "  no start record: nothing tells that this is a whole stream")?;
        }
        if !self.has_end {
            writeln!(f, "  no end record: what came after the last line is not known")?;
        }
        if self.missing > 0 {
            write!(f, "  gaps {}, lines missing {}:", self.gap_count, self.missing)?;
            for Gap { first, last } in &self.gaps {
                if first == last { write!(f, " {first}") } else { write!(f, " {first}-{last}") }?;
            }
            let more = self.gap_count.saturating_sub(self.gaps.len() as u64);
            writeln!(f, "{}", if more > 0 { " ..." } else { "" })?;
            if self.undeclared > 0 {
                writeln!(f, "  undeclared gap: {} more than were declared", self.undeclared)?;
            } else {
                writeln!(f, "  explained: the records declare that many lost on the way")?;
            }
        }
        if self.lost.total > 0 {
            writeln!(f, "  lost, as declared: {}", self.lost.describe())?;
        }
        Ok(())
    }
}

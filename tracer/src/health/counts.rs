//! Counts of calls: what has become of each, by cause and by CPU.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracer_common::stats::Stats;

use super::is_zero;
use crate::sink::Outcome;

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
    /// The queue to the destination had no room for the event (`--on-full drop`).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub queue_full: u64,
    /// The event could not be written.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sink: u64,
}

impl Lost {
    /// What was lost before it came to a destination.
    pub fn new(kernel: &Stats, missed: u64, malformed: u64) -> Self {
        let (ring_full, pending_full) = (kernel.ring_full, kernel.pending_full);
        Self { ring_full, pending_full, missed, malformed, ..Self::default() }.summed()
    }

    /// With what was lost between here and a destination, and no other.
    fn at(self, queue_full: u64, sink: u64) -> Self {
        Self { queue_full, sink, ..self }.summed()
    }

    fn summed(self) -> Self {
        let total = self.causes().iter().map(|(_, count)| count).sum();
        Self { total, ..self }
    }

    /// Causes, by name, and how many each lost.
    pub fn causes(&self) -> [(&'static str, u64); 6] {
        [
            ("ring_full", self.ring_full),
            ("pending_full", self.pending_full),
            ("missed", self.missed),
            ("malformed", self.malformed),
            ("queue_full", self.queue_full),
            ("sink", self.sink),
        ]
    }

    fn since(self, earlier: Self) -> Self {
        self.with(earlier, |now, then| now - then)
    }

    /// With what others were lost.
    pub fn plus(self, more: Self) -> Self {
        self.with(more, u64::saturating_add)
    }

    fn with(self, other: Self, each: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            total: each(self.total, other.total),
            ring_full: each(self.ring_full, other.ring_full),
            pending_full: each(self.pending_full, other.pending_full),
            missed: each(self.missed, other.missed),
            malformed: each(self.malformed, other.malformed),
            queue_full: each(self.queue_full, other.queue_full),
            sink: each(self.sink, other.sink),
        }
    }

    /// `4 (ring_full 4)`
    pub fn describe(&self) -> String {
        let causes: Vec<_> = self
            .causes()
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

/// What has become of the calls that ended on one CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OnCpu {
    /// Written.
    pub emitted: u64,
    /// Left out by the filters, in the kernel or here.
    pub filtered: u64,
    /// Lost; of what the kernel did not show and what could not be read, no CPU is known.
    #[serde(flatten)]
    pub lost: Lost,
}

impl OnCpu {
    /// Calls that have been accounted for.
    pub fn seen(&self) -> u64 {
        self.emitted.saturating_add(self.filtered).saturating_add(self.lost.total)
    }

    fn since(self, earlier: Self) -> Self {
        Self {
            // What a spool took may be refused later.
            emitted: self.emitted.saturating_sub(earlier.emitted),
            filtered: self.filtered - earlier.filtered,
            lost: self.lost.since(earlier.lost),
        }
    }
}

/// The record of one CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ByCpu {
    /// The CPU.
    pub cpu: usize,
    /// Calls that ended on it: the sum of the others, of `lost` the total.
    pub seen: u64,
    /// Calls written to the destination.
    pub emitted: u64,
    /// Calls left out by the filters.
    pub filtered: u64,
    /// Calls lost.
    pub lost: Lost,
}

impl ByCpu {
    pub(super) fn new(cpu: usize, counts: &OnCpu) -> Self {
        let OnCpu { emitted, filtered, lost } = *counts;
        Self { cpu, seen: counts.seen(), emitted, filtered, lost }
    }
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
    /// Each CPU.
    pub by_cpu: Vec<OnCpu>,
    /// Bytes that wait in the queue to the destination, of events that are none of these yet.
    #[serde(skip)]
    pub waiting: usize,
    /// Calls that ended, as the kernel programs counted them; once all that they
    /// wrote is read, the sum of the others.
    pub kernel_seen: u64,
}

impl Counts {
    /// Calls that have been accounted for.
    pub fn seen(&self) -> u64 {
        self.emitted.saturating_add(self.filtered).saturating_add(self.lost.total)
    }

    /// As it looks from a destination of which this has become.
    pub fn at(mut self, outcome: &Outcome, waiting: usize) -> Self {
        let Outcome { written, queue_full, failed } = outcome;
        self.emitted = written.total();
        self.lost = self.lost.at(queue_full.total(), failed.total());
        let cpus = [written, queue_full, failed].iter().map(|tally| tally.cpus()).max();
        let cpus = self.by_cpu.len().max(cpus.unwrap_or(0));
        self.by_cpu.resize(cpus, OnCpu::default());
        for (cpu, counts) in self.by_cpu.iter_mut().enumerate() {
            counts.emitted = written.of(cpu);
            counts.lost = counts.lost.at(queue_full.of(cpu), failed.of(cpu));
        }
        self.waiting = waiting;
        self
    }

    /// So many more on each CPU that are filtered instead of emitted; or fewer, below 0.
    pub fn with_filtered(mut self, more: &[i64]) -> Self {
        moved(&mut self.emitted, &mut self.filtered, more.iter().sum());
        for (on_cpu, more) in self.by_cpu.iter_mut().zip(more) {
            moved(&mut on_cpu.emitted, &mut on_cpu.filtered, *more);
        }
        self
    }

    /// What has become of them since an earlier time.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            waiting: self.waiting,
            // What a spool took may be refused later.
            emitted: self.emitted.saturating_sub(earlier.emitted),
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
                .map(|(cpu, counts)| {
                    counts.since(earlier.by_cpu.get(cpu).copied().unwrap_or_default())
                })
                .collect(),
        }
    }
}

/// Moves so many from one count to the other, or back, below 0.
fn moved(emitted: &mut u64, filtered: &mut u64, more: i64) {
    let (from, to) = if more > 0 { (emitted, filtered) } else { (filtered, emitted) };
    let moved = more.unsigned_abs().min(*from);
    *from -= moved;
    *to = to.saturating_add(moved);
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
        if self.waiting > 0 {
            write!(f, "; {} bytes wait to be written", self.waiting)?;
        }
        Ok(())
    }
}

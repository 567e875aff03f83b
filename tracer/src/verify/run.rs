//! What is known of one run.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    line::Own,
    report::{Gap, RunReport, Started},
    seen::Seen,
};
use crate::{
    event::RunId,
    health::{Kind, Lost},
};

/// The `seq` of a stream's first line.
const FIRST: u64 = 1;
/// Gaps that are listed.
const MOST_GAPS: usize = 20;
/// Starts and ends that are kept of each.
const MOST_PLACES: usize = 1024;
/// Names of events that are kept apart.
const MOST_NAMES: usize = 64;
/// Bytes of a name or time that are kept.
const LONGEST_TEXT: usize = 64;

#[derive(Debug, Default)]
pub struct Run {
    seen: Seen,
    lines: u64,
    duplicates: u64,
    events: BTreeMap<String, u64>,
    started: Option<Started>,
    /// Where the stream began: at its first line, or where its destination was added.
    starts: BTreeSet<u64>,
    /// Where it ended, likewise.
    ends: BTreeSet<u64>,
    /// By the end records together.
    total: Lost,
    /// By the loss records together.
    losses: Lost,
    first_time: String,
    last_time: String,
}

/// Keeps a place, of a bounded number.
fn note(places: &mut BTreeSet<u64>, seq: u64) {
    if places.len() >= MOST_PLACES {
        places.pop_first();
    }
    places.insert(seq);
}

fn short(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}

impl Run {
    pub fn intervals(&self) -> usize {
        self.seen.intervals()
    }

    /// Takes a record. What came before is counted as that, and says nothing new.
    pub fn take(&mut self, own: &Own<'_>) {
        self.lines += 1;
        if !self.seen.insert(own.seq) {
            self.duplicates += 1;
            return;
        }
        let time = &*own.time;
        if !time.is_empty() && time.len() <= LONGEST_TEXT {
            if self.first_time.is_empty() || time < self.first_time.as_str() {
                time.clone_into(&mut self.first_time);
            }
            if time > self.last_time.as_str() {
                time.clone_into(&mut self.last_time);
            }
        }
        match own.kind {
            None => self.event(&own.event),
            Some(Kind::Start) => {
                note(&mut self.starts, own.seq);
                self.started = own.run.as_ref().map(|run| Started {
                    boot_id: short(&run.boot_id),
                    pid: run.pid,
                    version: short(&run.version),
                    host: run.host.as_deref().map(short),
                });
            }
            Some(Kind::Loss) => self.losses = self.losses.plus(own.lost.unwrap_or_default()),
            Some(Kind::End) => {
                note(&mut self.ends, own.seq);
                self.total = self.total.plus(own.lost.unwrap_or_default());
            }
            Some(Kind::Reload) => {}
        }
    }

    fn event(&mut self, name: &str) {
        if let Some(count) = self.events.get_mut(name) {
            *count += 1;
            return;
        }
        let full = self.events.len() >= MOST_NAMES || name.len() > LONGEST_TEXT;
        let name = if full { "(others)" } else { name };
        *self.events.entry(name.to_owned()).or_default() += 1;
    }

    /// What there is to say of it.
    pub fn report(self, run_id: RunId, open: bool) -> RunReport {
        let mut gaps = Vec::new();
        let (mut missing, mut gap_count) = (0_u64, 0);
        for (first, last) in self.seen.gaps(FIRST) {
            // The destination was not there then: what follows is its start, and what came
            // before is its end, if there is anything.
            let ended = first == FIRST || self.ends.contains(&(first - 1));
            if ended && self.starts.contains(&(last.saturating_add(1))) {
                continue;
            }
            gap_count += 1;
            missing = missing.saturating_add((last - first).saturating_add(1));
            if gaps.len() < MOST_GAPS {
                gaps.push(Gap { first, last });
            }
        }
        let has_start = !self.starts.is_empty();
        let has_end = self.ends.last() > self.starts.last();
        let lost = if self.total.total >= self.losses.total { self.total } else { self.losses };
        let undeclared = missing.saturating_sub(lost.queue_full.saturating_add(lost.sink));
        RunReport {
            run_id,
            complete: missing == 0 && lost.total == 0 && has_start && (has_end || open),
            started: self.started,
            has_start,
            has_end,
            first_time: self.first_time,
            last_time: self.last_time,
            lines: self.lines,
            events: self.events.values().sum(),
            by_event: self.events,
            last_seq: self.seen.last().unwrap_or(0),
            missing,
            undeclared,
            gap_count,
            gaps,
            duplicates: self.duplicates,
            lost,
            restart: false,
        }
    }
}

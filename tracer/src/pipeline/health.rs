//! What the stream says about itself: health records.

use tracer_common::stats::Stats;

use super::{Output, Pipeline};
use crate::health::{Counts, Health, Kind, Lost, Report, Run};

impl Pipeline {
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
        self.report(&Report::new(Kind::Start, &nothing, &nothing), Some(run));
    }

    /// Reports loss, if there was any since the last report.
    pub fn report_loss(&mut self, counts: &Counts) {
        if counts.lost.total > self.reported.lost.total
            || counts.follow_no_room > self.reported.follow_no_room
        {
            let reported = std::mem::replace(&mut self.reported, counts.clone());
            log::warn!("calls were lost; so far {counts}");
            self.report(&Report::new(Kind::Loss, counts, &reported), None);
        }
    }

    /// The last line of the stream.
    pub fn ended(&mut self, counts: &Counts) {
        self.report(&Report::new(Kind::End, counts, &Counts::default()), None);
    }

    /// Puts a report into the stream, if it has health records.
    pub(super) fn report(&mut self, report: &Report, run: Option<Run>) {
        if !self.health {
            return;
        }
        let kept = self.recording.as_mut().map_or(Ok(()), |recording| recording.health(report));
        self.kept(kept);
        let mut health = Health::new(self.next_seq(), &self.stream, report);
        if let Some(run) = run {
            health = health.of_run(run);
        }
        for Output { sink, encoder } in &mut self.outputs {
            match encoder.health(&health, sink.buffer()) {
                Ok(()) => sink.line(false),
                Err(error) => log::error!("health record: {error}"),
            }
        }
    }
}

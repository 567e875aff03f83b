//! What the stream says about itself: health records.

use jiff::Timestamp;
use tracer_common::stats::Stats;

use super::{Output, Pipeline};
use crate::{
    health::{Counts, Health, Kind, Lost, OnCpu, Origin, Report, Run},
    sink::Destination,
};

impl Pipeline {
    /// What has become of the calls that the kernel's counters know, and of those that
    /// the kernel let go by, before they came to a destination.
    pub fn counts(&self, per_cpu: &[Stats], missed: u64) -> Counts {
        let mut total = Stats::default();
        per_cpu.iter().for_each(|stats| total.add(stats));
        let on_cpu = |(cpu, stats): (usize, &Stats)| OnCpu {
            emitted: 0,
            filtered: self.filtered.of(cpu) + stats.filtered,
            lost: Lost::new(stats, 0, 0),
        };
        Counts {
            filtered: self.filtered.total() + total.filtered,
            lost: Lost::new(&total, missed, self.malformed),
            unfinished: total.begun.saturating_sub(total.ended),
            kernel_seen: total.seen + missed,
            entry_no_room: total.entry_no_room,
            entry_missed: total.entry_missed,
            return_missed: total.return_missed,
            follow_no_room: total.follow_no_room,
            by_cpu: per_cpu.iter().enumerate().map(on_cpu).collect(),
            ..Counts::default()
        }
    }

    /// The same as it looks from the first destination.
    pub fn from_first(&self, counts: &Counts) -> Counts {
        self.outputs.first().map_or_else(|| counts.clone(), |output| output.counts(counts))
    }

    /// The first line of the stream: everything is attached.
    pub fn started(&mut self) {
        let nothing = Counts::default();
        self.report(&Report::new(Kind::Start, &nothing, &nothing), self.origin.run.clone());
    }

    /// Reports loss, if there was any since the last report, in every stream that has
    /// room: they share their numbers, so those that lost nothing are told so. Where there
    /// is no room, a later report has it.
    pub fn report_loss(&mut self, counts: &Counts) {
        let now: Vec<_> = self.outputs.iter().map(|output| output.counts(counts)).collect();
        let is_news = |(output, now): (&Output, &Counts)| {
            output.sink.has_reserve()
                && (now.lost.total > output.reported.lost.total
                    || now.follow_no_room > output.reported.follow_no_room)
        };
        if !self.outputs.iter().zip(&now).any(is_news) {
            return;
        }
        log::warn!("calls were lost; so far {}", self.from_first(counts));
        let time = Timestamp::now();
        let told = self.outputs.iter_mut().zip(now).map(|(output, now)| {
            output.sink.has_reserve().then(|| {
                let report = Report::new(Kind::Loss, &now, &output.reported);
                output.reported = now;
                Report { time, ..report }
            })
        });
        let told: Vec<_> = told.collect();
        self.report_each(&told, None);
    }

    /// The last line of the stream.
    pub fn ended(&mut self, counts: &Counts) {
        let (time, nothing) = (Timestamp::now(), Counts::default());
        let report = |output: &Output| {
            let now = output.counts(counts);
            Some(Report { time, ..Report::new(Kind::End, &now, &nothing) })
        };
        let told: Vec<_> = self.outputs.iter().map(report).collect();
        self.report_each(&told, None);
    }

    /// Puts a report into every stream, if they have health records.
    pub(super) fn report(&mut self, report: &Report, run: Option<Run>) {
        let told: Vec<_> = self.outputs.iter().map(|_| Some(report.clone())).collect();
        self.report_each(&told, run);
    }

    /// Puts reports into the streams that have one; the recording's is the first one's.
    pub(super) fn report_each(&mut self, told: &[Option<Report>], run: Option<Run>) {
        if !self.health {
            return;
        }
        if let Some(Some(report)) = told.first() {
            self.record_report(report);
        }
        self.write_recording();
        let seq = self.next_seq();
        for (output, report) in self.outputs.iter_mut().zip(told) {
            let Some(report) = report else { continue };
            output.report(report, seq, &self.origin, run.as_ref());
        }
    }

    /// Keeps a report in the recording.
    pub(super) fn record_report(&mut self, report: &Report) {
        let kept = self.recording.as_mut().map_or(Ok(()), |recording| recording.health(report));
        self.kept(kept);
    }

    /// How each destination stands.
    #[cfg(feature = "metrics")]
    pub fn standing(&self, counts: &Counts) -> Vec<crate::metrics::At> {
        let at = |output: &Output| {
            let standing = output.sink.standing();
            crate::metrics::At {
                name: output.sink.destination().to_string(),
                counts: output.counts(counts),
                failed: output.sink.is_over(),
                queue_limit: standing.limit,
                lag: standing.lag,
                retries: standing.retries,
                spooled: standing.spooled,
            }
        };
        self.outputs.iter().map(at).collect()
    }

    /// What became of the calls where a destination other than the first one saw something
    /// else: each with its name.
    pub fn others<'a>(
        &'a self,
        counts: &'a Counts,
    ) -> impl Iterator<Item = (&'a Destination, Counts)> {
        let first = self.from_first(counts);
        let others = self.outputs.iter().skip(1);
        let at = move |output: &'a Output| (output.sink.destination(), output.counts(counts));
        others
            .map(at)
            .filter(move |(_, other)| other.lost != first.lost || other.emitted != first.emitted)
    }
}

impl Output {
    /// Puts a report into its stream, as the line of that number.
    pub(super) fn report(&mut self, report: &Report, seq: u64, origin: &Origin, run: Option<&Run>) {
        let mut health = Health::new(origin.run_id(), seq, &origin.stream, report);
        if let Some(run) = run {
            health = health.of_run(run.clone());
        }
        let Self { sink, encoder, .. } = self;
        sink.flush_with(seq, |out| {
            if let Err(error) = encoder.health(&health, origin, out) {
                log::error!("health record: {error}");
            }
        });
    }

    /// The counts as they look from here, since it was opened.
    pub(super) fn counts(&self, counts: &Counts) -> Counts {
        let (outcome, waiting) = self.sink.outcome();
        counts.since(&self.opened).at(&outcome, waiting)
    }
}

//! A recording as the source: what the live run showed, in its order, further filtered.

use std::io::Read;

use super::{Pipeline, caller};
use crate::{
    health::{Kind, Report},
    record::{self, RecordError},
    recording::{Fate, Frame, Reader, RecordingError},
    tally,
};

/// How events of the live run and of this one compare.
#[derive(Default)]
struct Tally {
    /// Shown then and not now, less those shown now and not then, on each CPU.
    fewer: Vec<i64>,
    /// The same as of the last report of a loss.
    reported: Vec<i64>,
}

impl Pipeline {
    /// Plays a recording to its end, or until a sink fails, which
    /// [`Pipeline::flush`] reports. With `all`, events that the filters of the live
    /// run left out are shown too.
    ///
    /// # Errors
    /// [`RecordingError`]; what came before it has been shown.
    pub fn play<R: Read>(
        &mut self,
        reader: &mut Reader<R>,
        all: bool,
    ) -> Result<(), RecordingError> {
        let mut tally = Tally::default();
        self.origin.run.clone_from(&reader.header.run);
        while !self.has_failed() {
            if reader.is_drained() {
                self.write();
            }
            match reader.next_frame()? {
                None => break,
                Some(Frame::Clock(clock)) => self.clock = clock,
                Some(Frame::Fact(fact)) => self.processes.preload(fact),
                Some(Frame::Record(fate, bytes)) => {
                    if let Err(error) = self.replay(fate, bytes, all, &mut tally) {
                        return Err(reader.undecodable(error));
                    }
                }
                Some(Frame::Health(mut report)) => {
                    tally.adjust(&mut report);
                    let run = reader.header.run.clone().filter(|_| report.kind == Kind::Start);
                    self.report(&report, run);
                }
            }
        }
        Ok(())
    }

    /// Every record of a call is decoded, shown or not: the executables that are known
    /// must be those that were known then.
    fn replay(
        &mut self,
        fate: Fate,
        bytes: &[u8],
        all: bool,
        tally: &mut Tally,
    ) -> Result<(), RecordError> {
        if fate == Fate::Malformed {
            return Ok(());
        }
        let parsed = record::parse(bytes)?;
        if fate == Fate::NoCall {
            self.processes.learn(&parsed);
            return Ok(());
        }
        if fate == Fate::Shown && self.show_ordinary(&parsed) {
            return Ok(());
        }
        let event = self.decoded(&parsed);
        let then = fate == Fate::Shown;
        let now = (then || all) && self.wants(&parsed, &event);
        if now {
            self.show(event, caller(&parsed));
        }
        tally.add(parsed.call.header.cpu, i64::from(then) - i64::from(now));
        Ok(())
    }
}

impl Tally {
    /// So many fewer on a CPU. What can't be one counts in the total, as the last.
    fn add(&mut self, cpu: u32, fewer: i64) {
        if fewer != 0 {
            let cpu = (cpu as usize).min(tally::MAX_CPUS);
            if self.fewer.len() <= cpu {
                self.fewer.resize(cpu + 1, 0);
            }
            self.fewer[cpu] += fewer;
        }
    }

    /// What a report would have said if the filters of now had been among those of then.
    fn adjust(&mut self, report: &mut Report) {
        let since = match report.kind {
            Kind::Loss => std::mem::replace(&mut self.reported, self.fewer.clone()),
            Kind::Start | Kind::End | Kind::Reload => Vec::new(),
        };
        let since = since.into_iter().chain(std::iter::repeat(0));
        let fewer: Vec<_> = self.fewer.iter().zip(since).map(|(now, then)| now - then).collect();
        report.counts = std::mem::take(&mut report.counts).with_filtered(&fewer);
    }
}

//! A recording as the source: what the live run showed, in its order, further filtered.

use std::io::Read;

use super::Pipeline;
use crate::{
    health::{Kind, Report},
    record::{self, RecordError},
    recording::{Fate, Frame, Reader, RecordingError},
};

/// How events of the live run and of this one compare.
#[derive(Default)]
struct Tally {
    /// Shown then and not now, less those shown now and not then.
    fewer: i64,
    /// The same as of the last report of a loss.
    reported: i64,
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
            self.show(event);
        }
        tally.fewer += i64::from(then) - i64::from(now);
        Ok(())
    }
}

impl Tally {
    /// What a report would have said if the filters of now had been among those of then.
    fn adjust(&mut self, report: &mut Report) {
        let since = match report.kind {
            Kind::Loss => std::mem::replace(&mut self.reported, self.fewer),
            Kind::Start | Kind::End => 0,
        };
        report.counts = std::mem::take(&mut report.counts).with_filtered(self.fewer - since);
    }
}

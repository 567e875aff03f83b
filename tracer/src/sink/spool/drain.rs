//! The thread that delivers what lies in the spool.

use std::{
    fs::File,
    io,
    os::fd::AsFd,
    sync::{Arc, PoisonError, atomic::Ordering},
};

use super::{
    Shared,
    folder::{Cursor, Folder},
    frame::{self, Found},
};
use crate::{
    event::RunId,
    sink::{
        chunk::Chunk,
        transport::{Halt, Leash, Transport},
    },
    tally::Tally,
};

/// The delivering end of a spool.
pub struct Drain {
    pub label: String,
    pub folder: Arc<Folder>,
    pub shared: Arc<Shared>,
    pub transport: Box<dyn Transport>,
    /// This run; lines of earlier ones are in the spool too.
    pub run: RunId,
    pub cursor: Cursor,
    /// The segment that is read from.
    pub open: Option<(u64, File)>,
}

/// What to do next.
enum Next {
    /// To read from a segment that is so long.
    Read(u64, u64),
    Attend,
    End,
}

impl Drain {
    /// Delivers until nothing more will come, or it fails, or is to give up.
    pub fn run(mut self) {
        let result = self.deliver();
        let Self { folder, shared, transport, .. } = self;
        // The next one to take it may do so as soon as this has ended.
        drop((folder, transport));
        let mut state = shared.lock();
        if let Err(Halt::Failed(error)) = result {
            state.error = Some(error);
        }
        state.ended = true;
        drop(state);
        shared.less.notify_all();
    }

    fn deliver(&mut self) -> Result<(), Halt> {
        let shared = Arc::clone(&self.shared);
        let retries = &shared.behind.retries;
        let leash = Leash { moved: &shared.moved, quit: shared.quit.as_fd(), retries };
        loop {
            match self.next() {
                Next::Attend => self.transport.attend(),
                Next::End => break,
                Next::Read(number, length) => self.one(number, length, &leash)?,
            }
        }
        self.transport.finish(Some(&leash))?;
        // All of it is delivered.
        let segments = std::mem::take(&mut self.shared.lock().segments);
        segments.keys().for_each(|number| self.folder.remove(*number));
        Ok(())
    }

    /// What to do next, once there is something; segments that are done with are given back.
    fn next(&mut self) -> Next {
        let mut state = self.shared.lock();
        loop {
            if std::mem::take(&mut state.attend) {
                return Next::Attend;
            }
            let first = state.segments.first_key_value().map(|(number, length)| (*number, *length));
            if let Some((number, length)) = first {
                if number != self.cursor.segment {
                    self.cursor = Cursor { segment: number, ..Cursor::default() };
                }
                if self.cursor.offset < length {
                    return Next::Read(number, length);
                }
                if state.writing != Some(number) {
                    state.segments.remove(&number);
                    drop(state);
                    // Its room is free once nobody has it open.
                    self.open = None;
                    self.folder.remove(number);
                    state = self.shared.lock();
                    continue;
                }
            }
            if state.closing {
                return Next::End;
            }
            state = self.shared.more.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Delivers the frame that the cursor is at, in that segment.
    fn one(&mut self, number: u64, length: u64, leash: &Leash<'_>) -> Result<(), Halt> {
        self.open.take_if(|(opened, _)| *opened != number);
        let (_, file) = match &mut self.open {
            Some(open) => open,
            none => none.insert((number, self.folder.segment(number).map_err(spool)?)),
        };
        let label = &self.label;
        match frame::read(file, self.cursor.offset, length).map_err(spool)? {
            Found::Chunk(chunk, next) => self.chunk(&chunk, next, leash),
            Found::Damaged(lines, next) => {
                log::error!("{label}: {lines} lines in the spool are damaged, and lost");
                self.done(u64::from(lines), Tally::default(), Some(next));
                Ok(())
            }
            Found::Lost => {
                let bytes = length - self.cursor.offset;
                log::error!("{label}: {bytes} bytes in the spool are damaged, and lost");
                self.done(0, Tally::default(), Some(length));
                Ok(())
            }
        }
    }

    fn chunk(&mut self, chunk: &Chunk, next: u64, leash: &Leash<'_>) -> Result<(), Halt> {
        let skip = usize::try_from(self.cursor.skip).unwrap_or(usize::MAX);
        let rest = (skip > 0).then(|| chunk.after(skip));
        let rest = rest.as_ref().unwrap_or(chunk);
        let delivery = self.transport.deliver(rest, Some(leash));
        let mut refused = Tally::default();
        rest.refused(&delivery.refused).for_each(|caller| refused.add(caller.cpu));
        if rest.run != self.run && refused.total() > 0 {
            let (label, run, events) = (&self.label, rest.run, refused.total());
            log::error!("{label}: {events} events of run {run} are refused, and lost");
            refused = Tally::default();
        }
        let whole = delivery.whole >= rest.bytes.len();
        let settled = rest.ends().iter().filter(|line| line.end <= delivery.whole).count();
        if !whole {
            self.cursor.skip += delivery.whole as u64;
        }
        self.done(settled as u64, refused, whole.then_some(next));
        delivery.result
    }

    /// So many lines are settled; with them the frame, where it is known where the next
    /// one begins.
    fn done(&mut self, lines: u64, refused: Tally, next: Option<u64>) {
        if let Some(next) = next {
            self.cursor = Cursor { offset: next, skip: 0, ..self.cursor };
        }
        self.folder.set_cursor(self.cursor);
        // It counts lines of which a damaged frame's may not all have been there.
        let left = &self.shared.behind.lines;
        let _ = left.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            Some(left.saturating_sub(lines))
        });
        self.shared.lock().refused.merge(&refused);
    }
}

fn spool(error: io::Error) -> Halt {
    Halt::because(format!("the spool: {error}"))
}

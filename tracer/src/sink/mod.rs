//! Where encoded events go. A sink sees bytes only. It writes at once, or through a
//! [`queue`] and a thread of its own.

mod chunk;
mod queue;
mod writer;

use std::{
    fs::{File, OpenOptions},
    io,
    os::fd::{AsFd, BorrowedFd},
    path::PathBuf,
};

pub use chunk::CHUNK;
pub use queue::{OnFull, PATIENCE, Wake};

use crate::tally::Tally;
use chunk::Chunk;
use queue::{Patience, Queue};
use writer::{Halt, Writer};

/// Where to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// A file, which is appended to.
    File(PathBuf),
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdout => f.write_str("standard output"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// A destination that can't be written to.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to {destination}: {error}")]
pub struct SinkError {
    /// The destination.
    pub destination: Destination,
    /// Why.
    pub error: io::Error,
}

impl SinkError {
    /// Whether the reader has gone away, which is no failure of ours.
    pub fn is_closed(&self) -> bool {
        self.error.kind() == io::ErrorKind::BrokenPipe
    }
}

/// What has become of a destination's events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// They are written.
    pub written: Tally,
    /// The queue had no room for them.
    pub queue_full: Tally,
    /// They could not be written.
    pub failed: Tally,
}

/// A destination, open, with the lines that are still to be written.
pub struct Sink {
    destination: Destination,
    file: File,
    /// Whether it is a regular file, which has no reader that goes away.
    regular: bool,
    chunk: Chunk,
    way: Way,
    /// Nothing is written any more, as far as is known.
    over: bool,
    /// Events that nothing was written of, since it was known.
    unsent: Tally,
}

/// How lines get to the file.
enum Way {
    /// At once.
    Straight { writer: Writer, outcome: Outcome, error: Option<io::Error> },
    /// By another thread.
    Queued(Queue),
}

impl Sink {
    /// Opens a destination, which is written to at once.
    ///
    /// # Errors
    /// [`SinkError`]
    pub fn open(destination: &Destination) -> Result<Self, SinkError> {
        let open = || match destination {
            Destination::Stdout => io::stdout().as_fd().try_clone_to_owned().map(File::from),
            Destination::File(path) => OpenOptions::new().append(true).create(true).open(path),
        };
        open()
            .and_then(|file| {
                let regular = file.metadata()?.is_file();
                let writer = Writer::waiting(file.try_clone()?, regular);
                Ok(Self {
                    destination: destination.clone(),
                    file,
                    regular,
                    chunk: Chunk::default(),
                    way: Way::Straight { writer, outcome: Outcome::default(), error: None },
                    over: false,
                    unsent: Tally::default(),
                })
            })
            .map_err(|error| SinkError { destination: destination.clone(), error })
    }

    /// With a queue of so many bytes before it and a thread that writes. `wake` is called
    /// where writing fails, and where there is room again after [`Sink::has_room`] found
    /// none.
    ///
    /// # Errors
    /// [`SinkError`]
    pub fn queued(mut self, limit: usize, on_full: OnFull, wake: Wake) -> Result<Self, SinkError> {
        let started = self.file.try_clone().and_then(|file| {
            Queue::start(Writer::interruptible(file, self.regular), limit, on_full, wake)
        });
        self.way = Way::Queued(started.map_err(|error| self.error(error))?);
        Ok(self)
    }

    fn error(&self, error: io::Error) -> SinkError {
        SinkError { destination: self.destination.clone(), error }
    }

    /// Where to.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The buffer to append a line to, which [`Sink::end_event`] ends.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.chunk.bytes
    }

    /// What was appended since the last line is the line of an event on that CPU.
    pub fn end_event(&mut self, cpu: u32) {
        self.chunk.end_event(cpu);
    }

    /// Bytes that wait to be handed over.
    pub fn pending(&self) -> usize {
        self.chunk.bytes.len()
    }

    /// Whether writing has failed for good: events are to be [`lost`](Sink::lose).
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// An event on that CPU will not be written.
    pub fn lose(&mut self, cpu: u32) {
        self.unsent.add(cpu);
    }

    /// Hands over what is pending: writes it, or queues it. A line is written whole or not
    /// at all. What fails is counted, and [`Sink::take_error`] says why.
    pub fn flush(&mut self) {
        self.hand_over(false);
    }

    /// The same, and the line that `append` makes, for which there is always room.
    pub fn flush_with(&mut self, append: impl FnOnce(&mut Vec<u8>)) {
        self.flush();
        append(&mut self.chunk.bytes);
        self.hand_over(true);
    }

    fn hand_over(&mut self, must: bool) {
        if self.chunk.bytes.is_empty() {
            return;
        }
        match &mut self.way {
            Way::Straight { writer, outcome, error } => {
                let mut whole = 0;
                if !self.over
                    && let (out, Err(halt)) = writer.write(&self.chunk.bytes, None)
                {
                    whole = out;
                    self.over = true;
                    if let Halt::Failed(why) = halt {
                        *error = Some(why);
                    }
                } else if !self.over {
                    whole = self.chunk.bytes.len();
                }
                self.chunk.count(whole, &mut outcome.written, &mut outcome.failed);
                self.chunk.clear();
            }
            Way::Queued(queue) => {
                queue.push(&mut self.chunk, must);
                self.over = queue.is_over();
            }
        }
    }

    /// Whether more events may come now.
    pub fn has_room(&self) -> bool {
        match &self.way {
            Way::Straight { .. } => true,
            Way::Queued(queue) => queue.has_room(),
        }
    }

    /// Whether there is room for a health record that can wait.
    pub fn has_reserve(&self) -> bool {
        match &self.way {
            Way::Straight { .. } => true,
            Way::Queued(queue) => queue.has_reserve(),
        }
    }

    /// Why writing ended, once.
    pub fn take_error(&mut self) -> Option<SinkError> {
        let error = match &mut self.way {
            Way::Straight { error, .. } => error.take(),
            Way::Queued(queue) => queue.take_error(),
        };
        error.map(|error| {
            self.over = true;
            self.error(error)
        })
    }

    /// What became of its events, and how many bytes wait in its queue.
    pub fn outcome(&self) -> (Outcome, usize) {
        let (mut outcome, waiting) = match &self.way {
            Way::Straight { outcome, .. } => (outcome.clone(), 0),
            Way::Queued(queue) => queue.outcome(),
        };
        outcome.failed.merge(&self.unsent);
        (outcome, waiting)
    }

    /// How long the queue was waited for.
    fn patience(&self) -> Option<Patience> {
        match &self.way {
            Way::Straight { .. } => None,
            Way::Queued(queue) => Some(Patience::new(queue)),
        }
    }

    /// The descriptor, if its reader can go away.
    pub fn hangup(&self) -> Option<BorrowedFd<'_>> {
        (!self.regular).then(|| self.file.as_fd())
    }
}

/// Waits, for a moment at a time, until each sink is `done`. One that takes nothing for
/// [`PATIENCE`] is given up, and what it has not written is lost.
pub fn wait_until<'a>(sinks: impl Iterator<Item = &'a mut Sink>, done: impl Fn(&Sink) -> bool) {
    let mut waiting: Vec<_> =
        sinks.filter_map(|sink| sink.patience().map(|patience| (sink, patience))).collect();
    loop {
        waiting.retain(|(sink, _)| !done(sink));
        if waiting.is_empty() {
            return;
        }
        for (sink, patience) in &mut waiting {
            if let Way::Queued(queue) = &sink.way {
                patience.wait(queue);
                sink.over = queue.is_over();
            }
        }
    }
}

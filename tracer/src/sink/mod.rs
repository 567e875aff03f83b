//! Where encoded events go. A sink sees bytes only. It writes at once, or through a
//! [`queue`] and a thread of its own.

mod chunk;
#[cfg(any(feature = "kafka", feature = "nats", feature = "otlp", feature = "tls"))]
mod credentials;
mod destination;
mod file;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "nats")]
mod nats;
pub mod options;
#[cfg(feature = "otlp")]
mod otlp;
mod queue;
mod reach;
#[cfg(any(feature = "nats", feature = "otlp"))]
mod remote;
mod spool;
mod stream;
#[cfg(any(feature = "nats", feature = "otlp", feature = "tls"))]
mod tls;
mod transport;
mod writer;

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd},
};

pub use chunk::{CHUNK, Caller};
pub use destination::{Compression, Destination, LogFile, Rotation};
#[cfg(feature = "kafka")]
pub use kafka::{KafkaTopic, Key};
#[cfg(feature = "nats")]
pub use nats::{Login, NatsSubject};
#[cfg(feature = "otlp")]
pub use otlp::OtlpReceiver;
pub use queue::{OnFull, PATIENCE, Standing, Wake};
pub use reach::{Ports, Reach};
pub use spool::Spool;
pub use stream::{Peer, StreamSocket, Syslog};
#[cfg(any(feature = "nats", feature = "otlp", feature = "tls"))]
pub use tls::Tls;

use crate::{event::RunId, tally::Tally};
use chunk::Chunk;
use queue::{Patience, Queue};
use transport::{Halt, Transport};
use writer::Writer;

/// A destination that can't be written to.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to {destination}: {error}")]
pub struct SinkError {
    /// The destination.
    pub destination: Box<Destination>,
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
    /// A pipe or the like, whose reader may go away.
    watched: Option<File>,
    run: RunId,
    chunk: Chunk,
    way: Way,
    /// Nothing is written any more, as far as is known.
    over: bool,
    /// Events that nothing was written of, since it was known.
    unsent: Tally,
}

/// How lines get to the destination.
enum Way {
    /// At once.
    Straight { transport: Box<dyn Transport>, outcome: Outcome, error: Option<io::Error> },
    /// By another thread.
    Queued(Queue),
}

/// Opens a destination; also what is to be watched of it.
fn open(destination: &Destination) -> io::Result<(Box<dyn Transport>, Option<File>)> {
    let watched = |file: &File| {
        let regular = file.metadata()?.is_file();
        if regular { Ok(None) } else { file.try_clone().map(Some) }
    };
    match destination {
        Destination::Stdout => {
            let file = io::stdout().as_fd().try_clone_to_owned().map(File::from)?;
            let watched = watched(&file)?;
            Ok((Box::new(Writer::new(file)?), watched))
        }
        Destination::File(spec) => {
            let log = file::Log::open(spec)?;
            let watched = watched(log.file())?;
            Ok((Box::new(log), watched))
        }
        #[cfg(feature = "nats")]
        Destination::Nats(spec) => Ok((Box::new(nats::Nats::new(spec)?), None)),
        #[cfg(feature = "otlp")]
        Destination::Otlp(spec) => Ok((Box::new(otlp::Otlp::new(spec)?), None)),
        Destination::Stream(spec) if spec.datagrams => {
            Ok((Box::new(stream::Datagrams::new(spec)), None))
        }
        Destination::Stream(spec) => Ok((Box::new(stream::Stream::new(spec)?), None)),
        #[cfg(feature = "kafka")]
        Destination::Kafka(spec) => Ok((Box::new(kafka::Kafka::open(spec)?), None)),
    }
}

impl Sink {
    /// Opens a destination, which is written to at once, for lines of that run.
    ///
    /// # Errors
    /// [`SinkError`]
    pub fn open(destination: &Destination, run: RunId) -> Result<Self, SinkError> {
        let (transport, watched) = open(destination)
            .map_err(|error| SinkError { destination: Box::new(destination.clone()), error })?;
        Ok(Self {
            destination: destination.clone(),
            watched,
            run,
            chunk: Chunk::default(),
            way: Way::Straight { transport, outcome: Outcome::default(), error: None },
            over: false,
            unsent: Tally::default(),
        })
    }

    /// With a spool on disk before it, if it is one that may be away; `label` tells it from
    /// others, also in later runs.
    ///
    /// # Errors
    /// [`SinkError`]
    pub fn spooled(mut self, spool: &mut Spool, label: &str) -> Result<Self, SinkError> {
        self.way = match self.way {
            Way::Straight { transport, outcome, error } if self.destination.may_be_away() => {
                match spool.before(transport, label, self.run) {
                    Ok(spooled) => Way::Straight { transport: Box::new(spooled), outcome, error },
                    Err(error) => {
                        return Err(SinkError { destination: Box::new(self.destination), error });
                    }
                }
            }
            other => other,
        };
        Ok(self)
    }

    /// Gets ready for [`Sink::queued`]: what that has to open is opened now.
    pub fn prepare(&mut self) {
        if let Way::Straight { transport, .. } = &mut self.way {
            transport.prepare();
        }
    }

    /// With a queue of so many bytes before it and a thread that writes, once it is
    /// [prepared](Sink::prepare). `wake` is called
    /// where writing fails, and where there is room again after [`Sink::has_room`] found
    /// none.
    ///
    /// # Errors
    /// [`SinkError`]
    pub fn queued(self, limit: usize, on_full: OnFull, wake: Wake) -> Result<Self, SinkError> {
        let Self { destination, watched, run, chunk, way, over, unsent } = self;
        let way = match way {
            Way::Straight { transport, .. } => {
                match Queue::start(transport, limit, on_full, wake) {
                    Ok(queue) => Way::Queued(queue),
                    Err(error) => {
                        return Err(SinkError { destination: Box::new(destination), error });
                    }
                }
            }
            queued => queued,
        };
        Ok(Self { destination, watched, run, chunk, way, over, unsent })
    }

    fn error(&self, error: io::Error) -> SinkError {
        SinkError { destination: Box::new(self.destination.clone()), error }
    }

    /// Where to.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The buffer to append a line to, which [`Sink::end_line`] ends.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.chunk.bytes
    }

    /// What was appended since the last line is the line of that number: of a call, or a
    /// health record.
    pub fn end_line(&mut self, seq: u64, caller: Option<Caller>) {
        self.chunk.end_line(seq, caller);
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

    /// The same, and the line of that number that `append` makes, for which there is
    /// always room.
    pub fn flush_with(&mut self, seq: u64, append: impl FnOnce(&mut Vec<u8>)) {
        self.flush();
        append(&mut self.chunk.bytes);
        if !self.chunk.bytes.is_empty() {
            self.chunk.end_line(seq, None);
        }
        self.hand_over(true);
    }

    fn hand_over(&mut self, must: bool) {
        if self.chunk.bytes.is_empty() {
            return;
        }
        self.chunk.run = self.run;
        match &mut self.way {
            Way::Straight { transport, outcome, error } => {
                if self.over {
                    self.chunk.count_lost(&mut outcome.failed);
                    return self.chunk.clear();
                }
                let delivery = transport.deliver(&self.chunk, None);
                let Outcome { written, failed, .. } = outcome;
                self.chunk.count(delivery.whole, &delivery.refused, written, failed);
                self.chunk.clear();
                if let Err(halt) = delivery.result {
                    self.over = true;
                    if let Halt::Failed(why) = halt {
                        *error = Some(why);
                    }
                }
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

    /// How it stands.
    pub fn standing(&self) -> Standing {
        match &self.way {
            Way::Straight { .. } => Standing::default(),
            Way::Queued(queue) => queue.standing(),
        }
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
        self.watched.as_ref().map(AsFd::as_fd)
    }

    /// Has files opened anew, as after SIGHUP.
    pub fn attend(&mut self) {
        match &mut self.way {
            Way::Straight { transport, .. } => transport.attend(),
            Way::Queued(queue) => queue.attend(),
        }
    }

    /// Nothing more will come: what is under way is brought to its end.
    pub fn close(&mut self) {
        match &mut self.way {
            Way::Straight { transport, error, .. } => {
                if !self.over
                    && let Err(Halt::Failed(why)) = transport.finish(None)
                {
                    self.over = true;
                    error.get_or_insert(why);
                }
            }
            Way::Queued(queue) => queue.close(),
        }
    }

    /// Whether nothing is under way any more, once it is closed.
    pub fn has_ended(&self) -> bool {
        match &self.way {
            Way::Queued(queue) => queue.has_ended(),
            Way::Straight { .. } => true,
        }
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

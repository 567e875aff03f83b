//! What brings lines to a destination.

use std::{
    io,
    os::fd::BorrowedFd,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use super::chunk::Chunk;
use crate::tally::Tally;

/// Brings lines to one destination. It is called by one thread, which has nothing else to
/// do: it may wait as long as the [`Leash`] lets it.
///
/// From here on delivery is at least once: what is not known to have arrived is sent again.
pub trait Transport: Send {
    /// Delivers a chunk's lines, each whole or not at all. Where the destination is away for
    /// now, it is waited for and tried again; an error ends all.
    fn deliver(&mut self, chunk: &Chunk, leash: Option<&Leash<'_>>) -> Delivery;

    /// Does what was asked for between deliveries, for instance to open a file anew.
    fn attend(&mut self) {}

    /// Nothing more will be delivered: sees to what is still under way.
    ///
    /// # Errors
    /// [`Halt`]
    fn finish(&mut self, _leash: Option<&Leash<'_>>) -> Result<(), Halt> {
        Ok(())
    }

    /// Called once, before [`Transport::begin`], while the process still has all its rights:
    /// waits from now on so that the leash can end it. What has to be opened for that is
    /// opened now, and no threads are started.
    fn prepare(&mut self) {}

    /// Called once, before the first delivery by a thread of its own: starts what runs
    /// beside it. Threads that were started earlier would be outside of what the process has
    /// given up by then ([`crate::confine`]).
    ///
    /// # Errors
    /// Those of starting a thread.
    fn begin(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// What is to be known of who is behind it, where there is a spool between.
    fn behind(&self) -> Option<Arc<Behind>> {
        None
    }

    /// Events that were delivered as far as [`Transport::deliver`] said, and turned out to
    /// be refused, since this was last asked.
    fn take_refused(&mut self) -> Tally {
        Tally::default()
    }
}

/// What became of a chunk.
#[derive(Debug)]
pub struct Delivery {
    /// Bytes of whole lines, from the first one on, that are settled: they were delivered,
    /// or refused.
    pub whole: usize,
    /// Of these, the lines that the destination does not take and never will, such as those
    /// that are too long for it: where each of them ends, in their order.
    pub refused: Vec<usize>,
    /// Why there is no more to be hoped for, where it is so.
    pub result: Result<(), Halt>,
}

impl Delivery {
    /// All of it is where it should be.
    pub fn all(chunk: &Chunk) -> Self {
        Self { whole: chunk.bytes.len(), refused: Vec::new(), result: Ok(()) }
    }

    /// So many bytes are.
    pub fn halted(whole: usize, halt: Halt) -> Self {
        Self { whole, refused: Vec::new(), result: Err(halt) }
    }
}

/// Why delivery ended before its end.
#[derive(Debug)]
pub enum Halt {
    /// It can't be done.
    Failed(io::Error),
    /// It was told to give up.
    Quit,
}

impl Halt {
    /// For good, and why.
    pub fn because(why: impl Into<String>) -> Self {
        Self::Failed(io::Error::other(why.into()))
    }
}

/// How a thread that delivers is watched, and told to give up.
pub struct Leash<'a> {
    /// Bytes that have been taken by the destination.
    pub moved: &'a AtomicU64,
    /// Becomes readable when it is to give up.
    pub quit: BorrowedFd<'a>,
    /// How often it was tried again to reach the destination.
    pub retries: &'a AtomicU64,
}

/// What is known of a destination behind the one that is written to.
#[derive(Debug, Default)]
pub struct Behind {
    /// How often it was tried again to reach it.
    pub retries: AtomicU64,
    /// Lines that wait for it.
    pub lines: AtomicU64,
}

impl Leash<'_> {
    /// The destination has taken so many bytes.
    pub fn progress(&self, bytes: usize) {
        self.moved.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// Waits until a descriptor is ready, if there is one, but no longer than so; says what came
/// of it, which is nothing where the time was over first.
///
/// # Errors
/// [`Halt`]: it is to give up, or can't wait.
pub fn wait(
    ready: Option<(BorrowedFd<'_>, PollFlags)>,
    most: Option<Duration>,
    leash: Option<&Leash<'_>>,
) -> Result<PollFlags, Halt> {
    let time = most.map(|most| Timespec {
        tv_sec: most.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: most.subsec_nanos().into(),
    });
    let quit = leash.map(|leash| (leash.quit, PollFlags::IN));
    let polled = |what: Option<_>| what.map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags));
    let mut all: Vec<_> = polled(quit).into_iter().chain(polled(ready)).collect();
    while let Err(error) = poll(&mut all, time.as_ref()) {
        if error != Errno::INTR {
            return Err(Halt::Failed(error.into()));
        }
    }
    if leash.is_some() && !all[0].revents().is_empty() {
        return Err(Halt::Quit);
    }
    Ok(ready.and(all.last()).map_or(PollFlags::empty(), PollFd::revents))
}

/// Waits for a while, unless it is to give up.
///
/// # Errors
/// [`Halt`]
pub fn nap(leash: Option<&Leash<'_>>, time: Duration) -> Result<(), Halt> {
    wait(None, Some(time), leash).map(drop)
}

/// How long to wait before the next attempt: longer each time, and not for all alike.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: Self::FIRST }
    }
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(10);

    /// Waits.
    ///
    /// # Errors
    /// [`Halt::Quit`]
    pub fn wait(&mut self, leash: Option<&Leash<'_>>) -> Result<(), Halt> {
        if let Some(leash) = leash {
            leash.retries.fetch_add(1, Ordering::Relaxed);
        }
        // Between half of it and all: the clock's lowest digits are as good as dice here.
        let dice = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let dice = dice.map_or(0, |time| time.subsec_nanos() / 7 % 1024);
        let time = self.next / 2 + self.next / 2 * dice / 1024;
        self.next = (self.next * 2).min(Self::LONGEST);
        nap(leash, time)
    }

    /// It went well.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

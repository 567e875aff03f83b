//! The queue between the thread that drains the ring and a destination, which a thread
//! of its own writes to: one that stalls stalls nobody else.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::event::{EventfdFlags, eventfd};

use super::{
    Outcome,
    chunk::{CHUNK, Chunk},
    transport::{Behind, Delivery, Halt, Leash, Transport},
};
use crate::tally::Tally;

/// How long a destination may take nothing before it is given up, once the program is to
/// end.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// Room for health records beyond the limit.
const RESERVE: usize = 64 << 10;
/// Emptied chunks that are kept for use again.
const SPARE: usize = 4;
/// How long the writing thread gets to say how far it came, once it is to give up.
const ACKNOWLEDGED: Duration = Duration::from_millis(500);

/// What becomes of events for which the queue has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFull {
    /// They are dropped and counted.
    Drop,
    /// They stay where they are until there is room.
    Block,
}

/// How a destination stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
    /// Bytes that its queue holds at most.
    pub limit: u64,
    /// How long the oldest line has waited there.
    pub lag: Duration,
    /// How often it was tried again to reach it.
    pub retries: u64,
    /// Lines that wait in its spool.
    pub spooled: u64,
}

/// Something to call when there is news for the thread that drains.
pub type Wake = Box<dyn Fn() + Send + Sync>;

/// The draining thread's end of the queue.
pub struct Queue {
    shared: Arc<Shared>,
    limit: usize,
    on_full: OnFull,
}

/// What the thread that delivers is to do.
enum Next {
    Chunk(Arc<Chunk>),
    Attend,
    End,
}

struct Shared {
    state: Mutex<State>,
    /// There is something to do for the writing thread.
    more: Condvar,
    /// Something was written, or the writing thread has ended.
    less: Condvar,
    /// Bytes that were written.
    moved: AtomicU64,
    /// How often the destination was tried again.
    retries: AtomicU64,
    /// What is behind a spool.
    behind: Option<Arc<Behind>>,
    /// Readable once the writing thread is to give up.
    quit: OwnedFd,
    wake: Wake,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Chunk>,
    writing: Option<Arc<Chunk>>,
    /// Of all these.
    bytes: usize,
    spare: Vec<Chunk>,
    outcome: Outcome,
    error: Option<io::Error>,
    /// Nothing is written any more: it failed, or was given up.
    over: bool,
    /// Nothing more will come.
    closing: bool,
    /// The transport is to be attended to.
    attend: bool,
    /// The writing thread has ended.
    ended: bool,
    /// The draining thread found no room.
    wanted: bool,
}

impl Queue {
    /// Starts the thread. The queue holds so many bytes, and a chunk more than that. The
    /// transport waits so that it can be told to give up.
    ///
    /// # Errors
    /// Those of starting a thread.
    pub fn start(
        mut transport: Box<dyn Transport>,
        limit: usize,
        on_full: OnFull,
        wake: Wake,
    ) -> io::Result<Self> {
        transport.begin()?;
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            more: Condvar::new(),
            less: Condvar::new(),
            moved: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            behind: transport.behind(),
            quit: eventfd(0, EventfdFlags::CLOEXEC)?,
            wake,
        });
        let own = Arc::clone(&shared);
        let run = move || own.deliver(&mut *transport);
        thread::Builder::new().name("tracer-write".to_owned()).spawn(run)?;
        Ok(Self { shared, limit, on_full })
    }

    /// Hands a chunk over and leaves an empty one. With `must`, as for health records,
    /// room is made.
    pub fn push(&self, chunk: &mut Chunk, must: bool) {
        let mut state = self.shared.lock();
        if state.over {
            chunk.count_lost(&mut state.outcome.failed);
            return chunk.clear();
        }
        let full = state.bytes > 0 && state.bytes + chunk.bytes.len() > self.limit;
        if full && !must && self.on_full == OnFull::Drop {
            chunk.count_lost(&mut state.outcome.queue_full);
            return chunk.clear();
        }
        state.bytes += chunk.bytes.len();
        chunk.since.get_or_insert_with(Instant::now);
        match state.waiting.back_mut() {
            // Many small chunks would each hold a large one's memory.
            Some(last) if last.bytes.len() + chunk.bytes.len() <= CHUNK => last.append(chunk),
            _ => {
                let spare = state.spare.pop().unwrap_or_default();
                state.waiting.push_back(std::mem::replace(chunk, spare));
            }
        }
        drop(state);
        self.shared.more.notify_one();
    }

    /// Whether a chunk may be handed over; always so where it would be dropped. Where not,
    /// there is a wake-up once there is room.
    pub fn has_room(&self) -> bool {
        if self.on_full == OnFull::Drop {
            return true;
        }
        let mut state = self.shared.lock();
        state.wanted = !state.over && state.bytes >= self.limit;
        !state.wanted
    }

    /// Whether there is room for a health record that can wait.
    pub fn has_reserve(&self) -> bool {
        let state = self.shared.lock();
        state.over || state.bytes < self.limit + RESERVE
    }

    /// Whether nothing is written any more.
    pub fn is_over(&self) -> bool {
        self.shared.lock().over
    }

    /// Why writing ended, once.
    pub fn take_error(&self) -> Option<io::Error> {
        self.shared.lock().error.take()
    }

    /// What became of events, and how many of their bytes still wait.
    pub fn outcome(&self) -> (Outcome, usize) {
        let state = self.shared.lock();
        (state.outcome.clone(), state.bytes)
    }

    /// How things stand.
    pub fn standing(&self) -> Standing {
        let of = |number: fn(&Behind) -> &AtomicU64| {
            self.shared.behind.as_ref().map_or(0, |all| number(all).load(Ordering::Relaxed))
        };
        let state = self.shared.lock();
        let oldest = state.writing.as_ref().map(|chunk| chunk.since);
        let oldest = oldest.or_else(|| state.waiting.front().map(|chunk| chunk.since)).flatten();
        Standing {
            limit: self.limit as u64,
            lag: oldest.map_or(Duration::ZERO, |since| since.elapsed()),
            retries: self.shared.retries.load(Ordering::Relaxed) + of(|behind| &behind.retries),
            spooled: of(|behind| &behind.lines),
        }
    }

    /// Has the transport attended to, before the next chunk or at once.
    pub fn attend(&self) {
        self.shared.lock().attend = true;
        self.shared.more.notify_one();
    }

    /// Nothing more will come: the transport is to finish.
    pub fn close(&self) {
        self.shared.lock().closing = true;
        self.shared.more.notify_one();
    }

    /// Whether the thread that delivers has ended.
    pub fn has_ended(&self) -> bool {
        self.shared.lock().ended
    }

    /// Waits until something was written, but no longer than so.
    fn wait(&self, most: Duration) {
        let state = self.shared.lock();
        if !state.ended && !state.over && (state.bytes > 0 || state.closing) {
            drop(
                self.shared.less.wait_timeout(state, most).unwrap_or_else(PoisonError::into_inner),
            );
        }
    }

    /// Gives up: what was not written by now is lost.
    fn give_up(&self) {
        let mut state = self.shared.lock();
        if state.over {
            return;
        }
        let stalled = format!("it took nothing for {} s", PATIENCE.as_secs());
        state.error = Some(io::Error::new(io::ErrorKind::TimedOut, stalled));
        state.abandon();
        let _ = rustix::io::write(&self.shared.quit, &1u64.to_ne_bytes());
        self.shared.more.notify_one();
        let deadline = Instant::now() + ACKNOWLEDGED;
        while !state.ended && Instant::now() < deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            let waited = self.shared.less.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        // It is stuck in the kernel: how far it came can't be known.
        if let Some(chunk) = state.writing.take() {
            chunk.count_lost(&mut state.outcome.failed);
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.close();
    }
}

/// Waits for a queue's destination as long as that takes something now and then.
pub struct Patience {
    moved: u64,
    since: Instant,
}

impl Patience {
    /// From now on.
    pub fn new(queue: &Queue) -> Self {
        Self { moved: queue.shared.moved.load(Ordering::Relaxed), since: Instant::now() }
    }

    /// Waits a moment; gives the queue up where nothing moved for too long.
    pub fn wait(&mut self, queue: &Queue) {
        queue.wait(Duration::from_millis(20));
        let moved = queue.shared.moved.load(Ordering::Relaxed);
        if moved != self.moved {
            *self = Self { moved, since: Instant::now() };
        } else if self.since.elapsed() >= PATIENCE {
            queue.give_up();
        }
    }
}

impl State {
    /// Events that counted as written are not.
    fn refused(&mut self, refused: &Tally) {
        self.outcome.written.take_back(refused);
        self.outcome.failed.merge(refused);
    }

    /// Nothing of what waits will be written.
    fn abandon(&mut self) {
        self.over = true;
        self.bytes = 0;
        for chunk in self.waiting.drain(..) {
            chunk.count_lost(&mut self.outcome.failed);
        }
        self.spare.clear();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread that delivers.
    fn deliver(&self, transport: &mut dyn Transport) {
        let leash = Leash { moved: &self.moved, quit: self.quit.as_fd(), retries: &self.retries };
        loop {
            match self.next() {
                Next::Chunk(chunk) => {
                    let delivery = transport.deliver(&chunk, Some(&leash));
                    self.delivered(chunk, delivery, &transport.take_refused());
                }
                Next::Attend => transport.attend(),
                Next::End => break,
            }
        }
        let finished = if self.lock().over { Ok(()) } else { transport.finish(Some(&leash)) };
        let mut state = self.lock();
        state.refused(&transport.take_refused());
        if let Err(Halt::Failed(error)) = finished {
            state.over = true;
            state.error.get_or_insert(error);
        }
        state.ended = true;
        drop(state);
        self.less.notify_all();
    }

    /// What to do next, once there is something.
    fn next(&self) -> Next {
        let mut state = self.lock();
        loop {
            if state.over {
                return Next::End;
            }
            if std::mem::take(&mut state.attend) {
                return Next::Attend;
            }
            if let Some(chunk) = state.waiting.pop_front() {
                let chunk = Arc::new(chunk);
                state.writing = Some(Arc::clone(&chunk));
                return Next::Chunk(chunk);
            }
            if state.closing {
                return Next::End;
            }
            state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What became of a chunk.
    fn delivered(&self, chunk: Arc<Chunk>, delivery: Delivery, refused: &Tally) {
        let mut state = self.lock();
        state.refused(refused);
        // None where it counts as lost already.
        let Some(own) = state.writing.take() else { return };
        drop(own);
        let Outcome { written, failed, .. } = &mut state.outcome;
        chunk.count(delivery.whole, &delivery.refused, written, failed);
        state.bytes = state.bytes.saturating_sub(chunk.bytes.len());
        if let Err(halt) = delivery.result {
            state.abandon();
            if let Halt::Failed(error) = halt {
                state.error.get_or_insert(error);
            }
        } else if let Some(mut chunk) = Arc::into_inner(chunk).filter(|_| state.spare.len() < SPARE)
        {
            chunk.clear();
            state.spare.push(chunk);
        }
        let news = std::mem::take(&mut state.wanted) || state.over;
        drop(state);
        self.less.notify_all();
        if news {
            (self.wake)();
        }
    }
}

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
    writer::{Halt, Leash, Writer},
};

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

/// Something to call when there is news for the thread that drains.
pub type Wake = Box<dyn Fn() + Send + Sync>;

/// The draining thread's end of the queue.
pub struct Queue {
    shared: Arc<Shared>,
    limit: usize,
    on_full: OnFull,
}

struct Shared {
    state: Mutex<State>,
    /// There is something to do for the writing thread.
    more: Condvar,
    /// Something was written, or the writing thread has ended.
    less: Condvar,
    /// Bytes that were written.
    moved: AtomicU64,
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
    /// The writing thread has ended.
    ended: bool,
    /// The draining thread found no room.
    wanted: bool,
}

impl Queue {
    /// Starts the thread. The queue holds so many bytes, and a chunk more than that.
    ///
    /// # Errors
    /// Those of starting a thread.
    pub fn start(writer: Writer, limit: usize, on_full: OnFull, wake: Wake) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            more: Condvar::new(),
            less: Condvar::new(),
            moved: AtomicU64::new(0),
            quit: eventfd(0, EventfdFlags::CLOEXEC)?,
            wake,
        });
        let own = Arc::clone(&shared);
        thread::Builder::new().name("tracer-write".to_owned()).spawn(move || own.write(writer))?;
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

    /// Waits until something was written, but no longer than so.
    fn wait(&self, most: Duration) {
        let state = self.shared.lock();
        if state.bytes > 0 && !state.over {
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
        self.shared.lock().closing = true;
        self.shared.more.notify_one();
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

    /// The writing thread.
    fn write(&self, mut writer: Writer) {
        let leash = Leash { moved: &self.moved, quit: self.quit.as_fd() };
        while let Some(chunk) = self.next() {
            let (whole, result) = writer.write(&chunk.bytes, Some(&leash));
            self.written(chunk, whole, result);
        }
    }

    /// The next chunk, once there is one; None at the end.
    fn next(&self) -> Option<Arc<Chunk>> {
        let mut state = self.lock();
        loop {
            if state.over {
                break;
            }
            if let Some(chunk) = state.waiting.pop_front() {
                let chunk = Arc::new(chunk);
                state.writing = Some(Arc::clone(&chunk));
                return Some(chunk);
            }
            if state.closing {
                break;
            }
            state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.ended = true;
        self.less.notify_all();
        None
    }

    /// What became of a chunk.
    fn written(&self, chunk: Arc<Chunk>, whole: usize, result: Result<(), Halt>) {
        let mut state = self.lock();
        // None where it counts as lost already.
        let Some(own) = state.writing.take() else { return };
        drop(own);
        let Outcome { written, failed, .. } = &mut state.outcome;
        chunk.count(whole, written, failed);
        state.bytes = state.bytes.saturating_sub(chunk.bytes.len());
        if let Err(halt) = result {
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

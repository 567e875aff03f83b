//! A bounded spool on disk before a destination that may be away: lines are appended to
//! segments, and another thread delivers them from there, also those that an earlier run
//! left behind.

mod drain;
mod folder;
mod frame;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::{fd::OwnedFd, unix::fs::FileExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::event::{EventfdFlags, eventfd};
use sha2::{Digest, Sha256};

use super::{
    chunk::Chunk,
    queue::PATIENCE,
    transport::{Behind, Delivery, Halt, Leash, Transport, nap},
};
use crate::{event::RunId, tally::Tally};
use drain::Drain;
use folder::Folder;

/// Segments that a full spool has, about: one is given back once all of it is delivered.
const SEGMENTS: u64 = 16;
/// How long what is in the spool is still delivered once the program is to end.
const LINGER: Duration = Duration::from_secs(10);
/// How often room is looked for in a spool that is full.
const LOOK: Duration = Duration::from_millis(20);

/// The folder that destinations have their spools in.
pub struct Spool {
    path: PathBuf,
    folder: OwnedFd,
    size: u64,
    /// Names of the destinations' folders.
    used: Vec<String>,
}

impl Spool {
    /// The least that [`Spool::open`] takes as size.
    pub const LEAST: u64 = 16 << 20;

    /// Opens it, and makes it where there is none. Each destination may have so many bytes.
    ///
    /// # Errors
    /// Why it can't be had.
    pub fn open(path: &Path, size: u64) -> io::Result<Self> {
        let folder = folder::private(path)?;
        Ok(Self { path: path.to_owned(), folder, size, used: Vec::new() })
    }

    /// Puts the spool of that name before a transport.
    ///
    /// # Errors
    /// Why it can't be had.
    pub(super) fn before(
        &mut self,
        transport: Box<dyn Transport>,
        label: &str,
        run: RunId,
    ) -> io::Result<Spooled> {
        let digest = Sha256::digest(label.as_bytes());
        let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let folder = Folder::open(&self.folder, &name, label).map_err(|error| {
            io::Error::other(format!("its spool {}: {error}", self.path.join(&name).display()))
        })?;
        self.used.push(name);
        Spooled::new(folder, transport, label, run, self.size)
    }

    /// Says what the spool holds that nothing delivers now.
    pub fn tell_of_others(&self) {
        let path = self.path.display();
        match folder::others(&self.folder, &self.used) {
            Ok(others) => others.iter().for_each(|(label, bytes)| {
                log::warn!(
                    "spool {path} holds {bytes} bytes for {label}, which this run does not write to"
                );
            }),
            Err(error) => log::warn!("spool {path}: {error}"),
        }
    }
}

/// The end of a destination's spool that lines are appended to.
pub struct Spooled {
    label: String,
    folder: Arc<Folder>,
    size: u64,
    segment: Option<(u64, File)>,
    /// The number of the next one.
    next: u64,
    shared: Arc<Shared>,
    /// To be started.
    drain: Option<Drain>,
    frame: Vec<u8>,
    /// It was said that there is no room.
    full: bool,
    /// How far the destination had come when it was last looked at.
    moved: u64,
}

/// What both threads know.
struct Shared {
    state: Mutex<State>,
    /// There is something to do for the thread that delivers.
    more: Condvar,
    /// It has ended.
    less: Condvar,
    /// Bytes that the destination has taken.
    moved: AtomicU64,
    /// How the destination is, and how many lines are not delivered yet.
    behind: Arc<Behind>,
    /// Readable once the thread that delivers is to give up.
    quit: OwnedFd,
}

#[derive(Default)]
struct State {
    /// The segments' numbers, and their lengths in whole frames.
    segments: BTreeMap<u64, u64>,
    /// The one that is written to.
    writing: Option<u64>,
    /// Events that counted as written, and that the destination has refused.
    refused: Tally,
    error: Option<io::Error>,
    attend: bool,
    /// Nothing more will come.
    closing: bool,
    ended: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spooled {
    fn new(
        folder: Folder,
        transport: Box<dyn Transport>,
        label: &str,
        run: RunId,
        size: u64,
    ) -> io::Result<Self> {
        let folder = Arc::new(folder);
        let cursor = folder.cursor();
        let (segments, lines) = folder::left_behind(&folder, cursor, label)?;
        if lines > 0 {
            log::warn!("{label}: {lines} lines of earlier runs are in the spool and go first");
        }
        // Never again one that was used: the cursor is past it.
        let next = segments.last_key_value().map_or(0, |(number, _)| *number);
        let next = next.max(cursor.segment) + 1;
        let shared = Arc::new(Shared {
            state: Mutex::new(State { segments, ..State::default() }),
            more: Condvar::new(),
            less: Condvar::new(),
            moved: AtomicU64::new(0),
            behind: Arc::new(Behind { lines: lines.into(), ..Behind::default() }),
            quit: eventfd(0, EventfdFlags::CLOEXEC)?,
        });
        let drain = Drain {
            label: label.to_owned(),
            folder: Arc::clone(&folder),
            shared: Arc::clone(&shared),
            transport,
            run,
            cursor,
            open: None,
        };
        Ok(Self {
            label: label.to_owned(),
            folder,
            size,
            segment: None,
            next,
            shared,
            drain: Some(drain),
            frame: Vec::new(),
            full: false,
            moved: 0,
        })
    }

    /// Appends the frame, of so many lines, unless there is no room now.
    fn append(&mut self, lines: u64) -> Result<bool, Halt> {
        let length = self.frame.len() as u64;
        let mut state = self.shared.lock();
        if let Some(error) = state.error.take() {
            return Err(Halt::Failed(error));
        }
        if state.segments.values().sum::<u64>() + length > self.size {
            return Ok(false);
        }
        let number = state.writing;
        let end = number.and_then(|number| state.segments.get(&number).copied()).unwrap_or(0);
        drop(state);
        match self.write(end) {
            Ok(number) => {
                let mut state = self.shared.lock();
                self.shared.behind.lines.fetch_add(lines, Ordering::Relaxed);
                state.segments.insert(number, end + length);
                state.writing = Some(number);
                drop(state);
                if end + length >= self.size / SEGMENTS {
                    self.end_segment();
                }
                Ok(true)
            }
            Err(error) if is_full(&error) => {
                // What is delivered of it makes room once nobody writes to it.
                if end > 0 {
                    self.end_segment();
                }
                Ok(false)
            }
            Err(error) => Err(Halt::because(format!("the spool: {error}"))),
        }
    }

    /// The next frame begins another segment.
    fn end_segment(&mut self) {
        self.segment = None;
        self.shared.lock().writing = None;
        self.shared.more.notify_one();
    }

    /// Writes the frame to the segment that is written to, which is so long; what is
    /// written of it when that fails is taken back. Returns the segment's number.
    fn write(&mut self, end: u64) -> io::Result<u64> {
        let (number, file) = match &mut self.segment {
            Some(segment) => segment,
            none => {
                let file = self.folder.begin(self.next)?;
                self.next += 1;
                none.insert((self.next - 1, file))
            }
        };
        let written = file.write_all_at(&self.frame, end);
        if written.is_err() {
            file.set_len(end)?;
        }
        written.map(|()| *number)
    }

    /// Nothing more will come.
    fn close(&self) {
        self.shared.lock().closing = true;
        self.shared.more.notify_one();
    }

    /// The thread that delivers is to end now, whatever it is at.
    fn give_up(&self) {
        let _ = rustix::io::write(&self.shared.quit, &1u64.to_ne_bytes());
    }

    /// Whether the thread that delivers has ended, if not at once then in a moment.
    fn has_ended(&self) -> bool {
        let state = self.shared.lock();
        if state.ended {
            return true;
        }
        let waited = self.shared.less.wait_timeout(state, LOOK);
        waited.unwrap_or_else(PoisonError::into_inner).0.ended
    }

    /// Bytes that the destination has taken since this was last asked.
    fn progress(&mut self) -> usize {
        let moved = self.shared.moved.load(Ordering::Relaxed);
        let since = moved - std::mem::replace(&mut self.moved, moved);
        usize::try_from(since).unwrap_or(usize::MAX)
    }
}

impl Transport for Spooled {
    fn prepare(&mut self) {
        if let Some(drain) = &mut self.drain {
            drain.transport.prepare();
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        if let Some(mut drain) = self.drain.take() {
            drain.transport.begin()?;
            thread::Builder::new().name("tracer-spool".to_owned()).spawn(move || drain.run())?;
        }
        Ok(())
    }

    fn deliver(&mut self, chunk: &Chunk, leash: Option<&Leash<'_>>) -> Delivery {
        if !frame::encode(chunk, &mut self.frame) {
            return Delivery::halted(0, Halt::because("more than the spool takes at once"));
        }
        loop {
            match self.append(chunk.ends().len() as u64) {
                Ok(true) => break,
                Ok(false) if !std::mem::replace(&mut self.full, true) => {
                    log::warn!("{}: the spool is full; waiting for room", self.label);
                }
                Ok(false) => {}
                Err(halt) => return Delivery::halted(0, halt),
            }
            let progress = self.progress();
            if let Some(leash) = leash {
                leash.progress(progress);
            }
            if let Err(halt) = nap(leash, LOOK) {
                return Delivery::halted(0, halt);
            }
        }
        if std::mem::take(&mut self.full) {
            log::warn!("{}: the spool has room again", self.label);
        }
        self.shared.more.notify_one();
        if let Some(leash) = leash {
            leash.progress(chunk.bytes.len());
        }
        Delivery::all(chunk)
    }

    fn behind(&self) -> Option<Arc<Behind>> {
        Some(Arc::clone(&self.shared.behind))
    }

    fn attend(&mut self) {
        self.shared.lock().attend = true;
        self.shared.more.notify_one();
    }

    fn take_refused(&mut self) -> Tally {
        std::mem::take(&mut self.shared.lock().refused)
    }

    /// Waits as long as the destination takes something; the rest stays in the spool.
    fn finish(&mut self, leash: Option<&Leash<'_>>) -> Result<(), Halt> {
        self.close();
        let start = Instant::now();
        let mut since = start;
        while !self.has_ended() {
            if self.progress() > 0 {
                since = Instant::now();
            }
            // Not to be given up by whoever waits for the whole of it: that would be loss.
            let quit = leash.is_some_and(|leash| {
                leash.progress(1);
                nap(Some(leash), Duration::ZERO).is_err()
            });
            if quit || since.elapsed() >= PATIENCE || start.elapsed() >= LINGER {
                self.give_up();
            }
            if since.elapsed() >= 2 * PATIENCE || start.elapsed() >= LINGER + PATIENCE {
                break;
            }
        }
        let mut state = self.shared.lock();
        let lines = self.shared.behind.lines.load(Ordering::Relaxed);
        if lines > 0 {
            let label = &self.label;
            log::warn!("{label}: {lines} lines stay in the spool, for the next start");
        }
        state.error.take().map_or(Ok(()), |error| Err(Halt::Failed(error)))
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        self.close();
        self.give_up();
    }
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

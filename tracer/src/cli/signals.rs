//! Signals as flags, and a descriptor that becomes readable when one is set.

use std::{
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGWINCH},
    flag,
    low_level::pipe,
};

/// Makes the descriptor readable.
pub struct Wakers(UnixStream);

impl Wakers {
    /// Makes it readable now.
    pub fn wake(&self) {
        let _ = (&self.0).write(&[0]);
    }

    /// Something that makes it readable.
    pub fn waker(&self) -> io::Result<impl Fn() + Send + Sync + 'static> {
        let wake = Self(self.0.try_clone()?);
        Ok(move || wake.wake())
    }
}

/// The flags.
pub struct Signals {
    stop: Arc<AtomicBool>,
    report: Arc<AtomicBool>,
    resized: Arc<AtomicBool>,
    hangup: Arc<AtomicBool>,
    readable: UnixStream,
    wake: UnixStream,
}

impl Signals {
    /// Takes the signals over. A second SIGINT or SIGTERM ends the program at once,
    /// whatever it is doing.
    pub fn register() -> io::Result<Self> {
        let (readable, wake) = UnixStream::pair()?;
        readable.set_nonblocking(true)?;
        wake.set_nonblocking(true)?;
        let flag = || Arc::new(AtomicBool::new(false));
        let signals =
            Self { stop: flag(), report: flag(), resized: flag(), hangup: flag(), readable, wake };
        for signal in [SIGINT, SIGTERM] {
            // The order matters: at the first signal the flag is not set yet.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&signals.stop))?;
            flag::register(signal, Arc::clone(&signals.stop))?;
            pipe::register(signal, signals.wake.try_clone()?)?;
        }
        for (signal, flag) in [(SIGUSR1, &signals.report), (SIGHUP, &signals.hangup)] {
            flag::register(signal, Arc::clone(flag))?;
            pipe::register(signal, signals.wake.try_clone()?)?;
        }
        flag::register(SIGWINCH, Arc::clone(&signals.resized))?;
        Ok(signals)
    }

    /// What makes the descriptor readable.
    pub fn wakers(&self) -> io::Result<Wakers> {
        self.wake.try_clone().map(Wakers)
    }

    /// Something that makes the descriptor readable.
    pub fn waker(&self) -> io::Result<impl Fn() + Send + Sync + 'static> {
        let wake = self.wakers()?;
        Ok(move || wake.wake())
    }

    /// The descriptor.
    pub fn readable(&self) -> BorrowedFd<'_> {
        self.readable.as_fd()
    }

    /// Empties the descriptor.
    pub fn clear(&mut self) {
        while self.readable.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
    }

    /// Whether to stop.
    pub fn stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether a summary was asked for since the last call.
    pub fn take_report(&self) -> bool {
        self.report.swap(false, Ordering::Relaxed)
    }

    /// Whether SIGHUP came since the last call.
    pub fn take_hangup(&self) -> bool {
        self.hangup.swap(false, Ordering::Relaxed)
    }

    /// Whether the terminal was resized since the last call.
    pub fn take_resized(&self) -> bool {
        self.resized.swap(false, Ordering::Relaxed)
    }
}

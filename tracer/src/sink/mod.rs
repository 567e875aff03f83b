//! Where encoded events go. A sink sees bytes only.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::fd::{AsFd, BorrowedFd},
    path::PathBuf,
};

use rustix::event::{PollFd, PollFlags, poll};

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

/// A destination, open, with the lines that are still to be written.
pub struct Sink {
    destination: Destination,
    file: File,
    buffer: Vec<u8>,
    /// Ends of the events' lines in `buffer`; other lines are not counted.
    ends: Vec<usize>,
    /// Whether a failed write can be taken back.
    regular: bool,
}

/// What a flush did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Events that are written.
    pub written: u64,
    /// Events that could not be.
    pub lost: u64,
}

impl Sink {
    /// Opens a destination.
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
                Ok(Self {
                    destination: destination.clone(),
                    file,
                    buffer: Vec::new(),
                    ends: Vec::new(),
                    regular,
                })
            })
            .map_err(|error| SinkError { destination: destination.clone(), error })
    }

    /// The buffer to append a line to; [`Sink::line`] ends it.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// What was appended since the last call is whole; `event` says whether it counts.
    pub fn line(&mut self, event: bool) {
        if event {
            self.ends.push(self.buffer.len());
        }
    }

    /// Bytes that wait to be written.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// Writes all that waits. A line is written whole or not at all: what of one is
    /// in a file when writing fails is taken back.
    ///
    /// # Errors
    /// [`SinkError`], with the events that were written by then and those lost.
    pub fn flush(&mut self) -> Result<Flushed, (Flushed, SinkError)> {
        let mut done = 0;
        let result = self.write_out(&mut done);
        let all = self.ends.len() as u64;
        let outcome = match result {
            Ok(()) => Ok(Flushed { written: all, lost: 0 }),
            Err(error) => {
                let whole = self.buffer[..done].iter().rposition(|byte| *byte == b'\n');
                let whole = whole.map_or(0, |at| at + 1);
                if self.regular {
                    self.take_back(done - whole);
                }
                let written = self.ends.iter().filter(|end| **end <= whole).count() as u64;
                let error = SinkError { destination: self.destination.clone(), error };
                Err((Flushed { written, lost: all - written }, error))
            }
        };
        self.buffer.clear();
        self.ends.clear();
        outcome
    }

    fn write_out(&mut self, done: &mut usize) -> io::Result<()> {
        while *done < self.buffer.len() {
            match self.file.write(&self.buffer[*done..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => *done += written,
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    // Somebody else made the pipe non-blocking.
                    io::ErrorKind::WouldBlock => {
                        poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], None)?;
                    }
                    _ => return Err(error),
                },
            }
        }
        Ok(())
    }

    /// Cuts a part of a line off the end of the file.
    fn take_back(&mut self, bytes: usize) {
        let cut = self
            .file
            .metadata()
            .and_then(|metadata| self.file.set_len(metadata.len().saturating_sub(bytes as u64)));
        if let Err(error) = cut {
            log::warn!("{}: a part of a line stays at its end: {error}", self.destination);
        }
    }

    /// The descriptor, if its reader can go away.
    pub fn hangup(&self) -> Option<BorrowedFd<'_>> {
        (!self.regular).then(|| self.file.as_fd())
    }
}

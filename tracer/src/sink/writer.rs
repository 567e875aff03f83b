//! Writes lines to an open file, each whole or not at all.

use std::{
    fs::File,
    io::{self, IsTerminal, Write},
    os::{
        fd::{AsFd, AsRawFd},
        unix::fs::FileTypeExt,
    },
    time::Duration,
};

use rustix::{
    event::PollFlags,
    fs::{Mode, OFlags},
    net::SendFlags,
    pipe::{PIPE_BUF, fcntl_getpipe_size, fcntl_setpipe_size},
};

use super::{
    chunk::Chunk,
    transport::{Delivery, Halt, Leash, Transport, wait},
};

/// Bytes that a pipe is asked to hold: what Linux allows anybody unless told otherwise
/// (/proc/sys/fs/pipe-max-size).
const PIPE: usize = 1 << 20;
/// How soon to look again whether a pipe has room for a line that is longer than what
/// poll(2) vouches for.
const LOOK: Duration = Duration::from_millis(1);

/// How to write without waiting, where there is a way.
enum Way {
    /// A write waits.
    Waiting,
    /// A pipe of that many bytes, into which was written so often since it was seen
    /// empty: lines are written whole.
    Pipe { capacity: usize, writes: usize },
    /// A terminal takes what it can.
    Parts,
    /// A socket, likewise.
    Socket,
}

/// An open file.
pub struct Writer {
    file: File,
    way: Way,
    /// Whether a failed write can be taken back.
    regular: bool,
}

impl Transport for Writer {
    fn deliver(&mut self, chunk: &Chunk, leash: Option<&Leash<'_>>) -> Delivery {
        let (whole, result) = self.write(&chunk.bytes, leash);
        Delivery { whole, refused: Vec::new(), result }
    }

    /// The other holders of the file do not notice: what is opened anew is ours alone.
    fn prepare(&mut self) {
        let kind = self.file.metadata().map(|metadata| metadata.file_type());
        let kind = kind.ok();
        if kind.is_some_and(|kind| kind.is_socket()) {
            self.way = Way::Socket;
            return;
        }
        let pipe = kind.is_some_and(|kind| kind.is_fifo());
        if !pipe && !self.file.is_terminal() {
            return;
        }
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(own) if pipe => {
                // More room is fewer changes between the reader and us.
                if fcntl_getpipe_size(&own).is_ok_and(|size| size < PIPE) {
                    let _ = fcntl_setpipe_size(&own, PIPE);
                }
                let capacity = fcntl_getpipe_size(&own).unwrap_or(PIPE_BUF);
                self.file = own.into();
                self.way = Way::Pipe { capacity, writes: 0 };
            }
            Ok(own) => {
                self.file = own.into();
                self.way = Way::Parts;
            }
            Err(error) => log::debug!("a stalled reader will be waited for: {error}"),
        }
    }
}

impl Writer {
    /// A writer that waits as long as it takes.
    pub fn new(file: File) -> io::Result<Self> {
        let regular = file.metadata()?.is_file();
        Ok(Self { file, way: Way::Waiting, regular })
    }

    /// What is written to.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Writes lines. Returns how many bytes of whole lines are out, and why it ended
    /// before the last, if it did; what of the next line is in a file is taken back.
    pub fn write(&mut self, lines: &[u8], leash: Option<&Leash<'_>>) -> (usize, Result<(), Halt>) {
        let mut done = 0;
        let result = self.write_out(lines, &mut done, leash);
        let whole = match result {
            Ok(()) => done,
            Err(_) => whole_lines(&lines[..done]),
        };
        if self.regular && done > whole {
            self.take_back(done - whole);
        }
        (whole, result)
    }

    fn write_out(
        &mut self,
        lines: &[u8],
        done: &mut usize,
        leash: Option<&Leash<'_>>,
    ) -> Result<(), Halt> {
        while *done < lines.len() {
            let mut part = &lines[*done..];
            // Where a line did not fit as a whole, its rest goes as it can.
            let begun = *done > 0 && lines[*done - 1] != b'\n';
            if let Way::Pipe { capacity, writes } = &mut self.way {
                match fitting(&self.file, part, *capacity, writes) {
                    _ if begun => {}
                    Some(fitting) => part = fitting,
                    None => {
                        self.look_again(leash)?;
                        continue;
                    }
                }
                *writes += 1;
            }
            let written = match self.way {
                Way::Socket => {
                    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                    rustix::net::send(&self.file, part, flags).map_err(io::Error::from)
                }
                _ => (&self.file).write(part),
            };
            match written {
                Ok(0) => return Err(Halt::Failed(io::ErrorKind::WriteZero.into())),
                Ok(written) => {
                    *done += written;
                    if let Some(leash) = leash {
                        leash.progress(written);
                    }
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => self.wait(leash)?,
                    _ => return Err(Halt::Failed(error)),
                },
            }
        }
        Ok(())
    }

    /// Waits until the file takes more.
    fn wait(&self, leash: Option<&Leash<'_>>) -> Result<(), Halt> {
        wait(Some((self.file.as_fd(), PollFlags::OUT)), None, leash).map(drop)
    }

    /// Waits for a moment.
    fn look_again(&self, leash: Option<&Leash<'_>>) -> Result<(), Halt> {
        // Of the pipe, only that its reader is gone.
        let came = wait(Some((self.file.as_fd(), PollFlags::empty())), Some(LOOK), leash)?;
        if came.is_empty() { Ok(()) } else { Err(Halt::Failed(io::ErrorKind::BrokenPipe.into())) }
    }

    /// Cuts a part of a line off the end of the file.
    fn take_back(&self, bytes: usize) {
        let cut = self
            .file
            .metadata()
            .and_then(|metadata| self.file.set_len(metadata.len().saturating_sub(bytes as u64)));
        if let Err(error) = cut {
            log::warn!("a part of a line stays at the end of a file: {error}");
        }
    }
}

/// Bytes up to the end of the last whole line.
fn whole_lines(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
}

/// As many whole lines as the pipe has room for, at least one; a line that is longer
/// than all of the pipe; None where the first line has to wait.
///
/// A pipe is a number of pages. A write takes the last one that it needs for itself
/// alone, and the reader may have taken a part of the first: so many pages may be taken
/// beside those that are full (fs/pipe.c, `pipe_write`). A write of `PIPE_BUF` bytes or
/// less is all or nothing anyway, and is left to the kernel.
fn fitting<'a>(
    pipe: &File,
    lines: &'a [u8],
    capacity: usize,
    writes: &mut usize,
) -> Option<&'a [u8]> {
    let page = rustix::param::page_size();
    let Ok(queued) = rustix::io::ioctl_fionread(pipe) else { return Some(lines) };
    let queued = usize::try_from(queued).unwrap_or(usize::MAX);
    let taken = if queued == 0 {
        *writes = 0;
        0
    } else {
        queued.div_ceil(page).saturating_add(*writes + 1)
    };
    let room = (capacity / page).saturating_sub(taken) * page;
    let room = room.max(PIPE_BUF);
    if lines.len() <= room {
        return Some(lines);
    }
    match whole_lines(&lines[..room]) {
        0 => {
            let end = lines.iter().position(|byte| *byte == b'\n');
            let line = end.map_or(lines, |end| &lines[..=end]);
            (line.len() > capacity).then_some(line)
        }
        whole => Some(&lines[..whole]),
    }
}

#[cfg(test)]
mod tests;

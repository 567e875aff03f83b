//! A file that lines are appended to, set aside by size and time, and opened anew on
//! request.

mod aside;
mod torn;

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{
    chunk::Chunk,
    destination::LogFile,
    transport::{Delivery, Halt, Leash, Transport},
    writer::Writer,
};
use crate::trust;
use aside::Aside;

/// How soon after a file could not be set aside it is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// The transport to a file.
pub struct Log {
    spec: LogFile,
    writer: Writer,
    /// Its bytes.
    size: u64,
    /// Which of the whole times since 1970 it was begun in.
    period: u64,
    interruptible: bool,
    /// What was set aside; None where nothing is.
    aside: Option<Aside>,
    /// Setting aside failed, and when.
    failed: Option<Instant>,
}

impl Log {
    /// Opens the file. What a tracer that was killed has left of a line at its end is cut
    /// off.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn open(spec: &LogFile) -> io::Result<Self> {
        let file = opened(spec)?;
        let size = torn::mend(&file, &spec.path)?;
        let rotates = spec.rotation.size.is_some() || spec.rotation.every.is_some();
        let rotates = rotates && file.metadata()?.is_file();
        Ok(Self {
            period: began(&file, spec),
            writer: Writer::new(file)?,
            size,
            interruptible: false,
            aside: rotates.then(|| Aside::new(&spec.path, &spec.rotation)),
            failed: None,
            spec: spec.clone(),
        })
    }

    /// The file that is written to now.
    pub fn file(&self) -> &File {
        self.writer.file()
    }

    /// Goes on in the file that has the name now.
    fn reopen(&mut self) -> io::Result<()> {
        let file = opened(&self.spec)?;
        if is_same(&file, self.writer.file())? {
            // Its lock is ours already.
            self.size = file.metadata()?.len();
            return Ok(());
        }
        self.size = torn::mend(&file, &self.spec.path)?;
        self.period = began(&file, &self.spec);
        self.writer = Writer::new(file)?;
        if self.interruptible {
            self.writer.prepare();
        }
        Ok(())
    }

    /// Whether it is time for another file.
    fn is_old(&self) -> bool {
        self.size > 0 && period(self.spec.rotation.every, SystemTime::now()) != self.period
    }

    /// Whether it is too early to try once more.
    fn failed_lately(&self) -> bool {
        self.failed.is_some_and(|when| when.elapsed() < AGAIN)
    }

    /// Sets the file aside and begins another one. Where that can't be done, lines go on
    /// into this one.
    fn set_aside(&mut self) {
        if self.failed_lately() {
            return;
        }
        let Some(aside) = &mut self.aside else { return };
        self.failed = None;
        let moved = aside.take(self.writer.file());
        if let Err(error) = moved.and_then(|()| self.reopen()) {
            let path = self.spec.path.display();
            log::warn!("cannot begin another {path}, and go on in the one there is: {error}");
            self.failed = Some(Instant::now());
        }
    }

    /// How many of the bytes, in whole lines, go into this file still; the first line
    /// always does where the file is empty.
    fn fitting(&self, chunk: &Chunk, from: usize) -> usize {
        let all = chunk.bytes.len();
        let Some(limit) = self.spec.rotation.size.filter(|_| self.aside.is_some()) else {
            return all;
        };
        if self.failed_lately() {
            return all;
        }
        let room = usize::try_from(limit.saturating_sub(self.size)).unwrap_or(usize::MAX);
        if all - from <= room {
            return all;
        }
        let ends = chunk.ends();
        let ours = &ends[ends.partition_point(|line| line.end <= from)..];
        let fit = ours.partition_point(|line| line.end - from <= room);
        match (fit, ours.first()) {
            (0, Some(first)) if self.size == 0 => first.end,
            (0, _) => from,
            (fit, _) => ours[fit - 1].end,
        }
    }
}

impl Transport for Log {
    fn deliver(&mut self, chunk: &Chunk, leash: Option<&Leash<'_>>) -> Delivery {
        if self.is_old() {
            self.set_aside();
        }
        let mut done = 0;
        while done < chunk.bytes.len() {
            let to = self.fitting(chunk, done);
            if to == done {
                self.set_aside();
                continue;
            }
            let (whole, result) = self.writer.write(&chunk.bytes[done..to], leash);
            self.size += whole as u64;
            done += whole;
            if let Err(halt) = result {
                return Delivery::halted(done, halt);
            }
        }
        Delivery::all(chunk)
    }

    fn attend(&mut self) {
        if let Err(error) = self.reopen() {
            let path = self.spec.path.display();
            log::warn!("cannot open {path} anew, and go on in the one that was there: {error}");
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        if let Some(aside) = &mut self.aside {
            aside.tidy();
        }
        Ok(())
    }

    fn finish(&mut self, leash: Option<&Leash<'_>>) -> Result<(), Halt> {
        self.aside.take().map_or(Ok(()), |aside| aside.finish(leash))
    }

    fn prepare(&mut self) {
        self.interruptible = true;
        self.writer.prepare();
    }
}

fn opened(spec: &LogFile) -> io::Result<File> {
    trust::open(&spec.path, OpenOptions::new().append(true).create(true).mode(spec.mode))
}

/// Whether both are one ordinary file.
fn is_same(one: &File, other: &File) -> io::Result<bool> {
    let (one, other) = (one.metadata()?, other.metadata()?);
    Ok(one.is_file() && (one.dev(), one.ino()) == (other.dev(), other.ino()))
}

/// Which of the whole times since 1970 it is.
fn period(every: Option<Duration>, now: SystemTime) -> u64 {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    every.map_or(0, |every| since / every.as_secs().max(1))
}

/// The period that a file was written to last, or now.
fn began(file: &File, spec: &LogFile) -> u64 {
    let changed = file.metadata().ok().filter(|metadata| metadata.len() > 0);
    let changed = changed.and_then(|metadata| metadata.modified().ok());
    period(spec.rotation.every, changed.unwrap_or_else(SystemTime::now))
}

/// `PATH.WORD`
fn beside(path: &Path, word: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(word);
    name.into()
}

#[cfg(test)]
mod tests;

//! Makes a recording. What has been written ends with a whole frame, whenever the
//! process ends, unless the kernel is stopped in the middle of a write.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use serde::Serialize;
use zerocopy::IntoBytes;

use super::{
    Header, Totals,
    format::{Fate, Head, Preamble, VERSION, kind},
};
use crate::{decode::Clock, health::Report, process::Fact, trust};

/// Bytes after which frames are written, even in the middle of a drain.
const FLUSH: usize = 256 << 10;

/// Writes a recording.
pub struct Writer {
    file: File,
    /// Whole frames that are still to be written.
    pending: Vec<u8>,
    /// Checksum of the last head.
    chain: u32,
    /// As the reader knows it.
    clock: Clock,
    totals: Totals,
}

impl Writer {
    /// Makes the file, or empties it, and writes what comes before the first record.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn create(path: &Path, header: &Header) -> io::Result<Self> {
        let preamble = Preamble::new(VERSION);
        let mut writer = Self {
            file: trust::create(path)?,
            pending: preamble.as_bytes().to_vec(),
            chain: preamble.checksum.get(),
            clock: header.clock,
            totals: Totals::default(),
        };
        writer.json(kind::HEADER, header)?;
        writer.flush()?;
        Ok(writer)
    }

    /// Appends a record and what became of it, which was decoded with that clock.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn record(&mut self, fate: Fate, bytes: &[u8], clock: Clock) -> io::Result<()> {
        if clock != self.clock {
            self.json(kind::CLOCK, &clock)?;
            self.clock = clock;
        }
        self.frame(kind::RECORD, Some(fate), bytes)
    }

    /// Appends what was looked up for the record that comes next.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn fact(&mut self, fact: &Fact) -> io::Result<()> {
        self.json(kind::FACT, fact)
    }

    /// Appends a health record.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn health(&mut self, report: &Report) -> io::Result<()> {
        self.json(kind::HEALTH, report)
    }

    /// Says that this is the end. Nothing may be appended after it.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn end(&mut self) -> io::Result<()> {
        let totals = self.totals;
        self.json(kind::END, &totals)?;
        self.flush()
    }

    fn json(&mut self, kind: u8, value: &impl Serialize) -> io::Result<()> {
        self.frame(kind, None, &serde_json::to_vec(value)?)
    }

    fn frame(&mut self, kind: u8, fate: Option<Fate>, body: &[u8]) -> io::Result<()> {
        let len = u32::try_from(body.len()).map_err(io::Error::other)?;
        let info = fate.map_or(0, |fate| fate as u16);
        let head = Head::new(kind, 0, info, body, len, self.chain);
        self.chain = head.checksum.get();
        self.totals.add(fate);
        self.pending.extend_from_slice(head.as_bytes());
        self.pending.extend_from_slice(body);
        if self.pending.len() >= FLUSH { self.flush() } else { Ok(()) }
    }

    /// Writes what is still in memory. Where that fails, what of a frame is in the file
    /// is taken back.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        // None where it is a pipe or a device, of which nothing can be taken back.
        let before = self.file.metadata().ok().filter(std::fs::Metadata::is_file);
        let result = self.file.write_all(&self.pending);
        if let (Err(_), Some(before)) = (&result, before)
            && let Err(error) = self.file.set_len(before.len())
        {
            log::warn!("a part of a frame stays at the recording's end: {error}");
        }
        self.pending.clear();
        result
    }
}

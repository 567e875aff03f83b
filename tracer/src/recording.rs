//! Recordings: the ring's records as they came, to be decoded later and elsewhere.
//!
//! A file is a line of JSON ([`Header`]), then each record as its length (32 bits,
//! little-endian) and its bytes. What /proc knew at the time is not kept.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};
use tracer_common::{
    copies::Copies,
    detail::{Detail, MAX_PAYLOAD, MAX_PAYLOADS},
    record::{MAX_MESSAGES, max_len},
};

use crate::decode::Clock;

/// The schema of [`Header`].
const SCHEMA: &str = "tracer.recording/1";
/// Longest record that is believed.
const MAX_LEN: usize = 1 << 22;
const _: () = {
    let copies = Copies { headers: true, lengths: true };
    let detail = Detail::full(MAX_PAYLOADS / MAX_MESSAGES);
    assert!(max_len(MAX_MESSAGES, &detail, &copies) <= MAX_LEN);
    let fewest = MAX_PAYLOADS / MAX_PAYLOAD;
    assert!(max_len(fewest, &Detail::full(MAX_PAYLOAD), &copies) <= MAX_LEN);
};
/// Longest first line that is believed.
const MAX_HEADER: u64 = 1 << 16;

/// The first line of a recording.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Header {
    schema: String,
    /// The kernel's release.
    pub kernel: String,
    /// The machine.
    pub arch: String,
    /// Where the programs were attached.
    pub hook: String,
    /// Wall clock minus kernel clocks at the start.
    pub clock: Clock,
}

impl Header {
    /// The header of a recording made here and now.
    pub fn new(kernel: &str, hook: &str, clock: Clock) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            kernel: kernel.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            hook: hook.to_owned(),
            clock,
        }
    }
}

/// A recording that can't be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file can't be opened or read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The first line is something else.
    #[error("not a recording made with --record: {0}")]
    Header(String),
    /// The file ends in the middle of a record.
    #[error("ends in the middle of record {0}: everything before it is whole")]
    CutOff(u64),
    /// A length that no record has.
    #[error("record {record} says that it has {len} bytes; the rest can't be read")]
    Length {
        /// Its number, from 1.
        record: u64,
        /// What it says.
        len: usize,
    },
}

/// Writes a recording.
pub struct Writer(BufWriter<File>);

impl Writer {
    /// Makes the file, or empties it.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn create(path: &Path, header: &Header) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        serde_json::to_writer(&mut file, header)?;
        file.write_all(b"\n")?;
        Ok(Self(file))
    }

    /// Appends a record.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn record(&mut self, bytes: &[u8]) -> io::Result<()> {
        let len = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        self.0.write_all(&len.to_le_bytes())?;
        self.0.write_all(bytes)
    }

    /// Writes what is still in memory.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Reads a recording.
pub struct Reader<R> {
    file: R,
    /// The first line.
    pub header: Header,
    count: u64,
    record: Vec<u8>,
}

impl Reader<BufReader<File>> {
    /// Opens a file.
    ///
    /// # Errors
    /// [`RecordingError`]
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        Self::new(BufReader::new(File::open(path)?))
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads the first line.
    ///
    /// # Errors
    /// [`RecordingError`]
    pub fn new(mut file: R) -> Result<Self, RecordingError> {
        let mut line = Vec::new();
        file.by_ref().take(MAX_HEADER).read_until(b'\n', &mut line)?;
        let header: Header = serde_json::from_slice(&line)
            .map_err(|error| RecordingError::Header(error.to_string()))?;
        if header.schema != SCHEMA {
            return Err(RecordingError::Header(format!("its schema is {}", header.schema)));
        }
        Ok(Self { file, header, count: 0, record: Vec::new() })
    }

    /// The next record; none at the end.
    ///
    /// # Errors
    /// [`RecordingError`]
    pub fn next_record(&mut self) -> Result<Option<&[u8]>, RecordingError> {
        if self.file.fill_buf()?.is_empty() {
            return Ok(None);
        }
        self.count += 1;
        let cut_off = |error: io::Error, count| match error.kind() {
            io::ErrorKind::UnexpectedEof => RecordingError::CutOff(count),
            _ => RecordingError::Io(error),
        };
        let mut len = [0; 4];
        self.file.read_exact(&mut len).map_err(|error| cut_off(error, self.count))?;
        let len = usize::try_from(u32::from_le_bytes(len)).unwrap_or(usize::MAX);
        if len > MAX_LEN {
            return Err(RecordingError::Length { record: self.count, len });
        }
        self.record.resize(len, 0);
        self.file.read_exact(&mut self.record).map_err(|error| cut_off(error, self.count))?;
        Ok(Some(&self.record))
    }
}

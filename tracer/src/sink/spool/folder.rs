//! A destination's folder of the spool: segments, how far they were delivered, and a lock.
//! Everything in it is reached by the folder's own descriptor and follows no links, so that
//! nobody else decides what is written or removed.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use rustix::{
    fd::OwnedFd,
    fs::{
        AtFlags, Dir, FlockOperation, Mode, OFlags, flock, fstat, mkdirat, open, openat, unlinkat,
    },
    io::Errno,
};

use super::frame;

const PRIVATE: Mode = Mode::RWXU;
const FILE: Mode = Mode::RUSR.union(Mode::WUSR);
/// Of a segment: its number.
const DIGITS: usize = 20;
const SUFFIX: &str = ".segment";
const CURSOR: &str = "cursor";
/// What a folder is for, for people.
const LABEL: &str = "destination";

/// How far segments were delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The number of the segment; those before it are done with.
    pub segment: u64,
    /// Where in it the next frame begins.
    pub offset: u64,
    /// Bytes of the frame's lines that were delivered already.
    pub skip: u64,
}

/// Opens a folder of which nobody else can change anything, and makes it where there is
/// none.
///
/// # Errors
/// Why it can't be had.
pub fn private(path: &Path) -> io::Result<OwnedFd> {
    match rustix::fs::mkdir(path, PRIVATE) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let folder = open(path, flags, Mode::empty())?;
    owned(&folder)?;
    Ok(folder)
}

/// An error where somebody else could change what is in the folder.
fn owned(folder: &OwnedFd) -> io::Result<()> {
    let status = fstat(folder)?;
    let own = rustix::process::geteuid().as_raw();
    if status.st_uid != own && status.st_uid != 0 {
        let uid = status.st_uid;
        return Err(io::Error::other(format!("it belongs to user {uid}, who could change it")));
    }
    if status.st_mode & 0o022 != 0 {
        let mode = status.st_mode & 0o7777;
        let says = format!("others may write to it (mode {mode:04o}): chmod go-w it");
        return Err(io::Error::other(says));
    }
    Ok(())
}

/// A destination's folder, which no other tracer has.
pub struct Folder {
    folder: OwnedFd,
    cursor: File,
}

impl Folder {
    /// Opens the folder of that name, and makes it where there is none.
    ///
    /// # Errors
    /// Why it can't be had.
    pub fn open(spool: &OwnedFd, name: &str, label: &str) -> io::Result<Self> {
        match mkdirat(spool, name, PRIVATE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        let folder = openat(spool, name, flags, Mode::empty())?;
        owned(&folder)?;
        flock(&folder, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            Errno::WOULDBLOCK => io::Error::other("another tracer or destination uses it"),
            error => error.into(),
        })?;
        let cursor = file(&folder, CURSOR, OFlags::RDWR | OFlags::CREATE)?;
        let own = Self { folder, cursor };
        let written = file(&own.folder, LABEL, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC)?;
        (&written).write_all(format!("{label}\n").as_bytes())?;
        Ok(own)
    }

    /// The segments: their numbers and lengths.
    ///
    /// # Errors
    /// Those of reading the folder.
    pub fn segments(&self) -> io::Result<BTreeMap<u64, u64>> {
        segments(&self.folder)
    }

    /// A segment, to be read, and to be cut where its end is torn.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn segment(&self, number: u64) -> io::Result<File> {
        file(&self.folder, named(number), OFlags::RDWR)
    }

    /// Begins one.
    ///
    /// # Errors
    /// Those of making it.
    pub fn begin(&self, number: u64) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        file(&self.folder, named(number), flags)
    }

    /// Does away with one.
    pub fn remove(&self, number: u64) {
        if let Err(error) = unlinkat(&self.folder, named(number), AtFlags::empty()) {
            log::warn!("spool: segment {number} stays: {error}");
        }
    }

    /// How far it was delivered; the beginning where that is not known, as lines are
    /// rather delivered twice than not.
    pub fn cursor(&self) -> Cursor {
        let mut bytes = [0; 28];
        let read = self.cursor.read_exact_at(&mut bytes, 0);
        let (numbers, crc) = bytes.split_at(24);
        if read.is_err() || crc32fast::hash(numbers).to_le_bytes() != crc {
            return Cursor::default();
        }
        let number = |i: usize| {
            let bytes = numbers[8 * i..].first_chunk().copied().unwrap_or_default();
            u64::from_le_bytes(bytes)
        };
        Cursor { segment: number(0), offset: number(1), skip: number(2) }
    }

    /// Keeps how far it was delivered.
    pub fn set_cursor(&self, Cursor { segment, offset, skip }: Cursor) {
        let mut bytes = [0; 28];
        let numbers = [segment, offset, skip].map(u64::to_le_bytes);
        bytes[..24].copy_from_slice(numbers.as_flattened());
        let crc = crc32fast::hash(&bytes[..24]);
        bytes[24..].copy_from_slice(&crc.to_le_bytes());
        if let Err(error) = self.cursor.write_all_at(&bytes, 0) {
            log::debug!("spool: how far it was delivered is not kept: {error}");
        }
    }
}

/// Folders of the spool other than these that hold something: what for, and how many bytes.
///
/// # Errors
/// Those of reading the spool.
pub fn others(spool: &OwnedFd, used: &[String]) -> io::Result<Vec<(String, u64)>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(spool)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        if name.starts_with('.') || used.iter().any(|used| used == name) {
            continue;
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        let Ok(folder) = openat(spool, name, flags, Mode::empty()) else { continue };
        let bytes: u64 = segments(&folder)?.values().sum();
        if bytes > 0 {
            let label = file(&folder, LABEL, OFlags::RDONLY).and_then(io::read_to_string);
            let label = label.map_or_else(|_| name.to_owned(), |label| label.trim().to_owned());
            found.push((label, bytes));
        }
    }
    Ok(found)
}

/// What earlier runs have left behind: segments, and how many lines. Those that were
/// delivered are done away with, and a frame that was under way when its tracer was killed
/// is cut off.
///
/// # Errors
/// Those of reading it.
pub fn left_behind(
    folder: &Folder,
    cursor: Cursor,
    label: &str,
) -> io::Result<(BTreeMap<u64, u64>, u64)> {
    let mut segments = folder.segments()?;
    let (mut lines, last) = (0, segments.keys().next_back().copied());
    for (number, length) in &mut segments {
        if *number < cursor.segment {
            folder.remove(*number);
            continue;
        }
        let file = folder.segment(*number)?;
        let start = if *number == cursor.segment { cursor.offset } else { 0 };
        let (found, end) = frame::scan(&file, start, *length)?;
        lines += found;
        if end < *length && Some(*number) == last {
            let torn = *length - end;
            log::warn!("{label}: {torn} bytes at the end of the spool are torn, and cut off");
            file.set_len(end)?;
            *length = end;
        }
    }
    segments.retain(|number, _| *number >= cursor.segment);
    Ok((segments, lines))
}

fn segments(folder: &OwnedFd) -> io::Result<BTreeMap<u64, u64>> {
    let mut segments = BTreeMap::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_str().ok().and_then(|name| name.strip_suffix(SUFFIX));
        let digits = name.filter(|name| name.len() == DIGITS);
        let Some(number) = digits.and_then(|digits| digits.parse().ok()) else { continue };
        let status = rustix::fs::statat(folder, named(number), AtFlags::SYMLINK_NOFOLLOW)?;
        segments.insert(number, u64::try_from(status.st_size).unwrap_or(0));
    }
    Ok(segments)
}

fn named(number: u64) -> PathBuf {
    format!("{number:0DIGITS$}{SUFFIX}").into()
}

fn file(folder: &OwnedFd, name: impl AsRef<Path>, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(folder, name.as_ref(), flags, FILE)?.into())
}

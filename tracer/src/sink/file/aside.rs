//! Files that were set aside: `PATH.20261125T060000.123456Z`, compressed by a thread of
//! their own, and the oldest removed.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, Sender, channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use jiff::Timestamp;
use rustix::{
    fs::{CWD, OFlags, RenameFlags, renameat_with},
    io::Errno,
};

use super::{
    super::{
        destination::{Compression, Rotation},
        transport::{Halt, Leash, nap},
    },
    beside,
};
use crate::trust;

/// A file's name while it is being made.
const PART: &str = "part";

/// Sets files aside.
pub struct Aside {
    path: PathBuf,
    rotation: Rotation,
    /// None until there is something to do.
    worker: Option<Worker>,
}

struct Worker {
    work: Sender<()>,
    thread: JoinHandle<()>,
}

impl Aside {
    /// For that file.
    pub fn new(path: &Path, rotation: &Rotation) -> Self {
        Self { path: path.to_owned(), rotation: rotation.clone(), worker: None }
    }

    /// Has the thread look at what was set aside, also by an earlier run.
    pub fn tidy(&mut self) {
        let worker = self.worker.get_or_insert_with(|| {
            let (work, wanted) = channel();
            let (path, rotation) = (self.path.clone(), self.rotation.clone());
            Worker { work, thread: thread::spawn(move || see_to(&path, &rotation, &wanted)) }
        });
        let _ = worker.work.send(());
    }

    /// Sets the file aside, if it is still the one that is open.
    pub fn take(&mut self, open: &File) -> io::Result<()> {
        let (ours, named) = (open.metadata()?, fs::metadata(&self.path));
        let same = named
            .as_ref()
            .is_ok_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino()));
        // Else somebody else has done it already, or it failed last time only after this.
        if same {
            let time = Timestamp::now().strftime("%Y%m%dT%H%M%S.%6fZ").to_string();
            let to = beside(&self.path, &time);
            match renameat_with(CWD, &self.path, CWD, &to, RenameFlags::NOREPLACE) {
                // Somebody else was faster by a moment.
                Err(Errno::NOENT) => {}
                moved => moved?,
            }
        }
        self.tidy();
        Ok(())
    }

    /// Waits until all is compressed, or until it is to give up; the next run sees to what
    /// is left then.
    pub fn finish(self, leash: Option<&Leash<'_>>) -> Result<(), Halt> {
        let Some(Worker { work, thread }) = self.worker else { return Ok(()) };
        drop(work);
        while !thread.is_finished() {
            nap(leash, Duration::from_millis(10))?;
            if let Some(leash) = leash {
                // It is at work, and not stuck.
                leash.progress(1);
            }
        }
        Ok(())
    }
}

/// The thread: compresses and removes each time that there may be something to do.
fn see_to(path: &Path, rotation: &Rotation, wanted: &Receiver<()>) {
    while wanted.recv().is_ok() {
        // One look serves all who have asked by now.
        while wanted.try_recv().is_ok() {}
        if let Err(error) = tidied(path, rotation) {
            log::warn!("what was set aside of {}: {error}", path.display());
        }
    }
}

fn tidied(path: &Path, rotation: &Rotation) -> io::Result<()> {
    let mut files = set_aside(path)?;
    if let Some(keep) = rotation.keep {
        for old in files.drain(..files.len().saturating_sub(keep)) {
            fs::remove_file(&old)?;
        }
    }
    let Some(compression) = rotation.compress else { return Ok(()) };
    for file in files.iter().filter(|file| file.extension().is_some_and(is_time)) {
        compress(file, compression)?;
    }
    Ok(())
}

/// The files that were set aside, the oldest first.
pub fn set_aside(path: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().as_bytes();
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let own = entry.file_name();
        let rest = own.as_bytes().strip_prefix(name).and_then(|rest| rest.strip_prefix(b"."));
        let Some(rest) = rest else { continue };
        let stem = [&b".gz"[..], b".zst"].iter().find_map(|suffix| rest.strip_suffix(*suffix));
        if is_time(OsStr::from_bytes(stem.unwrap_or(rest))) {
            found.push(folder.join(&own));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Whether a word is a time as it stands in the names. The dot before the fraction makes
/// an extension of what follows it.
fn is_time(word: &OsStr) -> bool {
    let word = word.as_bytes();
    let pattern: &[u8] = if word.len() == 7 { b"000000Z" } else { b"00000000T000000.000000Z" };
    word.len() == pattern.len()
        && word.iter().zip(pattern).all(|(byte, like)| match like {
            b'0' => byte.is_ascii_digit(),
            like => byte == like,
        })
}

/// Puts a compressed file in the place of one.
fn compress(file: &Path, compression: Compression) -> io::Result<()> {
    let to = beside(file, compression.suffix());
    let part = beside(&to, PART);
    // Nothing else than what was set aside.
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    let mut from = OpenOptions::new().read(true).custom_flags(flags).open(file)?;
    let out = trust::create(&part)?;
    out.set_permissions(from.metadata()?.permissions())?;
    match compression {
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::default());
            io::copy(&mut from, &mut encoder)?;
            encoder.finish()?.sync_all()?;
        }
        #[cfg(feature = "zstd")]
        Compression::Zstd => {
            let mut encoder = zstd::Encoder::new(out, 0)?;
            encoder.include_checksum(true)?;
            io::copy(&mut from, &mut encoder)?;
            encoder.finish()?.sync_all()?;
        }
    }
    fs::rename(&part, &to)?;
    fs::remove_file(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_set_aside() {
        for (word, is) in [
            ("20261125T060000.123456Z", true),
            ("123456Z", true),
            ("20261125T060000.12345Z", false),
            ("gz", false),
            ("1", false),
        ] {
            assert_eq!(is_time(OsStr::new(word)), is, "{word}");
        }
    }
}

//! Archives in cpio's "newc" form, which the kernel unpacks as its first root folder.
//!
//! The form: `Documentation/driver-api/early-userspace/buffer-format.rst` of the kernel.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context as _, Result};

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;

/// An archive under construction, all of it owned by root.
pub struct Archive {
    bytes: Vec<u8>,
    /// Folders that are in it.
    folders: BTreeSet<String>,
    entries: u32,
}

impl Archive {
    /// With an open root folder: everybody may look into it.
    pub fn new() -> Result<Self> {
        let mut archive = Self { bytes: Vec::new(), folders: BTreeSet::new(), entries: 0 };
        archive.entry(".", FOLDER, &[])?;
        Ok(archive)
    }

    /// Adds a file that can be executed, and the folders that lead to it.
    pub fn file(&mut self, path: &str, contents: &[u8]) -> Result<()> {
        let path = path.trim_start_matches('/');
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.folder(folder)?;
        }
        self.entry(path, PROGRAM, contents)
    }

    /// Adds a file of this machine under `path`.
    pub fn copy(&mut self, path: &str, from: &Path) -> Result<()> {
        let contents =
            std::fs::read(from).with_context(|| format!("can't read {}", from.display()))?;
        self.file(path, &contents)
    }

    /// Adds a folder and those above it.
    pub fn folder(&mut self, path: &str) -> Result<()> {
        let path = path.trim_matches('/');
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for folder in ends.map(|end| &path[..end]) {
            if self.folders.insert(folder.to_owned()) {
                self.entry(folder, FOLDER, &[])?;
            }
        }
        Ok(())
    }

    /// The archive with its end marker.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        self.entry("TRAILER!!!", 0, &[])?;
        Ok(self.bytes)
    }

    fn entry(&mut self, name: &str, mode: u32, contents: &[u8]) -> Result<()> {
        self.entries += 1;
        let size = u32::try_from(contents.len()).with_context(|| format!("{name} is too long"))?;
        let name_size = u32::try_from(name.len() + 1)?;
        let links = if mode == FOLDER { 2 } else { 1 };
        // ino, mode, uid, gid, nlink, mtime, filesize, device and rdev in two halves
        // each, namesize, check.
        let fields = [self.entries, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name_size, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(contents);
        self.pad();
        Ok(())
    }

    /// Header with name, and contents, each end at a multiple of four.
    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads an archive back: names, modes and contents.
    fn read(mut bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut entries = Vec::new();
        loop {
            assert_eq!(&bytes[..6], b"070701");
            let field = |number: usize| {
                let text = std::str::from_utf8(&bytes[6 + 8 * number..][..8]).expect("hex");
                u32::from_str_radix(text, 16).expect("hex") as usize
            };
            let (size, name_size) = (field(6), field(11));
            let name = String::from_utf8(bytes[110..110 + name_size - 1].to_vec()).expect("name");
            let start = (110 + name_size).next_multiple_of(4);
            if name == "TRAILER!!!" {
                assert_eq!(start, bytes.len(), "nothing follows");
                return entries;
            }
            let contents = bytes[start..start + size].to_vec();
            entries.push((name, field(1) as u32, contents));
            bytes = &bytes[(start + size).next_multiple_of(4)..];
        }
    }

    #[test]
    fn what_goes_in_comes_out() {
        let mut archive = Archive::new().expect("a root folder");
        archive.file("/init", b"first").expect("a file");
        archive.file("/a/b/c", b"").expect("a file in folders");
        archive.file("/a/d", b"1234").expect("a file in the same folder");
        archive.folder("/a/b").expect("a folder that is there");
        let entries = read(&archive.finish().expect("an archive"));
        let names: Vec<_> = entries.iter().map(|(name, mode, _)| (name.as_str(), *mode)).collect();
        assert_eq!(
            names,
            [
                (".", FOLDER),
                ("init", PROGRAM),
                ("a", FOLDER),
                ("a/b", FOLDER),
                ("a/b/c", PROGRAM),
                ("a/d", PROGRAM)
            ]
        );
        assert_eq!(entries[1].2, b"first");
        assert_eq!(entries[5].2, b"1234");
    }
}

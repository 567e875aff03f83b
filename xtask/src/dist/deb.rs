//! A Debian package, written byte for byte: an ar(1) archive of the format's version, a tar of
//! what dpkg is told, and a tar of the files. No tool is needed for it, and no root; the same
//! files and the same time make the same bytes.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

use super::{contents::Entry, facts::Facts};

/// What dpkg runs, by its name.
const SCRIPTS: [(&str, &str); 3] = [
    ("postinst", include_str!("scripts/postinst")),
    ("postrm", include_str!("scripts/postrm")),
    ("prerm", include_str!("scripts/prerm")),
];

/// The package's bytes; entries are sorted by their paths.
pub fn build(facts: &Facts, depends: &str, entries: &[Entry]) -> Result<Vec<u8>> {
    let time = facts.time;
    let mut archive = b"!<arch>\n".to_vec();
    member(&mut archive, "debian-binary", b"2.0\n", time)?;
    member(&mut archive, "control.tar.gz", &control(facts, depends, entries)?, time)?;
    member(&mut archive, "data.tar.gz", &data(entries, time)?, time)?;
    Ok(archive)
}

/// One file of an ar archive: a header of 60 bytes, then the contents at even offsets.
fn member(archive: &mut Vec<u8>, name: &str, contents: &[u8], time: u64) -> Result<()> {
    let size = contents.len();
    writeln!(archive, "{name:<16}{time:<12}{:<6}{:<6}{:<8}{size:<10}`", 0, 0, "100644")?;
    archive.extend_from_slice(contents);
    if size % 2 == 1 {
        archive.push(b'\n');
    }
    Ok(())
}

fn control(facts: &Facts, depends: &str, entries: &[Entry]) -> Result<Vec<u8>> {
    // In KiB, as dpkg-gencontrol(1) rounds: each file up, each folder 1.
    let size: usize = entries.iter().map(|entry| entry.contents.len().div_ceil(1024).max(1)).sum();
    let Facts { name, revision, maintainer, summary, .. } = facts;
    let mut text = format!(
        "Package: {name}\nVersion: {}-{revision}\nArchitecture: {}\nMaintainer: {maintainer}\n\
         Installed-Size: {size}\n",
        facts.version, facts.debian_arch
    );
    if !depends.is_empty() {
        text += &format!("Depends: {depends}\n");
    }
    text += &format!("Section: admin\nPriority: optional\nDescription: {summary}\n");
    for line in facts.description.lines() {
        text += &if line.is_empty() { " .\n".to_owned() } else { format!(" {line}\n") };
    }
    let files = entries.iter().filter(|entry| !entry.is_folder);
    let sums = files.clone().map(|entry| {
        let sum = md5(&entry.contents);
        format!("{sum}  {}\n", entry.path.trim_start_matches('/'))
    });
    let sums: String = sums.collect();
    let kept: String = files.filter(|e| e.is_config).map(|e| format!("{}\n", e.path)).collect();
    let mut tar = Tar::new(facts.time);
    tar.folder("./", 0o755)?;
    if !kept.is_empty() {
        tar.file("./conffiles", kept.as_bytes(), 0o644)?;
    }
    tar.file("./control", text.as_bytes(), 0o644)?;
    tar.file("./md5sums", sums.as_bytes(), 0o644)?;
    for (name, script) in SCRIPTS {
        tar.file(&format!("./{name}"), script.as_bytes(), 0o755)?;
    }
    tar.finish()
}

fn data(entries: &[Entry], time: u64) -> Result<Vec<u8>> {
    let mut tar = Tar::new(time);
    tar.folder("./", 0o755)?;
    let mut folders = std::collections::BTreeSet::new();
    for entry in entries {
        // dpkg takes folders before what is in them.
        let above: Vec<_> = entry.path.match_indices('/').skip(1).map(|(end, _)| end).collect();
        for end in above {
            if folders.insert(entry.path[..end].to_owned()) {
                tar.folder(&format!(".{}/", &entry.path[..end]), 0o755)?;
            }
        }
        if !entry.is_folder {
            tar.file(&format!(".{}", entry.path), &entry.contents, entry.mode)?;
        } else if folders.insert(entry.path.clone()) {
            tar.folder(&format!(".{}/", entry.path), entry.mode)?;
        }
    }
    tar.finish()
}

fn md5(contents: &[u8]) -> String {
    use md5::Digest as _;
    let digest = md5::Md5::digest(contents);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A tar, compressed, of files that are root's and of one time.
struct Tar {
    builder: Builder<flate2::write::GzEncoder<Vec<u8>>>,
    time: u64,
}

impl Tar {
    fn new(time: u64) -> Self {
        // No name and no time in its header.
        let encoder = GzBuilder::new().write(Vec::new(), Compression::best());
        Self { builder: Builder::new(encoder), time }
    }

    fn folder(&mut self, path: &str, mode: u32) -> Result<()> {
        self.entry(path, &[], mode, EntryType::Directory)
    }

    fn file(&mut self, path: &str, contents: &[u8], mode: u32) -> Result<()> {
        self.entry(path, contents, mode, EntryType::Regular)
    }

    fn entry(&mut self, path: &str, contents: &[u8], mode: u32, kind: EntryType) -> Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(contents.len() as u64);
        header.set_mode(mode);
        header.set_mtime(self.time);
        header.set_uid(0);
        header.set_gid(0);
        header.set_username("root")?;
        header.set_groupname("root")?;
        // As dpkg-deb writes it: with the dot in front, which `set_path` would take away.
        let name = &mut header.as_old_mut().name;
        let bytes = path.as_bytes();
        name.get_mut(..bytes.len())
            .with_context(|| format!("{path}: longer than 100 bytes"))?
            .copy_from_slice(bytes);
        header.set_cksum();
        self.builder.append(&header, contents).context("no room")
    }

    fn finish(self) -> Result<Vec<u8>> {
        Ok(self.builder.into_inner()?.finish()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::facts;

    fn entries() -> Vec<Entry> {
        vec![
            Entry::config("/etc/tracer/tracer.toml", b"# nothing\n".to_vec()),
            Entry::program("/usr/bin/tracer", b"\x7fELF".to_vec()),
        ]
    }

    #[test]
    fn the_same_files_are_the_same_bytes() {
        let facts = facts::tests::example();
        let first = build(&facts, "libc6", &entries()).expect("a package");
        assert_eq!(first, build(&facts, "libc6", &entries()).expect("a package"));
        assert_ne!(first, build(&facts, "", &entries()).expect("a package"));
        assert_eq!(first.len() % 2, 0);
    }

    /// Its parts as ar(1) has them.
    #[test]
    fn three_members() {
        let archive = build(&facts::tests::example(), "libc6", &entries()).expect("a package");
        let mut rest = archive.strip_prefix(b"!<arch>\n").expect("an archive");
        let mut names = Vec::new();
        while !rest.is_empty() {
            let (header, after) = rest.split_at(60);
            assert_eq!(&header[58..], b"`\n");
            let header = std::str::from_utf8(header).expect("text");
            names.push(header[..16].trim_end().to_owned());
            let size: usize = header[48..58].trim_end().parse().expect("a number");
            rest = &after[size.next_multiple_of(2)..];
        }
        assert_eq!(names, ["debian-binary", "control.tar.gz", "data.tar.gz"]);
    }

    #[test]
    fn folders_come_before_their_files_once() {
        let data = data(&entries(), 1).expect("a tar");
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(&*data));
        let names: Vec<_> = tar
            .entries()
            .expect("entries")
            .map(|entry| {
                let entry = entry.expect("an entry");
                assert_eq!(entry.header().uid().expect("a number"), 0);
                String::from_utf8(entry.path_bytes().into_owned()).expect("text")
            })
            .collect();
        let right = ["./", "./etc/", "./etc/tracer/", "./etc/tracer/tracer.toml", "./usr/"];
        assert_eq!(names[..5], right);
        assert_eq!(names[5..], ["./usr/bin/", "./usr/bin/tracer"]);
    }
}

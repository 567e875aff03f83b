//! What a program is linked with, and the packages that bring it.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context as _, Result, bail};
use object::{
    elf,
    endian::Endianness,
    read::elf::{Dyn as _, ElfFile64},
};

/// Shared libraries, and the versions of their symbols that the program takes.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Links {
    /// `libc.so.6`; none where the program is linked statically.
    pub libraries: BTreeSet<String>,
    /// Pairs as (`libc.so.6`, `GLIBC_2.34`).
    pub versions: BTreeSet<(String, String)>,
}

impl Links {
    /// Reads them out of a 64-bit ELF file.
    pub fn of(path: &Path) -> Result<Self> {
        let data = std::fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
        Self::parse(&data).with_context(|| format!("{}: not an ELF program", path.display()))
    }

    fn parse(data: &[u8]) -> Result<Self> {
        let file = ElfFile64::<Endianness>::parse(data)?;
        let (endian, sections) = (file.endian(), file.elf_section_table());
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).context("a name");
        let mut links = Self::default();
        if let Some((entries, link)) = sections.dynamic(endian, data)? {
            let strings = sections.strings(endian, data, link)?;
            let is_library = |tag: Option<i32>| tag.map(i64::from) == Some(elf::DT_NEEDED);
            for entry in entries.iter().filter(|entry| is_library(entry.tag32(endian))) {
                links.libraries.insert(text(entry.string(endian, strings)?)?);
            }
        }
        if let Some((mut needs, link)) = sections.gnu_verneed(endian, data)? {
            let strings = sections.strings(endian, data, link)?;
            while let Some((need, mut versions)) = needs.next()? {
                let library = text(need.file(endian, strings)?)?;
                while let Some(version) = versions.next()? {
                    let version = text(version.name(endian, strings)?)?;
                    links.versions.insert((library.clone(), version));
                }
            }
        }
        Ok(links)
    }

    /// Whether it needs nothing that lies elsewhere.
    pub fn is_static(&self) -> bool {
        self.libraries.is_empty()
    }

    /// Debian's `Depends`, without the field's name; empty for a static program. An error
    /// where no package is known for a library.
    pub fn debian(&self) -> Result<String> {
        let mut packages = BTreeSet::new();
        for library in &self.libraries {
            let package = match library.as_str() {
                "libgcc_s.so.1" => "libgcc-s1 (>= 4.2)".to_owned(),
                "libc.so.6"
                | "libm.so.6"
                | "libpthread.so.0"
                | "libdl.so.2"
                | "librt.so.1"
                | "ld-linux-x86-64.so.2"
                | "ld-linux-aarch64.so.1" => match self.glibc() {
                    Some((major, minor)) => format!("libc6 (>= {major}.{minor})"),
                    None => "libc6".to_owned(),
                },
                "libssl.so.3" | "libcrypto.so.3" => "libssl3 | libssl3t64".to_owned(),
                "libz.so.1" => "zlib1g".to_owned(),
                _ => bail!("no Debian package is known for {library}: name it in dist/links.rs"),
            };
            packages.insert(package);
        }
        Ok(packages.into_iter().collect::<Vec<_>>().join(", "))
    }

    /// The names by which RPM packages provide libraries and their versions.
    pub fn rpm(&self) -> Vec<String> {
        let plain = self.libraries.iter().map(|library| format!("{library}()(64bit)"));
        let versions = &self.versions;
        let versions = versions.iter().map(|(library, it)| format!("{library}({it})(64bit)"));
        plain.chain(versions).collect()
    }

    /// The newest glibc that a symbol comes from.
    fn glibc(&self) -> Option<(u32, u32)> {
        let number = |version: &str| {
            let (major, rest) = version.strip_prefix("GLIBC_")?.split_once('.')?;
            let minor = rest.split('.').next()?;
            Some((major.parse().ok()?, minor.parse().ok()?))
        };
        self.versions.iter().filter_map(|(_, version)| number(version)).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test's own program is dynamic.
    #[test]
    fn a_program_of_ours() {
        let links = Links::of(&std::env::current_exe().expect("a path")).expect("an ELF file");
        assert!(!links.is_static(), "{links:?}");
        let depends = links.debian().expect("known libraries");
        assert!(depends.contains("libc6 (>= 2."), "{depends}");
        assert!(links.rpm().iter().any(|name| name.starts_with("libc.so.6(GLIBC_2.")));
    }

    #[test]
    fn versions_are_numbers() {
        let versions = ["GLIBC_2.4", "GLIBC_2.34", "GLIBC_2.2.5", "GLIBC_PRIVATE"];
        let mut links = Links::default();
        links.libraries.insert("libc.so.6".to_owned());
        links.versions = versions.map(|it| ("libc.so.6".to_owned(), it.to_owned())).into();
        assert_eq!(links.debian().expect("known"), "libc6 (>= 2.34)");
        links.libraries.insert("libodd.so.3".to_owned());
        assert!(links.debian().expect_err("unknown").to_string().contains("libodd.so.3"));
    }

    #[test]
    fn a_static_program_depends_on_nothing() {
        assert_eq!(Links::default().debian().expect("nothing"), "");
        assert!(Links::parse(b"#!/bin/sh\n").is_err());
    }
}

//! An RPM package, by the crate `rpm`: unsigned, with the digests that `rpm -K` checks.

use anyhow::{Context as _, Result};
use rpm::{BuildConfig, CompressionType, Dependency, FileOptions, PackageBuilder};

use super::{contents::Entry, facts::Facts};

const POST: &str = include_str!("scripts/rpm-post");
const PREUN: &str = include_str!("scripts/rpm-preun");
const POSTUN: &str = include_str!("scripts/rpm-postun");

/// The package's bytes.
pub fn build(facts: &Facts, requires: &[String], entries: &[Entry]) -> Result<Vec<u8>> {
    let Facts { name, version, license, rpm_arch, summary, .. } = facts;
    let time = u32::try_from(facts.time).context("a time after 2106")?;
    let config = BuildConfig::v4().source_date(time).compression(CompressionType::Gzip);
    let mut package = PackageBuilder::new(name, version, license, rpm_arch, summary);
    package
        .using_config(config)
        .release(facts.revision.to_string())
        .description(facts.description)
        .packager(&facts.maintainer)
        // Not this machine's name.
        .build_host("localhost")
        .post_install_script(POST)
        .pre_uninstall_script(PREUN)
        .post_uninstall_script(POSTUN);
    for library in requires {
        package.requires(Dependency::any(library));
    }
    for entry in entries {
        let mode = u16::try_from(entry.mode).context("a mode")?;
        let path = entry.path.as_str();
        if entry.is_folder {
            package.with_dir_entry(FileOptions::dir(path).permissions(mode))?;
            // Folders of ours above it.
            if let Some((above, _)) = path.rsplit_once('/').filter(|(it, _)| *it == "/etc/tracer") {
                package.with_dir_entry(FileOptions::dir(above).permissions(mode))?;
            }
            continue;
        }
        let mut options = FileOptions::new(path).permissions(mode);
        if entry.is_config {
            options = options.config().noreplace();
        } else if path.starts_with("/usr/share/licenses/") {
            options = options.license();
        } else if path.starts_with("/usr/share/doc/") || path.starts_with("/usr/share/man/") {
            options = options.doc();
        }
        package.with_file_contents(entry.contents.clone(), options)?;
    }
    for folder in
        ["/usr/share/doc/tracer", "/usr/share/doc/tracer/examples", "/usr/share/licenses/tracer"]
    {
        package.with_dir_entry(FileOptions::dir(folder).permissions(0o755))?;
    }
    let mut bytes = Vec::new();
    package.build()?.write(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::facts;

    #[test]
    fn the_same_files_are_the_same_bytes() {
        let facts = facts::tests::example();
        let entries = [Entry::program("/usr/bin/tracer", *b"\x7fELF")];
        let first = build(&facts, &[], &entries).expect("a package");
        assert_eq!(first, build(&facts, &[], &entries).expect("a package"));
        let libraries = ["libc.so.6()(64bit)".to_owned()];
        assert_ne!(first, build(&facts, &libraries, &entries).expect("a package"));
    }
}

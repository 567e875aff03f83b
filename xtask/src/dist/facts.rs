//! What the packages say of themselves.

use std::env;

use anyhow::{Context as _, Result, bail};

use crate::{cargo, metadata::Crate, workspace::Workspace};

/// Who answers for a package that nobody put a name to.
const NOBODY: (&str, &str) = ("Unofficial build of tracer", "nobody@tracer.invalid");

pub struct Facts {
    pub name: String,
    pub version: String,
    /// Of the packaging, after the version.
    pub revision: u32,
    pub debian_arch: &'static str,
    pub rpm_arch: &'static str,
    /// `NAME <ADDRESS>`, from DEBFULLNAME and DEBEMAIL as Debian's own tools have it.
    pub maintainer: String,
    pub summary: String,
    /// Lines of at most 75 characters; an empty one between paragraphs.
    pub description: &'static str,
    pub license: String,
    /// Seconds since 1970 that every file in every package is of.
    pub time: u64,
}

const DESCRIPTION: &str = "\
Every recvmmsg call of a machine as one line of JSON: who called, with what
arguments, what came back, how long it took, and every message that it
received.

It watches with eBPF, stops nobody, and counts every call that it could
not show. As a service it runs as a user of its own, with no more rights
than it needs, and writes to files, sockets and collectors.

It is installed but not started: systemctl enable --now tracer";

impl Facts {
    /// Of the workspace's package `tracer`.
    pub fn find(own: &Crate, time: u64) -> Result<Self> {
        let (debian_arch, rpm_arch) = match env::consts::ARCH {
            "x86_64" => ("amd64", "x86_64"),
            "aarch64" => ("arm64", "aarch64"),
            other => bail!("the tracer runs on x86-64 and arm64, and this is {other}"),
        };
        let named = |variable, other: &str| env::var(variable).unwrap_or_else(|_| other.to_owned());
        let (name, address) = (named("DEBFULLNAME", NOBODY.0), named("DEBEMAIL", NOBODY.1));
        // Debian's own form begins small and without a verb's full stop.
        let summary = own.description.clone().context("tracer/Cargo.toml has no description")?;
        let summary = summary.trim_end_matches('.');
        let mut letters = summary.chars();
        let first = letters.next().context("an empty description")?;
        Ok(Self {
            name: own.name.clone(),
            version: own.version.clone(),
            revision: 1,
            debian_arch,
            rpm_arch,
            maintainer: format!("{name} <{address}>"),
            summary: first.to_lowercase().chain(letters).collect(),
            description: DESCRIPTION,
            license: own.license.clone().context("tracer/Cargo.toml has no licence")?,
            time,
        })
    }
}

/// SOURCE_DATE_EPOCH, or the time of the last commit: never that of the build, so that the
/// same sources make the same packages.
pub fn time(workspace: &Workspace) -> Result<u64> {
    let text = match env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text,
        Err(_) => {
            let mut git = cargo::unsteered("git".as_ref());
            git.args(["log", "-1", "--format=%ct"]).current_dir(&workspace.root);
            cargo::output_of(&mut git)
                .context("what time are the packages of? no git here: set SOURCE_DATE_EPOCH")?
        }
    };
    let text = text.trim();
    text.parse().with_context(|| format!("SOURCE_DATE_EPOCH: {text} is no number of seconds"))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn example() -> Facts {
        Facts {
            name: "tracer".into(),
            version: "1.2.3".into(),
            revision: 1,
            debian_arch: "amd64",
            rpm_arch: "x86_64",
            maintainer: "A <a@b.invalid>".into(),
            summary: "traces".into(),
            description: DESCRIPTION,
            license: "MIT OR Apache-2.0".into(),
            time: 1_700_000_000,
        }
    }

    #[test]
    fn the_description_fits_terminals() {
        assert!(DESCRIPTION.lines().all(|line| line.len() <= 75));
    }
}

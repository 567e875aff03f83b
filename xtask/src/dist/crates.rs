//! The crates that end up in the shipped program, by cargo's own account.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use anyhow::{Context as _, Result, anyhow};

use crate::{
    cargo,
    metadata::{Crate, Metadata},
    workspace::Workspace,
};

/// Everything that the workspace is built, tested and shipped with.
pub fn all(workspace: &Workspace) -> Result<Vec<Crate>> {
    Ok(metadata(workspace)?.packages)
}

fn metadata(workspace: &Workspace) -> Result<Metadata> {
    Metadata::ask(&mut cargo::stable(workspace), &["--all-features"])
}

/// What is shipped: the crates, and which of them takes which.
pub struct Shipped {
    /// In the order of names and versions.
    pub crates: Vec<Crate>,
    /// By a crate's id those that it takes.
    pub takes: BTreeMap<String, Vec<String>>,
    /// By name and version, from Cargo.lock.
    pub sums: BTreeMap<(String, String), String>,
}

impl Shipped {
    /// With the features that a release has, for the machine that this is; without what only
    /// builds it: build scripts, macros, tests. The kernel programs are in the object that
    /// the tracer embeds.
    pub fn find(workspace: &Workspace) -> Result<Self> {
        let mut command = cargo::stable(workspace);
        command.args(["tree", "--locked", "--package", "tracer", "--package", "tracer-ebpf"]);
        command.args(["--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"]);
        let tree = cargo::output_of(&mut command).context("cargo tree")?;
        let wanted = in_tree(&tree);
        let metadata = metadata(workspace)?;
        let mut crates = metadata.packages;
        crates.retain(|it| wanted.contains(&(it.name.clone(), it.version.clone())));
        crates.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
        let ids: BTreeSet<_> = crates.iter().map(|it| it.id.clone()).collect();
        let nodes = metadata.resolve.nodes.into_iter().filter(|node| ids.contains(&node.id));
        let takes = nodes.map(|node| {
            let taken = node.deps.into_iter().map(|edge| edge.pkg);
            (node.id, taken.filter(|id| ids.contains(id)).collect())
        });
        let takes = takes.collect();
        let lock = workspace.root.join("Cargo.lock");
        let lock = fs::read_to_string(&lock).with_context(|| lock.display().to_string())?;
        Ok(Self { crates, takes, sums: checksums(&lock) })
    }

    /// The tracer itself.
    pub fn own(&self) -> Result<&Crate> {
        let own = self.crates.iter().find(|it| it.name == "tracer" && it.source.is_none());
        own.ok_or_else(|| anyhow!("cargo tree has no package tracer"))
    }
}

/// Lines `name vVERSION …`.
fn in_tree(tree: &str) -> BTreeSet<(String, String)> {
    let lines = tree.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (name, version) = (words.next()?, words.next()?);
        Some((name.to_owned(), version.strip_prefix('v')?.to_owned()))
    });
    lines.collect()
}

/// The SHA-256 sums in Cargo.lock, by name and version.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let value = |part: &str, key: &str| {
        let line = part.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))?;
        Some(line.trim_matches('"').to_owned())
    };
    let parts = lock.split("[[package]]").skip(1);
    let sums = parts.filter_map(|part| {
        Some(((value(part, "name")?, value(part, "version")?), value(part, "checksum")?))
    });
    sums.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, version: &str) -> (String, String) {
        (name.to_owned(), version.to_owned())
    }

    #[test]
    fn lines_of_a_tree() {
        let tree = "tracer v0.1.0 (/w/tracer)\nserde v1.0.2\n\nserde v1.0.2 (*)\n";
        assert_eq!(in_tree(tree), [key("serde", "1.0.2"), key("tracer", "0.1.0")].into());
    }

    #[test]
    fn sums_of_a_lock_file() {
        let lock = "version = 4\n\n[[package]]\nname = \"aya\"\nversion = \"0.14.0\"\n\
            source = \"registry\"\nchecksum = \"ab12\"\n\n[[package]]\nname = \"own\"\n\
            version = \"0.1.0\"\n";
        assert_eq!(checksums(lock), [(key("aya", "0.14.0"), "ab12".to_owned())].into());
    }
}

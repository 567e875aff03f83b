//! The locked dependencies that end up in the object: their versions for the digest,
//! their folders for the remapping of paths.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::metadata::{Edge, Metadata};

pub const ROOT: &str = "tracer-ebpf";
pub const TARGET: &str = "bpfel-unknown-none";

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Locked {
    pub name: String,
    pub version: String,
    pub folder: PathBuf,
}

/// Asks `cargo` about the workspace at `root`.
pub fn locked(mut cargo: Command, root: &Path) -> Result<Vec<Locked>> {
    let more = ["--filter-platform", TARGET];
    let metadata = Metadata::ask(cargo.current_dir(root), &more);
    linked(&metadata.context("can't resolve the object's dependencies")?)
}

/// Packages from outside the workspace that are reached without dev- and
/// build-dependencies: those can't change the object, and would call for a rebuild
/// whenever a test library moves.
fn linked(metadata: &Metadata) -> Result<Vec<Locked>> {
    let edges: HashMap<&str, &[Edge]> =
        metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), &*node.deps)).collect();
    let root = metadata
        .packages
        .iter()
        .find(|package| package.name == ROOT && package.source.is_none())
        .with_context(|| format!("the workspace has no member {ROOT}"))?;

    let mut reached = HashSet::from([root.id.as_str()]);
    let mut waiting = vec![root.id.as_str()];
    while let Some(id) = waiting.pop() {
        for edge in edges.get(id).copied().unwrap_or_default() {
            if edge.is_linked() && reached.insert(&edge.pkg) {
                waiting.push(&edge.pkg);
            }
        }
    }

    let mut locked: Vec<_> = metadata
        .packages
        .iter()
        .filter(|package| package.source.is_some() && reached.contains(package.id.as_str()))
        .filter_map(|package| {
            Some(Locked {
                name: package.name.clone(),
                version: package.version.clone(),
                folder: package.manifest_path.parent()?.to_owned(),
            })
        })
        .collect();
    locked.sort();
    Ok(locked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_linked() {
        let package = |name: &str, source: &str| {
            format!(
                r#"{{"id":"{name}","name":"{name}","version":"1.0.0","manifest_path":"/c/{name}-1.0.0/Cargo.toml","dependencies":[],"source":{source}}}"#
            )
        };
        let edge = |name: &str, kind: &str| {
            format!(r#"{{"pkg":"{name}","dep_kinds":[{{"kind":{kind}}}]}}"#)
        };
        let node = |name: &str, edges: &[String]| {
            format!(r#"{{"id":"{name}","deps":[{}]}}"#, edges.join(","))
        };
        let outside = "\"registry\"";
        let packages = [
            package("tracer-ebpf", "null"),
            package("tracer-common", "null"),
            package("aya-ebpf", outside),
            package("aya-build", outside),
            package("proptest", outside),
            package("zerocopy", outside),
            package("tokio", outside),
        ];
        let nodes = [
            node("tracer-ebpf", &[edge("aya-ebpf", "null"), edge("tracer-common", "null")]),
            node("tracer-common", &[edge("zerocopy", "null"), edge("proptest", "\"dev\"")]),
            node("aya-ebpf", &[edge("aya-build", "\"build\"")]),
        ];
        let json = format!(
            r#"{{"packages":[{}],"resolve":{{"nodes":[{}]}}}}"#,
            packages.join(","),
            nodes.join(",")
        );
        let locked = |name: &str| Locked {
            name: name.to_owned(),
            version: "1.0.0".into(),
            folder: format!("/c/{name}-1.0.0").into(),
        };
        let found = linked(&Metadata::parse(&json).expect("parses")).expect("the root");
        assert_eq!(found, [locked("aya-ebpf"), locked("zerocopy")]);
    }
}

//! What `cargo metadata` says: crates, and which of them takes which.

use std::{path::PathBuf, process::Command};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::cargo;

#[derive(Deserialize)]
pub struct Metadata {
    pub packages: Vec<Crate>,
    pub resolve: Resolve,
}

/// One crate at one version.
#[derive(Debug, Clone, Deserialize)]
pub struct Crate {
    pub id: String,
    pub name: String,
    pub version: String,
    /// An SPDX expression, or the older `MIT/Apache-2.0`.
    pub license: Option<String>,
    pub license_file: Option<PathBuf>,
    pub description: Option<String>,
    pub repository: Option<String>,
    /// `registry+URL`; None for the workspace's own.
    pub source: Option<String>,
    pub manifest_path: PathBuf,
    pub dependencies: Vec<Dependency>,
}

/// What a crate asks for.
#[derive(Debug, Clone, Deserialize)]
pub struct Dependency {
    pub name: String,
    /// A range of versions (Cargo Book, "Specifying Dependencies").
    pub req: String,
    /// Of a crate beside it.
    pub path: Option<PathBuf>,
}

#[derive(Deserialize)]
pub struct Resolve {
    pub nodes: Vec<Node>,
}

/// What the crate of that id takes.
#[derive(Deserialize)]
pub struct Node {
    pub id: String,
    pub deps: Vec<Edge>,
}

#[derive(Deserialize)]
pub struct Edge {
    pub pkg: String,
    dep_kinds: Vec<DepKind>,
}

#[derive(Deserialize)]
struct DepKind {
    /// None for what the program links (and for what its macros are made of).
    kind: Option<String>,
}

impl Edge {
    /// Whether it is more than a dev- or build-dependency.
    pub fn is_linked(&self) -> bool {
        self.dep_kinds.iter().any(|dep| dep.kind.is_none())
    }
}

impl Metadata {
    /// Asks this `cargo`, in its current folder. It unpacks what is not unpacked yet, and
    /// fails rather than change Cargo.lock.
    pub fn ask(cargo: &mut Command, more: &[&str]) -> Result<Self> {
        cargo.args(["metadata", "--locked", "--format-version", "1"]).args(more);
        Self::parse(&cargo::output_of(cargo).context("cargo metadata")?)
    }

    pub fn parse(json: &str) -> Result<Self> {
        serde_json::from_str(json).context("cargo metadata has another form")
    }
}

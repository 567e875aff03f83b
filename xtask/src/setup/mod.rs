//! `cargo xtask setup`: what building the object and running all tests need.
//!
//! With apt: Debian packages, only the missing ones, then bpf-linker from source.
//! Without: it looks for a nightly toolchain and for the programs, and says what is
//! missing. Whatever can't be had is reported with its reason, and stops nothing else.

pub mod apt;
pub mod beside;
pub mod components;
pub mod linker;
pub mod packages;
pub mod python;
pub mod schemas;

use std::process::ExitCode;

use anyhow::Result;
pub use packages::Part;

use crate::{ebpf::toolchain::Toolchain, skip::Skip, workspace::Workspace};

/// Something that is still missing.
#[derive(Debug)]
pub struct Missing {
    pub part: Part,
    pub what: String,
    pub reason: String,
}

impl Missing {
    pub fn as_skip(&self) -> Skip {
        Skip::new(
            format!("setup of {}", self.part.name()),
            format!("{}: {}", self.what, self.reason),
        )
    }
}

pub fn main(workspace: &Workspace, check: bool) -> Result<ExitCode> {
    let missing =
        if check { find_missing(workspace, Part::ALL)? } else { install(workspace, Part::ALL)? };
    match Toolchain::find() {
        Ok(toolchain) => println!("setup: object toolchain: {toolchain}"),
        Err(_) => println!("setup: object toolchain: none"),
    }
    for Missing { part, what, reason } in &missing {
        println!("setup: missing for {}: {what}: {reason}", part.name());
    }
    if missing.is_empty() {
        println!("setup: all there");
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}

/// Installs what `parts` need; returns what is still missing.
pub fn install(workspace: &Workspace, parts: &[Part]) -> Result<Vec<Missing>> {
    let mut failed = Vec::new();
    if apt::is_here() {
        let mut wanted = Vec::new();
        for &part in parts {
            for package in apt::missing(packages::of(part))? {
                if !wanted.iter().any(|other: &packages::Package| other.name == package.name) {
                    wanted.push(package);
                }
            }
        }
        failed = apt::install(&wanted);
        let object = parts.contains(&Part::Object);
        if object && apt::missing(packages::OBJECT)?.is_empty() && !linker::is_built() {
            // Its failure is reported below, by the toolchain that lacks a linker.
            if let Err(error) = linker::install() {
                eprintln!("setup: {error:#}");
            }
        }
    }
    if parts.contains(&Part::Components) {
        for (component, command) in components::COMPONENTS {
            if !components::has(workspace, command)
                && let Err(error) = components::add(workspace, component)
            {
                eprintln!("setup: {error:#}");
            }
        }
    }
    if parts.contains(&Part::Tests) {
        schemas::fetch();
        python::install();
    }
    let mut missing = find_missing(workspace, parts)?;
    for entry in &mut missing {
        // apt's reason says more than "not installed".
        if let Some((_, reason)) = failed.iter().find(|(package, _)| package.name == entry.what) {
            entry.reason = format!("{} ({reason})", entry.reason);
        }
    }
    Ok(missing)
}

/// What `parts` lack on this machine.
pub fn find_missing(workspace: &Workspace, parts: &[Part]) -> Result<Vec<Missing>> {
    let mut missing = Vec::new();
    for &part in parts {
        let mut add = |what: &str, reason: String| {
            missing.push(Missing { part, what: what.to_owned(), reason });
        };
        match part {
            Part::Object => {
                // A complete toolchain of either kind will do.
                if let Err(error) = Toolchain::find() {
                    if apt::is_here() {
                        for package in apt::missing(packages::OBJECT)? {
                            add(package.name, format!("not installed: {}", package.purpose));
                        }
                    }
                    add("toolchain", error.to_string());
                }
            }
            Part::Tests | Part::Fuzz | Part::Bench | Part::Guests => {
                for package in apt::missing(packages::of(part))? {
                    add(package.name, format!("not installed: {}", package.purpose));
                }
            }
            Part::Components => {
                for (component, command) in components::COMPONENTS {
                    if !components::has(workspace, command) {
                        add(component, components::how_to_get(component));
                    }
                }
            }
        }
    }
    Ok(missing)
}

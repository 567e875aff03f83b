//! The table of test groups. A new group is a row here and a function.

use std::process::Command;

use anyhow::Result;

use super::{Outcome, Selection, native, programs};
use crate::{
    cargo, ebpf, fuzz, guest, run,
    setup::{Part, components},
    skip::Skip,
    supply,
    workspace::Workspace,
};

pub struct Group {
    pub name: &'static str,
    pub what: &'static str,
    /// What is set up before it.
    pub needs: &'static [Part],
    /// Runs it; what single tests left out goes to the list, also where others fail.
    pub run: fn(&Workspace, &Selection, &mut Vec<Skip>) -> Result<Outcome>,
}

/// Cheapest first, so that a slip shows early.
pub const GROUPS: &[Group] = &[
    Group { name: "fmt", what: "formatting", needs: &[Part::Components], run: fmt },
    Group { name: "clippy", what: "lints, as errors", needs: &[Part::Components], run: clippy },
    Group {
        name: "supply",
        what: "licences, sources and advisories of what is taken from others",
        needs: &[],
        run: |workspace, _, left_out| supply::run(workspace, left_out),
    },
    Group {
        name: "ebpf",
        what: "the committed object against its sources",
        needs: &[Part::Object],
        run: object,
    },
    Group {
        name: "unit",
        what: "unit, golden, property and doc tests, off the kernel",
        needs: &[],
        run: unit,
    },
    Group {
        name: "fuzz",
        what: "the kept corpus and some seconds of fuzzing each parser",
        needs: &[Part::Fuzz],
        run: fuzz::test,
    },
    Group {
        name: "native",
        what: "tests on this machine's kernel, as root",
        needs: &[Part::Tests],
        run: native::run,
    },
    Group {
        name: "guest",
        what: "the same tests on other kernels and hooks, under QEMU",
        needs: &[Part::Guests],
        run: guests,
    },
];

fn fmt(workspace: &Workspace, _: &Selection, _: &mut Vec<Skip>) -> Result<Outcome> {
    component(workspace, "rustfmt", "fmt", &["--all", "--check"])
}

fn clippy(workspace: &Workspace, _: &Selection, left_out: &mut Vec<Skip>) -> Result<Outcome> {
    let (features, lacking) = run::features()?;
    left_out.extend(lacking);
    let features = format!("tracer/{features}");
    component(
        workspace,
        "clippy",
        "clippy",
        &["--all-targets", "--locked", "--features", &features, "--", "-D", "warnings"],
    )
}

fn component(workspace: &Workspace, name: &str, command: &str, args: &[&str]) -> Result<Outcome> {
    if !components::has(workspace, command) {
        return Ok(Outcome::Skipped(components::how_to_get(name)));
    }
    cargo::succeed(
        cargo::stable(workspace).arg(command).args(args),
        &format!("cargo {command} {}", args.join(" ")),
    )?;
    Ok(Outcome::Ok)
}

fn object(workspace: &Workspace, _: &Selection, left_out: &mut Vec<Skip>) -> Result<Outcome> {
    left_out.extend(ebpf::check(workspace)?);
    Ok(Outcome::Ok)
}

fn guests(
    workspace: &Workspace,
    selection: &Selection,
    left_out: &mut Vec<Skip>,
) -> Result<Outcome> {
    let Selection { guests, write_results, only, .. } = selection;
    guest::run(workspace, guests, *write_results, only.as_deref(), left_out).map(Outcome::Parts)
}

fn unit(workspace: &Workspace, _: &Selection, left_out: &mut Vec<Skip>) -> Result<Outcome> {
    let programs = programs::build(workspace, left_out)?;
    let ours = programs.into_iter().filter(|program| !programs::is_of_the_kernel(program));
    let ran = programs::run(ours, |program| {
        let mut command = Command::new(&program.path);
        command.env("CARGO_MANIFEST_DIR", &program.package);
        command
    });
    let (mut documented, _) = programs::command(workspace)?;
    let examples = cargo::succeed(documented.arg("--doc"), "cargo test --doc");
    ran.and(examples).map(|()| Outcome::Ok)
}

//! Guests: the native suites on other kernels, under QEMU.
//!
//! ```text
//! table ─► kernel (apt) ─────────────────────────┐
//!   └────► build (cargo, static) ─► image (cpio) ┴► qemu ─► libtest ─► results
//! ```
//! The image's first process is `guest-init` of the tests crate. One boot takes all
//! hooks and suites ([`suites`]); a guest that can't run here is a skip with its reason,
//! and one that fails does not keep the next from running. At the end, [`matrix`] and
//! [`verified`] are tables of them all.

mod apt;
mod boot;
mod build;
mod compat;
mod cpio;
mod kernel;
mod libtest;
mod matrix;
mod qemu;
mod suites;
mod table;
mod tables;
mod toolchain;
mod verified;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use build::Programs;
use matrix::Shown;
use table::{Arch, GUESTS, Guest};
use toolchain::Toolchain;

use crate::{setup::beside, skip::Skip, workspace::Workspace};

/// How a guest ended, for the summary.
pub struct Line {
    pub name: String,
    pub state: String,
    pub failed: bool,
    pub took: Duration,
}

/// The guests called `names`, in their own order; all without names.
fn select(names: &[String]) -> Result<Vec<&'static Guest>> {
    if let Some(unknown) = names.iter().find(|name| GUESTS.iter().all(|g| g.name != name.as_str()))
    {
        let known: Vec<_> = GUESTS.iter().map(|guest| guest.name).collect();
        bail!("no guest `{unknown}`: there are {}", known.join(", "));
    }
    let selected = |guest: &&Guest| names.is_empty() || names.iter().any(|name| name == guest.name);
    Ok(GUESTS.iter().filter(selected).collect())
}

/// An error for a name that no guest has.
pub fn check_names(names: &[String]) -> Result<()> {
    select(names).map(drop)
}

/// What a guest left behind.
struct Run {
    line: Line,
    skips: Vec<Skip>,
    results: libtest::Results,
}

/// A guest that can start.
struct Ready {
    guest: &'static Guest,
    kernel: kernel::Kernel,
    programs: Arc<Programs>,
}

/// Runs guests, as many at a time as there are CPUs: each keeps one busy. The tables of
/// results are printed, and written down where `write` says so; with `only` some tests,
/// there are none.
pub fn run(
    workspace: &Workspace,
    names: &[String],
    write: bool,
    only: Option<&str>,
    skips: &mut Vec<Skip>,
) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    let mut shown = Vec::new();
    let mut ready = VecDeque::new();
    let mut builds = Builds::default();
    for guest in select(names)? {
        match prepare(workspace, guest, &mut builds, skips) {
            Ok(guest) => ready.push_back(guest),
            Err(reason) => {
                let name = format!("guest {}", guest.name);
                skips.push(Skip::new(name.as_str(), reason.as_str()));
                let state = format!("skipped ({reason})");
                lines.push(Line { name, state, failed: false, took: Duration::ZERO });
                shown.push(Shown { guest, version: "?".to_owned(), outcome: Err(reason) });
            }
        }
    }

    let at_a_time = thread::available_parallelism().map_or(1, usize::from).min(ready.len());
    let queue = Mutex::new(ready);
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let boot = |ready: Ready| {
        let run = boot::boot(workspace, &ready, only);
        (ready, run)
    };
    let runs = thread::scope(|scope| {
        let work = || std::iter::from_fn(next).map(boot).collect();
        let workers: Vec<_> = (0..at_a_time).map(|_| scope.spawn(work)).collect();
        let results = workers.into_iter().map(|worker| worker.join());
        results.collect::<Result<Vec<Vec<(Ready, Run)>>, _>>()
    });
    let runs = runs.map_err(|_| anyhow!("a guest's thread panicked"))?;
    for (Ready { guest, kernel, .. }, run) in runs.into_iter().flatten() {
        skips.extend(run.skips);
        lines.push(run.line);
        shown.push(Shown { guest, version: kernel.version, outcome: Ok(run.results) });
    }
    let place = |name: &str| GUESTS.iter().position(|guest| name.ends_with(guest.name));
    lines.sort_by_key(|line| place(&line.name));
    shown.sort_by_key(|shown| place(shown.guest.name));
    if only.is_none() {
        tables::show(workspace, &shown, write)?;
    }
    Ok(lines)
}

/// Programs by architecture, or why there are none.
type Builds = BTreeMap<&'static str, Result<Arc<Programs>, String>>;

/// Everything that a guest needs; an error is a reason to skip it.
fn prepare(
    workspace: &Workspace,
    guest: &'static Guest,
    builds: &mut Builds,
    skips: &mut Vec<Skip>,
) -> Result<Ready, String> {
    if let Some(reason) = obstacle(guest.arch) {
        return Err(reason);
    }
    let kernel = kernel::get(guest).map_err(|error| format!("no kernel: {error:#}"))?;
    if let Some(reason) = &kernel.stale {
        let what = format!("guest {}, a newer kernel", guest.name);
        skips.push(Skip::new(what, format!("using {}: {reason}", kernel.version)));
    }
    let mut build = || {
        let toolchain = Toolchain::find(guest.arch).context("no compiler")?;
        build::build(workspace, guest.arch, &toolchain, skips).context("no programs").map(Arc::new)
    };
    let built = builds
        .entry(guest.arch.name)
        .or_insert_with(|| build().map_err(|error| format!("{error:#}")));
    let programs = built.as_ref().map(Arc::clone).map_err(Clone::clone)?;
    Ok(Ready { guest, kernel, programs })
}

fn obstacle(arch: &Arch) -> Option<String> {
    if beside::command(arch.qemu).is_none() {
        return Some(format!("{} is not installed: `cargo xtask setup`", arch.qemu));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_by_name() {
        let names = |names: &[&str]| -> Vec<&str> {
            let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
            select(&names).expect("known").iter().map(|guest| guest.name).collect()
        };
        assert_eq!(names(&["6.12", "5.10"]), ["5.10", "6.12"]);
        assert_eq!(names(&[]).len(), GUESTS.len());
        let error = check_names(&["6.2".to_owned()]).expect_err("unknown").to_string();
        assert!(error.starts_with("no guest `6.2`: there are 5.10, 6.1, "), "{error}");
    }
}

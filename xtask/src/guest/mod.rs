//! Guests: the native suites on other kernels, under QEMU.
//!
//! ```text
//! table ─► kernel (apt) ─────────────────────────┐
//!   └────► build (cargo, static) ─► image (cpio) ┴► qemu ─► libtest ─► results
//! ```
//! The image's first process is `guest-init` of the tests crate. One boot takes all
//! suites; a guest that can't run here is a skip with its reason, and one that fails
//! does not keep the next from running.

mod apt;
mod boot;
mod build;
mod compat;
mod cpio;
mod kernel;
mod libtest;
mod qemu;
mod table;
mod toolchain;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Result, anyhow, bail};
use build::Programs;
use table::{Arch, GUESTS, Guest};
use toolchain::Toolchain;

use crate::{
    skip::Skip,
    workspace::{Workspace, on_path},
};

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
}

/// A guest that can start.
struct Ready {
    guest: &'static Guest,
    kernel: kernel::Kernel,
    programs: Arc<Programs>,
}

/// Runs guests, as many at a time as there are CPUs: each keeps one busy.
pub fn run(workspace: &Workspace, names: &[String], skips: &mut Vec<Skip>) -> Result<Vec<Line>> {
    let mut programs: Vec<(&str, Arc<Programs>)> = Vec::new();
    let mut lines = Vec::new();
    let mut ready = VecDeque::new();
    for guest in select(names)? {
        let skip = |skips: &mut Vec<Skip>, lines: &mut Vec<Line>, reason: String| {
            let name = format!("guest {}", guest.name);
            let state = format!("skipped ({reason})");
            skips.push(Skip::new(name.as_str(), reason));
            lines.push(Line { name, state, failed: false, took: Duration::ZERO });
        };
        if let Some(reason) = obstacle(guest.arch) {
            skip(skips, &mut lines, reason);
            continue;
        }
        let kernel = match kernel::get(guest) {
            Ok(kernel) => kernel,
            Err(error) => {
                skip(skips, &mut lines, format!("no kernel: {error:#}"));
                continue;
            }
        };
        if let Some(reason) = &kernel.stale {
            let what = format!("guest {}, a newer kernel", guest.name);
            skips.push(Skip::new(what, format!("using {}: {reason}", kernel.version)));
        }
        let programs = match programs.iter().find(|(arch, _)| *arch == guest.arch.name) {
            Some((_, programs)) => Arc::clone(programs),
            None => {
                let toolchain = match Toolchain::find(guest.arch) {
                    Ok(toolchain) => toolchain,
                    Err(error) => {
                        skip(skips, &mut lines, format!("no compiler: {error:#}"));
                        continue;
                    }
                };
                let built = build::build(workspace, guest.arch, &toolchain, skips)?;
                let built = Arc::new(built);
                programs.push((guest.arch.name, Arc::clone(&built)));
                built
            }
        };
        ready.push_back(Ready { guest, kernel, programs });
    }

    let at_a_time = thread::available_parallelism().map_or(1, usize::from).min(ready.len());
    let queue = Mutex::new(ready);
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let runs = thread::scope(|scope| {
        let work = || std::iter::from_fn(next).map(|ready| boot::boot(workspace, &ready)).collect();
        let workers: Vec<_> = (0..at_a_time).map(|_| scope.spawn(work)).collect();
        let results = workers.into_iter().map(|worker| worker.join());
        results.collect::<Result<Vec<Vec<Run>>, _>>()
    });
    let runs = runs.map_err(|_| anyhow!("a guest's thread panicked"))?;
    for run in runs.into_iter().flatten() {
        skips.extend(run.skips);
        lines.push(run.line);
    }
    let place = |line: &Line| GUESTS.iter().position(|guest| line.name.ends_with(guest.name));
    lines.sort_by_key(place);
    Ok(lines)
}

fn obstacle(arch: &Arch) -> Option<String> {
    if on_path(arch.qemu).is_none() {
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

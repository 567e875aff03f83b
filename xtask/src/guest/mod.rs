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
mod build;
mod cpio;
mod kernel;
mod libtest;
mod qemu;
mod table;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use build::Programs;
use libtest::{News, Results, Verdict};
use qemu::End;
pub use table::GUESTS;
use table::{Arch, Guest, left_out};

use crate::{
    skip::Skip,
    workspace::{Workspace, on_path},
};

/// The longest that a suite may take; the guest as a whole has its own deadline.
const SUITE_SECONDS: u64 = 150;

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

/// Runs guests one after the other: each has two CPUs, and so have small machines.
pub fn run(workspace: &Workspace, names: &[String], skips: &mut Vec<Skip>) -> Result<Vec<Line>> {
    let mut programs: Vec<(&str, Programs)> = Vec::new();
    let mut lines = Vec::new();
    for guest in select(names)? {
        let start = Instant::now();
        let mut line = |state: String, failed: bool| {
            let name = format!("guest {}", guest.name);
            lines.push(Line { name, state, failed, took: start.elapsed() });
        };
        let mut skip = |reason: String| {
            line(format!("skipped ({reason})"), false);
            skips.push(Skip::new(format!("guest {}", guest.name), reason));
        };
        if let Some(reason) = obstacle(guest.arch) {
            skip(reason);
            continue;
        }
        let kernel = match kernel::get(guest) {
            Ok(kernel) => kernel,
            Err(error) => {
                skip(format!("no kernel: {error:#}"));
                continue;
            }
        };
        if let Some(reason) = &kernel.stale {
            let what = format!("guest {}, a newer kernel", guest.name);
            skips.push(Skip::new(what, format!("using {}: {reason}", kernel.version)));
        }
        if !programs.iter().any(|(arch, _)| *arch == guest.arch.name) {
            programs.push((guest.arch.name, build::build(workspace, guest.arch, skips)?));
        }
        let Some((_, programs)) = programs.iter().find(|(arch, _)| *arch == guest.arch.name) else {
            continue;
        };
        match boot(workspace, guest, &kernel, programs, skips) {
            Ok((state, failed)) => line(state, failed),
            Err(error) => line(format!("FAILED: {error:#}"), true),
        }
    }
    Ok(lines)
}

fn obstacle(arch: &Arch) -> Option<String> {
    if on_path(arch.qemu).is_none() {
        return Some(format!("{} is not installed: `cargo xtask setup`", arch.qemu));
    }
    arch.obstacle()
}

/// Runs all suites in one guest; returns its line of the summary.
fn boot(
    workspace: &Workspace,
    guest: &Guest,
    kernel: &kernel::Kernel,
    programs: &Programs,
    skips: &mut Vec<Skip>,
) -> Result<(String, bool)> {
    let folder = workspace.target_dir().join("guest").join(guest.name);
    fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    let (image, console) = (folder.join("initramfs"), folder.join("console"));
    fs::write(&image, archive(guest, programs)?)
        .with_context(|| format!("can't write {}", image.display()))?;
    // Of an earlier run.
    let _ = fs::remove_file(&console);
    for row in programs.suites.iter().flat_map(|suite| left_out(guest.name, &suite.name)) {
        let what = format!("guest {} {}: {}", guest.name, row.suite, row.tests.join(", "));
        skips.push(Skip::new(what, row.why));
    }

    println!("\nguest {} {} (Debian's {})", guest.name, guest.arch.name, kernel.version);
    let start = Instant::now();
    let mut results = Results::default();
    let deadline = guest.deadline;
    let end =
        qemu::run(guest.arch, &kernel.image, &image, &console, deadline, |line| {
            match results.line(line) {
                News::Up { release, uptime } => println!(
                    "Linux {release}, up after {:.1} s ({uptime} s by its own clock)",
                    start.elapsed().as_secs_f64()
                ),
                News::Ended(test) => print_test(guest, &test),
                News::Nothing => {}
            }
        })?;
    let took = start.elapsed();
    Ok(report(guest, &console, &end, &mut results, took, skips))
}

/// Prints the failures and the closing line.
fn report(
    guest: &Guest,
    console: &Path,
    end: &End,
    results: &mut Results,
    took: Duration,
    skips: &mut Vec<Skip>,
) -> (String, bool) {
    if let Some(trouble) = trouble(end, results) {
        let test = libtest::Test { name: "kernel".to_owned(), verdict: Verdict::Failed };
        let output = format!("{trouble}; its console:\n{}", qemu::tail(console));
        results.outputs.push((test.name.clone(), output));
        print_test(guest, &test);
        results.tests.push(test);
    }
    if !results.outputs.is_empty() {
        println!("\nfailures:");
    }
    for (name, output) in &results.outputs {
        println!("\n---- guest::{}::{name} ----\n{}", guest.name, output.trim_end());
    }
    println!("\n{}", results.closing(took));
    for skip in Skip::parse_lines(&results.skips) {
        let skip = Skip::new(format!("guest {} {}", guest.name, skip.what), skip.reason);
        println!("{skip}");
        skips.push(skip);
    }
    let failed = results.count(|verdict| *verdict == Verdict::Failed);
    let passed = results.count(|verdict| *verdict == Verdict::Ok);
    match failed {
        0 => (format!("ok, {passed} passed"), false),
        _ => (format!("FAILED, {passed} passed, {failed} failed"), true),
    }
}

/// What is wrong with the guest itself.
fn trouble(end: &End, results: &Results) -> Option<String> {
    /// An oops, and a warning of the kernel's own code.
    const BAD: u64 = 1 << 7 | 1 << 9;
    let during = match results.running() {
        Some(suite) => format!("during {suite}"),
        None => "between suites".to_owned(),
    };
    match (end, results.done) {
        (End::Deadline(limit), _) => {
            Some(format!("still running after {} s ({during}), killed", limit.as_secs()))
        }
        (End::Stopped, false) => Some(format!("it ended too early ({during})")),
        (End::Stopped, true) => match results.tainted {
            Some(tainted) if tainted & BAD == 0 => None,
            Some(tainted) => Some(format!("the kernel warned (tainted {tainted})")),
            None => Some("the kernel's state is not known".to_owned()),
        },
    }
}

fn print_test(guest: &Guest, test: &libtest::Test) {
    let verdict = match &test.verdict {
        Verdict::Ok => "ok".to_owned(),
        Verdict::Failed => "FAILED".to_owned(),
        Verdict::Ignored(reason) if reason.is_empty() => "ignored".to_owned(),
        Verdict::Ignored(reason) => format!("ignored, {reason}"),
    };
    println!("test guest::{}::{} ... {verdict}", guest.name, test.name);
}

/// The guest's root folder.
fn archive(guest: &Guest, programs: &Programs) -> Result<Vec<u8>> {
    let mut archive = cpio::Archive::new()?;
    archive.copy("/init", &programs.init)?;
    archive.copy("/guest/tracer", &programs.tracer)?;
    // Where the tests look for it.
    archive.copy(&programs.workload.to_string_lossy(), &programs.workload)?;
    if let Some(i386) = &programs.i386 {
        archive.copy("/guest/i386", i386)?;
    }
    for suite in &programs.suites {
        archive.copy(&format!("/suites/{}", suite.name), &suite.path)?;
    }
    archive.file("/guest/plan", plan(guest, programs).as_bytes())?;
    archive.finish()
}

/// What `guest-init` shall do; see there.
fn plan(guest: &Guest, programs: &Programs) -> String {
    let mut plan = format!("results {}\ndeadline {SUITE_SECONDS}\n", guest.arch.results);
    plan += "env TRACER_BIN=/guest/tracer\nenv TRACER_TEST_SLOW=1\n";
    if programs.i386.is_some() {
        plan += "env TRACER_TEST_I386=/guest/i386\n";
    }
    for suite in &programs.suites {
        plan += &format!("suite {}", suite.name);
        let mut rows = left_out(guest.name, &suite.name).peekable();
        if rows.peek().is_some() {
            plan += " --exact";
        }
        for test in rows.flat_map(|row| row.tests) {
            plan += &format!(" --skip {test}");
        }
        plan += "\n";
    }
    plan
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

    #[test]
    fn a_guest_in_trouble_is_a_failure() {
        let results = |done, tainted| {
            let mut results = Results::default();
            (results.done, results.tainted) = (done, tainted);
            results
        };
        assert_eq!(trouble(&End::Stopped, &results(true, Some(0))), None);
        assert_eq!(trouble(&End::Stopped, &results(true, Some(1 << 14))), None);
        for (done, tainted) in [(false, None), (true, None), (true, Some(1 << 9))] {
            assert!(trouble(&End::Stopped, &results(done, tainted)).is_some());
        }
        let late = End::Deadline(Duration::from_secs(9));
        assert!(trouble(&late, &results(true, Some(0))).is_some());
    }
}

//! One guest, from its root folder to its results.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{
    Line, Ready, Run,
    build::Programs,
    cpio,
    libtest::{News, Results, Test, Verdict},
    qemu::{self, End},
    table::{Guest, left_out},
};
use crate::{skip::Skip, workspace::Workspace};

/// The longest that a suite may take; the guest as a whole has its own deadline.
const SUITE_SECONDS: u64 = 240;

/// Runs all suites in one guest.
pub fn boot(workspace: &Workspace, ready: &Ready) -> Run {
    let start = Instant::now();
    let mut skips = Vec::new();
    let (state, failed) = match suites(workspace, ready, &mut skips) {
        Ok(end) => end,
        Err(error) => (format!("FAILED: {error:#}"), true),
    };
    let name = format!("guest {}", ready.guest.name);
    Run { line: Line { name, state, failed, took: start.elapsed() }, skips }
}

fn suites(workspace: &Workspace, ready: &Ready, skips: &mut Vec<Skip>) -> Result<(String, bool)> {
    let Ready { guest, kernel, programs } = ready;
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

    println!("guest {} {}: starting Debian's {}", guest.name, guest.arch.name, kernel.version);
    let start = Instant::now();
    let mut results = Results::default();
    let deadline = guest.deadline;
    let end =
        qemu::run(guest.arch, &kernel.image, &image, &console, deadline, |line| {
            match results.line(line) {
                News::Up { release, uptime } => println!(
                    "guest {}: Linux {release}, up after {:.1} s ({uptime} s by its own clock)",
                    guest.name,
                    start.elapsed().as_secs_f64()
                ),
                News::Ended(test) => print_test(guest, &test),
                News::Nothing => {}
            }
        })?;
    Ok(report(guest, &console, &end, &mut results, start.elapsed(), skips))
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
        let test = Test { name: "kernel".to_owned(), verdict: Verdict::Failed };
        let output = format!("{trouble}; its console:\n{}", qemu::tail(console));
        results.outputs.push((test.name.clone(), output));
        print_test(guest, &test);
        results.tests.push(test);
    }
    // In one piece, since another guest may be printing too.
    let mut text = format!("\nguest {} {}", guest.name, guest.arch.name);
    if !results.outputs.is_empty() {
        text += ", failures:\n";
    }
    for (name, output) in &results.outputs {
        let output = output.trim_end();
        let _ = write!(text, "\n---- guest::{}::{name} ----\n{output}\n", guest.name);
    }
    println!("{text}\n{}\n", results.closing(took));
    for skip in Skip::parse_lines(&results.skips) {
        skips.push(Skip::new(format!("guest {} {}", guest.name, skip.what), skip.reason));
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

fn print_test(guest: &Guest, test: &Test) {
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
    if let Some(compat) = &programs.compat {
        archive.copy(&format!("/guest/{}", guest.arch.compat.name()), compat)?;
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
    // The one hook that every kernel has, unless the caller wants another.
    let hook = std::env::var("TRACER_HOOK").unwrap_or_default();
    let hook = if hook.is_empty() { "raw-tracepoint" } else { &hook };
    plan += &format!("env TRACER_HOOK={hook}\n");
    if programs.compat.is_some() {
        let compat = guest.arch.compat;
        plan += &format!("env {}=/guest/{}\n", compat.variable(), compat.name());
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

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
    suites,
    table::Guest,
};
use crate::{skip::Skip, workspace::Workspace};

/// Runs all suites in one guest.
pub fn boot(workspace: &Workspace, ready: &Ready, only: Option<&str>) -> Run {
    let start = Instant::now();
    let mut skips = Vec::new();
    let mut results = Results::default();
    let (state, failed) = match run(workspace, ready, only, &mut results, &mut skips) {
        Ok(end) => end,
        Err(error) => (format!("FAILED: {error:#}"), true),
    };
    let name = format!("guest {}", ready.guest.name);
    Run { line: Line { name, state, failed, took: start.elapsed() }, skips, results }
}

fn run(
    workspace: &Workspace,
    ready: &Ready,
    only: Option<&str>,
    results: &mut Results,
    skips: &mut Vec<Skip>,
) -> Result<(String, bool)> {
    let Ready { guest, kernel, programs } = ready;
    let folder = workspace.target_dir().join("guest").join(guest.name);
    fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    let (image, console) = (folder.join("initramfs"), folder.join("console"));
    fs::write(&image, archive(guest, programs, only)?)
        .with_context(|| format!("can't write {}", image.display()))?;
    // Of an earlier run.
    let _ = fs::remove_file(&console);
    for row in suites::left_out(guest.name) {
        let what = format!("guest {} options::{}", guest.name, row.module);
        skips.push(Skip::new(format!("{what}: {}", row.tests.join(", ")), row.why));
    }
    if let Some(why) = suites::loading_left_out(guest.name) {
        skips.push(Skip::new(format!("guest {} loading, but the budget", guest.name), why));
    }

    println!("guest {} {}: starting Debian's {}", guest.name, guest.arch.name, kernel.version);
    let start = Instant::now();
    let deadline = guest.deadline;
    let name = guest.name;
    let end =
        qemu::run(guest.arch, &kernel.image, &image, &console, deadline, |line| {
            match results.line(line) {
                News::Up { release, uptime } => println!(
                    "guest {name}: Linux {release}, up after {:.1} s ({uptime} s by its own clock)",
                    start.elapsed().as_secs_f64()
                ),
                News::Attached { section, seconds } => {
                    println!("guest {name}: {section}: attached after {seconds} s");
                }
                News::Finished { section, took } => {
                    println!("guest {name}: {section}: tests finished in {took}");
                }
                News::Ended(test) => print_test(guest, &test),
                News::Nothing => {}
            }
        })?;
    let mut judge = Judge { guest, results };
    judge.guest_itself(&console, &end);
    judge.hooks(skips);
    judge.verified();
    Ok(report(guest, results, start.elapsed(), skips))
}

/// Adds what no test of a suite says.
struct Judge<'a> {
    guest: &'static Guest,
    results: &'a mut Results,
}

impl Judge<'_> {
    fn failed(&mut self, name: String, output: String) {
        let test = Test { name, verdict: Verdict::Failed };
        print_test(self.guest, &test);
        self.results.outputs.push((test.name.clone(), output));
        self.results.tests.push(test);
    }

    /// Whether the guest itself is in trouble.
    fn guest_itself(&mut self, console: &Path, end: &End) {
        let Some(trouble) = trouble(end, self.results) else { return };
        let (said, console) = (self.results.said_last(), qemu::tail(console));
        let text = format!("{trouble}; it said last:\n{said}\nand its console:\n{console}");
        self.failed("kernel".to_owned(), text);
    }

    /// Whether hooks are there, or missing, as the table says.
    fn hooks(&mut self, skips: &mut Vec<Skip>) {
        for hook in suites::HOOKS {
            let missing = suites::missing(self.guest.name, hook.name);
            let refusal = self.results.refusal(hook.name).map(str::to_owned);
            let name = format!("{}::tracer", hook.name);
            let prefix = format!("{}::", hook.name);
            let ran = self.results.tests.iter().any(|test| test.name.starts_with(&prefix));
            match (missing, refusal) {
                (Some(row), Some(said)) if said.contains(row.says) => {
                    let what = format!("guest {} {}", self.guest.name, hook.name);
                    skips.push(Skip::new(what, said.replace('\n', " ")));
                }
                (None, Some(said)) => self.failed(name, said),
                (Some(row), Some(said)) => {
                    let text =
                        format!("it should have spoken of `{}`, and said:\n{said}", row.says);
                    self.failed(name, text);
                }
                (Some(_), None) if ran => {
                    self.failed(name, "is said to be missing here, and works".to_owned());
                }
                (_, None) => {}
            }
        }
    }

    /// Whether programs are small enough.
    fn verified(&mut self) {
        let troubles = self.results.verified.iter().filter_map(|verified| verified.trouble());
        let troubles: Vec<_> = troubles.collect();
        if !troubles.is_empty() {
            self.failed("verified".to_owned(), troubles.join("\n"));
        }
    }
}

/// Prints the failures and the closing line.
fn report(
    guest: &Guest,
    results: &Results,
    took: Duration,
    skips: &mut Vec<Skip>,
) -> (String, bool) {
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
    for (section, line) in &results.skips {
        for skip in Skip::parse_lines(line) {
            let what = format!("guest {} {section} {}", guest.name, skip.what);
            skips.push(Skip::new(what, skip.reason));
        }
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
        None => "outside of sections".to_owned(),
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
fn archive(guest: &Guest, programs: &Programs, only: Option<&str>) -> Result<Vec<u8>> {
    let mut archive = cpio::Archive::new()?;
    archive.copy("/init", &programs.init)?;
    archive.copy("/guest/tracer", &programs.tracer)?;
    // Where the tests look for it.
    archive.copy(&programs.workload.to_string_lossy(), &programs.workload)?;
    if let Some(compat) = &programs.compat {
        archive.copy(&format!("/guest/{}", guest.arch.compat.name()), compat)?;
    }
    archive.copy("/guest/native", &programs.native)?;
    let plan = suites::plan(guest, programs.compat.is_some(), only);
    archive.file("/guest/plan", plan.as_bytes())?;
    archive.finish()
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

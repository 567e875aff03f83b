//! The first process of a guest: makes the system usable, does what its [`plan`] says,
//! says on the channel of results how that went, and powers off.
//!
//! `cargo xtask test --guest` writes the plan and reads the results. What suites print
//! goes to the channel as it is; lines of ours begin with `@guest`. NAME is a section's,
//! HOW is `exit N`, `signal N`, `deadline SECONDS` or `error TEXT`:
//!
//! | line | when |
//! |---|---|
//! | `@guest up RELEASE SECONDS` | everything is mounted |
//! | `@guest section NAME` | a section starts |
//! | `@guest attached NAME SECONDS` | its tracer runs, after this time |
//! | `@guest refused NAME HOW` | it does not; what it said lies before this line |
//! | `@guest suite NAME` | tests start |
//! | `@guest ended NAME HOW` | tests have ended |
//! | `@guest skip NAME LINE` | a line of the file that `TRACER_SKIPS` names |
//! | `@guest stopped NAME HOW` | the tracer has ended; what it said lies before this line, `early` before HOW says that it was too early |
//! | `@guest tainted N` | the kernel's own opinion of its state |
//! | `@guest done` | the last line |

mod children;
mod plan;
mod system;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::fd::AsRawFd as _,
    process::Command,
    time::Instant,
};

use children::Tracer;
use plan::{PLAN, Plan, Section, Step};

const SKIPS: &str = "/tmp/skips";

fn main() {
    if std::process::id() != 1 {
        eprintln!("guest-init: the first process of a guest, and of no other use");
        std::process::exit(2);
    }
    if let Err(error) = serve() {
        // The console: the end marker is missing, so its tail is shown.
        eprintln!("guest-init: {error}");
    }
    system::power_off();
}

fn serve() -> Result<(), String> {
    system::set_up()?;
    let plan = fs::read_to_string(PLAN).map_err(|error| format!("{PLAN}: {error}"))?;
    let plan = Plan::parse(&plan)?;
    let mut results = OpenOptions::new()
        .write(true)
        .open(&plan.results)
        .map_err(|error| format!("{}: {error}", plan.results))?;
    run_all(&plan, &mut results).map_err(|error| format!("{}: {error}", plan.results))
}

fn run_all(plan: &Plan, results: &mut File) -> io::Result<()> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let uptime = uptime.split(' ').next().unwrap_or("?");
    writeln!(results, "@guest up {} {uptime}", release.trim())?;
    for section in &plan.sections {
        writeln!(results, "@guest section {}", section.name)?;
        run(plan, section, results)?;
    }
    let tainted = fs::read_to_string("/proc/sys/kernel/tainted").unwrap_or_default();
    writeln!(results, "@guest tainted {}", tainted.trim())?;
    writeln!(results, "@guest done")?;
    // SAFETY: an open descriptor; waits until the device has sent everything.
    unsafe { libc::tcdrain(results.as_raw_fd()) };
    Ok(())
}

/// Takes the steps of a section, up to a tracer that can't attach.
fn run(plan: &Plan, section: &Section, results: &mut File) -> io::Result<()> {
    let name = &section.name;
    let mut tracer = None;
    for step in &section.steps {
        match step {
            Step::Tracer(words) => {
                let start = Instant::now();
                match Tracer::start(&mut command(plan, section, words)) {
                    Ok(started) => {
                        let seconds = start.elapsed().as_secs_f64();
                        writeln!(results, "@guest attached {name} {seconds:.1}")?;
                        tracer = Some(started);
                    }
                    Err((how, said)) => {
                        return writeln!(results, "{said}\n@guest refused {name} {how}");
                    }
                }
            }
            Step::Suite(words) => {
                writeln!(results, "@guest suite {name}")?;
                let mut command = command(plan, section, words);
                if let Some(tracer) = &tracer {
                    command.env("TRACER_TEST_SHARED_PID", tracer.pid.to_string());
                }
                let how = children::suite(&mut command, results, plan.deadline, tracer.as_mut());
                let how = how.unwrap_or_else(|error| format!("error {error}"));
                // A suite that was killed may have left half a line.
                writeln!(results, "\n@guest ended {name} {how}")?;
                for line in fs::read_to_string(SKIPS).unwrap_or_default().lines() {
                    writeln!(results, "@guest skip {name} {line}")?;
                }
                let _ = fs::remove_file(SKIPS);
            }
            Step::Stop => {
                if let Some(tracer) = tracer.take() {
                    let (how, said) = tracer.stop();
                    writeln!(results, "{said}\n@guest stopped {name} {how}")?;
                }
            }
        }
    }
    Ok(())
}

/// A command with what the plan and the section set for it.
fn command(plan: &Plan, section: &Section, words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        .current_dir("/")
        .env("PATH", "/bin")
        .env("TRACER_SKIPS", SKIPS)
        .envs(plan.env.iter().chain(&section.env).map(|(name, value)| (name, value)));
    command
}

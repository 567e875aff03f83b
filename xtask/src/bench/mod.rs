//! `cargo xtask bench`: what the tracer costs, beside what others cost, as one table.
//!
//! | module | figures |
//! |---|---|
//! | [`cost`] | added per call: traced, not traced, filtered out |
//! | [`floor`] | the least that watching can cost here, by its parts |
//! | [`peers`] | the same under strace, bpftrace and perf trace |
//! | [`replay`] | records decoded and encoded per second |
//! | [`start`] | from exec to attached; memory |
//! | [`delay`] | from the call to the reader |
//! | [`echo`] | a UDP server's requests per second |
//! | [`loss`] | the fastest thread, and whether anything is lost |
//!
//! Every figure is the median of interleaved runs: bare, watched, bare, watched, and so
//! on, each difference between two runs that follow each other, so that what else the
//! machine does falls on both. The workload (`tests/src/bin/bench-workload`) takes its
//! own time, on a CPU of its own; what watches has another one.
//!
//! [`stats`], [`report`], [`watcher`] and [`cpu`] are what the figures share.

mod cost;
mod cpu;
mod delay;
mod echo;
mod floor;
mod loss;
mod peers;
mod replay;
mod report;
mod start;
mod stats;
mod watcher;

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::{
    cargo,
    privilege::Privilege,
    run,
    setup::{self, Part},
    workspace::Workspace,
};
use report::Report;
use watcher::Bench;

/// Where the figures of the machine that made them are kept.
const BASELINE: &str = "tests/bench/baseline.json";

/// What `cargo xtask bench` was told.
#[derive(clap::Args)]
pub struct Options {
    /// Use the machine as it is, install nothing.
    #[arg(long)]
    no_setup: bool,
    /// Fewer and shorter runs: a glance, not a figure to keep.
    #[arg(long)]
    quick: bool,
    /// JSON on stdout instead of the table; installs nothing.
    #[arg(long)]
    json: bool,
    /// Show each figure's ratio to a baseline too [default: tests/bench/baseline.json].
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = BASELINE)]
    compare: Option<PathBuf>,
    /// Keep the figures as a baseline [default: tests/bench/baseline.json].
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = BASELINE)]
    keep: Option<PathBuf>,
    /// Sections to measure; all without.
    #[arg(value_name = "SECTION", value_parser = clap::builder::PossibleValuesParser::new(SECTIONS.iter().map(|section| section.name)))]
    sections: Vec<String>,
    /// The built tracer and workload; set where xtask calls itself as root.
    #[arg(long, hide = true, num_args = 2, value_names = ["TRACER", "WORKLOAD"])]
    programs: Option<Vec<PathBuf>>,
}

/// A part of the suite.
struct Section {
    name: &'static str,
    /// How long it may go on to repeat runs; less than five minutes in all.
    seconds: u64,
    measure: fn(&mut Suite) -> Result<()>,
}

const SECTIONS: &[Section] = &[
    Section { name: "traced", seconds: 85, measure: cost::traced },
    Section { name: "untraced", seconds: 20, measure: cost::untraced },
    Section { name: "floor", seconds: 15, measure: floor::measure },
    Section { name: "peers", seconds: 30, measure: peers::measure },
    Section { name: "replay", seconds: 25, measure: replay::measure },
    Section { name: "start", seconds: 10, measure: start::measure },
    Section { name: "delay", seconds: 15, measure: delay::measure },
    Section { name: "echo", seconds: 30, measure: echo::measure },
    Section { name: "loss", seconds: 65, measure: loss::measure },
];
/// With `--quick`, that part of it.
const QUICK: u32 = 5;

/// What is measured with, and what came of it.
pub struct Suite {
    pub bench: Bench,
    pub report: Report,
    /// Whether a glance will do.
    pub quick: bool,
    /// Pairs of runs for each figure.
    pub rounds: usize,
    /// The length of a run.
    pub millis: u64,
    /// The time for what is measured now.
    time: Duration,
}

impl Suite {
    /// When one of so many figures of a section has to do with the runs that it has.
    pub fn deadline(&self, figures: usize) -> Instant {
        Instant::now() + self.time / u32::try_from(figures.max(1)).unwrap_or(u32::MAX)
    }
}

pub fn main(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    let Some([tracer, workload]) = options.programs.as_deref() else {
        // First, so that nobody waits for a build that can't be used.
        let privilege = Privilege::find()?;
        if !options.no_setup && !options.json {
            // What can't be had is named where it would be measured.
            setup::install(workspace, &[Part::Bench])?;
        }
        let programs = [run::build(workspace, &[])?, build_workload(workspace)?];
        return again_as_root(workspace, &privilege, &programs);
    };
    let (tracer, workload) = (tracer.clone(), workload.clone());
    // Read first: a baseline that can't be read is better known now.
    let baseline = match &options.compare {
        Some(path) => Some(Report::read(&workspace.root.join(path))?),
        None => None,
    };
    let (cpu, other) = cpu::choose().context("the CPUs of this process")?;
    let folder = TempDir::new().context("no temporary folder")?;
    let mut suite = Suite {
        bench: Bench { tracer, workload, cpu, other, folder },
        report: Report::new(version(workspace)),
        quick: options.quick,
        rounds: if options.quick { 3 } else { 7 },
        millis: if options.quick { 50 } else { 120 },
        time: Duration::ZERO,
    };
    for Section { name, seconds, measure } in SECTIONS {
        let wanted = options.sections.is_empty() || options.sections.iter().any(|s| s == name);
        let time = Duration::from_secs(*seconds);
        suite.time = if options.quick { time / QUICK } else { time };
        // One section that can't be measured keeps nobody from the others.
        if wanted && let Err(error) = measure(&mut suite) {
            suite.report.skip(*name, format!("{error:#}"));
        }
    }
    let report = &suite.report;
    if options.json {
        println!("{}", serde_json::to_string_pretty(report)?);
    } else {
        print_table(report, baseline.as_ref());
    }
    if let Some(path) = &options.keep {
        report.write(&workspace.root.join(path))?;
    }
    if report.rows.is_empty() {
        bail!("nothing could be measured");
    }
    Ok(ExitCode::SUCCESS)
}

fn print_table(report: &Report, baseline: Option<&Report>) {
    println!("{}, {}", report.version, report.machine);
    if let Some(baseline) = baseline {
        println!("baseline: {}, {}", baseline.version, baseline.machine);
    }
    println!("\n{}", report.table(baseline));
}

fn build_workload(workspace: &Workspace) -> Result<PathBuf> {
    let args = ["build", "--release", "--locked", "--package", "tests", "--bin", "bench-workload"];
    let built = cargo::build(workspace, &args)?;
    let found = built.into_iter().find(|executable| executable.name == "bench-workload");
    Ok(found.context("cargo built no bench-workload")?.path)
}

/// tracefs and debugfs, which some tracers need, where nobody has mounted them: for
/// the suite alone. A kernel without them is for those tracers to complain of.
const MOUNT: &str = r#"
mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug
mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing
exec "$@""#;

/// The same command as root, in a mount namespace of its own, with what was built as
/// the caller.
fn again_as_root(
    workspace: &Workspace,
    privilege: &Privilege,
    programs: &[PathBuf; 2],
) -> Result<ExitCode> {
    let own = std::env::current_exe().context("xtask's own path")?;
    let root = workspace.root.join("xtask");
    let mut command = privilege.command("unshare", &[("CARGO_MANIFEST_DIR", root.as_os_str())]);
    command.args(["--mount", "sh", "-c", MOUNT, "sh"]).arg(own);
    command.args(std::env::args_os().skip(1)).arg("--programs").args(programs);
    let status = command.status().context("can't start unshare(1)")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is measured, as git names it.
fn version(workspace: &Workspace) -> String {
    let mut git = std::process::Command::new("git");
    git.args(["describe", "--always", "--dirty"]).current_dir(&workspace.root);
    cargo::output_of(&mut git).map_or_else(|_| "unknown".to_owned(), |said| said.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_minutes_at_most() {
        assert!(SECTIONS.iter().map(|section| section.seconds).sum::<u64>() < 300);
    }
}

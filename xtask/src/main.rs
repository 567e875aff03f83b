//! Every chore of the project, as `cargo xtask CMD`.
//!
//! | command | module | what it does |
//! |---|---|---|
//! | `setup` | [`setup`] | installs what the object and the tests need |
//! | `ebpf` | [`ebpf`] | builds the committed eBPF object, or checks it |
//! | `docs` | [`docs`] | writes what documentation is made from the code, or checks it |
//! | `run` | [`run`] | builds the tracer and runs it as root |
//! | `dist` | [`dist`] | makes the packages, with all that goes into them |
//! | `bench` | [`bench`] | what the tracer costs, beside what others cost |
//! | `soak` | [`soak`] | the tracer as a service under mixed load, for long |
//! | `fuzz` | [`fuzz`] | the parsers under libFuzzer |
//! | `test` | [`test`] | every test group, with named skips; [`guest`] kernels among them |
//!
//! A chore is a module with one entry function, and one variant of [`Chore`].
//! What chores share lies beside them: [`workspace`] (where things are),
//! [`cargo`] (calling cargo without what an outer cargo left behind),
//! [`privilege`] (root, sudo or neither) and [`skip`] (what was left out, and why).

mod bench;
mod cargo;
mod dist;
mod docs;
mod ebpf;
mod fuzz;
mod guest;
mod metadata;
mod privilege;
mod run;
mod setup;
mod skip;
mod soak;
mod supply;
mod test;
mod workspace;

use std::{ffi::OsString, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};
use workspace::Workspace;

/// Chores of the tracer workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Install what building the eBPF object and running all tests need.
    Setup {
        /// Only say what is missing; exit with 1 where something is.
        #[arg(long)]
        check: bool,
    },
    /// Build the eBPF object that the tracer embeds, and its BUILD-INFO.
    Ebpf {
        /// Hold the committed object against its sources instead.
        #[arg(long)]
        check: bool,
    },
    /// Write the documentation that is made from the code: events, findings, fields of
    /// filters, JSON Schemas.
    Docs {
        /// Hold the committed files against the code instead.
        #[arg(long)]
        check: bool,
    },
    /// Build the tracer (release) and run it as root.
    Run {
        /// The tracer's arguments, passed on unchanged.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Make what is handed out, under target/dist: a .deb, an .rpm, a static program for images.
    Dist(dist::Options),
    /// Measure what the tracer costs, as root: one table.
    Bench(bench::Options),
    /// Trace as a service under mixed load for long, as root: what grows, and what is lost.
    Soak(soak::Options),
    /// Fuzz the parsers with libFuzzer: all targets, or those named.
    Fuzz(fuzz::Options),
    /// Run the test groups; with names, only those.
    Test {
        /// Use the machine as it is, install nothing.
        #[arg(long)]
        no_setup: bool,
        /// Run the suites on guest kernels: all, or those named (5.10, 6.1, 6.12,
        /// 6.1-arm64, 6.12-arm64).
        #[arg(long, value_name = "NAME", num_args = 0..)]
        guest: Option<Vec<String>>,
        /// Put the guests' tables of results into tracer/docs/KERNELS.md.
        #[arg(long, requires = "guest")]
        write_results: bool,
        /// In guests run only the tests whose names have this in them, with every hook;
        /// there are no tables then.
        #[arg(long, value_name = "NAME", requires = "guest", conflicts_with = "write_results")]
        only: Option<String>,
        /// Groups to run: fmt, clippy, supply, ebpf, unit, fuzz, native, guest.
        #[arg(value_name = "GROUP")]
        groups: Vec<String>,
    },
}

fn main() -> ExitCode {
    match dispatch(Cli::parse().chore) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(chore: Chore) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    match chore {
        Chore::Setup { check } => setup::main(&workspace, check),
        Chore::Ebpf { check: false } => ebpf::write(&workspace),
        Chore::Ebpf { check: true } => ebpf::check_and_report(&workspace),
        Chore::Docs { check } => docs::main(&workspace, check),
        Chore::Dist(options) => dist::main(&workspace, &options),
        Chore::Bench(options) => bench::main(&workspace, &options),
        Chore::Soak(options) => soak::main(&workspace, &options),
        Chore::Fuzz(options) => fuzz::main(&workspace, &options),
        Chore::Run { args } => run::main(&workspace, &args),
        Chore::Test { no_setup, guest, write_results, only, groups } => {
            let selection = test::Selection::new(groups, guest)?.writing_results(write_results)?;
            let selection = selection.only(only);
            test::main(&workspace, no_setup, &selection)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn run_args(command_line: &[&str]) -> Vec<OsString> {
        let full = ["cargo xtask", "run"].iter().chain(command_line);
        match Cli::try_parse_from(full).expect("parses").chore {
            Chore::Run { args } => args,
            _ => panic!("not the run chore"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_passes_arguments_unchanged() {
        assert_eq!(
            run_args(&["--", "--event", "recvmmsg", "--", "ls", "--help"]),
            ["--event", "recvmmsg", "--", "ls", "--help"]
        );
        assert_eq!(run_args(&["--", "list", "-o", "json"]), ["list", "-o", "json"]);
        assert_eq!(run_args(&["--event", "recvmmsg"]), ["--event", "recvmmsg"]);
        assert_eq!(run_args(&["--", "--", "ls"]), ["--", "ls"]);
        assert!(run_args(&[]).is_empty());
    }
}

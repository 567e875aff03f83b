//! `cargo xtask fuzz`: the parsers under libFuzzer.
//!
//! | module | what it does |
//! |---|---|
//! | [`build`] | the instrumented targets, or why they can't be had here |
//! | [`run`] | one target for a while, or on one input; what it found |
//!
//! Stable Rust will do: what cargo-fuzz adds to a build are code generation flags and
//! libFuzzer itself, which is a dependency of package `tracer-fuzz` and takes a C++
//! compiler. The package's layout is cargo-fuzz's, so that `cargo fuzz run NAME` works
//! in folder `tests` for those who have it and a nightly (for sanitizers).

mod build;
mod run;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::{
    cargo,
    skip::Skip,
    test::{Outcome, Selection, programs},
    workspace::Workspace,
};

/// Seconds for each target as a part of the tests.
const SECONDS_OF_TESTS: u64 = 5;

/// A fuzz target.
struct Target {
    name: &'static str,
    /// Longest input that is tried.
    max_len: usize,
    /// Longest input that is kept: the repository is no place for megabytes.
    kept_len: usize,
}

const TARGETS: &[Target] = &[
    Target { name: "record", max_len: 8 << 10, kept_len: 768 },
    Target { name: "decode", max_len: 8 << 10, kept_len: 768 },
    Target { name: "control", max_len: 512, kept_len: 256 },
    Target { name: "filter", max_len: 512, kept_len: 128 },
    Target { name: "recording", max_len: 16 << 10, kept_len: 512 },
];

/// What `cargo xtask fuzz` was told.
#[derive(clap::Args)]
pub struct Options {
    /// How long each target runs.
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// Afterwards make tests/fuzz/corpus the fewest inputs that cover what is covered
    /// now.
    #[arg(long)]
    keep: bool,
    /// Run the one target that is named on this input alone.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["keep", "seconds"])]
    input: Option<PathBuf>,
    /// Targets: record, decode, control, filter, recording; all without.
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

/// `cargo xtask fuzz`
pub fn main(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    let targets = select(&options.targets)?;
    if let Some(reason) = build::lacks() {
        bail!("{reason}");
    }
    let fuzz = Fuzz::build(workspace)?;
    if let Some(input) = &options.input {
        let [target] = targets.as_slice() else { bail!("--input takes the name of one target") };
        let harmless = fuzz.replay(target, input)?;
        return Ok(if harmless { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let seeds = Seeds::write(workspace)?;
    let work = workspace.target_dir().join("fuzz-corpus");
    let mut finds = 0;
    for target in targets {
        let work = work.join(target.name);
        fs::create_dir_all(&work).with_context(|| format!("can't make {}", work.display()))?;
        finds += fuzz.run(target, options.seconds, &work, &seeds.of(target), run::Output::Shown)?;
        if options.keep {
            fuzz.keep(target, &[&work, &seeds.of(target)])?;
        }
    }
    Ok(if finds == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The test group `fuzz`: the kept corpus, then a few seconds from there.
pub fn test(workspace: &Workspace, _: &Selection, _: &mut Vec<Skip>) -> Result<Outcome> {
    if let Some(reason) = build::lacks() {
        return Ok(Outcome::Skipped(reason));
    }
    let fuzz = Fuzz::build(workspace)?;
    let seeds = Seeds::write(workspace)?;
    let mut failed = Vec::new();
    for target in TARGETS {
        // What earlier runs found is not read, so that each takes as long.
        let work = TempDir::new().context("no temporary folder")?;
        let seeds = seeds.of(target);
        if fuzz.run(target, SECONDS_OF_TESTS, work.path(), &seeds, run::Output::Last)? > 0 {
            failed.push(target.name);
        }
    }
    if !failed.is_empty() {
        bail!("finds in {}", failed.join(", "));
    }
    Ok(Outcome::Ok)
}

/// The targets called `names`; all without names.
fn select(names: &[String]) -> Result<Vec<&'static Target>> {
    let known = |name: &String| TARGETS.iter().any(|target| target.name == name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        let known: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        bail!("no fuzz target `{unknown}`: there are {}", known.join(", "));
    }
    let wanted = |target: &&Target| names.is_empty() || names.iter().any(|n| n == target.name);
    Ok(TARGETS.iter().filter(wanted).collect())
}

/// The targets, built, and where their files lie.
struct Fuzz {
    programs: Vec<(&'static str, PathBuf)>,
    /// tests/fuzz
    folder: PathBuf,
}

impl Fuzz {
    fn build(workspace: &Workspace) -> Result<Self> {
        let folder = workspace.root.join("tests/fuzz");
        Ok(Self { programs: build::build(workspace)?, folder })
    }

    fn program(&self, target: &Target) -> Result<&Path> {
        let found = self.programs.iter().find(|(name, _)| *name == target.name);
        let (_, path) = found.with_context(|| format!("cargo built no target {}", target.name))?;
        Ok(path)
    }

    fn corpus(&self, target: &Target) -> PathBuf {
        self.folder.join("corpus").join(target.name)
    }
}

/// What each target begins with, made from the golden recordings.
struct Seeds(TempDir);

impl Seeds {
    fn write(workspace: &Workspace) -> Result<Self> {
        let folder = TempDir::new().context("no temporary folder")?;
        let (mut test, _) = programs::command(workspace)?;
        test.args(["--quiet", "--test", "corpus"]);
        test.args(["--", "--exact", "seeds_are_written_where_asked_for"]);
        cargo::output_of(test.env("SEED_CORPUS", folder.path()))?;
        Ok(Self(folder))
    }

    fn of(&self, target: &Target) -> PathBuf {
        self.0.path().join(target.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_by_name() {
        let names = |filter: &[&str]| {
            let filter: Vec<_> = filter.iter().map(|name| (*name).to_owned()).collect();
            select(&filter).map(|found| found.iter().map(|target| target.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["filter", "record"]).expect("two"), ["record", "filter"]);
        assert_eq!(names(&[]).expect("all").len(), TARGETS.len());
        assert!(names(&["files"]).expect_err("unknown").to_string().contains("record, decode"));
    }

    #[test]
    fn every_target_has_a_program_and_a_corpus() {
        let workspace = Workspace::find().expect("a workspace");
        let folder = workspace.root.join("tests/fuzz");
        for kind in ["fuzz_targets", "corpus"] {
            let entries = fs::read_dir(folder.join(kind)).expect(kind);
            let mut found: Vec<_> = entries
                .map(|entry| entry.expect(kind).path().file_stem().expect("a name").to_owned())
                .collect();
            let mut names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            found.sort_unstable();
            names.sort_unstable();
            assert_eq!(found, names, "{kind}");
        }
    }
}

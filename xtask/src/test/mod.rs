//! `cargo xtask test`: every group of tests, one after the other.
//!
//! A group that fails does not keep the others from running, and one that can't run
//! here is named with the reason. The runners' own lines go straight to the terminal.

mod groups;
mod native;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use groups::{GROUPS, Group};

use crate::{
    setup::{self, Missing, Part},
    skip::Skip,
    workspace::Workspace,
};

/// How a group ended, if it did not fail.
pub enum Outcome {
    Ok,
    /// It could not run at all, and why.
    Skipped(String),
}

struct Line {
    group: &'static str,
    state: String,
    took: Duration,
}

pub fn main(workspace: &Workspace, no_setup: bool, filter: &[String]) -> Result<ExitCode> {
    let groups = select(filter)?;
    let mut skips = Vec::new();
    if !no_setup {
        skips = set_up(workspace, &groups)?.iter().map(Missing::as_skip).collect();
    }

    let mut lines = Vec::new();
    let mut failed = false;
    for group in groups {
        println!("\n== {}: {}", group.name, group.what);
        let start = Instant::now();
        let before = skips.len();
        let state = match (group.run)(workspace, &mut skips) {
            Ok(Outcome::Ok) => match skips.len() - before {
                0 => "ok".to_owned(),
                count => format!("ok, {count} left out (see above)"),
            },
            Ok(Outcome::Skipped(reason)) => {
                let state = format!("skipped ({reason})");
                skips.push(Skip::new(group.name, reason));
                state
            }
            Err(error) => {
                failed = true;
                eprintln!("xtask: {}: {error:#}", group.name);
                "FAILED".to_owned()
            }
        };
        lines.push(Line { group: group.name, state, took: start.elapsed() });
    }

    println!("\n== summary");
    for skip in &skips {
        println!("{skip}");
    }
    for Line { group, state, took } in &lines {
        println!("{group:<8} {:>6.1} s  {state}", took.as_secs_f64());
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Installs what the groups need; what can't be had is theirs to skip.
fn set_up(workspace: &Workspace, groups: &[&Group]) -> Result<Vec<Missing>> {
    let needed = |part: &&Part| groups.iter().any(|group| group.needs.contains(part));
    let parts: Vec<Part> = Part::ALL.iter().filter(needed).copied().collect();
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<_> = parts.iter().map(|part| part.name()).collect();
    println!("== setup: {}", names.join(", "));
    setup::install(workspace, &parts)
}

/// The groups called `filter`, in their own order; all without a filter.
fn select(filter: &[String]) -> Result<Vec<&'static Group>> {
    if let Some(unknown) =
        filter.iter().find(|name| GROUPS.iter().all(|group| group.name != name.as_str()))
    {
        let names: Vec<_> = GROUPS.iter().map(|group| group.name).collect();
        bail!("no test group `{unknown}`: there are {}", names.join(", "));
    }
    let selected =
        |group: &&Group| filter.is_empty() || filter.iter().any(|name| name.as_str() == group.name);
    Ok(GROUPS.iter().filter(selected).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(filter: &[&str]) -> Result<Vec<&'static str>> {
        let filter: Vec<String> = filter.iter().map(|&name| name.to_owned()).collect();
        Ok(select(&filter)?.iter().map(|group| group.name).collect())
    }

    #[test]
    fn all_groups_without_a_filter() {
        assert_eq!(names(&[]).expect("all"), ["fmt", "clippy", "ebpf", "unit", "native"]);
    }

    #[test]
    fn a_filter_keeps_the_order_of_the_groups() {
        assert_eq!(names(&["unit", "fmt", "unit"]).expect("two"), ["fmt", "unit"]);
    }

    #[test]
    fn an_unknown_group_is_an_error_that_names_the_known() {
        let error = names(&["fmt", "units"]).expect_err("unknown").to_string();
        assert_eq!(error, "no test group `units`: there are fmt, clippy, ebpf, unit, native");
    }
}

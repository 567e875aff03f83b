//! `cargo xtask test`: every group of tests, one after the other.
//!
//! A group that fails does not keep the others from running, and one that can't run
//! here is named with the reason. The runners' own lines go straight to the terminal.

mod groups;
mod native;
pub mod programs;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use groups::{GROUPS, Group};

use crate::{
    guest,
    setup::{self, Missing, Part},
    skip::Skip,
    workspace::Workspace,
};

/// How a group ended, if it did not fail.
pub enum Outcome {
    Ok,
    /// It could not run at all, and why.
    Skipped(String),
    /// It has parts, each with an end of its own.
    Parts(Vec<guest::Line>),
}

/// What to run.
#[derive(Debug)]
pub struct Selection {
    groups: Vec<String>,
    /// Guests of the group `guest`; all where there are none.
    pub guests: Vec<String>,
    /// Whether the group `guest` writes its tables into the documentation.
    pub write_results: bool,
    /// What the names of tests in guests must have in them.
    pub only: Option<String>,
}

impl Selection {
    /// Naming guests, or none with `--guest`, chooses their group. An error where
    /// there is no guest of a name.
    pub fn new(mut groups: Vec<String>, guests: Option<Vec<String>>) -> Result<Self> {
        if let Some(guests) = &guests {
            guest::check_names(guests)?;
            groups.push("guest".to_owned());
        }
        Ok(Self { groups, guests: guests.unwrap_or_default(), write_results: false, only: None })
    }

    /// The same, with the tables of results written down or not. An error where that
    /// would write a part of them.
    pub fn writing_results(self, write_results: bool) -> Result<Self> {
        let whole = self.guests.is_empty() && self.groups.iter().any(|group| group == "guest");
        if write_results && !whole {
            bail!("--write-results is about all guests: give it with --guest, without names");
        }
        Ok(Self { write_results, ..self })
    }

    /// The same for the tests of guests that have this in their names.
    pub fn only(self, only: Option<String>) -> Self {
        Self { only, ..self }
    }
}

struct Line {
    name: String,
    state: String,
    took: Duration,
}

pub fn main(workspace: &Workspace, no_setup: bool, selection: &Selection) -> Result<ExitCode> {
    let groups = select(&selection.groups)?;
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
        let state = match (group.run)(workspace, selection, &mut skips) {
            Ok(Outcome::Ok) => ok(skips.len() - before),
            Ok(Outcome::Parts(parts)) => {
                let bad = parts.iter().any(|part| part.failed);
                failed |= bad;
                lines.extend(parts.into_iter().map(|guest::Line { name, state, took, .. }| Line {
                    name,
                    state,
                    took,
                }));
                if bad { "FAILED".to_owned() } else { ok(skips.len() - before) }
            }
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
        lines.push(Line { name: group.name.to_owned(), state, took: start.elapsed() });
    }

    println!("\n== summary");
    for skip in &skips {
        println!("{skip}");
    }
    for Line { name, state, took } in &lines {
        println!("{name:<10} {:>6.1} s  {state}", took.as_secs_f64());
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn ok(left_out: usize) -> String {
    match left_out {
        0 => "ok".to_owned(),
        count => format!("ok, {count} left out (see above)"),
    }
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
    fn without_a_filter_all_groups() {
        assert_eq!(
            names(&[]).expect("all"),
            ["fmt", "clippy", "supply", "ebpf", "unit", "fuzz", "native", "guest"]
        );
    }

    #[test]
    fn a_filter_keeps_the_order_of_the_groups() {
        assert_eq!(names(&["unit", "fmt", "unit"]).expect("two"), ["fmt", "unit"]);
    }

    #[test]
    fn an_unknown_group_is_an_error_that_names_the_known() {
        let error = names(&["fmt", "units"]).expect_err("unknown").to_string();
        assert_eq!(
            error,
            "no test group `units`: there are fmt, clippy, supply, ebpf, unit, fuzz, native, guest"
        );
    }

    #[test]
    fn naming_guests_chooses_their_group() {
        let guests = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
        let selection = Selection::new(Vec::new(), guests(&["6.1"])).expect("a guest");
        assert_eq!(
            (selection.groups, selection.guests),
            (vec!["guest".into()], vec!["6.1".into()])
        );
        let selection = Selection::new(vec!["fmt".into()], guests(&[])).expect("all guests");
        assert_eq!(selection.groups, ["fmt", "guest"]);
        assert!(selection.guests.is_empty());
        assert!(Selection::new(Vec::new(), None).expect("everything").groups.is_empty());
        assert!(Selection::new(Vec::new(), guests(&["5.9"])).is_err());
    }
}

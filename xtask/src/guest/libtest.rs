//! What a guest says, line by line, into results of tests with names.
//!
//! Lines of the guest's first process begin with `@guest` (see `guest-init` in the
//! tests crate); the others are what libtest prints for people.

use std::time::Duration;

use super::verified::Verified;

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Ok,
    Failed,
    /// With the reason, where the test gives one.
    Ignored(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// `section::test`
    pub name: String,
    pub verdict: Verdict,
}

/// What a line meant for whoever watches.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// The guest's kernel, and how long it took to start by its own clock.
    Up { release: String, uptime: String },
    /// A section's tracer is attached, after this many seconds.
    Attached { section: String, seconds: String },
    /// A section's tests have ended, after this time by libtest's clock.
    Finished { section: String, took: String },
    /// A test that ended.
    Ended(Test),
    /// Nothing to say.
    Nothing,
}

/// Everything that a guest has said.
#[derive(Debug, Default)]
pub struct Results {
    pub tests: Vec<Test>,
    /// Failed tests' output, by `section::test`.
    pub outputs: Vec<(String, String)>,
    /// Tracers that could not attach: the section, and what they said.
    pub refused: Vec<(String, String)>,
    /// Lines as tests append them to `TRACER_SKIPS`, by section.
    pub skips: Vec<(String, String)>,
    /// Lines `@verified …`.
    pub verified: Vec<Verified>,
    /// Tests that libtest was told to leave out.
    pub filtered: usize,
    /// `/proc/sys/kernel/tainted`
    pub tainted: Option<u64>,
    /// Whether the last line came.
    pub done: bool,
    section: Option<Section>,
}

/// The section that runs.
#[derive(Debug, Default)]
struct Section {
    name: String,
    /// What was printed outside of tests' results.
    said: Vec<String>,
    /// Tests run, and libtest's closing line did not come yet.
    open: bool,
    failed: usize,
    /// Output of a failed test is being printed: its place in `outputs`.
    printing: Option<usize>,
}

impl Section {
    /// A test's name below the guest: some sections are called as the tests' module is.
    fn full(&self, test: &str) -> String {
        let own = test.strip_prefix(&self.name).is_some_and(|rest| rest.starts_with("::"));
        if own { test.to_owned() } else { format!("{}::{test}", self.name) }
    }
}

impl Results {
    /// Takes a line.
    pub fn line(&mut self, line: &str) -> News {
        let line = line.trim_end_matches(['\r', '\n']);
        // libtest may be in the middle of a line of its own.
        if let Some((_, verified)) = line.split_once("@verified ") {
            self.verified.extend(Verified::parse(verified));
            return News::Nothing;
        }
        match line.strip_prefix("@guest ") {
            Some(ours) => self.ours(ours),
            None => self.theirs(line),
        }
    }

    fn ours(&mut self, line: &str) -> News {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (name, what) = rest.split_once(' ').unwrap_or((rest, "?"));
        match word {
            "up" => return News::Up { release: name.to_owned(), uptime: what.to_owned() },
            "section" => {
                self.section = Some(Section { name: rest.to_owned(), ..Section::default() });
            }
            "attached" => {
                return News::Attached { section: name.to_owned(), seconds: what.to_owned() };
            }
            "refused" => {
                let said = self.take_said();
                self.refused.push((name.to_owned(), format!("{said}\n(the tracer: {what})")));
            }
            "suite" => {
                let section = self.section.get_or_insert_default();
                (section.open, section.failed) = (true, 0);
            }
            "ended" => return self.ended(what),
            "stopped" => return self.stopped(what),
            "skip" => self.skips.push((name.to_owned(), what.to_owned())),
            "tainted" => self.tainted = rest.parse().ok(),
            "done" => (self.done, self.section) = (true, None),
            _ => {}
        }
        News::Nothing
    }

    /// The suites' end is a failed test of the section's name, unless libtest said all.
    fn ended(&mut self, how: &str) -> News {
        let Some(section) = &mut self.section else { return News::Nothing };
        let expected = if section.failed > 0 { "exit 101" } else { "exit 0" };
        let closed = !std::mem::take(&mut section.open);
        let said = self.take_said();
        if closed && how == expected {
            return News::Nothing;
        }
        let how = match how.split_once(' ') {
            Some(("deadline", seconds)) => format!("still running after {seconds} s, killed"),
            _ => format!("ended with {how}"),
        };
        self.failed("suite", format!("the suite {how}; it said:\n{said}"))
    }

    /// A tracer that did not end as it should is a failed test too.
    fn stopped(&mut self, how: &str) -> News {
        let said = self.take_said();
        if how == "exit 0" {
            return News::Nothing;
        }
        self.failed("tracer", format!("the shared tracer ended with {how}; it said:\n{said}"))
    }

    /// What a section's tracer said that could not attach.
    pub fn refusal(&self, section: &str) -> Option<&str> {
        let refused = self.refused.iter().find(|(name, _)| name == section);
        refused.map(|(_, said)| said.as_str())
    }

    /// Why a section's test, or a module around it, left itself out.
    pub fn skip_of(&self, section: &str, test: &str) -> Option<&str> {
        self.skips.iter().filter(|(name, _)| name == section).find_map(|(_, line)| {
            let (what, reason) = line.strip_prefix("SKIP native::")?.split_once(": ")?;
            let rest = test.strip_prefix(what)?;
            (rest.is_empty() || rest.starts_with("::")).then_some(reason)
        })
    }

    fn take_said(&mut self) -> String {
        let said = self.section.as_mut().map(|section| std::mem::take(&mut section.said));
        said.unwrap_or_default().join("\n")
    }

    /// A failure of the running section that no test of its own names.
    fn failed(&mut self, what: &str, output: String) -> News {
        let name = format!("{}::{what}", self.running().unwrap_or("?"));
        self.outputs.push((name.clone(), output));
        self.test(name, Verdict::Failed)
    }

    fn test(&mut self, name: String, verdict: Verdict) -> News {
        let test = Test { name, verdict };
        self.tests.push(test.clone());
        News::Ended(test)
    }

    fn theirs(&mut self, line: &str) -> News {
        let Some(section) = &mut self.section else { return News::Nothing };
        if let Some(counts) = line.strip_prefix("test result: ") {
            section.open = false;
            section.printing = None;
            self.filtered += count(counts, "filtered out").unwrap_or(0);
            let took = counts.rsplit_once("finished in ").map_or("?", |(_, took)| took);
            return News::Finished { section: section.name.clone(), took: took.to_owned() };
        }
        if let Some((name, verdict)) = test_line(line) {
            let name = section.full(name);
            section.failed += usize::from(verdict == Verdict::Failed);
            return self.test(name, verdict);
        }
        if let Some(name) = line
            .strip_prefix("---- ")
            .and_then(|rest| rest.strip_suffix(" ----"))
            .and_then(|rest| rest.split(' ').next())
        {
            section.printing = Some(self.outputs.len());
            self.outputs.push((section.full(name), String::new()));
        } else if line == "failures:" {
            section.printing = None;
        } else if let Some((_, output)) = section.printing.and_then(|at| self.outputs.get_mut(at)) {
            output.push_str(line);
            output.push('\n');
        } else if !line.is_empty() {
            section.said.push(line.to_owned());
        }
        News::Nothing
    }

    /// How many tests ended so.
    pub fn count(&self, wanted: impl Fn(&Verdict) -> bool) -> usize {
        self.tests.iter().filter(|test| wanted(&test.verdict)).count()
    }

    /// The closing line in the form of cargo's.
    pub fn closing(&self, took: Duration) -> String {
        let failed = self.count(|verdict| *verdict == Verdict::Failed);
        format!(
            "test result: {}. {} passed; {failed} failed; {} ignored; 0 measured; \
             {} filtered out; finished in {:.2}s",
            if failed == 0 { "ok" } else { "FAILED" },
            self.count(|verdict| *verdict == Verdict::Ok),
            self.count(|verdict| matches!(verdict, Verdict::Ignored(_))),
            self.filtered,
            took.as_secs_f64()
        )
    }

    /// The section that runs, or ran when the guest ended.
    pub fn running(&self) -> Option<&str> {
        self.section.as_ref().map(|section| section.name.as_str())
    }

    /// What was said outside of tests' results since the last end of anything.
    pub fn said_last(&self) -> String {
        let said = self.section.as_ref().map(|section| section.said.as_slice()).unwrap_or_default();
        said[said.len().saturating_sub(20)..].join("\n")
    }
}

/// `test NAME ... VERDICT`, with nothing printed into it.
fn test_line(line: &str) -> Option<(&str, Verdict)> {
    let (name, verdict) = line.strip_prefix("test ")?.split_once(" ... ")?;
    // libtest says how a `#[should_panic]` test is meant to end.
    let name = name.strip_suffix(" - should panic").unwrap_or(name);
    let verdict = match verdict.split_once(", ").unwrap_or((verdict, "")) {
        ("ok", "") => Verdict::Ok,
        ("FAILED", "") => Verdict::Failed,
        ("ignored", reason) => Verdict::Ignored(reason.to_owned()),
        _ => return None,
    };
    Some((name, verdict))
}

/// `N` of `…; N what; …`
fn count(counts: &str, what: &str) -> Option<usize> {
    counts.split("; ").find_map(|part| part.strip_suffix(what)?.trim().parse().ok())
}

#[cfg(test)]
mod tests;

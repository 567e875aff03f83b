//! What a guest says, line by line, into results of tests with names.
//!
//! Lines of the guest's first process begin with `@guest` (see `guest-init` in the
//! tests crate); the others are what libtest prints for people.

use std::time::Duration;

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
    /// `suite::test`
    pub name: String,
    pub verdict: Verdict,
}

/// What a line meant for whoever watches.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// The guest's kernel, and how long it took to start by its own clock.
    Up { release: String, uptime: String },
    /// Tests that ended.
    Ended(Test),
    /// Nothing to say.
    Nothing,
}

/// Everything that a guest has said.
#[derive(Debug, Default)]
pub struct Results {
    pub tests: Vec<Test>,
    /// Failed tests' output, by `suite::test`.
    pub outputs: Vec<(String, String)>,
    /// Lines as tests append them to `TRACER_SKIPS`.
    pub skips: String,
    /// Tests that libtest was told to leave out.
    pub filtered: usize,
    /// `/proc/sys/kernel/tainted`
    pub tainted: Option<u64>,
    /// Whether the last line came.
    pub done: bool,
    suite: Option<Suite>,
}

/// The suite that runs.
#[derive(Debug)]
struct Suite {
    name: String,
    /// What it printed outside of tests' results.
    said: Vec<String>,
    /// libtest's closing line came.
    closed: bool,
    failed: usize,
    /// Output of a failed test is being printed: its place in `outputs`.
    printing: Option<usize>,
}

impl Results {
    /// Takes a line.
    pub fn line(&mut self, line: &str) -> News {
        let line = line.trim_end_matches(['\r', '\n']);
        match line.strip_prefix("@guest ") {
            Some(ours) => self.ours(ours),
            None => self.theirs(line),
        }
    }

    fn ours(&mut self, line: &str) -> News {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "up" => {
                let (release, uptime) = rest.split_once(' ').unwrap_or((rest, "?"));
                return News::Up { release: release.to_owned(), uptime: uptime.to_owned() };
            }
            "suite" => {
                self.suite = Some(Suite {
                    name: rest.to_owned(),
                    said: Vec::new(),
                    closed: false,
                    failed: 0,
                    printing: None,
                });
            }
            "ended" => {
                let (_, how) = rest.split_once(' ').unwrap_or((rest, "?"));
                return self.ended(how);
            }
            "skip" => self.skips.push_str(&format!("{rest}\n")),
            "tainted" => self.tainted = rest.parse().ok(),
            "done" => self.done = true,
            _ => {}
        }
        News::Nothing
    }

    /// A suite's end is a failed test of the suite's name, unless libtest said all.
    fn ended(&mut self, how: &str) -> News {
        let Some(suite) = self.suite.take() else { return News::Nothing };
        let expected = if suite.failed > 0 { "exit 101" } else { "exit 0" };
        if suite.closed && how == expected {
            return News::Nothing;
        }
        let how = match how.split_once(' ') {
            Some(("deadline", seconds)) => format!("still running after {seconds} s, killed"),
            _ => format!("ended with {how}"),
        };
        let said = suite.said.join("\n");
        self.outputs.push((suite.name.clone(), format!("the suite {how}; it said:\n{said}")));
        self.test(suite.name, Verdict::Failed)
    }

    fn test(&mut self, name: String, verdict: Verdict) -> News {
        let test = Test { name, verdict };
        self.tests.push(test.clone());
        News::Ended(test)
    }

    fn theirs(&mut self, line: &str) -> News {
        let Some(suite) = &mut self.suite else { return News::Nothing };
        if let Some(counts) = line.strip_prefix("test result: ") {
            suite.closed = true;
            suite.printing = None;
            self.filtered += count(counts, "filtered out").unwrap_or(0);
            return News::Nothing;
        }
        if let Some((name, verdict)) = test_line(line) {
            let name = format!("{}::{name}", suite.name);
            suite.failed += usize::from(verdict == Verdict::Failed);
            return self.test(name, verdict);
        }
        if let Some(name) = line
            .strip_prefix("---- ")
            .and_then(|rest| rest.strip_suffix(" ----"))
            .and_then(|rest| rest.split(' ').next())
        {
            suite.printing = Some(self.outputs.len());
            self.outputs.push((format!("{}::{name}", suite.name), String::new()));
        } else if line == "failures:" {
            suite.printing = None;
        } else if let Some((_, output)) = suite.printing.and_then(|at| self.outputs.get_mut(at)) {
            output.push_str(line);
            output.push('\n');
        } else if !line.is_empty() {
            suite.said.push(line.to_owned());
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

    /// The suite that runs, or ran when the guest ended.
    pub fn running(&self) -> Option<&str> {
        self.suite.as_ref().map(|suite| suite.name.as_str())
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
mod tests {
    use super::*;

    fn read(text: &str) -> Results {
        let mut results = Results::default();
        for line in text.lines() {
            results.line(line);
        }
        results
    }

    fn names(results: &Results) -> Vec<(&str, &Verdict)> {
        results.tests.iter().map(|test| (test.name.as_str(), &test.verdict)).collect()
    }

    const FAILING: &str = "@guest up 6.1.0-56-cloud-amd64 1.90\r
@guest suite native_udp\r

running 3 tests\r
test one ... ok\r
test two has been running for over 60 seconds\r
test three ... ignored, no IPv6\r
test two ... FAILED\r

failures:\r

---- two stdout ----\r
the event is not what happened:\r

  time\r


failures:\r
    two\r

test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 4 filtered out; finished in 1s\r

@guest ended native_udp exit 101\r
@guest skip SKIP chrony: chronyd is not installed\r
@guest tainted 0\r
@guest done\r
";

    #[test]
    fn a_suite_with_a_failure() {
        let results = read(FAILING);
        let ignored = Verdict::Ignored("no IPv6".to_owned());
        assert_eq!(
            names(&results),
            [
                ("native_udp::one", &Verdict::Ok),
                ("native_udp::three", &ignored),
                ("native_udp::two", &Verdict::Failed)
            ]
        );
        assert_eq!(results.outputs.len(), 1);
        assert_eq!(results.outputs[0].0, "native_udp::two");
        assert!(results.outputs[0].1.starts_with("the event is not what happened:\n\n  time\n"));
        assert!(results.done && results.tainted == Some(0) && results.running().is_none());
        assert_eq!(results.skips, "SKIP chrony: chronyd is not installed\n");
        assert_eq!(
            results.closing(Duration::from_millis(1500)),
            "test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 4 filtered out; \
             finished in 1.50s"
        );
    }

    #[test]
    fn suites_that_do_not_end_by_themselves() {
        let killed =
            read("@guest suite a\ntest x ... ok\nhalf a li\n\n@guest ended a deadline 90\n");
        assert_eq!(names(&killed), [("a::x", &Verdict::Ok), ("a", &Verdict::Failed)]);
        let expected = "the suite still running after 90 s, killed; it said:\nhalf a li";
        assert_eq!(killed.outputs, [("a".to_owned(), expected.to_owned())]);
        for how in ["signal 11", "exit 0", "error no such file"] {
            let ended = read(&format!("@guest suite a\n@guest ended a {how}\n"));
            assert_eq!(names(&ended), [("a", &Verdict::Failed)], "{how}");
        }
        assert_eq!(read("@guest suite a\ntest x ... ok\n").running(), Some("a"));
    }

    #[test]
    fn lines_that_only_look_like_results() {
        for line in ["test x ... okay", "test x", "tests x ... ok", "test result: ok"] {
            assert_eq!(test_line(line), None, "{line}");
        }
        assert_eq!(test_line("test a::b - should panic ... ok"), Some(("a::b", Verdict::Ok)));
    }
}

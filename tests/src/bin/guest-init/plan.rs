//! What to run: the file that `cargo xtask test --guest` writes.
//!
//! | line | meaning |
//! |---|---|
//! | `results DEVICE` | where results go |
//! | `deadline SECONDS` | for each suite |
//! | `env NAME=VALUE` | before the first section for all of them, then for one |
//! | `section NAME` | what follows goes by this name |
//! | `tracer PROGRAM ARGS…` | start a tracer and wait until it is attached; if it can't, the rest of the section is left out |
//! | `suite PROGRAM ARGS…` | run tests |
//! | `stop` | end the tracer with SIGINT |

use std::time::Duration;

/// The file's place in the guest.
pub const PLAN: &str = "/guest/plan";

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub results: String,
    pub deadline: Duration,
    pub env: Vec<(String, String)>,
    pub sections: Vec<Section>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Section {
    pub name: String,
    pub env: Vec<(String, String)>,
    pub steps: Vec<Step>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// A program and its arguments.
    Tracer(Vec<String>),
    /// A program and its arguments.
    Suite(Vec<String>),
    Stop,
}

impl Plan {
    /// An error names the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut plan = Self::default();
        for line in text.lines() {
            plan.line(line).ok_or_else(|| format!("{PLAN}: {line}"))?;
        }
        Ok(plan)
    }

    fn line(&mut self, line: &str) -> Option<()> {
        let (item, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words = || rest.split(' ').map(str::to_owned).collect();
        if rest.is_empty() && item != "stop" {
            return None;
        }
        match item {
            "results" => self.results = rest.to_owned(),
            "deadline" => self.deadline = Duration::from_secs(rest.parse().ok()?),
            "env" => {
                let (name, value) = rest.split_once('=')?;
                let env = match self.sections.last_mut() {
                    Some(section) => &mut section.env,
                    None => &mut self.env,
                };
                env.push((name.to_owned(), value.to_owned()));
            }
            "section" => {
                self.sections.push(Section { name: rest.to_owned(), ..Section::default() });
            }
            _ => {
                let step = match item {
                    "tracer" => Step::Tracer(words()),
                    "suite" => Step::Suite(words()),
                    "stop" => Step::Stop,
                    _ => return None,
                };
                self.sections.last_mut()?.steps.push(step);
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn a_plan() {
        let plan = "results /dev/ttyS1\ndeadline 90\nenv A=b=c\nsection one\nenv H=kprobe\n\
                    tracer /t -o json\nsuite /s --skip x\nstop\nsection two\nsuite /s\n";
        let plan = Plan::parse(plan).expect("a plan");
        assert_eq!(plan.results, "/dev/ttyS1");
        assert_eq!(plan.deadline, Duration::from_secs(90));
        assert_eq!(plan.env, [pair("A", "b=c")]);
        let words = |words: &str| words.split(' ').map(str::to_owned).collect();
        let one = Section {
            name: "one".to_owned(),
            env: vec![pair("H", "kprobe")],
            steps: vec![
                Step::Tracer(words("/t -o json")),
                Step::Suite(words("/s --skip x")),
                Step::Stop,
            ],
        };
        let steps = vec![Step::Suite(words("/s"))];
        let two = Section { name: "two".to_owned(), env: Vec::new(), steps };
        assert_eq!(plan.sections, [one, two]);
    }

    #[test]
    fn a_plan_with_a_slip() {
        for line in ["suit x", "deadline soon", "env A", "section ", "suite /s", "stop", ""] {
            let error = Plan::parse(&format!("{line}\n")).expect_err(line);
            assert_eq!(error, format!("{PLAN}: {line}"));
        }
    }
}

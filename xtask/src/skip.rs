//! What a chore left out, and why: nothing is left out in silence.

use std::fmt;

/// One thing that was not done here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    /// What was left out: a test group, or a part of one.
    pub what: String,
    /// What the machine lacks, and the way out where there is one.
    pub reason: String,
}

impl Skip {
    pub fn new(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { what: what.into(), reason: reason.into() }
    }

    /// Reads the lines `SKIP <group>: <reason>` that the tests crate appends to
    /// the file named by `TRACER_SKIPS`. Lines of another shape are kept whole:
    /// a reason that can't be parsed is still a reason.
    pub fn parse_lines(text: &str) -> Vec<Self> {
        let mut skips: Vec<Self> = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let skip = match line.strip_prefix("SKIP ").and_then(|rest| rest.split_once(": ")) {
                Some((what, reason)) => Self::new(what, reason),
                None => Self::new("?", line),
            };
            // Many tests of one group skip for one reason.
            if !skips.contains(&skip) {
                skips.push(skip);
            }
        }
        skips
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SKIP {}: {}", self.what, self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_tests_crate() {
        let text =
            "SKIP chrony: chronyd is not installed\n\nSKIP chrony: chronyd is not installed\nodd\n";
        assert_eq!(
            Skip::parse_lines(text),
            [Skip::new("chrony", "chronyd is not installed"), Skip::new("?", "odd")]
        );
    }

    #[test]
    fn printing_and_reading_agree() {
        let skip = Skip::new("native", "no root: neither sudo nor doas");
        assert_eq!(Skip::parse_lines(&skip.to_string()), [skip]);
    }
}

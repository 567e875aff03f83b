//! What is wrong with an expression, and where.

use std::{fmt, ops::Range};

use unicode_width::UnicodeWidthChar;

/// What is wrong, and with which bytes of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The place.
    pub at: Range<usize>,
    /// What is wrong there.
    pub message: String,
}

impl Problem {
    pub(super) fn new(at: &Range<usize>, message: impl Into<String>) -> Self {
        Self { at: at.clone(), message: message.into() }
    }
}

/// An expression that is none. It is shown as the message, and below it the
/// expression with the place underlined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ExprError {
    /// The expression.
    pub text: String,
    /// What is wrong with it.
    pub problem: Problem,
}

impl fmt::Display for ExprError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { at, message } = &self.problem;
        // Three lines, whatever the expression holds; the message may quote it.
        let shown = |c: char| if c.is_control() { ' ' } else { c };
        let message: String = message.chars().map(shown).collect();
        let columns = |text: &str| text.chars().map(|c| shown(c).width().unwrap_or(0)).sum();
        let before: usize = self.text.get(..at.start).map_or(0, columns);
        let marked: usize = self.text.get(at.clone()).map_or(0, columns);
        let text: String = self.text.chars().map(shown).collect();
        let carets = "^".repeat(marked.max(1));
        write!(f, "{message}\n    {}\n    {}{carets}", text.trim_end(), " ".repeat(before))
    }
}

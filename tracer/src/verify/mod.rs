//! `tracer verify`: whether the lines that came out at the far end are all that went in.
//!
//! [`input`] makes lines of files, [`line`] finds the tracer's record in one, [`seen`]
//! keeps which numbers there were, [`run`] what is known of a run, and [`report`] says it.

pub mod input;
mod line;
pub mod report;
mod run;
mod seen;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, io, path::Path};

use crate::{encode::table::escape, event::RunId};
use input::Found;
use line::{Format, Not};
use report::{Report, Sample};
use run::Run;

/// Intervals of `seq` that are kept, of all runs together.
const MOST_INTERVALS: usize = 1 << 20;
/// Runs that are kept.
const MOST_RUNS: usize = 1 << 16;
/// Lines that are not ours, of which more is told than their number.
const MOST_SAMPLES: usize = 10;
/// Bytes of such a line that are shown.
const SHOWN: usize = 60;

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A file can't be read.
    #[error("{file}: {error}")]
    Read {
        /// Its name, escaped.
        file: String,
        /// Why.
        error: io::Error,
    },
    /// The numbers are in such disorder that keeping them would take too much memory.
    #[error("{0}: `seq` has more than {MOST_INTERVALS} separate pieces: too much to keep")]
    TooScattered(String),
    /// There are too many runs.
    #[error("{0}: more than {MOST_RUNS} runs: too much to keep")]
    TooManyRuns(String),
}

/// What the lines so far amount to.
#[derive(Debug, Default)]
pub struct Verifier {
    runs: HashMap<RunId, Run>,
    intervals: usize,
    format: Format,
    files: u64,
    lines: u64,
    torn: u64,
    foreign: u64,
    samples: Vec<Sample>,
}

impl Verifier {
    /// Reads a file, or standard input by the name `-`.
    ///
    /// # Errors
    /// It can't be read, or what is in it takes too much memory.
    pub fn file(&mut self, path: &Path) -> Result<(), VerifyError> {
        let file = match path.to_str() {
            Some("-") => "standard input".to_owned(),
            _ => escape(path.as_os_str().as_encoded_bytes()),
        };
        let fail = |error| VerifyError::Read { file: file.clone(), error };
        let mut input = input::open(path).map_err(fail)?;
        self.files += 1;
        let (mut buffer, mut number) = (Vec::new(), 0);
        loop {
            number += 1;
            match input::next(&mut *input, &mut buffer) {
                Ok(Found::Line) => self.line(&file, number, &buffer)?,
                Ok(Found::TooLong) => self.not_ours(Not::Foreign, &file, number, b"(too long)"),
                Ok(Found::End) => return Ok(()),
                // A compressed file that ends in the middle.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.not_ours(Not::Torn, &file, number, b"(compressed data end early)");
                    return Ok(());
                }
                Err(error) => return Err(fail(error)),
            }
        }
    }

    /// Takes a line of a file; an empty one is none.
    ///
    /// # Errors
    /// What is in it takes too much memory.
    pub fn line(&mut self, file: &str, number: u64, line: &[u8]) -> Result<(), VerifyError> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        self.lines += 1;
        let Self { runs, intervals, format, .. } = self;
        let taken = line::read(line, format, |own| {
            if runs.len() >= MOST_RUNS && !runs.contains_key(&own.run_id) {
                return Err(VerifyError::TooManyRuns(file.to_owned()));
            }
            let run = runs.entry(own.run_id).or_default();
            let before = run.intervals();
            run.take(&own);
            *intervals = (*intervals + run.intervals()).saturating_sub(before);
            if *intervals > MOST_INTERVALS {
                return Err(VerifyError::TooScattered(file.to_owned()));
            }
            Ok(())
        });
        match taken {
            Ok(taken) => taken,
            Err(not) => {
                self.not_ours(not, file, number, line);
                Ok(())
            }
        }
    }

    fn not_ours(&mut self, not: Not, file: &str, line: u64, text: &[u8]) {
        match not {
            Not::Torn => self.torn += 1,
            Not::Foreign => self.foreign += 1,
        }
        if self.samples.len() < MOST_SAMPLES {
            let text = escape(text.get(..SHOWN).unwrap_or(text));
            let torn = not == Not::Torn;
            self.samples.push(Sample { file: file.to_owned(), line, torn, text });
        }
    }

    /// What there is to say; with `open`, a run may be without its end.
    pub fn report(self, open: bool) -> Report {
        let mut runs: Vec<_> =
            self.runs.into_iter().map(|(id, run)| run.report(id, open)).collect();
        runs.sort_by(|a, b| (&a.first_time, a.run_id).cmp(&(&b.first_time, b.run_id)));
        Report::new(runs, (self.files, self.lines), (self.torn, self.foreign), self.samples)
    }
}

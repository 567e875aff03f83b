//! `tracer verify FILE…`

use std::process::ExitCode;

use super::{
    Failure,
    args::{ListFormat, Verify},
    print, print_json,
};
use crate::verify::Verifier;

/// Reads all of the files and says what is missing.
pub fn run(options: &Verify) -> Result<ExitCode, Failure> {
    let mut verifier = Verifier::default();
    for file in &options.files {
        verifier.file(file).map_err(|error| Failure::Runtime(error.to_string()))?;
    }
    let report = verifier.report(options.open);
    match options.output {
        ListFormat::Text => print(report.to_string().as_bytes())?,
        ListFormat::Json => print_json(&report)?,
    };
    Ok(if report.complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

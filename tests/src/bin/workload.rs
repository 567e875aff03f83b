//! `workload SCENARIO [OPTIONS]`: makes real calls and writes the truth about
//! them, one JSON object on one line for each call, in the shape of the tracer's
//! events. See [`tests::workload`].

use std::process::ExitCode;

use tests::workload::{self, options::Options};

fn main() -> ExitCode {
    // The program's own name may be of any bytes.
    let words = std::env::args_os().skip(1).map(|word| word.into_string().expect("UTF-8"));
    let options = match Options::parse(words) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("workload: {message}\n{}", workload::usage());
            return ExitCode::from(2);
        }
    };
    workload::run(options)
}

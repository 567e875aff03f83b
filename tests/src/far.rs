//! The far end of destinations.

use std::ffi::OsStr;
use std::process::Command;

use serde_json::Value;

use crate::tracer::{self, Attached, Waiting};

/// What `tracer verify` says of what came out there, and its exit status.
pub fn verify<S: AsRef<OsStr>>(files: &[S]) -> (Value, Option<i32>) {
    let mut command = Command::new(tracer::binary());
    let output = command.args(["verify", "-o", "json"]).args(files).output().expect("a tracer");
    let said = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_slice(&output.stdout);
    (report.unwrap_or_else(|error| panic!("{error}: {said}")), output.status.code())
}

/// A tracer of a flood of so many calls, which is still to be let go, with a queue that holds
/// them.
pub fn flood(workload: &str, calls: u64, options: &[&str]) -> (Attached, Waiting) {
    let waiting = Waiting::start(workload, &["flood", "--count", &calls.to_string()]);
    let own = ["--detail", "call", "--buffer", "64M", "--queue", "256M", "--pid", &waiting.pid()];
    (Attached::start(&[options, &own].concat()), waiting)
}

/// Ends the tracer; returns what it said.
pub fn ended(attached: Attached, code: i32) -> String {
    attached.tracer.signal(libc::SIGINT);
    let finished = attached.tracer.finish();
    finished.expect_code(code);
    finished.stderr
}

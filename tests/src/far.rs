//! The far end of destinations.

use std::ffi::OsStr;
use std::process::Command;

use serde_json::Value;

use crate::tracer;

/// What `tracer verify` says of what came out there, and its exit status.
pub fn verify<S: AsRef<OsStr>>(files: &[S]) -> (Value, Option<i32>) {
    let mut command = Command::new(tracer::binary());
    let output = command.args(["verify", "-o", "json"]).args(files).output().expect("a tracer");
    let said = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_slice(&output.stdout);
    (report.unwrap_or_else(|error| panic!("{error}: {said}")), output.status.code())
}

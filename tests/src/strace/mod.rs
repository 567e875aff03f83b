//! strace's word on the same calls, as text that is taken apart strictly: what is not
//! understood is an error, and nothing is passed over.
//!
//! ```text
//! tracer ─ strace ─ workload     one run under both
//!    │        └► lines ─ log ─► calls ─ told ─► truth ┐
//!    └► lines of JSON ─ stream ─► events ─────────────┴ meet ─► differences ─ known
//! ```
//! [`value`] is the grammar of what strace prints, [`log`] puts a thread's lines
//! together to calls as their caller sees them, [`told`] says them in the words of
//! [`crate::workload::truth`], [`meet`] holds them against events, and [`known`] is the
//! table of differences that have a reason. `tracer/docs/STRACE.md` is for readers.

mod control;
pub mod known;
pub mod log;
pub mod meet;
mod message;
pub mod told;
pub mod value;

use std::path::Path;

use tempfile::TempDir;

use crate::stream::Stream;
use crate::tools;
use crate::tracer::around_command;

/// Every number that reaches recvmmsg, and what tells restarted calls from interrupted
/// ones. To strace 337 is a `recvmmsg` too, and so is call 19 of `socketcall`.
const CALLS: &str = "trace=recvmmsg,recvmmsg_time64,socketcall,rt_sigreturn";

/// All that strace can say: system call numbers, whole structures, strings as hex,
/// constants both by number and by name.
const OPTIONS: [&str; 14] = [
    "-f",
    "-n",
    "-e",
    CALLS,
    "-e",
    "abbrev=none",
    "-e",
    "verbose=all",
    "-s",
    "65536",
    "-xx",
    "-X",
    "verbose",
    "--quiet=attach,personality",
];

/// What the tracer is asked to keep, so that both tell as much as they can.
pub const TRACER: [&str; 6] = ["--detail", "full", "--payload", "128", "--messages", "1024"];

/// What both said of one run.
pub struct Both {
    /// strace's log.
    pub log: String,
    /// The tracer's stream.
    pub stream: Stream,
}

/// Runs a program under strace, and both under the tracer. The program must end well.
pub fn run(strace: &Path, program: &[&str]) -> Both {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("strace");
    let words = under(strace, &path);
    let words: Vec<_> = words.iter().map(String::as_str).chain(program.iter().copied()).collect();
    let (stream, finished) = around_command(&TRACER, &words);
    finished.expect_code(0);
    stream.check();
    assert_eq!(stream.lost(), 0, "nothing is lost: {}", stream.end());
    let log = std::fs::read_to_string(&path).expect("strace's log");
    Both { log, stream }
}

/// The words that a program's own come after, to run it under strace with this log.
pub fn under(strace: &Path, log: &Path) -> Vec<String> {
    let [strace, log] = [strace, log].map(|path| path.to_str().expect("a path in UTF-8"));
    let words = [&[strace][..], &OPTIONS, &["-o", log, "--"]].concat();
    words.into_iter().map(str::to_owned).collect()
}

/// strace, where there is one.
pub fn find() -> Option<std::path::PathBuf> {
    tools::find("strace")
}

//! The far end of destinations.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::stream::count;
use crate::tracer::{self, Attached, Waiting};

/// What `tracer verify` says of what came out there, and its exit status.
pub fn verify<S: AsRef<OsStr>>(files: &[S]) -> (Value, Option<i32>) {
    let mut command = Command::new(tracer::binary());
    let output = command.args(["verify", "-o", "json"]).args(files).output().expect("a tracer");
    let said = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_slice(&output.stdout);
    (report.unwrap_or_else(|error| panic!("{error}: {said}")), output.status.code())
}

/// Panics unless these files hold a whole run of so many calls; returns what is said of it.
pub fn complete<S: AsRef<OsStr>>(files: &[S], calls: u64) -> Value {
    let (report, code) = verify(files);
    let run = &report["runs"][0];
    assert_eq!((code, count(run, "events")), (Some(0), calls), "{report}");
    run.clone()
}

/// A tracer of a flood of so many calls, which is still to be let go, with rings that hold
/// them.
pub fn flood(workload: &str, calls: u64, options: &[&str]) -> (Attached, Waiting) {
    let waiting = Waiting::start(workload, &["flood", "--count", &calls.to_string()]);
    let own = ["--detail", "call", "--buffer", "64M", "--pid", &waiting.pid()];
    (Attached::start(&[options, &own].concat()), waiting)
}

/// Traces a flood of so many calls, to its end; returns what the tracer said.
pub fn flooded(workload: &str, calls: u64, options: &[&str]) -> String {
    let (attached, waiting) = flood(workload, calls, options);
    assert_eq!(count(&waiting.go()[0], "calls"), calls);
    ended(attached, 0)
}

/// Ends the tracer; returns what it said.
pub fn ended(attached: Attached, code: i32) -> String {
    attached.tracer.signal(libc::SIGINT);
    let finished = attached.tracer.finish();
    finished.expect_code(code);
    finished.stderr
}

/// A reader of a unix socket that appends lines to a file: after each of so many it dies, and
/// comes back; the last one reads to the end.
pub fn dying_reader(socket: &Path, to: &Path, lines: [u64; 2]) -> JoinHandle<()> {
    let (socket, to) = (socket.to_owned(), to.to_owned());
    thread::spawn(move || {
        for most in [lines[0], lines[1], u64::MAX] {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            let _ = fs::remove_file(&socket);
            let listener = UnixListener::bind(&socket).expect("our own folder");
            let from = BufReader::new(listener.accept().expect("the tracer").0);
            let to = OpenOptions::new().append(true).create(true).open(&to).expect("a file");
            let mut to = BufWriter::new(to);
            for line in from.split(b'\n').take(most) {
                to.write_all(&line.expect("a line")).expect("room");
                to.write_all(b"\n").expect("room");
            }
        }
    })
}

/// Waits until it is so.
pub fn wait_until(what: &str, is: impl FnMut() -> bool) {
    wait_between(Duration::from_millis(2), what, is);
}

/// The same, with such a pause between looks.
pub fn wait_between(pause: Duration, what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        thread::sleep(pause);
    }
}

/// How many bytes a file has: none if there is none.
pub fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

/// Waits until a file has so many bytes.
pub fn grown(path: &Path, to: u64) {
    wait_until(&format!("{} grows to {to}", path.display()), || size(path) >= to);
}

/// The files in a folder, in the order of their names.
pub fn pieces(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("our own folder");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort_unstable();
    files
}

/// Those whose paths have this in them.
pub fn named(folder: &Path, what: &str) -> Vec<PathBuf> {
    let mut files = pieces(folder);
    files.retain(|file| file.to_string_lossy().contains(what));
    files
}

/// A port of 127.0.0.1 that nobody listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

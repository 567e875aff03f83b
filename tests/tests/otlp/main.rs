//! Destinations `otlp:`: a receiver made of OpenTelemetry's own packages that comes late,
//! is killed, is busy and rejects, and what it has in the end.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tests::child::Running;
use tests::far::{self, complete, ended, free_port, verify, wait_until};
use tests::skip::{require_root_bpf, skip};
use tests::stream::count;
use tests::tools;
use tests::tracer::{self, Attached, Waiting};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/otlp/receiver.py");
const CALLS: u64 = 30_000;

/// A receiver of the test's own, whose file outlives it.
struct Receiver {
    python: PathBuf,
    port: u16,
    folder: TempDir,
    running: Option<Running>,
}

impl Receiver {
    /// One that is not started yet; None, with a skip, where there is no such Python.
    fn new() -> Option<Self> {
        if !require_root_bpf("otlp") {
            return None;
        }
        let Some(python) = tools::python("otlp") else {
            skip("otlp", "no Python with opentelemetry-proto and grpcio: `cargo xtask setup`");
            return None;
        };
        let folder = TempDir::new().expect("a temporary folder");
        Some(Self { python, port: free_port(), folder, running: None })
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("received")
    }

    fn start(&mut self, options: &[&str]) {
        let mut command = Command::new(&self.python);
        command.arg(PROGRAM).arg("--file").arg(self.file()).args(options);
        command.args(["--listen", &format!("127.0.0.1:{}", self.port)]);
        let mut running = Running::start(command);
        running.stdout.wait_for("the receiver", |line| line == "ready\n");
        self.running = Some(running);
    }

    fn kill(&mut self) {
        let mut running = self.running.take().expect("it runs");
        running.signal(libc::SIGKILL);
        running.wait();
    }

    /// How many lines it has.
    fn lines(&self) -> u64 {
        let bytes = fs::read(self.file()).unwrap_or_default();
        bytes.iter().filter(|byte| **byte == b'\n').count() as u64
    }

    fn wait_lines(&self, lines: u64) {
        wait_until(&format!("{lines} lines"), || self.lines() >= lines);
    }

    fn destination(&self, options: &str) -> String {
        format!("otlp:127.0.0.1:{}{options}", self.port)
    }

    /// Each record was as it should be.
    fn assert_not_odd(&self) {
        let odd = self.folder.path().join("received.odd");
        assert!(!odd.exists(), "{:?}", fs::read_to_string(odd));
    }

    fn assert_complete(&self) {
        self.assert_not_odd();
        complete(&[self.file()], CALLS);
    }
}

/// A tracer of a flood that is still to be let go, with a queue that holds it.
fn flood(options: &[&str]) -> (Attached, Waiting) {
    far::flood(WORKLOAD, CALLS, &[options, &["--queue", "256M"]].concat())
}

/// Down at the start, then unavailable for a while, killed twice in the middle, busy now
/// and then: nothing is missing.
#[test]
fn a_receiver_that_is_killed_misses_nothing() {
    let Some(mut receiver) = Receiver::new() else { return };
    let (mut attached, waiting) = flood(&["-w", &receiver.destination("")]);
    let calling = thread::spawn(move || waiting.go());
    attached.wait_said("Connection refused");
    receiver.start(&["--unavailable", "3", "--busy", "5"]);
    for lines in [2_000, 8_000] {
        receiver.wait_lines(lines);
        receiver.kill();
        assert!(receiver.lines() < CALLS, "killed in the middle, not after it");
        thread::sleep(Duration::from_millis(200));
        receiver.start(&["--busy", "5"]);
    }
    calling.join().expect("the workload");
    receiver.wait_lines(CALLS);
    let said = ended(attached, 0);
    for words in ["not yet", "busy", "delivering again"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    receiver.assert_complete();
}

/// Records that a receiver rejects count as lost, and the records of health say so; those
/// that make it refuse a request take no other with them.
#[test]
fn what_is_rejected_is_counted() {
    for option in ["--reject", "--invalid"] {
        let Some(mut receiver) = Receiver::new() else { return };
        // A number that ends so; of health records none has one in their midst.
        let marked = "7,\"event\":\"recvmmsg\"";
        receiver.start(&[option, marked]);
        let path = receiver.folder.path().join("file");
        let write = format!("file:{}", path.display());
        let truth = receiver.folder.path().join("truth").display().to_string();
        let finished = tracer::run(&[
            "-o",
            "json",
            "-w",
            &receiver.destination("?compress=gzip"),
            "-w",
            &write,
            "--",
            WORKLOAD,
            "eagain",
            "--count",
            "500",
            "--truth",
            &truth,
        ]);
        finished.expect_code(0);
        assert!(finished.stderr.contains("lines are refused"), "{}", finished.stderr);
        let text = fs::read_to_string(&path).expect("what was written");
        let refused = text.lines().filter(|line| line.contains(marked)).count() as u64;
        assert!((40..60).contains(&refused), "{refused}");
        receiver.assert_not_odd();
        let (report, code) = verify(&[receiver.file()]);
        let run = &report["runs"][0];
        assert_eq!((code, count(run, "missing")), (Some(1), refused), "{report}");
        assert_eq!(count(run, "undeclared"), 0, "{report}");
        assert_eq!(run["lost"], json!({"total": refused, "sink": refused}), "{report}");
    }
}

/// A token and TLS. Who has the wrong one is given up, and shows it nowhere.
#[test]
fn a_wrong_token_fails_for_good() {
    let Some(mut receiver) = Receiver::new() else { return };
    let folder = receiver.folder.path().display().to_string();
    if tools::certificate(receiver.folder.path()).is_none() {
        return skip("otlp by TLS", "no openssl");
    }
    let (key, cert) = (format!("{folder}/key.pem"), format!("{folder}/cert.pem"));
    receiver.start(&["--token", "Bearer xyzzy", "--key", &key, "--cert", &cert]);
    fs::write(format!("{folder}/right"), "Authorization: Bearer xyzzy\n").expect("our folder");
    fs::write(format!("{folder}/wrong"), "Authorization: Bearer plugh\n").expect("our folder");
    let options = |file: &str| format!("?tls=on&ca={cert}&headers-file={folder}/{file}");
    let (right, wrong) =
        (receiver.destination(&options("right")), receiver.destination(&options("wrong")));
    let (attached, waiting) = flood(&["-w", &right, "-w", &wrong]);
    waiting.go();
    receiver.wait_lines(CALLS);
    let said = ended(attached, 5);
    assert!(said.contains("who are you") && said.contains("other destinations go on"), "{said}");
    assert!(!said.contains("xyzzy") && !said.contains("plugh"), "{said}");
    receiver.assert_complete();
}

/// Requests that are longer than a receiver takes are cut in two until they are not.
#[test]
fn requests_are_made_to_fit() {
    let Some(mut receiver) = Receiver::new() else { return };
    receiver.start(&["--limit", "30000"]);
    let (attached, waiting) = flood(&["-w", &receiver.destination("")]);
    waiting.go();
    receiver.wait_lines(CALLS);
    ended(attached, 0);
    receiver.assert_complete();
}

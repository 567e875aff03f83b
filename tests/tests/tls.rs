//! The destination `tls`, against socat with OpenSSL, with certificates made for the test.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use tests::certificates;
use tests::child::{self, Running};
use tests::far::{complete, ended, flood, free_port, grown, size};
use tests::skip::{require_root_bpf, skip};
use tests::stream::count;
use tests::tools;
use tests::tracer;

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");
const CALLS: u64 = 30_000;

/// Certificates, and a port for a receiver.
struct Place {
    folder: tempfile::TempDir,
    port: u16,
}

impl Place {
    /// None, with a skip, where something is not here that it takes.
    fn new() -> Option<Self> {
        if !require_root_bpf("tls") {
            return None;
        }
        if let Some(lacks) = ["openssl", "socat"].iter().find(|it| tools::find(it).is_none()) {
            skip("tls", &format!("{lacks} is not installed"));
            return None;
        }
        if child::run(tracer::binary(), &["-w", "tls:x"]).stderr.contains("without tls") {
            skip("tls", "the tracer was built without feature tls");
            return None;
        }
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        certificates::make(folder.path());
        Some(Self { folder, port: free_port() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn name(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// A receiver of one connection, that appends to the file of that name.
    fn receiver(&self, to: &str, options: &str) -> Running {
        let (cert, key) = (self.name("server.pem"), self.name("server.key"));
        let listen = format!(
            "OPENSSL-LISTEN:{},bind=127.0.0.1,reuseaddr,cert={cert},key={key},{options}",
            self.port
        );
        let mut command = Command::new("socat");
        command.args(["-u", &listen, &format!("OPEN:{},creat,append", self.name(to))]);
        Running::start(command)
    }

    fn write(&self, options: &str) -> String {
        let ca = self.name("ca.pem");
        format!("tls:localhost:{}?ca={ca}{options}", self.port)
    }

    /// The file of that name, without what has no end.
    fn whole_lines(&self, name: &str) -> PathBuf {
        let bytes = fs::read(self.path(name)).expect("what was received");
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        fs::write(self.path(name), &bytes[..end]).expect("room");
        self.path(name)
    }
}

/// A receiver that is away at start, and killed twice on the way, has every line in the end.
#[test]
fn a_receiver_that_is_killed_twice_misses_nothing() {
    let Some(place) = Place::new() else { return };
    let write = place.write("&resend=16M");
    let (attached, waiting) =
        flood(WORKLOAD, CALLS, &["-w", &write, "--on-full", "block", "--queue", "1M"]);
    let calling = thread::spawn(move || waiting.go());
    thread::sleep(Duration::from_millis(500));
    for (name, size) in [("first", 1 << 20), ("second", 4 << 20)] {
        let receiver = place.receiver(name, "verify=0");
        grown(&place.path(name), size);
        receiver.signal(libc::SIGKILL);
        drop(receiver);
    }
    let last = place.receiver("third", "verify=0");
    let truth = calling.join().expect("the workload");
    assert_eq!(count(&truth[0], "calls"), CALLS);
    let said = ended(attached, 0);
    last.finish().expect_code(0);
    assert!(said.contains("trying again until it is there"), "{said}");
    complete(&["first", "second", "third"].map(|name| place.whole_lines(name)), CALLS);
}

/// Syslog over TLS (RFC 5425), with a certificate of our own, which the receiver asks for.
#[test]
fn a_receiver_that_asks_for_a_certificate() {
    let Some(place) = Place::new() else { return };
    let asks = format!("verify=1,cafile={}", place.name("ca.pem"));
    let (cert, key) = (place.name("client.pem"), place.name("client.key"));
    let own = format!("&framing=syslog&cert={cert}&key={key}");
    let receiver = place.receiver("received", &asks);
    let (attached, waiting) = flood(WORKLOAD, 1000, &["-w", &place.write(&own)]);
    waiting.go();
    ended(attached, 0);
    receiver.finish().expect_code(0);
    complete(&[place.path("received")], 1000);
}

/// Who can't be believed gets nothing, is told of, and waited for; and so is one who does not
/// believe us.
#[test]
fn certificates_that_are_not_believed() {
    let Some(place) = Place::new() else { return };
    let asks = format!("verify=1,cafile={}", place.name("ca.pem"));
    let other = format!("tls:localhost:{}?ca={}", place.port, place.name("other.pem"));
    let address = format!("tls:127.0.0.1:{}?ca={}", place.port, place.name("ca.pem"));
    let file = format!("file:{}", place.name("events"));
    for (write, options, reason) in [
        (other, "verify=0", "UnknownIssuer"),
        (address, "verify=0", "not valid for name"),
        (place.write(""), &asks, "ertificate"),
    ] {
        let _ = fs::remove_file(place.path("events"));
        let receiver = place.receiver("received", options);
        let (attached, waiting) = flood(WORKLOAD, 1000, &["-w", &write, "-w", &file]);
        waiting.go();
        thread::sleep(Duration::from_millis(500));
        let said = ended(attached, 5);
        assert!(said.contains(reason) && said.contains("trying again"), "{reason}: {said}");
        assert_eq!(size(&place.path("received")), 0);
        complete(&[place.path("events")], 1000);
        drop(receiver);
    }
}

//! The destination `kafka`, against librdkafka's mock cluster in another process, read out
//! by kcat. It speaks Kafka's protocol and is no real broker: it has no disk, no replicas
//! and no users.

mod doorkeeper;
mod mock;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use mock::Mock;
use serde_json::Value;
use tests::certificates;
use tests::child::{self, Running};
use tests::far::{complete, ended, flood, free_port, verify};
use tests::skip::skip;
use tests::stream::count;
use tests::tools;
use tests::tracer;

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");
/// The mock keeps 5 MiB of each partition.
const CALLS: u64 = 10_000;
const PARTITIONS: u32 = 8;

/// Writes the lines of a topic to a file, each behind its headers and key where these are
/// asked for.
fn read_out(mock: &Mock, topic: &str, format: &str, to: &Path) -> String {
    let args =
        ["-C", "-b", &mock.brokers, "-t", topic, "-o", "beginning", "-e", "-q", "-f", format];
    let finished = child::run("kcat", &args);
    finished.expect_code(0);
    fs::write(to, &finished.stdout).expect("room");
    finished.stdout
}

/// Brokers that are down at start and twice on the way are waited for, and each line comes
/// out, named by its headers.
#[test]
fn brokers_that_are_down_are_waited_for() {
    let Some(mut mock) = Mock::start() else { return };
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let received = folder.path().join("received");
    mock.tell(&format!("topic calls {PARTITIONS}"));
    mock.all("down");
    let write = format!("kafka:{}/calls?reconnect.backoff.max.ms=500", mock.brokers);
    let (attached, waiting) =
        flood(WORKLOAD, CALLS, &["-w", &write, "--on-full", "block", "--queue", "1M"]);
    let calling = thread::spawn(move || waiting.go());
    for _ in 0..2 {
        thread::sleep(Duration::from_millis(700));
        mock.all("up");
        thread::sleep(Duration::from_millis(200));
        mock.all("down");
    }
    thread::sleep(Duration::from_millis(700));
    mock.all("up");
    let truth = calling.join().expect("the workload");
    assert_eq!(count(&truth[0], "calls"), CALLS);
    thread::sleep(Duration::from_secs(1));
    let said = ended(attached, 0);
    assert!(said.contains("waiting until lines arrive"), "{said}");
    assert!(said.contains("lines arrive again"), "{said}");
    read_out(&mock, "calls", "%s\n", &received);
    complete(&[&received], CALLS);
    let text = read_out(&mock, "calls", "%h %s\n", &received);
    for line in text.lines() {
        let (headers, line) = line.split_once(' ').expect("headers and a line");
        let value: Value = serde_json::from_str(line).expect("a line");
        let (run, seq) = (&value["run_id"], &value["seq"]);
        let named = format!("run_id={},seq={seq}", run.as_str().expect("an id"));
        assert_eq!(headers, named, "{line}");
    }
}

/// The mock is stopped for a while, as a machine that hangs, and goes on.
#[test]
fn brokers_that_hang_are_waited_for() {
    let Some(mut mock) = Mock::start() else { return };
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let received = folder.path().join("received");
    mock.tell(&format!("topic calls {PARTITIONS}"));
    let write = format!("kafka:{}/calls?key=run&socket.timeout.ms=1000", mock.brokers);
    let (attached, waiting) =
        flood(WORKLOAD, 3000, &["-w", &write, "--on-full", "block", "--queue", "1M"]);
    let calling = thread::spawn(move || waiting.go());
    mock.process.signal(libc::SIGSTOP);
    thread::sleep(Duration::from_millis(2500));
    mock.process.signal(libc::SIGCONT);
    calling.join().expect("the workload");
    thread::sleep(Duration::from_secs(1));
    ended(attached, 0);
    let text = read_out(&mock, "calls", "%p %k\n", &received);
    let mut kinds: Vec<_> = text.lines().collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), 1, "one key, one partition: {kinds:?}");
    read_out(&mock, "calls", "%s\n", &received);
    complete(&[&received], 3000);
}

/// Lines that are too long are refused and counted, and the others arrive.
#[test]
fn lines_that_are_too_long_are_counted() {
    let Some(mut mock) = Mock::start() else { return };
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    mock.tell("topic calls 1");
    let write = format!("kafka:{}/calls?message.max.bytes=2500", mock.brokers);
    let all = format!("file:{}", path("all").display());
    let options = ["--detail", "full", "-w", &write, "-w", &all];
    let traced = tracer::around(
        WORKLOAD,
        &[&["-w", &write, "-w", &all], &options[..2]].concat(),
        &["varied"],
    );
    traced.assert_fine();
    let lines = fs::read_to_string(path("all")).expect("the file");
    let is_event = |line: &&str| line.contains("tracer.event/1");
    let long = lines.lines().filter(is_event).filter(|line| line.len() > 2500).count() as u64;
    assert!(long > 0, "some are longer");
    read_out(&mock, "calls", "%s\n", &path("received"));
    let (report, _) = verify(&[path("received")]);
    let run = &report["runs"][0];
    let lost = count(&run["lost"], "sink");
    assert_eq!((lost, count(run, "undeclared")), (long, 0), "{report}");
}

/// What brokers will never take ends the destination, with the reason; the other goes on.
#[test]
fn what_is_hopeless_ends_it() {
    let Some(mut mock) = Mock::start() else { return };
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("events");
    let file = format!("file:{}", path.display());
    mock.tell("topic denied 1");
    // TOPIC_AUTHORIZATION_FAILED and UNKNOWN_TOPIC_OR_PARTITION of the protocol.
    mock.tell("error denied 29");
    mock.tell("topic unknown 1");
    mock.tell("error unknown 3");
    let brokers = mock.brokers.clone();
    for (topic, reason) in [
        ("denied", "Topic authorization failed"),
        ("unknown?topic.metadata.propagation.max.ms=1000", "Unknown topic"),
        ("x?ssl.ca.location=/nowhere&security.protocol=ssl", "ssl.ca.location"),
    ] {
        let _ = fs::remove_file(&path);
        let write = format!("kafka:{brokers}/{topic}");
        let (attached, waiting) = flood(WORKLOAD, 1000, &["-w", &write, "-w", &file]);
        waiting.go();
        thread::sleep(Duration::from_secs(3));
        let said = ended(attached, 5);
        assert!(said.contains(reason) && said.contains("other destinations go on"), "{said}");
        complete(&[&path], 1000);
    }
}

/// Who is not let in ends for good; by way of TLS with a certificate of our
/// own, and a password from a file, which is shown nowhere. Who is not believed is waited for.
#[test]
fn a_password_that_is_wrong_ends_it() {
    let Some(_mock) = Mock::start() else { return };
    if let Some(lacks) = ["openssl", "socat"].iter().find(|it| tools::find(it).is_none()) {
        return skip("kafka by TLS", &format!("{lacks} is not installed"));
    }
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    certificates::make(folder.path());
    let port = free_port();
    let (cert, key, ca) = (path("server.pem"), path("server.key"), path("ca.pem"));
    let listen = format!("OPENSSL-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork");
    let listen = format!("{listen},cert={cert},key={key},cafile={ca},verify=1");
    let mut socat = Command::new("socat");
    socat.args([&listen, &format!("TCP:127.0.0.1:{}", doorkeeper::start())]);
    let _socat = Running::start(socat);
    let settings = format!(
        "security.protocol=sasl_ssl\nsasl.mechanism=PLAIN\nsasl.username=us\nsasl.password=hush\n\
         ssl.certificate.location={}\nssl.key.location={}\n",
        path("client.pem"),
        path("client.key"),
    );
    fs::write(path("properties"), settings).expect("room");
    for (believed, ends) in [("ca.pem", true), ("other.pem", false)] {
        let file = format!("file:{}", path(believed) + ".events");
        let options = format!("config={}&ssl.ca.location={}", path("properties"), path(believed));
        let write = format!("kafka:localhost:{port}/t?broker.address.family=v4&{options}");
        let (mut attached, waiting) = flood(WORKLOAD, 1000, &["-vvv", "-w", &write, "-w", &file]);
        waiting.go();
        let (reason, then) = match ends {
            true => ("nobody knows", "other destinations go on"),
            false => ("certificate verify failed", "waiting until lines arrive"),
        };
        let told = |line: &str| line.contains(reason) && line.contains(then);
        attached.tracer.stderr.wait_for(reason, told);
        let said = ended(attached, 5);
        assert!(!said.contains("hush"), "{said}");
        complete(&[path(believed) + ".events"], 1000);
    }
}

/// Settings that are none are found before anything is attached.
#[test]
fn wrong_settings_are_found_at_once() {
    let Some(mock) = Mock::start() else { return };
    let start = Instant::now();
    let write = format!("kafka:{}/t?sasl.password=hush&linger.ms=soon", mock.brokers);
    let mut command = Command::new(tracer::binary());
    let output = command.args(["-vvv", "-w", &write]).output().expect("a tracer");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("linger.ms") && !said.contains("hush"), "{said}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

//! Destinations `nats:`: a real nats-server with JetStream that comes late, is killed,
//! refuses and is full, and what its stream holds in the end.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tests::far::{self, complete, ended, verify};
use tests::nats::Server;
use tests::skip::require_root_bpf;
use tests::stream::count;
use tests::tools;
use tests::tracer::{self, Attached, Waiting};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");
const CALLS: u64 = 30_000;
const STREAM: &str = "TRACER";
const SUBJECT: &str = "tracer.events";

/// A server that is not started yet.
fn server(configuration: &str) -> Option<Server> {
    require_root_bpf("nats").then(|| Server::new("nats", configuration)).flatten()
}

/// It as a destination.
fn destination(server: &Server, options: &str) -> String {
    format!("nats:127.0.0.1:{}/{SUBJECT}{options}", server.port)
}

/// A tracer of a flood that is still to be let go, with a queue that holds it.
fn flood(options: &[&str]) -> (Attached, Waiting) {
    far::flood(WORKLOAD, CALLS, &[options, &["--queue", "256M"]].concat())
}

/// What a stream holds is a whole run with all calls, and nothing twice.
fn assert_complete(server: &Server, login: &Value) {
    let path = server.folder.path().join("read");
    let stored = server.client(login).read_into(STREAM, &path);
    let (report, code) = verify(&[&path]);
    let run = &report["runs"][0];
    assert_eq!((code, count(run, "events")), (Some(0), CALLS), "{report}");
    assert_eq!((count(run, "duplicates"), count(&report, "lines")), (0, stored), "{report}");
}

/// Down at the start, without a stream then, killed twice in the middle: in the end every
/// line is stored, and each once.
#[test]
fn a_server_that_is_killed_stores_every_line_once() {
    let Some(mut server) = server("") else { return };
    let (mut attached, waiting) = flood(&["-w", &destination(&server, "")]);
    let calling = thread::spawn(move || waiting.go());
    attached.wait_said("Connection refused");
    server.start();
    attached.wait_said("no stream takes the subject");
    server.client(&json!({})).add_stream(STREAM, SUBJECT, &json!({}));
    for messages in [2_000, 8_000] {
        let had = server.kill_at(STREAM, messages);
        assert!(had < CALLS, "killed in the middle, not after {had}");
        thread::sleep(Duration::from_millis(300));
        server.start();
    }
    calling.join().expect("the workload");
    server.client(&json!({})).wait_messages(STREAM, CALLS);
    let said = ended(attached, 0);
    assert_eq!(said.matches("delivering again").count(), 3, "{said}");
    assert_complete(&server, &json!({}));
    let mut messages = Vec::new();
    server.client(&json!({})).read(STREAM, |message| messages.push(message));
    let id = |line: &Value| {
        format!("Nats-Msg-Id: {}-{}\r\n", line["run_id"].as_str().expect("a run"), line["seq"])
    };
    for message in &messages {
        let line = serde_json::from_slice(&message.payload).expect("a line of JSON");
        assert!(message.headers.contains(&id(&line)), "{:?}", message.headers);
    }
}

/// A destination with this path is given up, for a reason with these words, and a file
/// beside it has everything.
fn assert_fails(server: &Server, write: &str, reason: &str) -> String {
    let path = server.folder.path().join("file");
    let (attached, waiting) = flood(&["-w", write, "-w", &format!("file:{}", path.display())]);
    waiting.go();
    let said = ended(attached, 5);
    assert!(said.contains(reason) && said.contains("other destinations go on"), "{said}");
    complete(&[&path], CALLS);
    said
}

/// Writes a secret, and returns where.
fn secret(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).expect("our own folder");
    path.display().to_string()
}

/// A wrong password ends the destination for good; it is shown nowhere, nor is a right one.
#[test]
fn a_wrong_password_fails_for_good() {
    let configuration = "authorization { user: tracer, password: \"it is hard to guess\" }";
    let Some(mut server) = server(configuration) else { return };
    server.start();
    let wrong = secret(server.folder.path(), "wrong", "xyzzy-plugh\n");
    let with = |file: &str| destination(&server, &format!("?user=tracer&password-file={file}"));
    let said = assert_fails(&server, &with(&wrong), "authorization violation");
    assert!(!said.contains("plugh"), "{said}");

    let login = json!({"user": "tracer", "pass": "it is hard to guess"});
    server.client(&login).add_stream(STREAM, SUBJECT, &json!({}));
    let right = secret(server.folder.path(), "right", "it is hard to guess\n");
    let (attached, waiting) = flood(&["-w", &with(&right)]);
    waiting.go();
    let said = ended(attached, 0);
    assert!(!said.contains("guess"), "{said}");
    assert_complete(&server, &login);
}

/// So does one who may not publish, or a stream that is another one.
#[test]
fn what_is_forbidden_fails_for_good() {
    let configuration = "authorization { users: [
        { user: a, password: a },
        { user: b, password: b, permissions: { publish: [\"other\"] } } ] }";
    let Some(mut server) = server(configuration) else { return };
    server.start();
    let mut client = server.client(&json!({"user": "a", "pass": "a"}));
    client.add_stream(STREAM, SUBJECT, &json!({}));
    let (a, b) = (secret(server.folder.path(), "a", "a"), secret(server.folder.path(), "b", "b"));
    let write = destination(&server, &format!("?user=b&password-file={b}"));
    assert_fails(&server, &write, "Permissions Violation for Publish");
    let write = destination(&server, &format!("?user=a&password-file={a}&stream=ELSE"));
    assert_fails(&server, &write, "expected stream does not match");
    assert_eq!(client.messages(STREAM), 0);
}

/// A server that hangs is given up at the end, and holds nobody up; it comes back with what
/// it had acknowledged, and no part of a line.
#[test]
fn a_server_that_hangs_is_given_up() {
    let Some(mut server) = server("") else { return };
    server.start();
    let mut client = server.client(&json!({}));
    client.add_stream(STREAM, SUBJECT, &json!({}));
    let path = server.folder.path().join("file");
    let file = format!("file:{}", path.display());
    let (attached, waiting) = flood(&["-w", &destination(&server, ""), "-w", &file]);
    let calling = thread::spawn(move || waiting.go());
    client.wait_messages(STREAM, 1000);
    server.signal(libc::SIGSTOP);
    calling.join().expect("the workload");
    let said = ended(attached, 5);
    assert!(said.contains("it took nothing for 3 s"), "{said}");
    complete(&[&path], CALLS);
    server.signal(libc::SIGCONT);
    let read = server.folder.path().join("read");
    let stored = client.read_into(STREAM, &read);
    let (report, _) = verify(&[&read]);
    let run = &report["runs"][0];
    assert!((1000..CALLS).contains(&stored), "stopped in the middle, not after {stored}");
    let events = [count(run, "events"), count(run, "duplicates"), count(&report, "torn")];
    assert_eq!(events, [stored - 1, 0, 0], "all but the start record: {report}");
}

/// A message that is longer than the server takes is refused and counted; all others are
/// stored.
#[test]
fn too_long_a_message_is_refused_and_counted() {
    const LIMIT: usize = 12_000;
    let Some(mut server) = server(&format!("max_payload: {LIMIT}")) else { return };
    server.start();
    server.client(&json!({})).add_stream(STREAM, SUBJECT, &json!({}));
    let folder = server.folder.path();
    let (path, truth) = (folder.join("file"), folder.join("truth").display().to_string());
    let write = format!("file:{}", path.display());
    let finished = tracer::run(&[
        "-o",
        "json",
        "-w",
        &destination(&server, ""),
        "-w",
        &write,
        "--detail",
        "full",
        "--",
        WORKLOAD,
        "mixed",
        "--count",
        "200",
        "--truth",
        &truth,
    ]);
    finished.expect_code(0);
    assert!(finished.stderr.contains("a line is refused"), "{}", finished.stderr);
    // As the message is sent, headers included.
    let length = |line: &Value, text: &str| {
        let id = format!("{}-{}", line["run_id"].as_str().expect("a run"), line["seq"]);
        format!("NATS/1.0\r\nNats-Msg-Id: {id}\r\n\r\n").len() + text.len()
    };
    let (mut events, mut long) = (0, BTreeSet::new());
    for text in fs::read_to_string(&path).expect("what was written").lines() {
        let line: Value = serde_json::from_str(text).expect("JSON");
        if line["schema"] == "tracer.event/1" {
            events += 1;
            if length(&line, text) > LIMIT {
                long.insert(count(&line, "seq"));
            }
        }
    }
    let refused = long.len() as u64;
    assert!(refused > 20 && refused < events / 2, "{refused} of {events}");
    let read = folder.join("read");
    server.client(&json!({})).read_into(STREAM, &read);
    let (report, code) = verify(&[&read]);
    let run = &report["runs"][0];
    assert_eq!((code, count(run, "events")), (Some(1), events - refused), "{report}");
    assert_eq!((count(run, "missing"), count(run, "undeclared")), (refused, 0), "{report}");
    assert_eq!(run["lost"], json!({"total": refused, "sink": refused}), "{report}");
    for text in fs::read_to_string(&read).expect("what was stored").lines() {
        let line: Value = serde_json::from_str(text).expect("JSON");
        assert!(!long.contains(&count(&line, "seq")), "{text}");
    }
}

/// A stream that is full is waited for until there is room.
#[test]
fn a_full_stream_is_waited_for() {
    let Some(mut server) = server("") else { return };
    server.start();
    let mut client = server.client(&json!({}));
    let limits = json!({"max_msgs": 5000, "discard": "new"});
    client.add_stream(STREAM, SUBJECT, &limits);
    let (mut attached, waiting) =
        flood(&["-w", &destination(&server, &format!("?stream={STREAM}"))]);
    waiting.go();
    attached.wait_said("maximum messages");
    assert_eq!(client.messages(STREAM), 5000);
    let more = json!({"name": STREAM, "subjects": [SUBJECT], "storage": "file",
        "retention": "limits", "discard": "new", "max_msgs": -1, "max_bytes": -1, "max_age": 0,
        "max_msg_size": -1, "max_consumers": -1, "num_replicas": 1});
    client.ask(&format!("STREAM.UPDATE.{STREAM}"), &more);
    client.wait_messages(STREAM, CALLS);
    ended(attached, 0);
    assert_complete(&server, &json!({}));
}

/// TLS with certificates of our own: who is not trusted gets nothing.
#[test]
fn by_tls() {
    let Some(mut server) = server("include \"tls.conf\"") else { return };
    let folder = server.folder.path().display().to_string();
    if tools::certificate(server.folder.path()).is_none() {
        return tests::skip::skip("nats by TLS", "no openssl");
    }
    let files = format!("cert_file: \"{folder}/cert.pem\", key_file: \"{folder}/key.pem\"");
    // The client of these tests speaks no TLS.
    let conf = format!("tls {{ {files} }}\nallow_non_tls: true");
    fs::write(server.folder.path().join("tls.conf"), conf).expect("our own folder");
    server.start();
    server.client(&json!({})).add_stream(STREAM, SUBJECT, &json!({}));
    let trusted = destination(&server, &format!("?tls=on&ca={folder}/cert.pem"));
    let (attached, waiting) = flood(&["-w", &trusted, "-w", &destination(&server, "?tls=on")]);
    waiting.go();
    server.client(&json!({})).wait_messages(STREAM, CALLS);
    let said = ended(attached, 5);
    assert!(said.contains("invalid peer certificate"), "{said}");
    assert_complete(&server, &json!({}));
}

//! Many events through destinations whose receivers die twice on the way, and what
//! `tracer verify` finds at the far end. 50,000 each, or as many as `TRACER_TEST_MANY` says;
//! with `--nocapture` it prints how many a second came through.

#[path = "kafka/mock.rs"]
mod mock;

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use mock::Mock;
use serde_json::json;
use tests::far::{complete, dying_reader, ended, pieces};
use tests::nats::Server;
use tests::skip::require_root_bpf;
use tests::stream::count;
use tests::tracer::{Attached, Waiting};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

fn many() -> u64 {
    let asked = std::env::var("TRACER_TEST_MANY").ok();
    asked.map_or(50_000, |text| text.parse().expect("TRACER_TEST_MANY is a number"))
}

/// A tracer of a flood that is about to begin, with a ring and a queue that hold all of it:
/// how fast a destination is must not decide what is lost before it.
fn flood(write: &str) -> (Attached, Waiting) {
    let waiting = Waiting::start(WORKLOAD, &["flood", "--count", &many().to_string()]);
    let buffer = (many() * 512).next_power_of_two().to_string();
    let pid = waiting.pid();
    let ring = ["--rings", "1", "--buffer", &buffer];
    let own = [&ring[..], &["--detail", "call", "--queue", "4G", "--pid", &pid]].concat();
    (Attached::start(&[&["-w", write][..], &own].concat()), waiting)
}

/// Lets the flood go, and ends the tracer once `arrived` has waited for all of it; says how
/// fast it was.
fn through(name: &str, attached: Attached, waiting: Waiting, arrived: impl FnOnce()) {
    let start = Instant::now();
    let calling = thread::spawn(move || waiting.go());
    arrived();
    let truth = calling.join().expect("the workload");
    assert_eq!(count(&truth[0], "calls"), many());
    ended(attached, 0);
    let took = start.elapsed();
    let rate = many() as f64 / took.as_secs_f64();
    println!("{name}: {} events in {took:.1?}, {rate:.0} a second", many());
}

/// All calls came, and nothing is missing; how often lines came again.
fn assert_complete(files: &[PathBuf]) -> u64 {
    count(&complete(files, many()), "duplicates")
}

#[test]
fn a_file_that_is_set_aside_and_compressed() {
    if !require_root_bpf("many") {
        return;
    }
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("events.json");
    let write = format!("file:{}?size=16M&compress=zstd", path.display());
    let (attached, waiting) = flood(&write);
    through("file", attached, waiting, || {});
    let files = pieces(folder.path());
    assert!(files.len() > 2, "{files:?}");
    assert_eq!(assert_complete(&files), 0);
}

#[test]
fn a_unix_socket_whose_reader_dies_twice() {
    if !require_root_bpf("many") {
        return;
    }
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let (socket, received) = (folder.path().join("socket"), folder.path().join("received"));
    let (attached, waiting) = flood(&format!("unix:{}", socket.display()));
    let receiver = dying_reader(&socket, &received, [many() / 5, many() / 2]);
    through("unix", attached, waiting, || {});
    receiver.join().expect("the receiver");
    assert!(assert_complete(&[received]) > 0, "what may not have arrived is sent again");
}

#[test]
fn a_nats_server_that_is_killed_twice() {
    let server = require_root_bpf("many").then(|| Server::new("many nats", "")).flatten();
    let Some(mut server) = server else { return };
    server.start();
    server.client(&json!({})).add_stream("TRACER", "tracer.events", &json!({}));
    let (attached, waiting) = flood(&format!("nats:127.0.0.1:{}/tracer.events", server.port));
    let path = server.folder.path().join("read");
    through("nats", attached, waiting, || {
        for part in [5, 2] {
            let had = server.kill_at("TRACER", many() / part);
            assert!(had < many(), "killed in the middle, not after {had}");
            server.start();
        }
        server.client(&json!({})).wait_messages("TRACER", many());
    });
    server.client(&json!({})).read_into("TRACER", &path);
    assert_eq!(assert_complete(&[path]), 0, "each is stored once");
}

/// The mock cluster forgets all when it is killed, so that its brokers are taken down
/// instead; of each partition it keeps 5 MiB, so that there are many.
#[test]
fn kafka_brokers_that_are_down_twice() {
    let Some(mut mock) = require_root_bpf("many").then(Mock::start).flatten() else { return };
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let received = folder.path().join("received");
    mock.tell(&format!("topic calls {}", (many() / 1500).max(8)));
    let write = format!("kafka:{}/calls?reconnect.backoff.max.ms=500", mock.brokers);
    let (attached, waiting) = flood(&write);
    through("kafka (a mock)", attached, waiting, || {
        for _ in 0..2 {
            thread::sleep(Duration::from_millis(300));
            mock.all("down");
            thread::sleep(Duration::from_millis(300));
            mock.all("up");
        }
    });
    // Only now: kcat gives up once all brokers are down.
    let to = File::create(&received).expect("our own folder");
    let mut kcat = Command::new("kcat");
    kcat.args(["-C", "-b", &mock.brokers, "-t", "calls", "-o", "beginning", "-e", "-q"]);
    let read = kcat.stdin(Stdio::null()).stdout(to).status().expect("kcat");
    assert!(read.success(), "{read}");
    assert_complete(&[received]);
}

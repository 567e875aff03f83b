//! Receivers that are there, come late, and die.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read},
    net::{self, TcpListener},
    os::unix::net::{UnixDatagram, UnixListener},
    thread,
    time::Duration,
};

use super::*;
use crate::sink::{Caller, Destination};

fn chunk(lines: std::ops::Range<u64>) -> Chunk {
    let mut chunk = Chunk::default();
    for seq in lines {
        chunk.bytes.extend_from_slice(format!("{seq}\n").as_bytes());
        chunk.end_line(seq, (seq != 0).then_some(Caller { cpu: 0, pid: 1 }));
    }
    chunk
}

fn stream(text: &str) -> Stream {
    match Destination::parse(text).unwrap() {
        Destination::Stream(spec) => Stream::new(&spec).unwrap(),
        other => panic!("{other}"),
    }
}

fn sent(stream: &mut Stream, lines: std::ops::Range<u64>) {
    let chunk = chunk(lines);
    let delivery = stream.deliver(&chunk, None);
    assert!(delivery.result.is_ok() && delivery.refused.is_empty());
    assert_eq!(delivery.whole, chunk.bytes.len());
}

#[test]
fn syslog_is_octet_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut stream = stream(&format!("tcp:127.0.0.1:{port}?framing=syslog&facility=local1"));
    sent(&mut stream, 0..20);
    let reader = thread::spawn(move || {
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        text
    });
    stream.finish(None).unwrap();
    let text = reader.join().unwrap();
    let (mut rest, mut seq) = (text.as_str(), 0);
    while let Some((length, after)) = rest.split_once(' ') {
        let (message, next) = after.split_at(length.parse().unwrap());
        let fields: Vec<_> = message.splitn(8, ' ').collect();
        let (priority, id) = if seq == 0 { ("<141>1", "health") } else { ("<142>1", "event") };
        assert_eq!((fields[0], fields[3], fields[5], fields[6]), (priority, "tracer", id, "-"));
        fields[1].parse::<jiff::Timestamp>().unwrap();
        assert_eq!(fields[7], seq.to_string());
        (rest, seq) = (next, seq + 1);
    }
    assert_eq!((rest, seq), ("", 20));
}

/// It is down at start, dies having read a little, and comes back: every line arrives.
#[test]
fn a_receiver_that_dies_misses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let mut stream = stream(&format!("unix:{}", path.display()));
    let receiver = thread::spawn(move || {
        thread::sleep(Duration::from_millis(150));
        let mut seen = BTreeSet::new();
        let listener = UnixListener::bind(&path).unwrap();
        let first = BufReader::new(listener.accept().unwrap().0);
        seen.extend(first.lines().take(100).map(|line| line.unwrap().parse::<u64>().unwrap()));
        let second = BufReader::new(listener.accept().unwrap().0);
        seen.extend(second.lines().map(|line| line.unwrap().parse::<u64>().unwrap()));
        seen
    });
    for start in (1..100_001).step_by(1000) {
        sent(&mut stream, start..start + 1000);
    }
    stream.finish(None).unwrap();
    assert_eq!(receiver.join().unwrap(), (1..100_001).collect());
}

/// One that reads nothing holds nobody up who has to end, and what it took is known.
#[test]
fn a_stuck_receiver_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let mut stream = stream(&format!("unix:{}", path.display()));
    let quit = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
    let moved = std::sync::atomic::AtomicU64::new(0);
    let leash = Leash { moved: &moved, quit: std::os::fd::AsFd::as_fd(&quit), retries: &moved };
    let chunk = chunk(1..200_000);
    let delivery = thread::scope(|scope| {
        let delivering = scope.spawn(|| stream.deliver(&chunk, Some(&leash)));
        thread::sleep(Duration::from_millis(200));
        rustix::io::write(&quit, &1u64.to_ne_bytes()).unwrap();
        delivering.join().unwrap()
    });
    assert!(matches!(delivery.result, Err(Halt::Quit)));
    drop(stream);
    let mut taken = Vec::new();
    listener.accept().unwrap().0.read_to_end(&mut taken).unwrap();
    let whole = taken.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    assert_eq!((delivery.whole, whole > 0, whole < chunk.bytes.len()), (whole, true, true));
}

/// One that has closed its own side at once, as `socat -u` does, reads on: what it gets is
/// sent to it once.
#[test]
fn a_half_closed_receiver_reads_on() {
    let listener = TcpListener::bind("localhost:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut stream = stream(&format!("tcp:localhost:{port}"));
    let receiver = thread::spawn(move || {
        let mut from = listener.accept().unwrap().0;
        from.shutdown(net::Shutdown::Write).unwrap();
        let mut text = String::new();
        from.read_to_string(&mut text).unwrap();
        text.lines().map(|line| line.parse::<u64>().unwrap()).collect::<Vec<_>>()
    });
    sent(&mut stream, 1..1000);
    thread::sleep(Duration::from_millis(50));
    for start in [1000, 2000] {
        sent(&mut stream, start..start + 1000);
    }
    stream.finish(None).unwrap();
    assert_eq!(receiver.join().unwrap(), (1..3000).collect::<Vec<_>>());
}

/// One that has gone while nothing was sent is found out before a chunk counts as sent.
#[test]
fn a_receiver_that_left_is_found_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut stream = stream(&format!("tcp:127.0.0.1:{port}?resend=0"));
    sent(&mut stream, 1..1000);
    let first = listener.accept().unwrap().0;
    let read: Vec<_> = BufReader::new(first).lines().take(999).map(Result::unwrap).collect();
    assert_eq!(read.len(), 999);
    thread::sleep(Duration::from_millis(50));
    let receiver = thread::spawn(move || {
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        text
    });
    sent(&mut stream, 1000..1001);
    sent(&mut stream, 1001..1002);
    stream.finish(None).unwrap();
    assert_eq!(receiver.join().unwrap(), "1000\n1001\n");
}

/// Datagrams wait for a receiver, for room in its queue, and for it to come back; one that
/// is too long is refused.
#[test]
fn datagrams_wait_for_their_receiver() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let write = format!("unix:{}?type=dgram&framing=syslog", path.display());
    let Ok(Destination::Stream(spec)) = Destination::parse(&write) else { panic!("a socket") };
    let mut datagrams = Datagrams::new(&spec);
    let receiver = thread::spawn(move || {
        let mut seen = Vec::new();
        for count in [100, 2901] {
            thread::sleep(Duration::from_millis(150));
            let _ = std::fs::remove_file(&path);
            let socket = UnixDatagram::bind(&path).unwrap();
            let mut buffer = [0; 1000];
            for _ in 0..count {
                let length = socket.recv(&mut buffer).unwrap();
                seen.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
                if seen.last().unwrap().ends_with(" 2999") {
                    break;
                }
            }
        }
        seen
    });
    let mut chunk = chunk(1..1000);
    chunk.bytes.resize(chunk.bytes.len() + (1 << 20), b'x');
    chunk.end_line(1000, Some(Caller { cpu: 0, pid: 1 }));
    let end = chunk.bytes.len();
    chunk.append(&mut self::chunk(1000..3000));
    let delivery = datagrams.deliver(&chunk, None);
    assert!(delivery.result.is_ok());
    assert_eq!((delivery.whole, delivery.refused), (chunk.bytes.len(), vec![end]));
    let seen = receiver.join().unwrap();
    assert!(seen[0].starts_with("<134>1 ") && seen[0].ends_with(" event - 1"), "{}", seen[0]);
    // What lay in the first socket's queue, ten of them or so, went with it.
    assert!((2900..3000).contains(&seen.len()), "{}", seen.len());
}

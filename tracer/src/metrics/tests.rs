//! What is answered, and clients that take their time.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use super::*;
use crate::health::Lost;

fn snapshot(failed: bool) -> Snapshot {
    let lost = Lost { ring_full: 3, total: 3, ..Lost::default() };
    let counts = Counts { emitted: 40, kernel_seen: 43, lost, ..Counts::default() };
    let at = At {
        name: "tcp:\"host\"\\:1".to_owned(),
        counts: counts.clone(),
        failed,
        queue_limit: 65536,
        lag: Duration::from_millis(1500),
        retries: 2,
        spooled: 7,
    };
    let runs = |name, runs| Program {
        name,
        target: "sys_enter".to_owned(),
        runs,
        time: Duration::from_micros(50),
    };
    Snapshot {
        hook: "raw-tracepoint",
        kernel: "6.18.0".to_owned(),
        counts,
        destinations: vec![at],
        results: vec![("recvmmsg", "ok", 30), ("recvmmsg", "EAGAIN", 10)],
        ring_fullest: 512,
        ring_size: 4096,
        programs: vec![runs("enter", 43)],
    }
}

fn served() -> (Board, std::net::SocketAddr) {
    let server = Server::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let (board, address) = (Board::default(), server.address().unwrap());
    server.start(board.clone()).unwrap();
    (board, address)
}

/// The status line's number, and the body.
fn get(address: std::net::SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "{request} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[test]
fn numbers_are_told_by_name_and_label() {
    let (board, address) = served();
    let (status, text) = get(address, "GET /metrics");
    assert_eq!(status, 200);
    assert!(text.contains("process_cpu_seconds_total ") && !text.contains("calls"), "{text}");
    board.publish(snapshot(false));
    let (_, text) = get(address, "GET /metrics");
    for line in [
        "tracer_build_info{version=\"0.1.0\",hook=\"raw-tracepoint\",kernel=\"6.18.0\"} 1",
        "# TYPE tracer_events_total counter",
        "tracer_events_total{event=\"recvmmsg\",result=\"EAGAIN\"} 10",
        "tracer_calls_seen_total 43",
        "tracer_calls_lost_total{cause=\"ring_full\"} 3",
        "tracer_sink_events_total{destination=\"tcp:\\\"host\\\"\\\\:1\"} 40",
        "tracer_sink_lag_seconds{destination=\"tcp:\\\"host\\\"\\\\:1\"} 1.5",
        "tracer_sink_spool_lines{destination=\"tcp:\\\"host\\\"\\\\:1\"} 7",
        "tracer_program_run_seconds_total{program=\"enter\",target=\"sys_enter\"} 0.00005",
    ] {
        assert!(text.lines().any(|own| own == line), "no {line} in {text}");
    }
}

#[test]
fn whether_it_is_well_is_told() {
    let (board, address) = served();
    assert_eq!(get(address, "GET /healthz"), (200, "ok\n".to_owned()), "it is starting");
    assert_eq!(get(address, "GET /readyz"), (503, "not attached yet\n".to_owned()));
    board.publish(snapshot(false));
    assert_eq!(get(address, "GET /readyz"), (200, "ok\n".to_owned()));
    board.publish(snapshot(true));
    let (status, says) = get(address, "GET /readyz");
    assert!(status == 503 && says.contains("has failed"), "{says}");
    let long_ago = Instant::now().checked_sub(2 * STALE).unwrap();
    *board.lock() = Some((long_ago, snapshot(false)));
    let (status, says) = get(address, "GET /healthz");
    assert!(status == 503 && says.contains("nothing was heard"), "{says}");
    assert_eq!(get(address, "GET /").0, 404);
    assert_eq!(get(address, "POST /metrics").0, 405);
}

/// Those that never end their request hold their places for a while only, and what they
/// send is bounded.
#[test]
fn slow_clients_are_let_go() {
    let (board, address) = served();
    board.publish(snapshot(false));
    let mut slow: Vec<_> = (0..100)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            write!(stream, "GET /metrics HTTP/1.1\r\nX-Slow: ").unwrap();
            stream
        })
        .collect();
    let start = Instant::now();
    assert_eq!(get(address, "GET /healthz").0, 200);
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    let mut first = slow.remove(0);
    first.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut rest = Vec::new();
    // Either an answer that it came too late, or none.
    let _ = first.read_to_end(&mut rest);
    assert!(!rest.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&rest));
    let mut large = TcpStream::connect(address).unwrap();
    let line = format!("X-Large: {}\r\n", "x".repeat(1000));
    let _ = write!(large, "GET /metrics HTTP/1.1\r\n");
    let refused = (0..32_000).any(|_| large.write_all(line.as_bytes()).is_err());
    assert!(refused, "32 MB of headers are not taken");
}

//! A real server in small: it receives as many datagrams as there are in one call and
//! answers them in another. Its clients keep a window of requests under way and count
//! the answers.

use std::{
    net::UdpSocket,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    options::Options,
    sys::{self, Batch},
};

/// Clients, each with a socket and a thread.
const CLIENTS: usize = 2;
/// Messages that the server takes in one call.
const BATCH: usize = 32;

/// Serves until the time is over; requests answered, and in what time.
pub fn run(options: &Options) -> Value {
    let server = UdpSocket::bind("127.0.0.1:0").expect("a socket on loopback");
    server.set_read_timeout(Some(Duration::from_millis(50))).expect("SO_RCVTIMEO");
    let address = server.local_addr().expect("its address");
    let (over, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let window = options.messages;
    let client = || {
        if let Some(cpu) = options.clients_cpu {
            sys::pin(cpu);
        }
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket on loopback");
        socket.connect(address).expect("connected");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("SO_RCVTIMEO");
        let mut requests = Batch::new(window);
        let mut answer = [0; 64];
        while !over.load(Ordering::Relaxed) {
            requests.send(&socket, window, true);
            // One that is lost must not end it all.
            let got = (0..window).take_while(|_| socket.recv(&mut answer).is_ok()).count();
            answered.fetch_add(got as u64, Ordering::Relaxed);
        }
    };
    let (mut calls, mut spent) = (0u64, 0.0);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        let mut batch = Batch::new(BATCH);
        let start = Instant::now();
        while start.elapsed() < options.time {
            batch.rearm(BATCH);
            calls += 1;
            if let Some(got) = batch.receive(&server, libc::MSG_WAITFORONE) {
                batch.send(&server, got, false);
            }
        }
        over.store(true, Ordering::Relaxed);
        spent = start.elapsed().as_secs_f64();
        for client in clients {
            client.join().expect("a client");
        }
    });
    let answered = answered.load(Ordering::Relaxed);
    json!({"requests": answered, "calls": calls, "seconds": spent})
}

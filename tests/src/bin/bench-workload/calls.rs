//! The cost of one call.

use std::{
    net::UdpSocket,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    floor::Floor,
    options::{Kind, Options},
    sys::{self, Batch},
};

/// Most datagrams that wait in a queue: as many as a cache holds.
const QUEUE: usize = 512;
/// Fewest chunks, however slow they are.
const FEWEST: usize = 3;

/// Two sockets of which one sends to the other.
fn pair() -> (UdpSocket, UdpSocket) {
    let bind = || UdpSocket::bind("127.0.0.1:0").expect("a socket on loopback");
    let (receiver, sender) = (bind(), bind());
    sender.connect(receiver.local_addr().expect("its address")).expect("connected");
    (receiver, sender)
}

/// Times chunks of calls until the time is over.
pub fn run(options: &Options) -> Value {
    let (receiver, sender) = pair();
    let chunk = options.chunk;
    let clock = Clock { cpu: options.cpu_clock };
    let mut batch = Batch::new(options.messages);
    let mut times = Vec::new();
    match options.kind {
        Kind::Getppid => times = chunks(options, chunk, || clock.timed(chunk, sys::getppid)),
        Kind::Eagain => {
            times = chunks(options, chunk, || {
                clock.timed(chunk, || {
                    let got = batch.receive(&receiver, libc::MSG_DONTWAIT);
                    assert_eq!(got, None, "nothing was sent");
                })
            });
        }
        Kind::Receive => {
            sys::deepen(&receiver);
            let chunk = chunk.min(u32::try_from(QUEUE / options.messages).expect("small"));
            let mut sending = Batch::new(options.messages);
            times = chunks(options, chunk, || {
                for _ in 0..chunk {
                    sending.send(&sender, options.messages, true);
                }
                // The kernel leaves the lengths as they are: all addresses are alike.
                clock.timed(chunk, || {
                    let got = batch.receive(&receiver, libc::MSG_DONTWAIT);
                    assert_eq!(got, Some(options.messages), "what was sent is received");
                })
            });
        }
        Kind::Blocking => blocking(options, receiver, sender, &mut times),
        Kind::Paced | Kind::Flood | Kind::Echo => {}
    }
    times.sort_unstable_by(f64::total_cmp);
    json!({
        "chunks": times.len(),
        "ns_per_call": times[times.len() / 2],
        "ns_per_call_min": times[0],
    })
}

/// A thread waits in the call for what this one sends, and answers.
fn blocking(options: &Options, receiver: UdpSocket, sender: UdpSocket, times: &mut Vec<f64>) {
    let receiving = thread::spawn(move || {
        let mut batch = Batch::new(1);
        loop {
            batch.rearm(1);
            assert_eq!(batch.receive(&receiver, 0), Some(1));
            batch.send(&receiver, 1, false);
            if batch.first() == b'e' {
                return;
            }
        }
    });
    let mut answer = [0; 64];
    let mut round = |byte: u8| {
        sender.send(&[byte]).expect("sent");
        sender.recv(&mut answer).expect("answered");
    };
    let clock = Clock { cpu: false };
    *times = chunks(options, options.chunk, || clock.timed(options.chunk, || round(b'x')));
    round(b'e');
    receiving.join().expect("the receiving thread");
}

/// Chunks of so many calls until the time is over, pauses not counted.
fn chunks(options: &Options, calls: u32, mut chunk: impl FnMut() -> f64) -> Vec<f64> {
    let attached = options.floor.map(|stage| Floor::attach(stage).expect("the least programs"));
    // The first one warms up.
    chunk();
    // Records grow with the messages.
    let burst = options.burst / u32::try_from(options.messages).unwrap_or(1);
    let mut since_pause = calls;
    let mut paused = Duration::ZERO;
    let start = Instant::now();
    let mut times = Vec::new();
    while start.elapsed() < options.time + paused || times.len() < FEWEST {
        if options.burst != 0 && since_pause + calls > burst {
            let begin = Instant::now();
            thread::sleep(options.pause);
            paused += begin.elapsed();
            since_pause = 0;
        }
        since_pause += calls;
        times.push(chunk());
        if let Some(floor) = &attached {
            floor.drain();
        }
    }
    times
}

/// How long a number of calls takes, for each.
#[derive(Clone, Copy)]
struct Clock {
    cpu: bool,
}

impl Clock {
    fn timed(self, count: u32, mut call: impl FnMut()) -> f64 {
        let (start, cpu) = (Instant::now(), sys::cpu_time());
        for _ in 0..count {
            call();
        }
        let spent = if self.cpu { sys::cpu_time() - cpu } else { start.elapsed() };
        spent.as_secs_f64() * 1e9 / f64::from(count)
    }
}

/// Calls as fast as they come; how many, and in what time.
pub fn flood(options: &Options) -> Value {
    let (receiver, _sender) = pair();
    let mut batch = Batch::new(options.messages);
    let start = Instant::now();
    let mut calls = 0u64;
    while start.elapsed() < options.time {
        for _ in 0..options.chunk {
            assert_eq!(batch.receive(&receiver, libc::MSG_DONTWAIT), None);
        }
        calls += u64::from(options.chunk);
    }
    json!({"calls": calls, "seconds": start.elapsed().as_secs_f64()})
}

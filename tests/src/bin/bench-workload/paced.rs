//! Calls at a steady rate, for whoever looks at how late a tracer tells of them.

use std::{
    net::UdpSocket,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{options::Options, sys::Batch};

/// Makes calls until the time is over.
pub fn run(options: &Options) -> Value {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket on loopback");
    let mut batch = Batch::new(1);
    let step = Duration::from_secs(1) / options.rate;
    let start = Instant::now();
    let mut calls = 0u32;
    loop {
        let due = start + step * calls;
        let now = Instant::now();
        if now.duration_since(start) >= options.time {
            break;
        }
        if due > now {
            thread::sleep(due - now);
        }
        assert_eq!(batch.receive(&socket, libc::MSG_DONTWAIT), None, "nothing was sent");
        calls += 1;
    }
    json!({"calls": calls, "seconds": start.elapsed().as_secs_f64()})
}

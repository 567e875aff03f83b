//! Scenarios whose calls wait for their datagrams.

use std::io::Write;
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::batch::Batch;
use super::call::{Call, Moment};
use super::entry::Entry::Native;
use super::sockets::{Udp, payload};
use super::watch::blocked;
use super::{Context, wait_line};

/// Long enough to show up in a latency, short enough to wait for.
pub const WHILE: Duration = Duration::from_millis(40);

/// Another thread sends the datagrams one by one; the call has time left.
pub fn served(context: &Context) {
    let udp = Udp::v4();
    let batch = Batch::new(false, 3);
    let call = Call::new(Native, udp.fd(), &batch).flags(0).timeout(10, 5);
    let (made, inside) = blocked(call, |_| {
        for i in 0..2 {
            thread::sleep(WHILE);
            udp.send(i);
        }
        let acted = Moment::now();
        udp.send(2);
        acted
    });
    assert_eq!(made.ret, 3, "the kernel's answer");
    let truth = made.truth_with(context.options.messages, Some(inside));
    udp.check(&truth);
    context.recorder.record(&truth);
}

/// Another thread swaps where the second message goes while the first is waited for, and
/// swaps it back or not before the call ends.
pub fn swapped(context: &Context) {
    for back in [false, true] {
        let udp = Udp::v4();
        let (batch, other) = (Batch::new(false, 2), Batch::new(false, 2));
        let (own, others) = (batch.iov(1), other.iov(1));
        let call = Call::new(Native, udp.fd(), &batch).flags(0);
        let (made, inside) = blocked(call, |_| {
            batch.set_iov(1, others, 1);
            udp.send(0);
            // The kernel reads the second header once the first message has come.
            thread::sleep(WHILE);
            if back {
                batch.set_iov(1, own, 1);
            }
            let acted = Moment::now();
            udp.send(1);
            acted
        });
        assert_eq!(made.ret, 2, "the kernel's answer");
        assert_eq!(other.data(1)[..1], payload(1)[..1], "it went elsewhere");
        let mut truth = made.truth_with(context.options.messages, Some(inside));
        truth["findings"] = if back { json!([]) } else { json!(["changed_during_call"]) };
        context.recorder.record(&truth);
    }
}

/// Without a timeout.
pub fn no_timeout(context: &Context) {
    let udp = Udp::v6();
    let batch = Batch::new(false, 1);
    let call = Call::new(Native, udp.fd(), &batch).flags(0);
    let (made, inside) = blocked(call, |_| {
        thread::sleep(WHILE);
        let acted = Moment::now();
        udp.send(0);
        acted
    });
    assert_eq!(made.ret, 1, "the kernel's answer");
    context.recorder.record(&made.truth_with(context.options.messages, Some(inside)));
}

/// The timeout passes while nothing comes: the kernel looks at it only after a
/// datagram (BUGS in recvmmsg(2)), so the call ends with the first one.
pub fn expired(context: &Context) {
    let udp = Udp::v4();
    let batch = Batch::new(false, 4);
    let call = Call::new(Native, udp.fd(), &batch).flags(0).timeout(0, 10_000_000);
    let (made, inside) = blocked(call, |_| {
        thread::sleep(2 * WHILE);
        let acted = Moment::now();
        udp.send(0);
        acted
    });
    assert_eq!(made.ret, 1, "the kernel's answer");
    assert_eq!(batch.timeout(8), (0, 0), "nothing remains");
    context.recorder.record(&made.truth_with(context.options.messages, Some(inside)));
}

/// MSG_WAITFORONE: takes what waits, then waits for the first only.
pub fn waitforone(context: &Context) {
    let udp = Udp::v4();
    let batch = Batch::new(false, 8);
    let call = Call::new(Native, udp.fd(), &batch).flags(libc::MSG_WAITFORONE).timeout(10, 0);
    udp.send_all(3);
    let made = call.make();
    assert_eq!(made.ret, 3, "the kernel's answer");
    udp.check(&context.tell(&made));

    let (made, inside) = blocked(call, |_| {
        thread::sleep(WHILE);
        let acted = Moment::now();
        udp.send(0);
        acted
    });
    assert_eq!(made.ret, 1, "the kernel's answer");
    context.recorder.record(&made.truth_with(context.options.messages, Some(inside)));
}

/// Says `ready PID TID` once the call blocks, and serves it after a line on stdin.
pub fn announced(context: &Context) {
    let udp = Udp::v4();
    let batch = Batch::new(false, 1);
    let call = Call::new(Native, udp.fd(), &batch).flags(0).timeout(30, 0);
    let (made, inside) = blocked(call, |tid| {
        println!("ready {} {tid}", std::process::id());
        std::io::stdout().flush().expect("stdout");
        wait_line();
        let acted = Moment::now();
        udp.send(0);
        acted
    });
    assert_eq!(made.ret, 1, "the kernel's answer");
    context.recorder.record(&made.truth_with(context.options.messages, Some(inside)));
}

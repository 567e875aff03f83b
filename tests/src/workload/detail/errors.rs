//! The error queue: what went wrong with a datagram that was sent.

use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use serde_json::{Value, json};

use super::{items, told};
use crate::workload::Context;
use crate::workload::batch::Batch;
use crate::workload::call::Call;
use crate::workload::entry::Entry;
use crate::workload::sockets::set_level;
use crate::workload::watch::until;

/// By the native call.
pub fn native(context: &Context) {
    everything(context, Entry::Native);
}

/// By `int $0x80`.
pub fn compat(context: &Context) {
    everything(context, Entry::I386Time64);
}

fn everything(context: &Context, entry: Entry) {
    let inet = json!({"family": "AF_INET", "ip": "127.0.0.1", "port": 0});
    let refused = json!({"level": "SOL_IP", "type": "IP_RECVERR",
        "error": {"name": "ECONNREFUSED", "errno": 111}, "origin": "SO_EE_ORIGIN_ICMP",
        "ee_type": 3, "ee_code": 3, "info": 0, "data": 0, "offender": inet});
    closed_port(context, entry, "127.0.0.1:0", libc::IPPROTO_IP, libc::IP_RECVERR, refused);
    let inet6 = json!({"family": "AF_INET6", "ip": "::1", "port": 0, "flowinfo": 0, "scope_id": 0});
    let refused = json!({"level": "SOL_IPV6", "type": "IPV6_RECVERR",
        "error": {"name": "ECONNREFUSED", "errno": 111}, "origin": "SO_EE_ORIGIN_ICMP6",
        "ee_type": 1, "ee_code": 4, "info": 0, "data": 0, "offender": inet6});
    closed_port(context, entry, "[::1]:0", libc::IPPROTO_IPV6, libc::IPV6_RECVERR, refused);
}

/// Sends to a port that nobody has, and reads the answer.
fn closed_port(
    context: &Context,
    entry: Entry,
    any: &str,
    level: i32,
    option: i32,
    expected: Value,
) {
    let bind = || UdpSocket::bind(any).unwrap_or_else(|error| panic!("{any}: {error}"));
    let sender = bind();
    set_level(sender.as_raw_fd(), level, option, 1).expect("RECVERR");
    let closed = bind().local_addr().expect("an address");
    sender.send_to(b"is anybody there?", closed).expect("a datagram can be sent");
    until("the answer has come", || {
        let mut poll = libc::pollfd { fd: sender.as_raw_fd(), events: 0, revents: 0 };
        // SAFETY: one live structure.
        let ready = unsafe { libc::poll(&mut poll, 1, 0) };
        (ready == 1).then_some(())
    });
    let batch = Batch::new(entry.compat(), 2);
    (0..2).for_each(|i| batch.set_control(i, 256));
    let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
    let made = Call::new(entry, sender.as_raw_fd(), &batch).flags(flags).make();
    assert_eq!(made.ret, 1, "one error was waiting");
    let mut truth = told(context, &made, &batch);
    items(&mut truth, 0, json!([expected]));
    context.recorder.record(&truth);
}

//! Control messages of UDP sockets.

use std::io;
use std::os::fd::AsRawFd;

use serde_json::{Value, json};

use super::{items, told};
use crate::workload::Context;
use crate::workload::batch::Batch;
use crate::workload::call::Call;
use crate::workload::entry::Entry;
use crate::workload::sockets::{self, Udp, set_level};
use crate::workload::truth::{Clock, interval};
use crate::workload::watch::until;

/// `include/uapi/asm-generic/socket.h`, beyond what the libc knows on every
/// architecture.
const SO_RCVMARK: i32 = 75;
const SO_RCVPRIORITY: i32 = 82;
/// SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE
const SOFTWARE: i32 = 1 << 3 | 1 << 4;
const SOL_UDP: i32 = 17;
const UDP_SEGMENT: i32 = 103;
const UDP_GRO: i32 = 104;

fn option(fd: i32, level: i32, option: i32, value: i32) {
    set_level(fd, level, option, value)
        .unwrap_or_else(|error| panic!("option {option} of level {level}: {error}"));
}

/// Receives `count` datagrams with control buffers of full size, and tells them with
/// these control messages each.
fn receive(context: &Context, entry: Entry, udp: &Udp, count: usize, expected: &Value) {
    let batch = Batch::new(entry.compat(), count);
    (0..count).for_each(|i| batch.set_control(i, 256));
    udp.send_all(count);
    let made = Call::new(entry, udp.fd(), &batch).make();
    assert_eq!(made.ret, count as i64, "all datagrams were waiting");
    let mut truth = told(context, &made, &batch);
    (0..count).for_each(|i| items(&mut truth, i, expected.clone()));
    context.recorder.record(&truth);
}

/// By the native call.
pub fn native(context: &Context) {
    everything(context, Entry::Native);
}

/// By `int $0x80`.
pub fn compat(context: &Context) {
    for entry in [Entry::I386Time64, Entry::I386Time32, Entry::Socketcall] {
        everything(context, entry);
    }
}

fn everything(context: &Context, entry: Entry) {
    timestamps(context, entry);
    inet(context, entry);
    inet6(context, entry);
    marks(context, entry);
    drops(context, entry);
    segments(context, entry);
    cut(context, entry);
}

/// A socket that has every datagram's arrival timestamped: the kernel begins with that
/// some time after it was asked to, and goes on while such a socket is open.
fn timestamping() -> Udp {
    let udp = Udp::v4();
    option(udp.fd(), libc::SOL_SOCKET, 37, SOFTWARE);
    until("datagrams are timestamped", || {
        udp.queue(0);
        let mut control = [0u64; 32];
        // SAFETY: all zero is a message without anything.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control) as _;
        // SAFETY: the kernel writes into the control buffer, as far as it reaches.
        let received = unsafe { libc::recvmsg(udp.fd(), &mut message, libc::MSG_DONTWAIT) };
        assert_eq!(received, 0, "recvmsg: {}", io::Error::last_os_error());
        (message.msg_controllen > 0).then_some(())
    });
    udp
}

/// Every kind of timestamp.
fn timestamps(context: &Context, entry: Entry) {
    let _on = timestamping();
    let sec = interval(Clock::wall() / 1_000_000_000, Clock::wall() / 1_000_000_000 + 60);
    let (usec, nsec) = (interval(0, 999_999), interval(0, 999_999_999));
    let taken = json!({"software": {"sec": sec, "nsec": nsec}, "hardware": null});
    for (number, value, name, content) in [
        (29, 1, "SO_TIMESTAMP", json!({"sec": sec, "usec": usec})),
        (35, 1, "SO_TIMESTAMPNS", json!({"sec": sec, "nsec": nsec})),
        (63, 1, "SO_TIMESTAMP_NEW", json!({"sec": sec, "usec": usec})),
        (64, 1, "SO_TIMESTAMPNS_NEW", json!({"sec": sec, "nsec": nsec})),
        (37, SOFTWARE, "SO_TIMESTAMPING", taken.clone()),
        (65, SOFTWARE, "SO_TIMESTAMPING_NEW", taken),
    ] {
        let udp = Udp::v4();
        option(udp.fd(), libc::SOL_SOCKET, number, value);
        let mut item = json!({"level": "SOL_SOCKET", "type": name});
        item.as_object_mut().expect("an object").extend(content.as_object().cloned().unwrap());
        receive(context, entry, &udp, 2, &json!([item]));
    }
}

/// What IPv4 tells.
fn inet(context: &Context, entry: Entry) {
    let udp = Udp::v4();
    for number in [libc::IP_PKTINFO, libc::IP_RECVTTL, libc::IP_RECVTOS, libc::IP_RECVORIGDSTADDR] {
        option(udp.fd(), libc::IPPROTO_IP, number, 1);
    }
    for sender in udp.senders() {
        option(sender.as_raw_fd(), libc::IPPROTO_IP, libc::IP_TTL, 33);
        option(sender.as_raw_fd(), libc::IPPROTO_IP, libc::IP_TOS, 0x10);
    }
    let port = udp.receiver.local_addr().expect("the receiver's address").port();
    let expected = json!([
        {"level": "SOL_IP", "type": "IP_PKTINFO", "ifindex": loopback(),
         "spec_dst": "127.0.0.1", "addr": "127.0.0.1"},
        {"level": "SOL_IP", "type": "IP_TTL", "ttl": 33},
        {"level": "SOL_IP", "type": "IP_TOS", "tos": 16},
        {"level": "SOL_IP", "type": "IP_ORIGDSTADDR",
         "addr": {"family": "AF_INET", "ip": "127.0.0.1", "port": port}},
    ]);
    receive(context, entry, &udp, 3, &expected);
}

/// What IPv6 tells.
fn inet6(context: &Context, entry: Entry) {
    let udp = Udp::v6();
    for number in [
        libc::IPV6_RECVPKTINFO,
        libc::IPV6_RECVHOPLIMIT,
        libc::IPV6_RECVTCLASS,
        libc::IPV6_RECVORIGDSTADDR,
    ] {
        option(udp.fd(), libc::IPPROTO_IPV6, number, 1);
    }
    for sender in udp.senders() {
        option(sender.as_raw_fd(), libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, 44);
        option(sender.as_raw_fd(), libc::IPPROTO_IPV6, libc::IPV6_TCLASS, 0x20);
    }
    let port = udp.receiver.local_addr().expect("the receiver's address").port();
    let expected = json!([
        {"level": "SOL_IPV6", "type": "IPV6_PKTINFO", "addr": "::1", "ifindex": loopback()},
        {"level": "SOL_IPV6", "type": "IPV6_HOPLIMIT", "hoplimit": 44},
        {"level": "SOL_IPV6", "type": "IPV6_TCLASS", "tclass": 32},
        {"level": "SOL_IPV6", "type": "IPV6_ORIGDSTADDR",
         "addr": {"family": "AF_INET6", "ip": "::1", "port": port, "flowinfo": 0, "scope_id": 0}},
    ]);
    receive(context, entry, &udp, 3, &expected);
}

/// Marks and priorities, as far as the kernel tells them.
fn marks(context: &Context, entry: Entry) {
    let udp = Udp::v4();
    let mut expected = Vec::new();
    for (receive, send, value, item) in [
        (
            SO_RCVMARK,
            libc::SO_MARK,
            7,
            json!({"level": "SOL_SOCKET", "type": "SO_MARK", "mark": 7}),
        ),
        (
            SO_RCVPRIORITY,
            libc::SO_PRIORITY,
            5,
            json!({"level": "SOL_SOCKET", "type": "SO_PRIORITY", "priority": 5}),
        ),
    ] {
        match sockets::set_option(udp.fd(), receive, 1) {
            Ok(()) => expected.push(item),
            Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => continue,
            Err(error) => panic!("option {receive}: {error}"),
        }
        for sender in udp.senders() {
            option(sender.as_raw_fd(), libc::SOL_SOCKET, send, value);
        }
    }
    receive(context, entry, &udp, 2, &expected.into());
}

/// A queue that overflowed.
fn drops(context: &Context, entry: Entry) {
    let udp = Udp::v4();
    option(udp.fd(), libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1);
    option(udp.fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, 1);
    let mut dropped = 0;
    for i in 0..1000 {
        udp.send(i);
        dropped = sockets::dropped(udp.fd());
        if dropped > 2 {
            break;
        }
    }
    assert!(dropped > 2, "the queue is short");
    let waiting = udp.receiver.try_clone().expect("a descriptor");
    waiting.set_nonblocking(true).expect("O_NONBLOCK");
    while waiting.recv(&mut [0; 64]).is_ok() {}
    let dropped = sockets::dropped(udp.fd());
    let expected = json!([{"level": "SOL_SOCKET", "type": "SO_RXQ_OVFL", "drops": dropped}]);
    receive(context, entry, &udp, 1, &expected);
}

/// Datagrams that arrive as one.
fn segments(context: &Context, entry: Entry) {
    let udp = Udp::v4();
    for (fd, number, value) in
        [(udp.fd(), UDP_GRO, 1), (udp.senders()[0].as_raw_fd(), UDP_SEGMENT, 20)]
    {
        match set_level(fd, SOL_UDP, number, value) {
            Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => return,
            set => set.unwrap_or_else(|error| panic!("option {number} of UDP: {error}")),
        }
    }
    let batch = Batch::new(entry.compat(), 2);
    (0..2).for_each(|i| batch.set_control(i, 64));
    let to = udp.receiver.local_addr().expect("the receiver's address");
    let sent = udp.senders()[0].send_to(&[b'g'; 50], to);
    assert_eq!(sent.expect("a datagram can be sent"), 50, "{}", io::Error::last_os_error());
    let made = Call::new(entry, udp.fd(), &batch).make();
    let mut truth = told(context, &made, &batch);
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    if release.starts_with("5.10.") && made.ret == 2 {
        // There they come as two; what the kernel says of them is left open.
        for message in truth["messages"].as_array_mut().expect("messages") {
            message["control"].as_object_mut().expect("an object").remove("items");
        }
        return context.recorder.record(&truth);
    }
    assert_eq!(made.ret, 1, "three datagrams as one");
    assert_eq!(truth["messages"][0]["len"], 50, "{truth}");
    let item = json!({"level": "SOL_UDP", "type": "UDP_GRO", "segment_size": 20});
    items(&mut truth, 0, json!([item]));
    truth["truncated"] = json!({"payload_bytes": 2});
    context.recorder.record(&truth);
}

/// Too little room for a timestamp, and for its header; none at all.
fn cut(context: &Context, entry: Entry) {
    let udp = Udp::v4();
    option(udp.fd(), libc::SOL_SOCKET, 63, 1);
    let header = if entry.compat() { 12 } else { 16 };
    let batch = Batch::new(entry.compat(), 3);
    [header + 4, header - 4, 0].into_iter().enumerate().for_each(|(i, size)| {
        batch.set_control(i, size);
    });
    udp.send_all(3);
    let made = Call::new(entry, udp.fd(), &batch).make();
    let mut truth = told(context, &made, &batch);
    let sec = (Clock::wall() / 1_000_000_000) as u32;
    // Within a second of now.
    let hex: Vec<Value> = (sec - 1..=sec)
        .map(|sec| sec.to_le_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        .map(Value::from)
        .collect();
    let item = json!({"level": "SOL_SOCKET", "type": "SO_TIMESTAMP_NEW",
                      "hex": {"$one_of": hex}, "note": "unexpected_length"});
    items(&mut truth, 0, json!([item]));
    context.recorder.record(&truth);
}

fn loopback() -> u32 {
    // SAFETY: a name that ends with a NUL.
    let index = unsafe { libc::if_nametoindex(c"lo".as_ptr()) };
    assert_ne!(index, 0, "lo: {}", io::Error::last_os_error());
    index
}

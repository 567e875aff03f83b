//! Scenarios whose messages wait in the socket before the call.

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;

use serde_json::{Value, json};

use super::Context;
use super::batch::{Batch, DATA_LEN};
use super::call::Call;
use super::entry::Entry::Native;
use super::sockets::{self, Folder, Udp, payload};
use super::truth::{error, reasons};

/// Datagrams over IPv4.
pub fn udp4(context: &Context) {
    udp(context, &Udp::v4());
}

/// Datagrams over IPv6.
pub fn udp6(context: &Context) {
    udp(context, &Udp::v6());
}

fn udp(context: &Context, udp: &Udp) {
    let vlen = context.options.vlen as usize;
    for _ in 0..context.options.count {
        let batch = Batch::new(false, vlen);
        for i in 0..vlen {
            batch.set_namelen(i, [128, 28, 64][i % 3]);
        }
        udp.send_all(vlen);
        let made = Call::new(Native, udp.fd(), &batch).make();
        assert_eq!(made.ret, vlen as i64, "all datagrams were waiting");
        udp.check(&context.tell(&made));
    }
}

/// `--vlen` messages at once, then half as many in a batch of `--vlen`.
pub fn vlen(context: &Context) {
    let udp = Udp::v4();
    udp.deepen();
    let vlen = context.options.vlen as usize;
    for waiting in [vlen, vlen.div_ceil(2)] {
        let batch = Batch::new(false, vlen);
        udp.send_all(waiting);
        let made = Call::new(Native, udp.fd(), &batch).timeout(5, 0).make();
        assert_eq!(made.ret, waiting as i64, "all datagrams were waiting");
        udp.check(&context.tell(&made));
    }
}

/// AF_UNIX: paths, abstract names, no name.
pub fn unix(context: &Context) {
    let folder = Folder::new();
    let at = folder.path("receiver");
    let receiver = sockets::unix_at(&at);
    let name = format!("workload-{}", std::process::id());
    let senders = [
        (sockets::unix_at(&folder.path("a")), json!({"path": folder.path("a")})),
        (sockets::unix_at(&folder.longest()), json!({"path": folder.longest()})),
        (sockets::unix_abstract(name.as_bytes()), json!({"abstract": name})),
        (
            sockets::unix_abstract(format!("{name}\0x").as_bytes()),
            json!({"abstract": format!("{name}\0x")}),
        ),
        (UnixDatagram::unbound().expect("a socket"), Value::Null),
    ];
    for (i, (sender, _)) in senders.iter().enumerate() {
        sender.send_to(&payload(i), &at).expect("a datagram can be sent");
    }
    let batch = Batch::new(false, 8);
    let made = Call::new(Native, receiver.as_raw_fd(), &batch).make();
    let truth = context.tell(&made);
    for (i, (_, name)) in senders.iter().enumerate() {
        let told = &truth["messages"][i]["name"];
        for key in ["path", "abstract"] {
            assert_eq!(told.get(key), name.get(key), "message {i} of {truth}");
        }
    }

    let (one, other) = UnixDatagram::pair().expect("a pair of sockets");
    other.send(b"without a name").expect("a datagram can be sent");
    let batch = Batch::new(false, 2);
    let made = Call::new(Native, one.as_raw_fd(), &batch).make();
    let truth = context.tell(&made);
    assert_eq!(truth["messages"][0]["name"], Value::Null, "{truth}");
    assert_eq!(truth["messages"][0]["namelen"]["out"], json!(0), "{truth}");
}

/// A dump from the kernel, then multicast between sockets of ours.
pub fn netlink(context: &Context) {
    let (route, _) = sockets::netlink(libc::NETLINK_ROUTE, 0);
    // struct nlmsghdr (RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, sequence 1) and an
    // empty struct ifinfomsg.
    let mut request = Vec::new();
    request.extend(32u32.to_ne_bytes());
    request.extend(libc::RTM_GETLINK.to_ne_bytes());
    request.extend(((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16).to_ne_bytes());
    request.extend(1u32.to_ne_bytes());
    request.resize(32, 0);
    sockets::netlink_send(&route, &request, 0, 0);
    let batch = Batch::new(false, 8);
    let made = Call::new(Native, route.as_raw_fd(), &batch).make();
    assert!(made.ret > 0, "the kernel answers: {}", made.ret);
    let truth = context.tell(&made);
    let kernel = json!({"family": "AF_NETLINK", "pid": 0, "groups": 0});
    assert_eq!(truth["messages"][0]["name"], kernel, "{truth}");

    let group = 1u32 << 20;
    let (receiver, port) = sockets::netlink(libc::NETLINK_USERSOCK, group);
    let (sender, own) = sockets::netlink(libc::NETLINK_USERSOCK, 0);
    sockets::netlink_send(&sender, b"to a group", 0, group);
    sockets::netlink_send(&sender, b"to a port", port, 0);
    let batch = Batch::new(false, 4);
    let made = Call::new(Native, receiver.as_raw_fd(), &batch).make();
    assert_eq!(made.ret, 2, "both were waiting");
    let truth = context.tell(&made);
    for (i, groups) in [group, 0].into_iter().enumerate() {
        let name = json!({"family": "AF_NETLINK", "pid": own, "groups": groups});
        assert_eq!(truth["messages"][i]["name"], name, "{truth}");
    }
}

/// Messages without a name buffer, whatever the length says.
pub fn null_name(context: &Context) {
    let udp = Udp::v4();
    let batch = Batch::new(false, 3);
    batch.set_name(0, 0, 0);
    batch.set_name(1, 0, 77);
    udp.send_all(3);
    let made = Call::new(Native, udp.fd(), &batch).make();
    let truth = context.tell(&made);
    assert_eq!(truth["messages"][1]["namelen"], json!({"in": 77, "out": 77}), "{truth}");
}

/// Name buffers that hold a part of the name, or nothing of it.
pub fn short_name(context: &Context) {
    let udp = Udp::v4();
    let batch = Batch::new(false, 3);
    batch.set_namelen(1, 4);
    udp.send_all(3);
    let made = Call::new(Native, udp.fd(), &batch).make();
    let mut truth = made.truth(context.options.messages);
    truth["missing"] = reasons(&["truncated"]);
    assert_eq!(truth["messages"][1]["namelen"], json!({"in": 4, "out": 16}), "{truth}");
    context.recorder.record(&truth);

    let folder = Folder::new();
    let receiver = sockets::unix_at(&folder.path("receiver"));
    let sender = sockets::unix_at(&folder.path("a-sender-with-a-name"));
    sender.send_to(b"cut", folder.path("receiver")).expect("a datagram can be sent");
    let batch = Batch::new(false, 1);
    batch.set_namelen(0, 10);
    let made = Call::new(Native, receiver.as_raw_fd(), &batch).make();
    let mut truth = made.truth(context.options.messages);
    truth["missing"] = reasons(&["truncated"]);
    context.recorder.record(&truth);
}

/// Datagrams longer than their buffers: with and without MSG_TRUNC asked for, and
/// looked at first with MSG_PEEK.
pub fn cut(context: &Context) {
    let udp = Udp::v4();
    udp.send_all(3);
    for (flags, count, longer) in
        [(libc::MSG_PEEK, 1, false), (libc::MSG_TRUNC, 2, true), (0, 1, true)]
    {
        let batch = Batch::new(false, count);
        (0..count).for_each(|i| batch.set_buffer_len(i, 1));
        let made = Call::new(Native, udp.fd(), &batch).flags(flags | libc::MSG_DONTWAIT).make();
        let truth = context.tell(&made);
        let last = &truth["messages"][count - 1];
        assert_eq!(last["flags"]["names"] == json!(["MSG_TRUNC"]), longer, "{truth}");
        let told = if flags == libc::MSG_TRUNC { 2 } else { 1 };
        assert_eq!(last["len"], json!(told), "{truth}");
    }
}

/// SO_TIMESTAMP into control buffers with room, too little room and none.
pub fn control(context: &Context) {
    let udp = Udp::v4();
    sockets::set_option(udp.fd(), libc::SO_TIMESTAMP, 1).expect("SO_TIMESTAMP");
    let sizes = [64, 256, 0, 20, 8, 32];
    let batch = Batch::new(false, sizes.len());
    for (i, size) in sizes.into_iter().enumerate() {
        batch.set_control(i, size);
    }
    udp.send_all(sizes.len());
    let made = Call::new(Native, udp.fd(), &batch).make();
    let truth = context.tell(&made);
    let out: Vec<_> = (0..6).map(|i| &truth["messages"][i]["control"]["len_out"]).collect();
    assert_eq!(json!(out), json!([32, 32, 0, 20, 0, 32]), "{truth}");
    assert_eq!(truth["messages"][4]["flags"]["names"], json!(["MSG_CTRUNC"]), "{truth}");
}

/// The second message's buffer can't be written: one message, and the error comes
/// with the next call.
pub fn partial(context: &Context) {
    let udp = Udp::v4();
    let batch = Batch::new(false, 3);
    batch.set_buffer(1, 0xffff_ffff_0000, DATA_LEN);
    udp.send_all(3);
    let first = Call::new(Native, udp.fd(), &batch).make();
    assert_eq!(first.ret, 1, "the first message is fine");
    let mut truth = first.truth(context.options.messages);
    truth["socket"]["pending_error"] = error(-i64::from(libc::EFAULT));
    truth["findings"] = json!(["deferred_error"]);
    context.recorder.record(&truth);
    let batch = Batch::new(false, 3);
    let second = Call::new(Native, udp.fd(), &batch).make();
    assert_eq!(second.ret, -i64::from(libc::EFAULT), "the error was kept");
    context.tell(&second);
}

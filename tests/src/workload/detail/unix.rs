//! Control messages of AF_UNIX sockets: descriptors and credentials.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;

use serde_json::{Value, json};

use super::{items, told};
use crate::workload::Context;
use crate::workload::arena::{Arena, PAGE};
use crate::workload::batch::Batch;
use crate::workload::call::Call;
use crate::workload::entry::Entry;
use crate::workload::sockets;

/// By the native call.
pub fn native(context: &Context) {
    everything(context, Entry::Native);
}

/// By `int $0x80`.
pub fn compat(context: &Context) {
    everything(context, Entry::I386Time64);
}

fn everything(context: &Context, entry: Entry) {
    both(context, entry);
    many(context, entry);
}

/// Credentials alone, then with two descriptors.
fn both(context: &Context, entry: Entry) {
    let (sender, receiver) = UnixDatagram::pair().expect("a pair of sockets");
    sockets::set_option(receiver.as_raw_fd(), libc::SO_PASSCRED, 1).expect("SO_PASSCRED");
    sender.send(b"who").expect("a datagram can be sent");
    send_fds(&sender, b"what", 2);
    let batch = Batch::new(entry.compat(), 2);
    (0..2).for_each(|i| batch.set_control(i, 256));
    let made = Call::new(entry, receiver.as_raw_fd(), &batch).make();
    assert_eq!(made.ret, 2, "both were waiting");
    let mut truth = told(context, &made, &batch);
    // SAFETY: no memory is passed.
    let (uid, gid) = unsafe { (libc::getuid(), libc::getgid()) };
    let who = json!({"level": "SOL_SOCKET", "type": "SCM_CREDENTIALS",
                     "pid": std::process::id(), "uid": uid, "gid": gid});
    let at = if entry.compat() { 12 + 12 + 12 } else { 16 + 16 + 16 };
    let fds = received(&batch.control(1)[at..], 2);
    let what = json!({"level": "SOL_SOCKET", "type": "SCM_RIGHTS", "fds": fds});
    items(&mut truth, 0, json!([who]));
    items(&mut truth, 1, json!([who, what]));
    context.recorder.record(&truth);
}

/// More descriptors than the tracer keeps.
fn many(context: &Context, entry: Entry) {
    const COUNT: usize = 100;
    let (sender, receiver) = UnixDatagram::pair().expect("a pair of sockets");
    send_fds(&sender, b"many", COUNT);
    let batch = Batch::new(entry.compat(), 1);
    let arena = Arena::new(PAGE);
    batch.set_control_at(0, arena.addr(0), 1024);
    let made = Call::new(entry, receiver.as_raw_fd(), &batch).make();
    assert_eq!(made.ret, 1, "it was waiting");
    let mut truth = told(context, &made, &batch);
    let header = if entry.compat() { 12 } else { 16 };
    let fds = received(&arena.get(header, 4 * COUNT), COUNT);
    let kept = (256 - header) / 4;
    let item = json!({"level": "SOL_SOCKET", "type": "SCM_RIGHTS", "fds": fds[..kept],
                      "note": "not_captured"});
    items(&mut truth, 0, json!([item]));
    let written = truth["messages"][0]["control"]["len_out"].as_u64().expect("a length");
    truth["truncated"] = json!({"control_bytes": written - 256});
    context.recorder.record(&truth);
}

/// Descriptors that lie in a control buffer, all of them open; closes them.
fn received(bytes: &[u8], count: usize) -> Vec<Value> {
    let fds = bytes.chunks_exact(4).take(count);
    fds.map(|fd| {
        let fd = i32::from_ne_bytes(fd.try_into().expect("4 bytes"));
        // SAFETY: a descriptor that nobody else uses.
        let closed = unsafe { libc::close(fd) };
        assert_eq!(closed, 0, "descriptor {fd}: {}", io::Error::last_os_error());
        json!(fd)
    })
    .collect()
}

/// Sends bytes with a descriptor, `count` times.
fn send_fds(sender: &UnixDatagram, bytes: &[u8], count: usize) {
    let file = File::open("/dev/null").expect("/dev/null");
    let fds = vec![file.as_raw_fd(); count];
    let mut control = vec![0u64; 2 + count.div_ceil(2)];
    // SAFETY: CMSG_LEN computes only.
    control[0] = unsafe { libc::CMSG_LEN(4 * count as u32) }.into();
    control[1] = u64::from(libc::SOL_SOCKET as u32) | u64::from(libc::SCM_RIGHTS as u32) << 32;
    for (slot, pair) in control[2..].iter_mut().zip(fds.chunks(2)) {
        let [low, high] = [pair[0], *pair.last().expect("one or two")];
        *slot = u64::from(low as u32) | u64::from(high as u32) << 32;
    }
    let mut iov = libc::iovec { iov_base: bytes.as_ptr() as *mut _, iov_len: bytes.len() };
    // SAFETY: all zero is a message without anything.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &mut iov;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = control[0] as _;
    // SAFETY: the kernel reads what the message points at, all of which lives.
    let sent = unsafe { libc::sendmsg(sender.as_raw_fd(), &message, 0) };
    assert_eq!(sent, bytes.len() as isize, "sendmsg: {}", io::Error::last_os_error());
}

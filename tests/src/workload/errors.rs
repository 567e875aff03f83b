//! Scenarios whose calls fail, or come near to it.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::FileExt;

use serde_json::{Value, json};

use super::Context;
use super::arena::{Arena, PAGE};
use super::batch::{Batch, DATA_LEN};
use super::call::{Call, Made};
use super::entry::Entry::{HighBits, Native};
use super::sockets::Udp;
use super::truth::reasons;

/// Checks what the kernel returned, so that a scenario tests what it claims to.
fn failed(made: &Made, errno: i32) {
    assert_eq!(made.ret, -i64::from(errno), "the kernel's answer");
}

/// Nothing there to receive.
pub fn eagain(context: &Context) {
    let udp = Udp::v4();
    let batch = Batch::new(false, context.options.vlen as usize);
    for i in 0..context.options.count {
        let mut call = Call::new(Native, udp.fd(), &batch);
        if i % 2 == 1 {
            call = call.timeout(i as i64, 7);
        }
        let made = call.make();
        failed(&made, libc::EAGAIN);
        context.tell(&made);
    }
}

/// No descriptor.
pub fn ebadf(context: &Context) {
    let batch = Batch::new(false, 2);
    for fd in [-1, i32::MIN, 1_000_000] {
        let made = Call::new(Native, fd, &batch).make();
        failed(&made, libc::EBADF);
        context.tell(&made);
    }
}

/// No socket.
pub fn enotsock(context: &Context) {
    let file = File::open("/dev/null").expect("/dev/null");
    let batch = Batch::new(false, 2);
    let made = Call::new(Native, file.as_raw_fd(), &batch).make();
    failed(&made, libc::ENOTSOCK);
    context.tell(&made);
}

/// Memory that can't be read or written, in every place that there is.
pub fn efault(context: &Context) {
    let udp = Udp::v4();
    let closed = Arena::new(PAGE);
    closed.protect(libc::PROT_NONE);

    // The headers; the second address is no user address at all.
    let batch = Batch::new(false, 4);
    for msgvec in [closed.addr(0), 0xffff_8000_0000_0000, 8] {
        let call = Call { msgvec: Some(msgvec), ..Call::new(Native, udp.fd(), &batch) };
        let made = call.make();
        failed(&made, libc::EFAULT);
        context.tell(&made);
    }

    // The list of iovecs.
    let batch = Batch::new(false, 2);
    batch.set_iov(0, closed.addr(0), 1);
    let made = Call::new(Native, udp.fd(), &batch).make();
    failed(&made, libc::EFAULT);
    context.tell(&made);

    // The data's buffer.
    let batch = Batch::new(false, 2);
    batch.set_buffer(0, closed.addr(0), DATA_LEN);
    udp.queue(0);
    let made = Call::new(Native, udp.fd(), &batch).make();
    failed(&made, libc::EFAULT);
    context.tell(&made);

    // The timeout.
    let batch = Batch::new(false, 2);
    let call = Call { timeout_at: Some(closed.addr(0)), ..Call::new(Native, udp.fd(), &batch) };
    let made = call.make();
    failed(&made, libc::EFAULT);
    let mut truth = made.truth(context.options.messages);
    truth["args"]["timeout"]["requested"] = Value::Null;
    truth["missing"] = reasons(&["fault"]);
    context.recorder.record(&truth);
}

/// Timeouts that the kernel refuses.
pub fn einval(context: &Context) {
    let udp = Udp::v4();
    let batch = Batch::new(false, 2);
    for (sec, nsec) in [(1, 1_000_000_000), (-1, 0), (0, -1), (i64::MAX, i64::MIN)] {
        let made = Call::new(Native, udp.fd(), &batch).timeout(sec, nsec).make();
        failed(&made, libc::EINVAL);
        context.tell(&made);
    }
}

/// No messages asked for.
pub fn vlen0(context: &Context) {
    let udp = Udp::v4();
    let batch = Batch::new(false, 1);
    let call = Call::new(Native, udp.fd(), &batch).vlen(0);
    for call in [call, call.timeout(1, 0), Call { msgvec: Some(8), ..call }] {
        let made = call.make();
        assert_eq!(made.ret, 0, "nothing asked for, nothing received");
        context.tell(&made);
    }
}

/// Flag bits without a name, on a call that succeeds and on one that does not.
pub fn unknown_flags(context: &Context) {
    let udp = Udp::v4();
    let batch = Batch::new(false, 2);
    let call = Call::new(Native, udp.fd(), &batch);
    udp.send_all(1);
    for errno in [0, libc::EAGAIN] {
        let made = call.flags(0x0010_0000 | libc::MSG_DONTWAIT).make();
        assert!(made.ret == 1 || made.ret == -i64::from(errno), "{}", made.ret);
        context.tell(&made);
    }
}

/// Bits set where the kernel does not look. Before Linux 5.13 it does look at the
/// number's upper half, unless something traces all calls: then these are no calls.
pub fn high_bits(context: &Context) {
    let udp = Udp::v4();
    udp.send_all(2);
    let batch = Batch::new(false, 3);
    let probe = Call::new(HighBits, -1, &batch).make();
    if probe.ret == -i64::from(libc::ENOSYS) {
        context.tell(&Call::new(Native, udp.fd(), &batch).make());
        return;
    }
    failed(&probe, libc::EBADF);
    context.tell(&probe);
    for ret in [2, -i64::from(libc::EAGAIN)] {
        let made = Call::new(HighBits, udp.fd(), &batch).timeout(1, 2).make();
        assert_eq!(made.ret, ret, "the kernel took it for recvmmsg");
        context.tell(&made);
    }
}

/// A file of memory with this content, mapped but not present.
fn untouched(content: &[u8]) -> Arena {
    // SAFETY: the name is a NUL-terminated literal.
    let fd = unsafe { libc::memfd_create(c"cold".as_ptr(), libc::MFD_CLOEXEC) };
    assert!(fd >= 0, "memfd_create: {}", std::io::Error::last_os_error());
    // SAFETY: the descriptor is new and ours.
    let file = unsafe { File::from_raw_fd(fd) };
    let len = content.len().next_multiple_of(PAGE);
    file.set_len(len as u64).expect("memory");
    file.write_all_at(content, 0).expect("memory");
    Arena::untouched(&file, len)
}

/// Headers and timeout in pages that only the kernel's own copying brings in: at
/// entry a tracer can't read them, at exit it can.
pub fn cold(context: &Context) {
    let udp = Udp::v4();
    let batch = Batch::new(false, 2);
    let mut timeout = 4i64.to_ne_bytes().to_vec();
    timeout.extend(321i64.to_ne_bytes());

    udp.send_all(2);
    let page = untouched(&timeout);
    let call = Call { timeout_at: Some(page.addr(0)), ..Call::new(Native, udp.fd(), &batch) };
    let made = call.make();
    assert_eq!(made.ret, 2, "both datagrams were waiting");
    let mut truth = made.truth(context.options.messages);
    truth["args"]["timeout"]["requested"] = Value::Null;
    // What a hook tells that sees the kernel's own copy.
    truth["$kernel_copy"] = json!({"sec": 4, "nsec": 321});
    truth["args"]["timeout"]["remaining"] =
        json!({"sec": page.word(0, 8), "nsec": page.word(8, 8)});
    truth["missing"] = reasons(&["fault"]);
    context.recorder.record(&truth);

    udp.send_all(2);
    let page = untouched(&batch.headers());
    let call = Call { msgvec: Some(page.addr(0)), ..Call::new(Native, udp.fd(), &batch) };
    let made = call.make();
    assert_eq!(made.ret, 2, "both datagrams were waiting");
    // Names and data went to the batch's buffers, headers to the page: the same
    // two senders and lengths as before, so the batch still tells the truth.
    let mut truth = made.truth(context.options.messages);
    for i in 0..2 {
        truth["messages"][i]["namelen"]["in"] = Value::Null;
        truth["messages"][i]["control"]["len_in"] = Value::Null;
    }
    truth["missing"] = reasons(&["fault"]);
    context.recorder.record(&truth);
    udp.check(&truth);
}

/// The array of headers and a name buffer end where their mappings do, although
/// `vlen` and `namelen` say that they go on: the kernel looks at what it needs only.
pub fn edge(context: &Context) {
    let udp = Udp::v4();
    let [headers, names] = [(), ()].map(|()| Arena::new(2 * PAGE));
    for arena in [&headers, &names] {
        arena.protect_from(PAGE, libc::PROT_NONE);
    }
    for vlen in [4, 64, 1000, u32::MAX] {
        let batch = Batch::new(false, 3);
        let array = batch.headers().len();
        // sockaddr_in has 16 bytes.
        batch.set_name(0, names.addr(PAGE - 16), 128);
        headers.put(PAGE - array, &batch.headers());
        udp.send_all(2);
        let msgvec = Some(headers.addr(PAGE - array));
        let call = Call { msgvec, vlen, ..Call::new(Native, udp.fd(), &batch) };
        let made = call.make();
        assert_eq!(made.ret, 2, "both datagrams were waiting");
        batch.put_headers(&headers.get(PAGE - array, array));
        batch.put_name(0, &names.get(PAGE - 16, 16));
        udp.check(&context.tell(&made));
    }
}

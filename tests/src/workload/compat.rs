//! The 32-bit ways in, from 64-bit code by `int $0x80`, and the numbers that look
//! like them.

use std::thread;

use serde_json::Value;

use super::Context;
use super::arena::{Arena, PAGE};
use super::batch::Batch;
use super::blocking::WHILE;
use super::call::{Call, Moment};
use super::entry::{self, Entry};
use super::process;
use super::sockets::{self, Udp};
use super::truth::reasons;
use super::watch::blocked;

/// `recvmmsg_time32`.
pub fn time32(context: &Context) {
    everything(context, Entry::I386Time32);
}

/// `recvmmsg_time64`.
pub fn time64(context: &Context) {
    everything(context, Entry::I386Time64);
}

/// `socketcall`.
pub fn socketcall(context: &Context) {
    everything(context, Entry::Socketcall);
}

/// Messages, timeouts and failures through one of the ways in.
fn everything(context: &Context, entry: Entry) {
    let limit = context.options.messages;
    let returned = |call: Call, ret: i64| -> Value {
        let made = call.make();
        assert_eq!(made.ret, ret, "the kernel's answer to {entry:?}");
        context.tell(&made)
    };
    let failed = |errno: i32| -i64::from(errno);
    let (four, six) = (Udp::v4(), Udp::v6());
    let batch = Batch::new(true, 5);
    let call = Call::new(entry, four.fd(), &batch);

    four.send_all(3);
    (0..5).for_each(|i| batch.set_namelen(i, [128, 16, 28][i % 3]));
    four.check(&returned(call, 3));
    four.send_all(5);
    (0..5).for_each(|i| batch.set_namelen(i, 128));
    four.check(&returned(call.timeout(7, 999_999_999), 5));
    six.send_all(2);
    let wide = Batch::new(true, 100);
    six.check(&returned(Call::new(entry, six.fd(), &wide).timeout(1, 0), 2));
    let many = Batch::new(true, 100);
    four.send_all(100);
    four.check(&returned(Call::new(entry, four.fd(), &many).timeout(1, 0), 100));

    returned(call, failed(libc::EAGAIN));
    returned(call.timeout(3, 4), failed(libc::EAGAIN));
    returned(Call { fd: -1, ..call }, failed(libc::EBADF));
    returned(call.timeout(1, 1_000_000_000), failed(libc::EINVAL));
    returned(call.timeout(-1, 0), failed(libc::EINVAL));
    returned(call.vlen(0), 0);
    returned(Call { msgvec: Some(8), ..call }, failed(libc::EFAULT));

    sockets::set_option(four.fd(), libc::SO_TIMESTAMP, 1).expect("SO_TIMESTAMP");
    four.send_all(3);
    let batch = Batch::new(true, 3);
    (0..3).for_each(|i| batch.set_control(i, [64, 0, 256][i]));
    let truth = returned(Call::new(entry, four.fd(), &batch), 3);
    assert_ne!(truth["messages"][0]["control"]["len_out"], 0, "{truth}");

    let batch = Batch::new(true, 100);
    let call = Call::new(entry, six.fd(), &batch).flags(libc::MSG_WAITFORONE).timeout(10, 0);
    let (made, inside) = blocked(call, |_| {
        thread::sleep(WHILE);
        let acted = Moment::now();
        six.send(0);
        acted
    });
    assert_eq!(made.ret, 1, "the kernel's answer to {entry:?}");
    context.recorder.record(&made.truth_with(limit, Some(inside)));
}

/// `socketcall` whose argument block can't be read. Only the number and the call
/// are known to be recvmmsg's.
pub fn socketcall_fault(context: &Context) {
    let closed = Arena::new(PAGE);
    closed.protect(libc::PROT_NONE);
    let batch = Batch::new(true, 1);
    let call = Call::new(Entry::Socketcall, -1, &batch);
    let made = call.make_at(closed.addr(0));
    assert_eq!(made.ret, -i64::from(libc::EFAULT), "the kernel's answer");
    let mut truth = made.truth(context.options.messages);
    for arg in ["sockfd", "msgvec", "vlen", "flags", "timeout"] {
        truth["args"][arg] = serde_json::json!({"value": null});
    }
    truth["socket"] = serde_json::Value::Null;
    truth["missing"] = reasons(&["fault"]);
    context.recorder.record(&truth);
}

/// x32's number: no kernel that we know serves it, and the attempt is an event.
pub fn x32(context: &Context) {
    let udp = Udp::v4();
    let batch = Batch::new(true, 2);
    let call = Call::new(Entry::X32, udp.fd(), &batch);
    for call in [call, call.timeout(5, 6), Call { fd: -1, ..call }] {
        let made = call.make();
        assert_eq!(made.ret, -i64::from(libc::ENOSYS), "the kernel's answer");
        context.tell(&made);
    }
}

/// Calls with recvmmsg's numbers under another ABI, and `socketcall`s that are not
/// call 19. None of them is an event; the one true call at the end is.
pub fn confusion(context: &Context) {
    let bad = u64::from(u32::MAX);
    for nr in [337, 417, 537, 19, 102, 365, 243] {
        // On x86-64: nothing, nothing, nothing, readv, getuid, nothing, mq_timedreceive
        // (of a descriptor that is none).
        entry::native(nr, [bad, 0, 0, 0, 0]);
    }
    // An x32 number without a table entry, and recvmmsg's native one with bit 30.
    for nr in [0x4000_0000 | 337, 0x4000_0000 | 299] {
        entry::native(nr, [bad, 0, 0, 0, 0]);
    }
    // On i386: futimesat and nothing, of a descriptor that is none.
    for nr in [299, 537, 0x4000_0000 | 537] {
        entry::int80(nr, [bad, 0, 0, 0, 0]);
    }
    let batch = Batch::new(true, 1);
    let block = batch.put_block([bad, 0, 0, 0, 0]);
    for call in [1, 5, 12, 17, 18, 20, 21, 0, 0x1_0013] {
        // socket, accept, recvfrom, recvmsg, accept4, sendmmsg, and some that are none.
        entry::int80(102, [call, block, 0, 0, 0]);
    }
    let udp = Udp::v4();
    let batch = Batch::new(false, 1);
    let made = Call::new(Entry::Native, udp.fd(), &batch).make();
    context.tell(&made);
}

/// Exits with 0 where `int $0x80` works; dies of a signal where it does not.
pub fn probe(_context: &Context) {
    let pid = entry::int80(20, [0; 5]);
    assert_eq!(pid, i64::from(process::pid()), "getpid by the 32-bit entry");
}

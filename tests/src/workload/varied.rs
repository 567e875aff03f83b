//! Calls of one thread that differ in what filters look at: descriptor, vlen, flags and
//! return value, with interruptions between them.

use std::thread;

use super::Context;
use super::batch::Batch;
use super::blocking::WHILE;
use super::call::{Call, Moment};
use super::compat;
use super::entry::Entry::Socketcall;
use super::sockets::Udp;
use super::watch::blocked;
use super::{errors, received, signals};

/// By the architecture's own call.
pub fn native(context: &Context) {
    for scenario in [
        received::udp4,
        signals::nested,
        errors::ebadf,
        signals::retry,
        errors::eagain,
        signals::stopped,
        errors::efault,
        signals::eintr,
        errors::vlen0,
        errors::unknown_flags,
        signals::restarted,
        errors::high_bits,
        errors::enotsock,
    ] {
        scenario(context);
    }
}

/// By `int $0x80`.
pub fn compat(context: &Context) {
    for scenario in [
        compat::time32,
        signals::restarted_socketcall,
        compat::socketcall_fault,
        signals::restarted_time32,
        changed,
        compat::socketcall,
        signals::restarted_time64,
        compat::time64,
    ] {
        scenario(context);
    }
}

/// `socketcall` whose argument block becomes another while the call blocks: the kernel
/// goes by what it was.
pub fn changed(context: &Context) {
    let udp = Udp::v4();
    for (vlen, later) in [(1, 7), (7, 1)] {
        let batch = Batch::new(true, 7);
        let flags = libc::MSG_WAITFORONE;
        let call = Call::new(Socketcall, udp.fd(), &batch).flags(flags).vlen(vlen);
        let (made, inside) = blocked(call, |_| {
            thread::sleep(WHILE);
            batch.put_block([u64::MAX, 0, later, 0, 0]);
            let acted = Moment::now();
            udp.send(0);
            acted
        });
        assert_eq!(made.ret, 1, "the kernel's answer");
        context.recorder.record(&made.truth_with(context.options.messages, Some(inside)));
    }
}

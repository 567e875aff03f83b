//! Conclusions about a call, from what was captured of it. A finding is drawn only where
//! everything that it takes is known: silence is no proof of the contrary.

use tracer_common::record::{Mmsghdr, flags};

use crate::{
    event::{Event, Known, Timespec, Value},
    record::Record,
};

/// A conclusion that a call may lead to.
#[derive(Clone, Copy, Debug)]
pub struct Finding {
    /// As events have it.
    pub name: &'static str,
    /// When it is drawn, in Markdown: the documentation and the schema have it from here.
    pub when: &'static str,
}

const fn finding(name: &'static str, when: &'static str) -> Finding {
    Finding { name, when }
}

/// All that there are, in the order in which they are given.
pub const ALL: [Finding; 9] = [
    finding(
        "timeout_overrun",
        "`latency_ns` exceeds the requested timeout by more than 10 ms: the kernel looks at \
         the timeout only after each datagram (recvmmsg(2), BUGS)",
    ),
    finding(
        "blocks_forever_risk",
        "`vlen` above 1 and a timeout, neither MSG_DONTWAIT nor MSG_WAITFORONE, a socket \
         without O_NONBLOCK and without SO_RCVTIMEO: once the first datagram has come, \
         nothing but another one ends the call",
    ),
    finding(
        "deferred_error",
        "fewer messages than asked for, and `socket.pending_error`: the next call returns it, \
         whatever it is",
    ),
    finding(
        "delivered_then_efault",
        "the call returned EFAULT, and the kernel had received messages in it: see below",
    ),
    finding(
        "changed_during_call",
        "an address or a length that the kernel never writes (`msg_name`, `msg_iov`, \
         `msg_iovlen`, `msg_control` of a message received) differs between the beginning and \
         the end",
    ),
    finding(
        "kernel_saw_other",
        "a message has `kernel`: the kernel's own copy is not what lies in the memory that is \
         shown, since something changed that while the call ran. Drawn with `--detail full`, \
         where `kernel_copies` says that there are any",
    ),
    finding(
        "payload_truncated",
        "a message has MSG_TRUNC: the datagram was longer than its buffers",
    ),
    finding("control_truncated", "a message has MSG_CTRUNC"),
    finding(
        "compat_on_64bit",
        "code of 64 bits made a call of 32 (`int $0x80`): a known way around monitors of \
         system calls",
    ),
];

/// How much longer than its timeout a call may take: a tick of the slowest usual clock.
const GRANULARITY_NS: i128 = 10_000_000;

/// The control messages were cut.
pub const MSG_CTRUNC: u32 = 0x8;
/// The datagram was cut.
pub const MSG_TRUNC: u32 = 0x20;
const MSG_DONTWAIT: u32 = 0x40;
const MSG_WAITFORONE: u32 = 0x10000;

/// What can be said of a call.
pub fn findings(record: &Record<'_>, event: &Event) -> Vec<&'static str> {
    let flagged = |flag: u32| {
        let messages = event.messages.as_ref().and_then(|messages| messages.0.as_ref());
        messages.is_some_and(|all| all.iter().any(|message| message.flags.value & flag != 0))
    };
    let found = [
        timeout_overrun(event),
        blocks_forever_risk(event),
        deferred_error(event),
        event.delivered.is_some(),
        changed_during_call(record, event),
        kernel_saw_other(event),
        flagged(MSG_TRUNC),
        flagged(MSG_CTRUNC),
        record.has(flags::CALLER_64BIT),
    ];
    ALL.iter().zip(found).filter(|(_, found)| *found).map(|(finding, _)| finding.name).collect()
}

fn argument<'a>(event: &'a Event, name: &str) -> Option<&'a crate::event::Arg> {
    event.args.iter().find(|(known, _)| *known == name).map(|(_, arg)| arg)
}

fn unsigned(event: &Event, name: &str) -> Option<u32> {
    match argument(event, name)?.value {
        Value::Unsigned(value) => Some(value),
        _ => None,
    }
}

/// The requested timeout, where there is one and it is known.
fn timeout(event: &Event) -> Option<Timespec> {
    argument(event, "timeout")?.requested.as_ref()?.0
}

/// recvmmsg(2), BUGS: the timeout is checked only after each datagram.
fn timeout_overrun(event: &Event) -> bool {
    let (Some(latency), Some(timeout)) = (event.latency_ns, timeout(event)) else { return false };
    let timeout = i128::from(timeout.sec) * 1_000_000_000 + i128::from(timeout.nsec);
    i128::from(latency) > timeout + GRANULARITY_NS
}

/// The documented way to hang: nothing but another datagram ends the call once the
/// first has come.
fn blocks_forever_risk(event: &Event) -> bool {
    let (Some(vlen), Some(flags)) = (unsigned(event, "vlen"), unsigned(event, "flags")) else {
        return false;
    };
    let Some(Known(Some(socket))) = &event.socket else { return false };
    vlen > 1
        && timeout(event).is_some()
        && flags & (MSG_DONTWAIT | MSG_WAITFORONE) == 0
        && !socket.nonblocking
        && socket.rcvtimeo.is_none()
        && !event.missing.contains_key("socket.rcvtimeo")
}

/// An error after the first message is kept for the next call (net/socket.c,
/// do_recvmmsg).
fn deferred_error(event: &Event) -> bool {
    let fewer = event
        .ret
        .zip(unsigned(event, "vlen"))
        .is_some_and(|(ret, vlen)| ret > 0 && ret < i64::from(vlen));
    let Some(Known(Some(socket))) = &event.socket else { return false };
    fewer && socket.pending_error.is_some()
}

/// What the kernel never writes of a message's header differs between entry and exit.
fn changed_during_call(record: &Record<'_>, event: &Event) -> bool {
    let Some(messages) = &record.messages else { return false };
    // Of a call that returned EFAULT there are headers beyond those received.
    let shown = event.messages.as_ref().and_then(|shown| shown.0.as_ref()).map_or(0, Vec::len);
    let both = messages.entry.len().min(messages.exit.len()).min(shown);
    (0..both).any(|i| match (messages.entry.get(i), messages.exit.get(i)) {
        (Some(entry), Some(exit)) => differs(&entry, &exit),
        _ => false,
    })
}

/// Whether two copies of a header differ in what the kernel never writes.
pub fn differs(entry: &Mmsghdr, exit: &Mmsghdr) -> bool {
    (entry.name, entry.iov, entry.iovlen, entry.control)
        != (exit.name, exit.iov, exit.iovlen, exit.control)
}

/// The kernel's own copy of a message, or its length, is not what is shown.
fn kernel_saw_other(event: &Event) -> bool {
    let messages = event.messages.as_ref().and_then(|messages| messages.0.as_ref());
    messages.is_some_and(|all| all.iter().any(|message| message.kernel.is_some()))
}

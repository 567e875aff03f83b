//! Conclusions about a call, from what was captured of it. A finding is drawn only where
//! everything that it takes is known: silence is no proof of the contrary.

use tracer_common::record::flags;

use crate::{
    event::{Event, Known, Timespec, Value},
    record::Record,
};

/// All that there are, in the order in which they are given.
pub const ALL: [&str; 7] = [
    "timeout_overrun",
    "blocks_forever_risk",
    "deferred_error",
    "changed_during_call",
    "payload_truncated",
    "control_truncated",
    "compat_on_64bit",
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
        changed_during_call(record),
        flagged(MSG_TRUNC),
        flagged(MSG_CTRUNC),
        record.has(flags::CALLER_64BIT),
    ];
    ALL.into_iter().zip(found).filter(|(_, found)| *found).map(|(name, _)| name).collect()
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
fn changed_during_call(record: &Record<'_>) -> bool {
    let Some(messages) = &record.messages else { return false };
    let both = messages.entry.len().min(messages.exit.len());
    (0..both).any(|i| match (messages.entry.get(i), messages.exit.get(i)) {
        (Some(entry), Some(exit)) => {
            (entry.name, entry.iov, entry.iovlen, entry.control)
                != (exit.name, exit.iov, exit.iovlen, exit.control)
        }
        _ => false,
    })
}

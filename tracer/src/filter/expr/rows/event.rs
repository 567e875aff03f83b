//! Fields of the event itself.

use tracer_common::record::COMM_LEN;

use super::{
    super::field::{
        Row,
        Type::{Bool, Errno, Ip, Object, ShortText, Signed, Span, Text, Time, Unsigned},
        Value, Visit,
    },
    as_hex, int, object, span, stranger, text, time,
};
use crate::event::{self, Event, Timespec};

/// Fields of the event itself. `seq` is none: it numbers what passes the filters.
pub const EVENT: &[Row<Event>] = &[
    Row::new("schema", Text, |event, visit| text(event.schema, visit)),
    Row::nullable("time", Time, |event, visit| time(event.time, visit)),
    Row::nullable("time_exit", Time, |event, visit| time(event.time_exit, visit)),
    Row::new("event", Text, |event, visit| text(event.event, visit)),
    Row::new("cpu", Unsigned, |event, visit| int(event.cpu, visit)),
    Row::new("syscall.name", Text, |event, visit| text(event.syscall.name, visit)),
    Row::new("syscall.nr", Unsigned, |event, visit| int(event.syscall.nr, visit)),
    Row::new("syscall.abi", Text, |event, visit| text(event.syscall.abi, visit)),
    Row::new("process.pid", Unsigned, |event, visit| int(event.process.pid, visit)),
    Row::new("process.tid", Unsigned, |event, visit| int(event.process.tid, visit)),
    Row::nullable("process.ppid", Unsigned, |event, visit| int(event.process.ppid, visit)),
    Row::new("process.comm", ShortText(COMM_LEN - 1), |event, visit| {
        stranger(Some(&event.process.comm), visit)
    }),
    Row::nullable("process.comm_hex", Text, |event, visit| {
        as_hex(Some(&event.process.comm), visit)
    }),
    Row::nullable("process.exe", Text, |event, visit| stranger(Some(&event.process.exe), visit)),
    Row::nullable("process.exe_hex", Text, |event, visit| as_hex(Some(&event.process.exe), visit)),
    Row::new("process.uid", Unsigned, |event, visit| int(event.process.uid, visit)),
    Row::new("process.gid", Unsigned, |event, visit| int(event.process.gid, visit)),
    Row::nullable("process.start_time", Time, |event, visit| {
        // As it is shown: to hundredths of a second.
        let start = event.process.start_time.map(|time| time.as_nanosecond());
        int(start.map(|start| start - start.rem_euclid(10_000_000)), visit)
    }),
    Row::new("process.cgroup.id", Unsigned, |event, visit| int(event.process.cgroup.id, visit)),
    Row::nullable("process.cgroup.path", Text, |event, visit| {
        stranger(Some(&event.process.cgroup.path), visit)
    }),
    Row::nullable("process.cgroup.path_hex", Text, |event, visit| {
        as_hex(Some(&event.process.cgroup.path), visit)
    }),
    Row::nullable("process.container", Object, |event, visit| {
        object(event.process.container.as_ref(), visit)
    }),
    Row::nullable("process.container.id", Text, |event, visit| {
        event.process.container.as_ref().is_some_and(|found| text(&found.id, visit))
    }),
    Row::nullable("process.container.runtime", Text, |event, visit| {
        let found = event.process.container.as_ref().and_then(|found| found.runtime.as_deref());
        found.is_some_and(|runtime| text(runtime, visit))
    }),
    Row::nullable("process.ns.pid", Unsigned, |event, visit| int(event.process.ns.pid, visit)),
    Row::nullable("process.ns.mnt", Unsigned, |event, visit| int(event.process.ns.mnt, visit)),
    Row::nullable("process.ns.net", Unsigned, |event, visit| int(event.process.ns.net, visit)),
    Row::nullable("process.ns_pid", Unsigned, |event, visit| int(event.process.ns_pid, visit)),
    Row::nullable("process.ns_tid", Unsigned, |event, visit| int(event.process.ns_tid, visit)),
    Row::nullable("socket", Object, |event, visit| object(socket(event), visit)),
    Row::nullable("socket.family", Text, |event, visit| {
        socket(event).is_some_and(|socket| text(&socket.family, visit))
    }),
    Row::nullable("socket.type", Text, |event, visit| {
        socket(event).is_some_and(|socket| text(&socket.kind, visit))
    }),
    Row::nullable("socket.protocol", Text, |event, visit| {
        socket(event).is_some_and(|socket| text(&socket.protocol, visit))
    }),
    Row::nullable("socket.local", Object, |event, visit| object(local(event), visit)),
    Row::nullable("socket.local.ip", Ip, |event, visit| address::ip(local(event), visit)),
    Row::nullable("socket.local.port", Unsigned, |event, visit| {
        int(address::port(local(event)), visit)
    }),
    Row::nullable("socket.local.path", Text, |event, visit| {
        stranger(address::path(local(event)), visit)
    }),
    Row::nullable("socket.local.path_hex", Text, |event, visit| {
        as_hex(address::path(local(event)), visit)
    }),
    Row::nullable("socket.local.abstract", Text, |event, visit| {
        stranger(address::abstract_name(local(event)), visit)
    }),
    Row::nullable("socket.local.abstract_hex", Text, |event, visit| {
        as_hex(address::abstract_name(local(event)), visit)
    }),
    Row::nullable("socket.local.pid", Unsigned, |event, visit| {
        int(address::pid(local(event)), visit)
    }),
    Row::nullable("socket.peer", Object, |event, visit| object(peer(event), visit)),
    Row::nullable("socket.peer.ip", Ip, |event, visit| address::ip(peer(event), visit)),
    Row::nullable("socket.peer.port", Unsigned, |event, visit| {
        int(address::port(peer(event)), visit)
    }),
    Row::nullable("socket.peer.path", Text, |event, visit| {
        stranger(address::path(peer(event)), visit)
    }),
    Row::nullable("socket.peer.path_hex", Text, |event, visit| {
        as_hex(address::path(peer(event)), visit)
    }),
    Row::nullable("socket.peer.abstract", Text, |event, visit| {
        stranger(address::abstract_name(peer(event)), visit)
    }),
    Row::nullable("socket.peer.abstract_hex", Text, |event, visit| {
        as_hex(address::abstract_name(peer(event)), visit)
    }),
    Row::nullable("socket.peer.pid", Unsigned, |event, visit| {
        int(address::pid(peer(event)), visit)
    }),
    Row::nullable("socket.inode", Unsigned, |event, visit| {
        int(socket(event).map(|socket| socket.inode), visit)
    }),
    Row::nullable("socket.netns", Unsigned, |event, visit| {
        int(socket(event).map(|socket| socket.netns), visit)
    }),
    Row::nullable("socket.rcvbuf", Unsigned, |event, visit| {
        int(socket(event).map(|socket| socket.rcvbuf), visit)
    }),
    Row::nullable("socket.rmem", Unsigned, |event, visit| {
        int(socket(event).map(|socket| socket.rmem), visit)
    }),
    Row::nullable("socket.cookie", Unsigned, |event, visit| {
        int(socket(event).and_then(|socket| socket.cookie), visit)
    }),
    Row::nullable("socket.rcvtimeo", Span, |event, visit| int(rcvtimeo(event).map(span), visit)),
    Row::nullable("socket.rcvtimeo.sec", Signed, |event, visit| {
        int(rcvtimeo(event).map(|time| time.sec), visit)
    }),
    Row::nullable("socket.rcvtimeo.nsec", Signed, |event, visit| {
        int(rcvtimeo(event).map(|time| time.nsec), visit)
    }),
    Row::nullable("socket.nonblocking", Bool, |event, visit| {
        int(socket(event).map(|socket| u16::from(socket.nonblocking)), visit)
    }),
    Row::nullable("socket.pending_error", Object, |event, visit| {
        object(pending_error(event), visit)
    }),
    Row::nullable("socket.pending_error.name", Errno, |event, visit| {
        pending_error(event).is_some_and(|error| text(&error.name, visit))
    }),
    Row::nullable("socket.pending_error.errno", Unsigned, |event, visit| {
        int(pending_error(event).map(|error| error.errno), visit)
    }),
    Row::nullable("ret", Signed, |event, visit| int(event.ret, visit)),
    Row::nullable("error", Object, |event, visit| object(event.error.as_ref(), visit)),
    Row::nullable("error.name", Errno, |event, visit| {
        event.error.as_ref().is_some_and(|error| text(&error.name, visit))
    }),
    Row::nullable("error.errno", Unsigned, |event, visit| {
        int(event.error.as_ref().map(|error| error.errno), visit)
    }),
    Row::nullable("latency_ns", Span, |event, visit| int(event.latency_ns, visit)),
    Row::nullable("delivered", Unsigned, |event, visit| int(event.delivered, visit)),
    Row::nullable("messages", Object, |event, visit| {
        object(event.messages.as_ref().and_then(|messages| messages.0.as_ref()), visit)
    }),
    Row::nullable("truncated", Object, |event, visit| object(event.truncated.as_ref(), visit)),
    Row::nullable("truncated.messages", Unsigned, |event, visit| {
        int(left_out(event, |truncated| truncated.messages), visit)
    }),
    Row::nullable("truncated.iov", Unsigned, |event, visit| {
        int(left_out(event, |truncated| truncated.iov), visit)
    }),
    Row::nullable("truncated.control_bytes", Unsigned, |event, visit| {
        int(left_out(event, |truncated| truncated.control_bytes), visit)
    }),
    Row::nullable("truncated.payload_bytes", Unsigned, |event, visit| {
        int(left_out(event, |truncated| truncated.payload_bytes), visit)
    }),
    Row::many("findings", Text, |event, visit| {
        event.findings.iter().any(|finding| text(finding, &mut *visit))
    }),
    Row::many("missing", Text, |event, visit| event.missing.keys().any(|path| text(path, visit))),
];

fn socket(event: &Event) -> Option<&event::Socket> {
    event.socket.as_ref()?.0.as_ref()
}

fn local(event: &Event) -> Option<&event::Address> {
    socket(event)?.local.as_ref()
}

fn peer(event: &Event) -> Option<&event::Address> {
    socket(event)?.peer.as_ref()
}

fn rcvtimeo(event: &Event) -> Option<Timespec> {
    socket(event)?.rcvtimeo
}

fn pending_error(event: &Event) -> Option<&event::Errno> {
    socket(event)?.pending_error.as_ref()
}

/// The fields of a socket's address.
mod address {
    use super::{Value, Visit};
    use crate::event::{Abstract, Address, Text, UnixPath};

    pub fn ip(address: Option<&Address>, visit: Visit<'_>) -> bool {
        matches!(address, Some(Address::Inet { ip, .. }) if visit(Value::Ip(*ip)))
    }

    pub fn port(address: Option<&Address>) -> Option<u16> {
        match address {
            Some(Address::Inet { port, .. }) => Some(*port),
            _ => None,
        }
    }

    pub fn path(address: Option<&Address>) -> Option<&Text<UnixPath>> {
        match address {
            Some(Address::Path(path)) => Some(path),
            _ => None,
        }
    }

    pub fn abstract_name(address: Option<&Address>) -> Option<&Text<Abstract>> {
        match address {
            Some(Address::Abstract(name)) => Some(name),
            _ => None,
        }
    }

    pub fn pid(address: Option<&Address>) -> Option<u32> {
        match address {
            Some(Address::Netlink { pid }) => Some(*pid),
            _ => None,
        }
    }
}

/// A count of what did not fit; none where all did.
fn left_out(event: &Event, count: fn(&event::Truncated) -> u64) -> Option<u64> {
    event.truncated.as_ref().map(count).filter(|count| *count > 0)
}

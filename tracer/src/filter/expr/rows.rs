//! The table of fields: one row for each, with what it is and where its values lie.

use std::net::IpAddr;

use jiff::Timestamp;
use tracer_common::{record::COMM_LEN, registry::Kind};

use super::field::{
    Row,
    Type::{Bool, Errno, Flag, Ip, Object, Pointer, ShortText, Signed, Span, Text, Time, Unsigned},
    Value, Visit,
};
use crate::event::{
    self, Arg, Event, FlagNames, Iovec, Item, Kernel, Known, Message, Name, Payload, Symbol,
    Timespec, hex,
};

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

/// Fields of each of the messages.
pub const MESSAGE: &[Row<Message>] = &[
    Row::new("len", Unsigned, |message, visit| int(message.len, visit)),
    Row::new("name", Object, |message, visit| object(message.name.as_ref(), visit)),
    Row::new("name.family", Text, |message, visit| {
        message.name.as_ref().and_then(family).is_some_and(|family| text(family, visit))
    }),
    Row::new("name.ip", Ip, |message, visit| match message.name {
        Some(Name::Inet { ip, .. }) => visit(Value::Ip(IpAddr::V4(ip))),
        Some(Name::Inet6 { ip, .. }) => visit(Value::Ip(IpAddr::V6(ip))),
        _ => false,
    }),
    Row::new("name.port", Unsigned, |message, visit| match message.name {
        Some(Name::Inet { port, .. } | Name::Inet6 { port, .. }) => int(port, visit),
        _ => false,
    }),
    Row::new("name.flowinfo", Unsigned, |message, visit| match message.name {
        Some(Name::Inet6 { flowinfo, .. }) => int(flowinfo, visit),
        _ => false,
    }),
    Row::new("name.scope_id", Unsigned, |message, visit| match message.name {
        Some(Name::Inet6 { scope_id, .. }) => int(scope_id, visit),
        _ => false,
    }),
    Row::new("name.path", Text, |message, visit| stranger(path(message), visit)),
    Row::new("name.path_hex", Text, |message, visit| as_hex(path(message), visit)),
    Row::new("name.abstract", Text, |message, visit| stranger(abstract_name(message), visit)),
    Row::new("name.abstract_hex", Text, |message, visit| as_hex(abstract_name(message), visit)),
    Row::new("name.pid", Unsigned, |message, visit| match message.name {
        Some(Name::Netlink { pid, .. }) => int(pid, visit),
        _ => false,
    }),
    Row::new("name.groups", Unsigned, |message, visit| match message.name {
        Some(Name::Netlink { groups, .. }) => int(groups, visit),
        _ => false,
    }),
    Row::new("name.raw", Text, |message, visit| match &message.name {
        Some(Name::Raw { raw, .. }) => text(raw, visit),
        _ => false,
    }),
    Row::new("namelen.in", Unsigned, |message, visit| int(message.namelen.before, visit)),
    Row::new("namelen.out", Unsigned, |message, visit| int(message.namelen.after, visit)),
    Row::new("iov.base", Pointer, |message, visit| {
        iovecs(message).iter().any(|iovec| int(iovec.base, &mut *visit))
    }),
    Row::new("iov.len", Unsigned, |message, visit| {
        iovecs(message).iter().any(|iovec| int(iovec.len, &mut *visit))
    }),
    Row::new("iovlen", Unsigned, |message, visit| {
        int(message.iovlen.as_ref().and_then(|count| count.0), visit)
    }),
    Row::new("flags.value", Unsigned, |message, visit| int(message.flags.value, visit)),
    Row::new("flags.names", Flag, |message, visit| flags(&message.flags.names, visit)),
    Row::new("control.len_in", Unsigned, |message, visit| int(message.control.len_in, visit)),
    Row::new("control.len_out", Unsigned, |message, visit| int(message.control.len_out, visit)),
    Row::new("control.items.level", Text, |message, visit| {
        items(message).iter().any(|item| symbol(item.level.as_ref(), &mut *visit))
    }),
    Row::new("control.items.type", Text, |message, visit| {
        items(message).iter().any(|item| symbol(item.kind.as_ref(), &mut *visit))
    }),
    Row::new("payload.len", Unsigned, |message, visit| {
        int(payload(message).map(|payload| payload.len), visit)
    }),
    Row::new("payload.text", Text, |message, visit| {
        let shown = payload(message).filter(|payload| !payload.redacted);
        shown.and_then(Payload::text).is_some_and(|shown| text(shown, visit))
    }),
    Row::new("kernel", Object, |message, visit| object(message.kernel.as_ref(), visit)),
    Row::new("kernel.len", Unsigned, |message, visit| int(kernel(message).len, visit)),
    Row::new("kernel.name", Pointer, |message, visit| int(kernel(message).name, visit)),
    Row::new("kernel.iov.base", Pointer, |message, visit| {
        int(kernel(message).iov.map(|iovec| iovec.base), visit)
    }),
    Row::new("kernel.iov.len", Unsigned, |message, visit| {
        int(kernel(message).iov.map(|iovec| iovec.len), visit)
    }),
    Row::new("kernel.iovlen", Unsigned, |message, visit| int(kernel(message).iovlen, visit)),
    Row::new("kernel.iov_bytes", Unsigned, |message, visit| int(kernel(message).iov_bytes, visit)),
    Row::new("kernel.control", Pointer, |message, visit| int(kernel(message).control, visit)),
    Row::new("kernel.controllen", Unsigned, |message, visit| {
        int(kernel(message).controllen, visit)
    }),
];

const SIGNED: &[Row<Arg>] = &[Row::nullable("value", Signed, value)];
const UNSIGNED: &[Row<Arg>] = &[Row::nullable("value", Unsigned, value)];
const POINTER: &[Row<Arg>] = &[Row::nullable("value", Pointer, value)];
const NAMES: &[Row<Arg>] = &[Row::many("names", Flag, |arg, visit| {
    arg.names.as_ref().is_some_and(|names| flags(names, visit))
})];
const TIMEOUT: &[Row<Arg>] = &[
    Row::nullable("requested", Span, |arg, visit| int(timeout(arg.requested.as_ref()), visit)),
    Row::nullable("requested.sec", Signed, |arg, visit| {
        int(part(arg.requested.as_ref(), |time| time.sec), visit)
    }),
    Row::nullable("requested.nsec", Signed, |arg, visit| {
        int(part(arg.requested.as_ref(), |time| time.nsec), visit)
    }),
    Row::nullable("remaining", Span, |arg, visit| int(timeout(arg.remaining.as_ref()), visit)),
    Row::nullable("remaining.sec", Signed, |arg, visit| {
        int(part(arg.remaining.as_ref(), |time| time.sec), visit)
    }),
    Row::nullable("remaining.nsec", Signed, |arg, visit| {
        int(part(arg.remaining.as_ref(), |time| time.nsec), visit)
    }),
];
const TAGS: &[Row<Arg>] =
    &[Row::many("tags", Text, |arg, visit| arg.tags.iter().any(|tag| text(tag, &mut *visit)))];

/// Fields of an argument.
pub fn arg(kind: Kind) -> [&'static [Row<Arg>]; 3] {
    match kind {
        Kind::Fd => [SIGNED, &[], TAGS],
        Kind::Count => [UNSIGNED, &[], TAGS],
        Kind::MsgFlags => [UNSIGNED, NAMES, TAGS],
        Kind::Mmsghdrs => [POINTER, &[], TAGS],
        Kind::Timespec64 | Kind::Timespec32 => [POINTER, TIMEOUT, TAGS],
    }
}

/// Numbers of any width, or none.
trait Int {
    fn int(self) -> Option<i128>;
}

impl<T: Into<i128>> Int for Option<T> {
    fn int(self) -> Option<i128> {
        self.map(Into::into)
    }
}

macro_rules! ints {
    ($($int:ty)*) => {$(
        impl Int for $int {
            fn int(self) -> Option<i128> {
                Some(self.into())
            }
        }
    )*};
}
ints!(u16 u32 u64);

fn int(value: impl Int, visit: Visit<'_>) -> bool {
    value.int().is_some_and(|value| visit(Value::Int(value)))
}

fn time(time: Option<Timestamp>, visit: Visit<'_>) -> bool {
    int(time.map(Timestamp::as_nanosecond), visit)
}

fn text(text: &str, visit: Visit<'_>) -> bool {
    visit(Value::Text(text.as_bytes()))
}

fn object<T>(object: Option<&T>, visit: Visit<'_>) -> bool {
    object.is_some() && visit(Value::Object)
}

fn stranger<K>(text: Option<&event::Text<K>>, visit: Visit<'_>) -> bool {
    text.and_then(|text| text.bytes.as_deref()).is_some_and(|bytes| visit(Value::Text(bytes)))
}

/// Only where the bytes are not UTF-8, as in the JSON.
fn as_hex<K>(of: Option<&event::Text<K>>, visit: Visit<'_>) -> bool {
    let bytes = of.and_then(|text| text.bytes.as_deref());
    let bytes = bytes.filter(|bytes| std::str::from_utf8(bytes).is_err());
    bytes.is_some_and(|bytes| text(&hex(bytes), visit))
}

fn flags(flags: &FlagNames, visit: Visit<'_>) -> bool {
    flags.names.iter().any(|name| text(name, &mut *visit))
        || (flags.rest != 0 && text(&format!("{:#x}", flags.rest), visit))
}

fn value(arg: &Arg, visit: Visit<'_>) -> bool {
    match arg.value {
        event::Value::Signed(value) => int(Some(value), visit),
        event::Value::Unsigned(value) => int(value, visit),
        event::Value::Pointer(value) => int(value, visit),
        event::Value::Null => false,
    }
}

fn part(time: Option<&Known<Timespec>>, part: fn(&Timespec) -> i64) -> Option<i64> {
    time?.0.as_ref().map(part)
}

fn timeout(time: Option<&Known<Timespec>>) -> Option<i128> {
    time?.0.map(span)
}

fn span(time: Timespec) -> i128 {
    i128::from(time.sec) * 1_000_000_000 + i128::from(time.nsec)
}

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

fn family(name: &Name) -> Option<&str> {
    match name {
        Name::Inet { .. } => Some("AF_INET"),
        Name::Inet6 { .. } => Some("AF_INET6"),
        Name::Unix { .. } => Some("AF_UNIX"),
        Name::Netlink { .. } => Some("AF_NETLINK"),
        Name::Raw { family, .. } => family.as_deref(),
    }
}

/// A count of what did not fit; none where all did.
fn left_out(event: &Event, count: fn(&event::Truncated) -> u64) -> Option<u64> {
    event.truncated.as_ref().map(count).filter(|count| *count > 0)
}

fn iovecs(message: &Message) -> &[Iovec] {
    message.iov.as_ref().and_then(|iov| iov.0.as_deref()).unwrap_or_default()
}

fn items(message: &Message) -> &[Item] {
    message.control.items.as_ref().and_then(|items| items.0.as_deref()).unwrap_or_default()
}

fn payload(message: &Message) -> Option<&Payload> {
    message.payload.as_ref()?.0.as_ref()
}

/// What the kernel itself went by, where that differs.
fn kernel(message: &Message) -> Kernel {
    message.kernel.unwrap_or_default()
}

/// A number without a name is a text too.
fn symbol(symbol: Option<&Symbol>, visit: Visit<'_>) -> bool {
    match symbol {
        None => false,
        Some(Symbol::Name(name)) => text(name, visit),
        Some(Symbol::Number(number)) => text(&number.to_string(), visit),
    }
}

fn path(message: &Message) -> Option<&event::Text<event::UnixPath>> {
    match &message.name {
        Some(Name::Unix { path, .. }) => path.as_ref(),
        _ => None,
    }
}

fn abstract_name(message: &Message) -> Option<&event::Text<event::Abstract>> {
    match &message.name {
        Some(Name::Unix { abstract_name, .. }) => abstract_name.as_ref(),
        _ => None,
    }
}

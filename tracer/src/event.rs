//! The event: what one traced call becomes. The shapes here are those of the JSON
//! that `docs/EVENT.md` describes; encoders map them, filters read them.
//!
//! Nothing is silently absent. A field that does not apply is left out; a field
//! that applies and could not be had is null, and [`Event::missing`] names it.

use std::{borrow::Cow, collections::BTreeMap};

use jiff::Timestamp;
use schemars::{JsonSchema, json_schema};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};

mod control;
mod detail;
mod kernel;
mod run;
mod schema;

pub use control::{Content, ExtendedError, Item, Note, Symbol};
pub use detail::{Iovec, Payload};
pub use kernel::Kernel;
pub use run::{NoRunId, RunId};
pub(crate) use schema::NANOSECONDS;
use schema::{HEX, HEX_NUMBER, PATHS};

/// The schema of [`Event`].
pub const SCHEMA: &str = "tracer.event/1";

/// Why something is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The memory could not be read.
    Fault,
    /// It was not captured.
    NotCaptured,
    /// The bytes end too early to mean anything.
    Truncated,
    /// This kernel offers no way to read it.
    UnsupportedKernel,
    /// The call began before the tracer was attached.
    StartedBeforeAttach,
    /// The thread ended before the call returned.
    ThreadExited,
    /// The descriptor is open, but no socket.
    NotASocket,
    /// Who could tell, the process or the cgroup, was gone before it was looked at.
    Gone,
}

/// One traced call.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Event {
    /// The schema that the event follows.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: &'static str,
    /// When the call began: RFC 3339, UTC, nanoseconds.
    #[serde(serialize_with = "optional_time")]
    #[schemars(extend("pattern" = NANOSECONDS))]
    pub time: Option<Timestamp>,
    /// When it ended; only where `time` is null.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_time")]
    #[schemars(extend("pattern" = NANOSECONDS))]
    pub time_exit: Option<Timestamp>,
    /// The run that it is of: the same in all lines of a stream.
    pub run_id: RunId,
    /// Position in the stream; health records count too.
    pub seq: u64,
    /// The event's name.
    pub event: &'static str,
    /// The CPU that the call ended on.
    pub cpu: u32,
    /// The call.
    pub syscall: Syscall,
    /// The caller.
    pub process: Process,
    /// The arguments, in the order of the declaration.
    #[serde(serialize_with = "map")]
    #[schemars(with = "BTreeMap<String, Arg>")]
    pub args: Vec<(&'static str, Arg)>,
    /// The socket as it was when the call ended; left out where the descriptor is not
    /// open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<Known<Socket>>,
    /// The return value as the caller sees it: the number of messages, or a negative
    /// errno.
    pub ret: Option<i64>,
    /// The error, if the call failed.
    pub error: Option<Errno>,
    /// Nanoseconds from the call's beginning to its end.
    pub latency_ns: Option<u64>,
    /// Messages that the kernel received although it returned EFAULT; left out of any
    /// other call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered: Option<u64>,
    /// The messages received; left out of a call without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<Known<Vec<Message>>>,
    /// What did not fit, by kind; null where all did.
    pub truncated: Option<Truncated>,
    /// Conclusions about the call.
    pub findings: Vec<&'static str>,
    /// What could not be had, by path, with the reason. `messages[3..64].namelen.in`
    /// stands for messages 3 to 63.
    #[schemars(extend("propertyNames" = json_schema!({"pattern": PATHS})))]
    pub missing: BTreeMap<String, Reason>,
}

/// A socket.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Socket {
    /// Address family: its name, or its number where it has none.
    #[schemars(extend("pattern" = "^(AF_[A-Z0-9]+|[0-9]+)$"))]
    pub family: Cow<'static, str>,
    /// Type: its name, or its number where it has none.
    #[serde(rename = "type")]
    #[schemars(extend("pattern" = "^(SOCK_[A-Z]+|[0-9]+)$"))]
    pub kind: Cow<'static, str>,
    /// Protocol of the family; a number where it has no name.
    pub protocol: Cow<'static, str>,
    /// Its address; null where it is not bound.
    pub local: Option<Address>,
    /// The peer's address; null where it is not connected.
    pub peer: Option<Address>,
    /// Inode number, as in /proc/PID/fd and ss(8).
    pub inode: u64,
    /// Cookie; null where nobody has asked for one yet.
    pub cookie: Option<u64>,
    /// Inode number of the network namespace.
    pub netns: u32,
    /// SO_RCVBUF, bytes.
    pub rcvbuf: u32,
    /// Bytes that the receive queue takes of it.
    pub rmem: u32,
    /// SO_RCVTIMEO; null for none.
    pub rcvtimeo: Option<Timespec>,
    /// Whether O_NONBLOCK is set.
    pub nonblocking: bool,
    /// The error that the next call will return.
    pub pending_error: Option<Errno>,
}

/// Where a socket is bound or connected to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Address {
    /// IPv4 or IPv6.
    Inet {
        /// Address.
        ip: std::net::IpAddr,
        /// Port.
        port: u16,
    },
    /// The path of a local socket.
    Path(Text<UnixPath>),
    /// The abstract name of a local socket, without the leading NUL.
    Abstract(Text<Abstract>),
    /// A netlink port.
    Netlink {
        /// Port id; 0 is the kernel.
        pid: u32,
    },
}

impl Event {
    /// Leaves no more of payload than its length and hash.
    pub fn redact(&mut self) {
        let messages = self.messages.iter_mut().flat_map(|messages| &mut messages.0).flatten();
        for message in messages {
            if let Some(Known(Some(payload))) = &mut message.payload {
                payload.redacted = true;
            }
        }
    }
}

/// A value that applies: known, or null because it could not be had.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Known<T>(
    /// The value.
    pub Option<T>,
);

/// Which syscall it was.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Syscall {
    /// The kernel's name for the number under that ABI.
    pub name: &'static str,
    /// The number, the x32 bit included.
    pub nr: u32,
    /// The ABI.
    pub abi: &'static str,
}

/// The calling process.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Process {
    /// Process (thread group) id, as the initial pid namespace numbers it.
    pub pid: u32,
    /// Thread id, likewise.
    pub tid: u32,
    /// The parent's process id.
    pub ppid: Option<u32>,
    /// The thread's name.
    #[serde(flatten)]
    pub comm: Text<Comm>,
    /// The executable's path.
    #[serde(flatten)]
    pub exe: Text<Exe>,
    /// Real user id.
    pub uid: u32,
    /// Real group id.
    pub gid: u32,
    /// When the process started, to 10 ms.
    #[serde(serialize_with = "optional_start")]
    #[schemars(extend("pattern" = r"^[-0-9]+T[0-9:]+\.[0-9]{2}Z$"))]
    pub start_time: Option<Timestamp>,
    /// Its cgroup.
    pub cgroup: Cgroup,
    /// The container that it runs in; null for none.
    pub container: Option<Container>,
    /// Its namespaces.
    pub ns: Namespaces,
    /// Thread group id in its own pid namespace, the innermost one.
    pub ns_pid: Option<u32>,
    /// Thread id there.
    pub ns_tid: Option<u32>,
}

/// A cgroup of the v2 hierarchy.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Cgroup {
    /// Its id: the inode number of its directory.
    pub id: u64,
    /// Its path below the hierarchy's root.
    #[serde(flatten)]
    pub path: Text<CgroupPath>,
}

/// A container, as the path of its cgroup tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Container {
    /// Its id, or its name where it has no other.
    pub id: String,
    /// What runs it; null where the path does not tell.
    pub runtime: Option<Cow<'static, str>>,
}

/// Inode numbers of namespaces.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Namespaces {
    /// pid namespace.
    pub pid: Option<u32>,
    /// Mount namespace.
    pub mnt: Option<u32>,
    /// Network namespace.
    pub net: Option<u32>,
}

/// One argument.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Arg {
    /// The value.
    pub value: Value,
    /// Names of the flags that are set, unknown bits in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<FlagNames>,
    /// The timeout at entry; left out where the pointer is NULL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested: Option<Known<Timespec>>,
    /// The timeout at exit; left out where the kernel did not write it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining: Option<Known<Timespec>>,
    /// Where the value came from.
    pub tags: Vec<&'static str>,
}

/// The value of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub enum Value {
    /// A C `int`.
    Signed(i32),
    /// A C `unsigned int`.
    Unsigned(u32),
    /// An address, in hex.
    Pointer(#[schemars(with = "String", extend("pattern" = HEX_NUMBER))] u64),
    /// An optional argument that is NULL, or a value that could not be had.
    Null,
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Signed(value) => serializer.serialize_i32(*value),
            Self::Unsigned(value) => serializer.serialize_u32(*value),
            Self::Pointer(value) => serializer.collect_str(&format_args!("{value:#x}")),
            Self::Null => serializer.serialize_none(),
        }
    }
}

/// A timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Timespec {
    /// Seconds.
    pub sec: i64,
    /// Nanoseconds; out of range where the caller said so.
    pub nsec: i64,
}

/// The names of flags; bits without a name are one number in hex.
#[derive(Clone, Debug, Default)]
pub struct FlagNames {
    /// Names of known bits.
    pub names: Vec<&'static str>,
    /// The other bits.
    pub rest: u32,
}

impl Serialize for FlagNames {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rest = (self.rest != 0).then(|| format!("{:#x}", self.rest));
        serializer.collect_seq(self.names.iter().copied().chain(rest.as_deref()))
    }
}

/// An error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Errno {
    /// Its name, or its number if it has none.
    #[schemars(extend("pattern" = "^(E[A-Z0-9]+|[0-9]+)$"))]
    pub name: Cow<'static, str>,
    /// Its number, positive.
    #[schemars(extend("minimum" = 1))]
    pub errno: u64,
}

/// One message received.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Message {
    /// Bytes received.
    pub len: u32,
    /// Source address.
    pub name: Option<Name>,
    /// Length of the source address.
    pub namelen: InOut<u32>,
    /// iovecs, as far as they were kept; left out without `--detail full`, like the
    /// next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iov: Option<Known<Vec<Iovec>>>,
    /// How many iovecs the caller offered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iovlen: Option<Known<u64>>,
    /// Flags of the message.
    pub flags: MessageFlags,
    /// Control messages.
    pub control: Control,
    /// Payload; left out without `--detail full`, null where it was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Known<Payload>>,
    /// What the kernel itself went by, where that differs from the above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Kernel>,
}

/// A length before and after the call.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct InOut<T> {
    /// The room that the caller offered.
    #[serde(rename = "in")]
    pub before: Option<T>,
    /// What the kernel reported.
    #[serde(rename = "out")]
    pub after: T,
}

/// Flags with their names.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct MessageFlags {
    /// The bits.
    pub value: u32,
    /// Their names.
    pub names: FlagNames,
}

/// The control messages of a message.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Control {
    /// Bytes of room that the caller offered.
    pub len_in: Option<u64>,
    /// Bytes that the kernel wrote.
    pub len_out: u64,
    /// What they say; left out without `--detail full`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Known<Vec<Item>>>,
}

/// A source address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "family")]
pub enum Name {
    /// IPv4.
    #[serde(rename = "AF_INET")]
    Inet {
        /// Address.
        ip: std::net::Ipv4Addr,
        /// Port.
        port: u16,
    },
    /// IPv6.
    #[serde(rename = "AF_INET6")]
    Inet6 {
        /// Address.
        ip: std::net::Ipv6Addr,
        /// Port.
        port: u16,
        /// Flow information.
        flowinfo: u32,
        /// Interface of a link-local address.
        scope_id: u32,
    },
    /// A local socket; neither path nor abstract name where it has no name.
    #[serde(rename = "AF_UNIX")]
    Unix {
        /// Its path.
        #[serde(flatten)]
        path: Option<Text<UnixPath>>,
        /// Its abstract name, without the leading NUL.
        #[serde(flatten)]
        abstract_name: Option<Text<Abstract>>,
    },
    /// A netlink port.
    #[serde(rename = "AF_NETLINK")]
    Netlink {
        /// Port id; 0 is the kernel.
        pid: u32,
        /// Multicast groups.
        groups: u32,
    },
    /// Another family, or too few bytes for its address.
    #[serde(untagged)]
    Raw {
        /// The family's name or number; null where there are fewer than two bytes.
        family: Option<String>,
        /// The whole sockaddr in hex.
        #[schemars(extend("pattern" = HEX))]
        raw: String,
    },
}

/// What did not fit, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(extend("minProperties" = 1))]
pub struct Truncated {
    /// Messages.
    #[serde(skip_serializing_if = "is_zero")]
    pub messages: u64,
    /// iovecs of the messages that are shown.
    #[serde(skip_serializing_if = "is_zero")]
    pub iov: u64,
    /// Bytes of their control messages.
    #[serde(skip_serializing_if = "is_zero")]
    pub control_bytes: u64,
    /// Bytes of their payload, where it was asked for.
    #[serde(skip_serializing_if = "is_zero")]
    pub payload_bytes: u64,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// Names the JSON keys of a text.
pub trait Key {
    /// The text's key.
    const TEXT: &'static str;
    /// The key of its bytes in hex, where they are not UTF-8.
    const HEX: &'static str;
    /// What it is.
    const WHAT: &'static str;
    /// Whether there are events without it.
    const MAY_BE_MISSING: bool;
}

macro_rules! keys {
    ($($name:ident $text:literal $hex:literal $missing:literal $what:literal)*) => {$(
        #[doc = concat!("The keys `", $text, "` and `", $hex, "`.")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name;
        impl Key for $name {
            const TEXT: &'static str = $text;
            const HEX: &'static str = $hex;
            const WHAT: &'static str = $what;
            const MAY_BE_MISSING: bool = $missing;
        }
    )*};
}
keys! {
    Comm "comm" "comm_hex" false "The thread's name when the call began, at most 15 bytes."
    Exe "exe" "exe_hex" true "The executable's path."
    UnixPath "path" "path_hex" false "The path of a local socket."
    CgroupPath "path" "path_hex" true "Its path below the hierarchy's root."
    Abstract "abstract" "abstract_hex" false "A local socket's abstract name, without the leading NUL."
}

/// Bytes that are usually text and come from strangers. Where they are not UTF-8,
/// the text has replacement characters, and a second key holds the bytes in hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<K> {
    /// The bytes; none where they could not be had.
    pub bytes: Option<Vec<u8>>,
    key: std::marker::PhantomData<K>,
}

impl<K> Text<K> {
    /// Text of these bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: Some(bytes.into()), key: std::marker::PhantomData }
    }

    /// A text that could not be had.
    pub fn missing() -> Self {
        Self { bytes: None, key: std::marker::PhantomData }
    }

    /// The text, with replacement characters for what is not UTF-8.
    pub fn lossy(&self) -> Option<Cow<'_, str>> {
        self.bytes.as_deref().map(String::from_utf8_lossy)
    }
}

impl<K: Key> Serialize for Text<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self.bytes.as_deref().map(|bytes| (bytes, std::str::from_utf8(bytes))) {
            None => map.serialize_entry(K::TEXT, &None::<()>)?,
            Some((_, Ok(text))) => map.serialize_entry(K::TEXT, text)?,
            Some((bytes, Err(_))) => {
                map.serialize_entry(K::TEXT, &String::from_utf8_lossy(bytes))?;
                map.serialize_entry(K::HEX, &hex(bytes))?;
            }
        }
        map.end()
    }
}

/// Bytes as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// RFC 3339 in UTC with nine digits of the second.
pub fn rfc3339(time: Timestamp) -> String {
    with_precision(time, 9)
}

fn with_precision(time: Timestamp, digits: u8) -> String {
    let printer = jiff::fmt::temporal::DateTimePrinter::new().precision(Some(digits));
    printer.timestamp_to_string(&time)
}

pub(crate) fn optional_time<S: Serializer>(
    time: &Option<Timestamp>,
    to: S,
) -> Result<S::Ok, S::Error> {
    time.map(rfc3339).serialize(to)
}

/// A start time has the resolution that /proc shows: hundredths of a second.
pub(crate) fn optional_start<S: Serializer>(
    time: &Option<Timestamp>,
    to: S,
) -> Result<S::Ok, S::Error> {
    time.map(|time| with_precision(time, 2)).serialize(to)
}

fn map<S: Serializer>(entries: &[(&'static str, Arg)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(entries.iter().map(|(name, arg)| (name, arg)))
}

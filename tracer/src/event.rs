//! The event: what one traced call becomes. The shapes here are those of the JSON
//! that `docs/EVENT.md` describes; encoders map them, filters read them.
//!
//! Nothing is silently absent. A field that does not apply is left out; a field
//! that applies and could not be had is null, and [`Event::missing`] names it.

use std::{borrow::Cow, collections::BTreeMap};

use jiff::Timestamp;
use schemars::{JsonSchema, json_schema};
use serde::{Deserialize, Serialize, Serializer};

mod arg;
mod control;
mod detail;
mod kernel;
mod message;
mod process;
mod run;
mod schema;
mod socket;
mod text;

pub use arg::{Arg, FlagNames, Timespec, Value};
pub use control::{Content, ExtendedError, Item, Note, Symbol};
pub use detail::{Iovec, Payload};
pub use kernel::Kernel;
pub use message::{Control, InOut, Message, MessageFlags, Name};
pub(crate) use process::optional_start;
pub use process::{Cgroup, Container, Namespaces, Process};
pub use run::{NoRunId, RunId};
pub(crate) use schema::NANOSECONDS;
use schema::PATHS;
pub use socket::{Address, Socket};
pub use text::{Abstract, CgroupPath, Comm, Exe, Key, Text, UnixPath, hex};

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
    #[serde(serialize_with = "arg::map")]
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

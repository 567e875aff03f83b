//! `--output tracee`: the flat `trace.Event` of Tracee v0.24, so that what is made for
//! Tracee reads us. `docs/FORMATS.md` has the mapping.
//!
//! Its numbers are always there: what is not known is 0. `metadata.properties` holds our
//! own record, whole, where that is null.

use std::{borrow::Cow, io};

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use tracer_common::registry;

use super::{
    json,
    own::{self, Own, Shown},
};
use crate::{
    event::{self, Event, Known, Timespec},
    health::{self, Health, Origin},
};

/// The pid namespace that the kernel begins with (`include/linux/proc_ns.h`,
/// PROC_PID_INIT_INO).
const INITIAL_PID_NS: u32 = 0xeffffffc;
/// A health record's `eventId`: beyond all of Tracee's.
const HEALTH_ID: u32 = 1_000_000;

/// Appends an event's line.
///
/// # Errors
/// What the serialiser says; nothing is appended then.
pub fn event(event: &Event, origin: &Origin, out: &mut Vec<u8>) -> io::Result<()> {
    json::line(&of_event(event, origin), out)
}

/// Appends a health record.
///
/// # Errors
/// As [`event`].
pub fn health(health: &Health, origin: &Origin, out: &mut Vec<u8>) -> io::Result<()> {
    json::line(&of_health(health, origin), out)
}

/// A line.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Line<'a, R>
where
    Own<'a, R>: JsonSchema,
    R: Serialize,
{
    /// When the call began, in nanoseconds since the epoch.
    timestamp: i64,
    /// When the thread started, likewise; 0 where only its process's start is known.
    thread_start_time: i64,
    /// The CPU.
    processor_id: u32,
    /// Process id, as its own pid namespace numbers it.
    process_id: u32,
    /// The cgroup's id.
    cgroup_id: u64,
    /// Thread id, as its own pid namespace numbers it.
    thread_id: u32,
    /// The parent's process id; 0 where the process is in a pid namespace of its own.
    parent_process_id: u32,
    /// Process id, as the initial pid namespace numbers it.
    host_process_id: u32,
    /// Thread id, likewise.
    host_thread_id: u32,
    /// The parent's process id, likewise.
    host_parent_process_id: u32,
    /// The real user.
    user_id: u32,
    /// Inode number of the mount namespace.
    mount_namespace: u32,
    /// Inode number of the pid namespace.
    pid_namespace: u32,
    /// The thread's name.
    process_name: Cow<'a, str>,
    /// The executable.
    executable: Executable<'a>,
    /// The machine's name.
    host_name: &'a str,
    /// The container's id; empty for none.
    container_id: &'a str,
    /// The container.
    container: Container<'a>,
    /// Always empty.
    kubernetes: Kubernetes,
    /// The number that Tracee has for the event.
    event_id: Shown<u32>,
    /// The event's name.
    event_name: &'static str,
    /// Always empty.
    #[schemars(with = "Vec<String>")]
    matched_policies: [&'static str; 0],
    /// How many arguments there are.
    args_num: usize,
    /// The return value.
    return_value: i64,
    /// The kernel's name of the call.
    syscall: &'static str,
    /// Always empty.
    #[schemars(with = "Vec<u64>")]
    stack_addresses: [u64; 0],
    /// What holds of the call.
    context_flags: ContextFlags,
    /// Always 0, like the next ones: Tracee's hashes are not made here.
    thread_entity_id: u32,
    /// See above.
    process_entity_id: u32,
    /// See above.
    parent_entity_id: u32,
    /// The arguments.
    args: Vec<Arg>,
    /// What Tracee has no field for.
    metadata: Metadata<'a, R>,
}

#[derive(Serialize, JsonSchema)]
struct Executable<'a> {
    /// Its path; empty where it is not known.
    path: Cow<'a, str>,
}

#[derive(Serialize, JsonSchema)]
struct Container<'a> {
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
}

#[derive(Serialize, JsonSchema)]
struct Kubernetes {}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ContextFlags {
    /// Whether the process is in a container.
    container_started: bool,
    /// Whether it is a call of 32 bits.
    is_compat: bool,
}

#[derive(Serialize, JsonSchema)]
struct Metadata<'a, R>
where
    Own<'a, R>: JsonSchema,
    R: Serialize,
{
    /// Our own record, whole.
    properties: Own<'a, R>,
}

/// An argument.
#[derive(Serialize, JsonSchema)]
struct Arg {
    /// Tracee's name for it.
    name: &'static str,
    /// Tracee's type of it.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The value; null where it could not be had.
    value: Value,
}

/// A value as Tracee has it.
enum Value {
    Number(i64),
    Seconds(f64),
    Address(u64),
    Text(&'static str),
    Unknown,
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(value) => serializer.serialize_i64(*value),
            Self::Seconds(value) => serializer.serialize_f64(*value),
            Self::Address(value) => serializer.collect_str(&format_args!("{value:#x}")),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Unknown => serializer.serialize_none(),
        }
    }
}

impl JsonSchema for Value {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Value".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["number", "string", "null"]})
    }
}

/// What Tracee knows of an event.
struct Row {
    event: &'static str,
    /// On x86-64.
    id: u32,
    /// On arm64.
    id_arm64: u32,
    types: [&'static str; 5],
}

/// The events, as Tracee v0.24 numbers them, with the types of v0.23 and the documentation.
const EVENTS: [Row; 2] = [
    Row {
        event: "recvmmsg",
        id: 299,
        id_arm64: 243,
        types: ["int", "struct mmsghdr*", "unsigned int", "int", "struct timespec*"],
    },
    Row {
        event: "recvmmsg_time32",
        id: 529,
        id_arm64: 529,
        types: ["int", "struct mmsghdr*", "unsigned int", "unsigned int", "struct old_timespec32*"],
    },
];

fn of_event<'a>(event: &'a Event, origin: &'a Origin) -> Line<'a, Event> {
    let process = &event.process;
    let arm = event.syscall.abi.starts_with("arm");
    let ns_pid = process.ns.pid.unwrap_or(0);
    let ppid = process.ppid.unwrap_or(0);
    let alone = process.pid == process.tid;
    let initial = ns_pid == INITIAL_PID_NS;
    let own = |known: Option<u32>, id| known.unwrap_or(if initial { id } else { 0 });
    let known = known(event);
    let args = args(event, known);
    let container = process.container.as_ref().map(|container| container.id.as_str());
    Line {
        timestamp: nanoseconds(own::when(event)),
        thread_start_time: process.start_time.filter(|_| alone).map_or(0, nanoseconds),
        processor_id: event.cpu,
        process_id: own(process.ns_pid, process.pid),
        cgroup_id: process.cgroup.id,
        thread_id: own(process.ns_tid, process.tid),
        parent_process_id: own(None, ppid),
        host_process_id: process.pid,
        host_thread_id: process.tid,
        host_parent_process_id: ppid,
        user_id: process.uid,
        mount_namespace: process.ns.mnt.unwrap_or(0),
        pid_namespace: ns_pid,
        process_name: process.comm.lossy().unwrap_or_default(),
        executable: Executable { path: process.exe.lossy().unwrap_or_default() },
        host_name: origin.host().unwrap_or_default(),
        container_id: container.unwrap_or_default(),
        container: Container { id: container },
        kubernetes: Kubernetes {},
        event_id: Shown(known.map_or(0, |known| if arm { known.id_arm64 } else { known.id })),
        event_name: event.event,
        matched_policies: [],
        args_num: args.len(),
        return_value: event.ret.unwrap_or(0),
        syscall: event.syscall.name,
        stack_addresses: [],
        context_flags: ContextFlags {
            container_started: container.is_some(),
            is_compat: ["i386", "arm"].contains(&event.syscall.abi),
        },
        thread_entity_id: 0,
        process_entity_id: 0,
        parent_entity_id: 0,
        args,
        metadata: Metadata { properties: Own(event) },
    }
}

fn of_health<'a>(health: &'a Health, origin: &'a Origin) -> Line<'a, Health> {
    let pid = origin.run.as_ref().map_or(0, |run| run.pid);
    let count = |name, count: u64| Arg {
        name,
        kind: "u64",
        value: Value::Number(i64::try_from(count).unwrap_or(i64::MAX)),
    };
    let kind = Arg { name: "kind", kind: "const char*", value: Value::Text(health.kind.name()) };
    let health::Totals { seen, emitted, filtered, lost } = health.totals();
    let counts = [("seen", seen), ("emitted", emitted), ("filtered", filtered), ("lost", lost)];
    let counts = counts.map(|(name, value)| count(name, value));
    let args: Vec<_> = [kind].into_iter().chain(counts).collect();
    Line {
        timestamp: nanoseconds(health.time),
        thread_start_time: 0,
        processor_id: 0,
        process_id: pid,
        cgroup_id: 0,
        thread_id: pid,
        parent_process_id: 0,
        host_process_id: pid,
        host_thread_id: pid,
        host_parent_process_id: 0,
        user_id: 0,
        mount_namespace: 0,
        pid_namespace: 0,
        process_name: "tracer".into(),
        executable: Executable { path: "".into() },
        host_name: origin.host().unwrap_or_default(),
        container_id: "",
        container: Container { id: None },
        kubernetes: Kubernetes {},
        event_id: Shown(HEALTH_ID),
        event_name: "tracer_health",
        matched_policies: [],
        args_num: args.len(),
        return_value: 0,
        syscall: "",
        stack_addresses: [],
        context_flags: ContextFlags { container_started: false, is_compat: false },
        thread_entity_id: 0,
        process_entity_id: 0,
        parent_entity_id: 0,
        args,
        metadata: Metadata { properties: Own(health) },
    }
}

/// As far as they fit: to the year 2262.
fn nanoseconds(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX)
}

/// Its row.
fn known(event: &Event) -> Option<&'static Row> {
    EVENTS.iter().find(|known| known.event == event.event)
}

fn args(event: &Event, known: Option<&Row>) -> Vec<Arg> {
    let row = registry::EVENTS.iter().find(|row| row.name == event.event);
    let (Some(row), Some(known)) = (row, known) else { return Vec::new() };
    let all = event.args.iter().zip(row.args).zip(known.types);
    all.map(|(((name, arg), registered), kind)| Arg {
        name: registered.tracee_name,
        kind,
        value: value(arg, kind, event.missing.contains_key(&format!("args.{name}"))),
    })
    .collect()
}

fn value(arg: &event::Arg, kind: &str, is_missing: bool) -> Value {
    match arg.value {
        event::Value::Signed(value) => Value::Number(value.into()),
        event::Value::Unsigned(value) if kind == "int" => Value::Number(value.cast_signed().into()),
        event::Value::Unsigned(value) => Value::Number(value.into()),
        event::Value::Null if is_missing => Value::Unknown,
        _ if kind == "struct timespec*" => seconds(arg),
        event::Value::Pointer(value) => Value::Address(value),
        event::Value::Null => Value::Address(0),
    }
}

/// The timeout as it was asked for; NULL is 0.
fn seconds(arg: &event::Arg) -> Value {
    match arg.requested {
        None => Value::Number(0),
        Some(Known(None)) => Value::Unknown,
        // Go writes whole numbers without a point.
        Some(Known(Some(Timespec { sec, nsec: 0 }))) => Value::Number(sec),
        #[allow(clippy::cast_precision_loss, reason = "the type is Tracee's")]
        Some(Known(Some(Timespec { sec, nsec }))) => Value::Seconds(sec as f64 + nsec as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_its_number_and_types() {
        for event in registry::EVENTS {
            let known = EVENTS.iter().find(|known| known.event == event.name);
            assert_eq!(known.expect(event.name).types.len(), event.args.len(), "{}", event.name);
        }
    }
}

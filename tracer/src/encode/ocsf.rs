//! `--output ocsf`: Open Cybersecurity Schema Framework, class Kernel Activity.
//! `docs/FORMATS.md` has the mapping.
//!
//! A call is that class's activity Invoke. A health record is of the same class, so that a
//! table of it takes the whole stream, with activity Other. `unmapped` holds our own
//! record, whole.

mod fill;

use std::{borrow::Cow, io};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    json,
    own::{LineId, Own, Shown},
};
use crate::{
    event::{Event, NANOSECONDS, RunId, optional_time},
    health::{Health, Origin},
};

/// The version of OCSF.
pub const VERSION: &str = "1.8.0";
/// Kernel Activity.
const CLASS: u32 = 1003;

/// Appends an event's line.
///
/// # Errors
/// What the serialiser says; nothing is appended then.
pub fn event(event: &Event, origin: &Origin, out: &mut Vec<u8>) -> io::Result<()> {
    json::line(&fill::of_event(event, origin), out)
}

/// Appends a health record.
///
/// # Errors
/// As [`event`].
pub fn health(health: &Health, origin: &Origin, out: &mut Vec<u8>) -> io::Result<()> {
    json::line(&fill::of_health(health, origin), out)
}

/// A line.
#[derive(Serialize, JsonSchema)]
pub struct Line<'a, R>
where
    Own<'a, R>: JsonSchema,
    R: Serialize,
{
    /// Kernel Activity.
    #[schemars(extend("const" = CLASS))]
    class_uid: u32,
    /// The class's name.
    class_name: &'static str,
    /// System Activity.
    #[schemars(extend("const" = 1))]
    category_uid: u32,
    /// The category's name.
    category_name: &'static str,
    /// 4, Invoke, of a call; 99, Other, of a health record.
    activity_id: u32,
    /// The activity's name; of a health record what it is about.
    activity_name: &'static str,
    /// The class and the activity in one number.
    type_uid: u32,
    /// Their names.
    type_name: &'static str,
    /// How grave it is: 1 to 3.
    severity_id: u32,
    /// The same in words.
    severity: &'static str,
    /// Whether the call failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_id: Option<u32>,
    /// The same in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    /// The errno's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_code: Option<&'a str>,
    /// The same with its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_detail: Option<String>,
    /// Milliseconds since the epoch.
    time: i64,
    /// When the call began, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<i64>,
    /// When it ended, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<i64>,
    /// Milliseconds from its beginning to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<u64>,
    /// Times are in UTC.
    #[schemars(extend("const" = 0))]
    timezone_offset: i32,
    /// The counts of a health record, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    /// About the line.
    metadata: Metadata<'a>,
    /// What was called.
    kernel: Kernel<'a>,
    /// Who called.
    actor: Actor<'a>,
    /// The machine.
    device: Device<'a>,
    /// IP addresses that have to do with the call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    observables: Vec<Observable>,
    /// Our own record, whole.
    unmapped: Own<'a, R>,
}

#[derive(Serialize, JsonSchema)]
struct Metadata<'a> {
    /// The version of OCSF.
    #[schemars(extend("const" = VERSION))]
    version: &'static str,
    /// The tracer.
    product: Product<'a>,
    /// The profiles whose attributes are here.
    #[schemars(with = "Vec<String>")]
    profiles: &'static [&'static str],
    /// No other line has it: run and position.
    uid: Shown<LineId>,
    /// The run.
    correlation_uid: RunId,
    /// Position in the stream.
    sequence: u64,
    /// The event's name, or `tracer_health`.
    event_code: &'a str,
    /// The schema of `unmapped`.
    log_name: &'static str,
    /// The time to the nanosecond.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_time")]
    #[schemars(extend("pattern" = NANOSECONDS))]
    original_time: Option<Timestamp>,
    /// Whether something did not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    is_truncated: Option<bool>,
    /// The findings.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schemars(with = "Vec<String>")]
    labels: &'a [&'static str],
}

#[derive(Serialize, JsonSchema)]
struct Product<'a> {
    /// Always `tracer`.
    name: &'static str,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
}

#[derive(Serialize, JsonSchema)]
struct Kernel<'a> {
    /// The event's name, or where the programs are attached.
    name: &'a str,
    /// 2, System Call, or 99.
    type_id: u32,
    /// The same in words.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The kernel's name of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    system_call: Option<&'a str>,
}

#[derive(Serialize, JsonSchema)]
struct Actor<'a> {
    /// The caller; of a health record the tracer.
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<Process<'a>>,
    /// `tracer`, in a health record.
    #[serde(skip_serializing_if = "Option::is_none")]
    app_name: Option<&'static str>,
}

#[derive(Serialize, JsonSchema)]
struct Process<'a> {
    /// Process id, as the initial pid namespace numbers it.
    pid: u32,
    /// Thread id, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    tid: Option<u32>,
    /// Process id, as its own pid namespace numbers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace_pid: Option<u32>,
    /// The thread's name.
    name: Cow<'a, str>,
    /// The executable.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<File>,
    /// When the process started, in milliseconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    created_time: Option<i64>,
    /// Its parent.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_process: Option<Parent>,
    /// Its real user.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Id>,
    /// Its real group.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<Id>,
    /// The container that it runs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<Container<'a>>,
}

#[derive(Serialize, JsonSchema)]
struct Parent {
    /// Its process id.
    pid: u32,
}

#[derive(Serialize, JsonSchema)]
struct Id {
    /// The number.
    uid: Shown<u32>,
}

#[derive(Serialize, JsonSchema)]
struct File {
    /// The last part of its path.
    name: String,
    /// Its path.
    path: String,
    /// 8, Executable File.
    type_id: u32,
}

#[derive(Serialize, JsonSchema)]
struct Container<'a> {
    /// Its id, or its name where it has no other.
    uid: &'a str,
    /// What runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime: Option<&'a str>,
}

#[derive(Serialize, JsonSchema)]
struct Device<'a> {
    /// Its name, or `unknown`.
    name: &'a str,
    /// The same, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<&'a str>,
    /// Which of its boots.
    #[serde(skip_serializing_if = "Option::is_none")]
    boot_uid: Option<&'a str>,
    /// 0, Unknown.
    type_id: u32,
    /// Its system.
    os: Os<'a>,
}

#[derive(Serialize, JsonSchema)]
struct Os<'a> {
    /// Always `Linux`.
    name: &'static str,
    /// 200, Linux.
    type_id: u32,
    /// The kernel's release.
    kernel_release: &'a str,
}

#[derive(Serialize, JsonSchema)]
struct Observable {
    /// Where in `unmapped` it is from.
    name: &'static str,
    /// 2, IP Address.
    type_id: u32,
    /// The address.
    value: String,
}

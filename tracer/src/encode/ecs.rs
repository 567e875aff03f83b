//! `--output ecs`: Elastic Common Schema, nested keys. `docs/FORMATS.md` has the mapping.
//!
//! What ECS has a field for is there, unknown values are left out, and `tracer` holds our
//! own record, whole.

mod fill;

use std::{borrow::Cow, io, net::IpAddr};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::{
    json,
    own::{LineId, Own, Shown},
};
use crate::{
    event::{Event, NANOSECONDS, RunId, optional_start, optional_time, rfc3339},
    health::{Health, Origin},
};

/// The version of ECS.
pub const VERSION: &str = "9.4.0";

/// Appends an event's line.
///
/// # Errors
/// What the serialiser says; nothing is appended then.
pub fn event(event: &Event, origin: &Origin, out: &mut Vec<u8>) -> io::Result<()> {
    json::line(&Call::new(event, origin), out)
}

/// Appends a health record.
///
/// # Errors
/// As [`event`].
pub fn health(health: &Health, origin: &Origin, out: &mut Vec<u8>) -> io::Result<()> {
    json::line(&Report::new(health, origin), out)
}

/// An event.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Event")]
pub struct Call<'a> {
    /// When the call began, or where that is not known, ended.
    #[serde(rename = "@timestamp", serialize_with = "time")]
    #[schemars(extend("pattern" = NANOSECONDS))]
    timestamp: Timestamp,
    /// The schema.
    ecs: Ecs,
    /// What kind of event it is.
    event: CallEvent<'a>,
    /// The caller.
    process: Process<'a>,
    /// Its user.
    user: Account,
    /// The container that it runs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<Container<'a>>,
    /// The machine.
    host: Host<'a>,
    /// The tracer.
    agent: Agent<'a>,
    /// The protocol of an IP socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<Network<'a>>,
    /// The one sender of all messages, or else whom the socket is connected to.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<End<'a>>,
    /// What the socket is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<End<'a>>,
    /// Every address that has to do with the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    related: Option<Related>,
    /// Why the call failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Error<'a>>,
    /// The findings.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schemars(with = "Vec<String>")]
    tags: &'a [&'static str],
    /// The event itself, whole.
    tracer: Own<'a, Event>,
}

/// A health record.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Health")]
pub struct Report<'a> {
    /// When it was made.
    #[serde(rename = "@timestamp", serialize_with = "time")]
    #[schemars(extend("pattern" = NANOSECONDS))]
    timestamp: Timestamp,
    /// The schema.
    ecs: Ecs,
    /// The counts, for people.
    message: &'a str,
    /// What kind of event it is.
    event: ReportEvent,
    /// The machine.
    host: Host<'a>,
    /// The tracer.
    agent: Agent<'a>,
    /// The health record itself, whole.
    tracer: Own<'a, Health>,
}

fn time<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    rfc3339(*time).serialize(to)
}

#[derive(Serialize, JsonSchema)]
struct Ecs {
    /// Its version.
    #[schemars(extend("const" = VERSION))]
    version: &'static str,
}

const ECS: Ecs = Ecs { version: VERSION };

#[derive(Serialize, JsonSchema)]
struct CallEvent<'a> {
    /// Always `event`.
    #[schemars(extend("const" = "event"))]
    kind: &'static str,
    /// `api`, and of IP sockets `network` too.
    #[schemars(with = "Vec<String>")]
    category: &'static [&'static str],
    /// Always `access`.
    #[serde(rename = "type")]
    #[schemars(with = "Vec<String>")]
    types: &'static [&'static str],
    /// The name of the event.
    action: &'a str,
    /// The number of the syscall.
    code: Shown<u32>,
    /// Whether the call failed.
    outcome: &'static str,
    /// Nanoseconds from the call's beginning to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<u64>,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_time")]
    #[schemars(extend("pattern" = NANOSECONDS))]
    start: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_time")]
    #[schemars(extend("pattern" = NANOSECONDS))]
    end: Option<Timestamp>,
    /// Position in the stream.
    sequence: u64,
    /// The same with the run: no other line has it.
    id: Shown<LineId>,
    /// Always `tracer`.
    module: &'static str,
    /// Always `tracer.event`.
    dataset: &'static str,
    /// Always `kernel`.
    provider: &'static str,
}

#[derive(Serialize, JsonSchema)]
struct ReportEvent {
    /// Always `metric`.
    #[schemars(extend("const" = "metric"))]
    kind: &'static str,
    /// What the record is about: `start`, `loss` or `end`.
    action: &'static str,
    /// Position in the stream.
    sequence: u64,
    /// The same with the run: no other line has it.
    id: Shown<LineId>,
    /// Always `tracer`.
    module: &'static str,
    /// Always `tracer.health`.
    dataset: &'static str,
    /// Always `tracer`.
    provider: &'static str,
}

#[derive(Serialize, JsonSchema)]
struct Process<'a> {
    /// Process id, as the initial pid namespace numbers it.
    pid: u32,
    /// The same as its own pid namespace numbers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    vpid: Option<u32>,
    /// The thread's name.
    name: Cow<'a, str>,
    /// The executable's path.
    #[serde(skip_serializing_if = "Option::is_none")]
    executable: Option<Cow<'a, str>>,
    /// When the process started.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_start")]
    #[schemars(extend("pattern" = r"^[-0-9]+T[0-9:]+\.[0-9]{2}Z$"))]
    start: Option<Timestamp>,
    /// Its parent.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<Parent>,
    /// The thread.
    thread: Thread<'a>,
    /// The real user.
    real_user: Id,
    /// The real group.
    real_group: Id,
}

#[derive(Serialize, JsonSchema)]
struct Parent {
    /// Its process id.
    pid: u32,
}

#[derive(Serialize, JsonSchema)]
struct Thread<'a> {
    /// Its id.
    id: u32,
    /// Its name.
    name: Cow<'a, str>,
}

#[derive(Serialize, JsonSchema)]
struct Id {
    /// The number.
    id: Shown<u32>,
}

#[derive(Serialize, JsonSchema)]
struct Account {
    /// The real user's number.
    id: Shown<u32>,
    /// The real group.
    group: Id,
}

#[derive(Serialize, JsonSchema)]
struct Container<'a> {
    /// Its id, or its name where it has no other.
    id: &'a str,
    /// What runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime: Option<&'a str>,
}

#[derive(Serialize, JsonSchema)]
struct Host<'a> {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    /// The same.
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<&'a str>,
    /// Which of its boots.
    #[serde(skip_serializing_if = "Option::is_none")]
    boot: Option<Boot<'a>>,
    /// Its system.
    os: Os<'a>,
}

#[derive(Serialize, JsonSchema)]
struct Boot<'a> {
    /// The kernel's boot id.
    id: &'a str,
}

#[derive(Serialize, JsonSchema)]
struct Os<'a> {
    /// Always `linux`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The kernel's release.
    kernel: &'a str,
}

#[derive(Serialize, JsonSchema)]
struct Agent<'a> {
    /// Always `tracer`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The tracer's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    /// The run.
    ephemeral_id: RunId,
}

#[derive(Serialize, JsonSchema)]
struct Network<'a> {
    /// `ipv4` or `ipv6`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The protocol's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    transport: Option<String>,
    /// Its number, where it has no name.
    #[serde(skip_serializing_if = "Option::is_none")]
    iana_number: Option<&'a str>,
    /// Always `ingress`: what is received.
    direction: &'static str,
}

#[derive(Serialize, JsonSchema)]
struct End<'a> {
    /// IP address, or path of a local socket.
    address: Cow<'a, str>,
    /// IP address; left out where it is any.
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<IpAddr>,
    /// Port.
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
}

#[derive(Serialize, JsonSchema)]
struct Related {
    /// IP addresses.
    ip: Vec<IpAddr>,
}

#[derive(Serialize, JsonSchema)]
struct Error<'a> {
    /// The errno's name.
    code: &'a str,
    /// The same with its number.
    message: String,
}

//! `tracer schema`: JSON Schemas (draft 2020-12) of what goes into the stream. Pure:
//! the shapes come from the types of [`crate::event`] and [`crate::health`], and what
//! their strings may say from the tables: registry, flags, findings, hooks.

mod strict;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use tracer_common::{
    abi,
    flags::MSG,
    registry::{EVENTS, Event, Kind},
    tags::Tags,
};

use super::list::TAGS;
use crate::{
    decode::findings,
    encode::{ecs, ocsf, tracee},
    event, health,
    source::Hook,
};

/// The schema of an event, as `--output json` writes it.
pub fn event() -> Value {
    let mut schema = of::<event::Event>(event::SCHEMA);
    let names: Vec<_> = EVENTS.iter().map(|event| event.name).collect();
    at(&mut schema, "/properties/event").insert("enum".into(), names.into());
    let syscall = at(&mut schema, "/$defs/Syscall/properties");
    within(syscall, "abi").insert("enum".into(), abi::ALL.map(abi::Abi::name).to_vec().into());

    let named = |name: &str, meaning: &str| json!({"const": name, "description": meaning});
    let all = findings::ALL.iter().map(|finding| named(finding.name, finding.when));
    only(at(&mut schema, "/properties/findings"), all.collect());
    let all = TAGS.map(|(tag, meaning)| named(&tag.names().collect::<String>(), meaning));
    only(at(&mut schema, "/$defs/Arg/properties/tags"), all.into());
    let flags: Vec<_> = MSG.split(u32::MAX).0.collect();
    at(&mut schema, "/$defs/FlagNames/items/anyOf/0").insert("enum".into(), flags.into());

    let rules = EVENTS.iter().map(of_event).chain(rules()).collect();
    at(&mut schema, "").insert("allOf".into(), rules);
    sorted(schema)
}

/// The schema of a health record.
pub fn health() -> Value {
    let mut schema = of::<health::Health>(health::SCHEMA);
    let hooks = Hook::ALL.map(Hook::name).to_vec();
    at(&mut schema, "/properties/hook").insert("enum".into(), hooks.into());
    let names = EVENTS.iter().map(|event| event.name).collect();
    at(&mut schema, "/properties/events/items").insert("enum".into(), names);
    let run = json!({
        "if": {"properties": {"kind": {"const": "start"}}},
        "then": {"required": ["run"]},
        "else": {"properties": {"run": false}},
    });
    let changes = json!({
        "if": {"properties": {"kind": {"const": "reload"}}},
        "then": {"required": ["changes"]},
        "else": {"properties": {"changes": false}},
    });
    at(&mut schema, "").insert("allOf".into(), json!([run, changes]));
    sorted(schema)
}

/// The schema of a line of `--output ecs`.
pub fn ecs() -> Value {
    foreign::<ecs::Call, ecs::Report>("ecs")
}

/// The schema of a line of `--output ocsf`.
pub fn ocsf() -> Value {
    foreign::<ocsf::Line<event::Event>, ocsf::Line<health::Health>>("ocsf")
}

/// The schema of a line of `--output tracee`.
pub fn tracee() -> Value {
    foreign::<tracee::Line<event::Event>, tracee::Line<health::Health>>("tracee")
}

/// A schema of events and health records in the shape of somebody else's, with the schemas
/// of what they hold of ours.
fn foreign<E: JsonSchema, H: JsonSchema>(name: &str) -> Value {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let of_event = generator.subschema_for::<E>().to_value();
    let of_health = generator.subschema_for::<H>().to_value();
    let mut schema = json!({"$defs": generator.take_definitions(true)});
    strict::tighten(&mut schema);
    let root = at(&mut schema, "");
    root.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    root.insert("$id".into(), format!("urn:tracer:{name}").into());
    root.insert("title".into(), name.into());
    root.insert("oneOf".into(), json!([of_event, of_health]));
    let defs = at(&mut schema, "/$defs");
    defs.insert(event::SCHEMA.into(), event());
    defs.insert(health::SCHEMA.into(), self::health());
    sorted(schema)
}

/// What the types say, and nothing beyond it allowed.
fn of<T: JsonSchema>(name: &str) -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    strict::tighten(&mut schema);
    let root = at(&mut schema, "");
    root.insert("$id".into(), format!("urn:tracer:{name}").into());
    root.insert("title".into(), name.into());
    schema
}

/// In an order that no other crate's features of serde_json change.
fn sorted(mut schema: Value) -> Value {
    schema.sort_all_objects();
    schema
}

/// An object within a schema. The paths here are those of the types: a test fails
/// where one is gone.
fn at<'a>(schema: &'a mut Value, path: &str) -> &'a mut Map<String, Value> {
    let found = schema.pointer_mut(path).and_then(Value::as_object_mut);
    found.unwrap_or_else(|| panic!("the schema has no {path}"))
}

fn within<'a>(object: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let found = object.get_mut(key).and_then(Value::as_object_mut);
    found.unwrap_or_else(|| panic!("the schema has no {key}"))
}

/// A list of these, each once at most.
fn only(list: &mut Map<String, Value>, values: Vec<Value>) {
    list.insert("items".into(), json!({"oneOf": values}));
    list.insert("uniqueItems".into(), true.into());
}

/// What holds of one event of the registry: its arguments and its syscalls.
fn of_event(event: &Event) -> Value {
    let args: Map<_, _> = event.args.iter().map(|arg| (arg.name.to_owned(), of_arg(arg))).collect();
    let names: Vec<_> = event.args.iter().map(|arg| arg.name).collect();
    let mut syscalls: Vec<_> = event
        .syscalls
        .iter()
        .map(|syscall| {
            json!({"type": "object", "properties": {
                "name": {"const": syscall.name},
                "nr": {"const": syscall.raw_nr()},
                "abi": {"const": syscall.abi.name()},
            }})
        })
        .collect();
    syscalls.push(json!({
        "description": "A number that this version does not know.",
        "type": "object",
        "properties": {"name": {"const": "unknown"}},
    }));
    json!({
        "if": {"properties": {"event": {"const": event.name}}},
        "then": {"description": event.summary, "properties": {
            "args": {"type": "object", "properties": args, "required": names, "additionalProperties": false},
            "syscall": {"anyOf": syscalls},
        }},
    })
}

/// Which of the fields that an argument may have this one has, and what values.
fn of_arg(arg: &tracer_common::registry::Arg) -> Value {
    let int = json!({"type": ["integer", "null"], "minimum": i32::MIN, "maximum": i32::MAX});
    let unsigned = json!({"type": ["integer", "null"], "minimum": 0, "maximum": u32::MAX});
    let address = json!({"type": ["string", "null"]});
    let (value, has): (_, &[&str]) = match arg.kind {
        Kind::Fd => (int, &[]),
        Kind::Count => (unsigned, &[]),
        Kind::MsgFlags => (unsigned, &["names"]),
        Kind::Mmsghdrs => (address, &[]),
        Kind::Timespec64 | Kind::Timespec32 => (address, &["requested", "remaining"]),
    };
    let mut properties = Map::from_iter([("value".to_owned(), value)]);
    for field in ["names", "requested", "remaining"] {
        if !has.contains(&field) {
            properties.insert(field.to_owned(), false.into());
        }
    }
    if !arg.tags.contains(Tags::OPT) {
        let tags = json!({"type": "array", "not": {"contains": {"const": "OPT"}}});
        properties.insert("tags".to_owned(), tags);
    }
    json!({
        "description": format!("{}.", arg.c_type),
        "type": "object",
        "properties": properties,
    })
}

/// What one field says of another.
fn rules() -> impl Iterator<Item = Value> {
    let is = |field: &str, what: Value| json!({"type": "object", "properties": {field: what}});
    let null = json!({"type": "null"});
    let failed = json!({"type": "integer", "maximum": -1});
    let error = json!({
        "if": is("ret", failed),
        "then": is("error", json!({"type": "object"})),
        "else": is("error", null.clone()),
    });
    let exit = json!({
        "if": is("time", null.clone()),
        "then": {"required": ["time_exit"]},
        "else": is("time_exit", false.into()),
    });
    let missing = ["time", "ret", "latency_ns"].into_iter().map(move |field| {
        json!({
            "if": is(field, null.clone()),
            "then": is("missing", json!({"type": "object", "required": [field]})),
            "else": is("missing", is(field, false.into())),
        })
    });
    [error, exit].into_iter().chain(missing)
}

#[cfg(test)]
mod tests;

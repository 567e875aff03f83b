//! The schemas refuse what is not written. That they accept what is, the golden
//! recordings, the properties and every test on a real kernel show.

#[path = "common/schema.rs"]
mod schema;

use std::{collections::BTreeSet, fs, path::Path};

use schema::{wrong_with_event, wrong_with_health};
use serde_json::{Value, json};
use tracer::event::RunId;
use tracer::health::{Counts, Health, Kind, OnCpu, Report, Run, Stream};
use tracer_common::stats::Stats;

/// Every golden event.
fn events() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
    let lines = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    lines.map(|line| serde_json::from_str(&line).unwrap()).collect()
}

/// An event of a golden recording that has this.
fn event_with(pointer: &str) -> Value {
    let there = |event: &Value| event.pointer(pointer).is_some_and(|value| !value.is_null());
    events().into_iter().find(there).unwrap_or_else(|| panic!("no golden event has {pointer}"))
}

/// The path of each value: `/messages/0/len`.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| pointers(value, &format!("{at}/{key}"), found));
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(i, item)| pointers(item, &format!("{at}/{i}"), found));
        }
        _ => {}
    }
}

fn all_pointers(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    pointers(value, "", &mut found);
    found
}

/// Events that between them have every field: the first with each path, indices aside.
fn representatives() -> Vec<Value> {
    let mut seen = BTreeSet::new();
    let mut chosen = events();
    chosen.retain(|event| {
        let paths = all_pointers(event);
        let plain = paths.iter().map(|path| {
            path.split('/').filter(|key| key.parse::<u32>().is_err()).collect::<Vec<_>>().join("/")
        });
        plain.fold(false, |new, path| seen.insert(path) | new)
    });
    chosen
}

#[test]
fn an_object_has_no_unknown_field() {
    let mut count = 0;
    for event in representatives() {
        for path in all_pointers(&event) {
            let mut event = event.clone();
            let Some(Value::Object(fields)) = event.pointer_mut(&path) else { continue };
            fields.insert("surprise".to_owned(), 1.into());
            assert!(!wrong_with_event(&event).is_empty(), "surprise in {path} of {event}");
            count += 1;
        }
    }
    assert!(count > 100, "{count}");
}

/// Fields that are left out where there is nothing to say.
const OPTIONAL: [&str; 20] = [
    "delivered",
    "kernel",
    "socket",
    "messages",
    "names",
    "requested",
    "remaining",
    "iov",
    "iovlen",
    "items",
    "payload",
    "level",
    "type",
    "note",
    "comm_hex",
    "exe_hex",
    "path",
    "path_hex",
    "abstract",
    "abstract_hex",
];

#[test]
fn no_field_may_be_left_out_unless_it_is_said() {
    let mut count = 0;
    for event in representatives() {
        for path in all_pointers(&event) {
            let Some((parent, key)) = path.rsplit_once('/') else { continue };
            let may = OPTIONAL.contains(&key) || ["/missing", "/truncated"].contains(&parent);
            // What of the kernel's copy does not differ is left out.
            let may = may || parent.ends_with("/kernel");
            let mut event = event.clone();
            let Some(Value::Object(fields)) = event.pointer_mut(parent) else { continue };
            fields.remove(key);
            let accepted = wrong_with_event(&event).is_empty();
            assert!(!accepted || may, "no {path} in {event}");
            count += usize::from(!accepted);
        }
    }
    assert!(count > 100, "{count}");
}

/// Optional fields that are null where their value could not be had. The others of
/// [`OPTIONAL`] are left out then.
const OR_NULL: [&str; 8] =
    ["socket", "messages", "requested", "remaining", "iov", "iovlen", "items", "payload"];

#[test]
fn what_may_be_left_out_is_not_null() {
    let mut seen = BTreeSet::new();
    for event in representatives() {
        for path in all_pointers(&event) {
            let (parent, key) = path.rsplit_once('/').unwrap_or_default();
            let required = ["/socket/type", "/process/cgroup/path"].contains(&path.as_str());
            let other = required
                || ["/truncated", "/missing"].contains(&parent)
                || parent.ends_with("/kernel");
            let mut event = event.clone();
            if !OPTIONAL.contains(&key) || other || event.pointer(parent).unwrap().is_array() {
                continue;
            }
            *event.pointer_mut(&path).unwrap() = Value::Null;
            let accepted = wrong_with_event(&event).is_empty();
            assert_eq!(accepted, OR_NULL.contains(&key), "{path} in {event}");
            seen.insert(key.to_owned());
        }
    }
    for key in OPTIONAL {
        // The golden recordings have no names that are not UTF-8.
        assert!(seen.contains(key) || key.ends_with("_hex"), "no {key}: {seen:?}");
    }
}

#[test]
fn a_value_has_its_type() {
    let mut count = 0;
    for event in representatives() {
        for path in all_pointers(&event) {
            let mut event = event.clone();
            let value = event.pointer_mut(&path).unwrap();
            *value = if value.is_boolean() { "true".into() } else { true.into() };
            assert!(!wrong_with_event(&event).is_empty(), "{path} in {event}");
            count += 1;
        }
    }
    assert!(count > 100, "{count}");
}

/// A value that is wrong in its place.
#[test]
fn values_that_can_not_be() {
    for (pointer, value) in [
        ("/schema", json!("tracer.event/2")),
        ("/time", json!("2026-11-20 23:02:33Z")),
        ("/time", json!("2026-13-20T23:02:33.616480351Z")),
        ("/time", json!("2026-11-20T23:02:33.616480Z")),
        ("/time", Value::Null),
        ("/seq", json!(-1)),
        ("/event", json!("recvfrom")),
        ("/syscall/nr", json!(300)),
        ("/syscall/name", json!("recvfrom")),
        ("/syscall/abi", json!("mips")),
        ("/process/pid", json!(u64::MAX)),
        ("/process/comm_hex", json!("0g")),
        ("/args/sockfd/value", json!("0x3")),
        ("/args/sockfd/names", json!([])),
        ("/args/sockfd/tags", json!(["K", "OPT"])),
        ("/args/vlen/value", json!(-1)),
        ("/args/vlen/tags", json!(["K", "K"])),
        ("/args/vlen/tags/0", json!("X")),
        ("/args/msgvec/value", json!(140_000)),
        ("/args/msgvec/requested", Value::Null),
        ("/args/flags/names/0", json!("MSG_NONE")),
        ("/args/timeout/requested/sec", json!("1")),
        ("/args/timeout/names", json!([])),
        ("/socket/family", json!("INET")),
        ("/socket/local/port", json!(65_536)),
        ("/socket/local/ip", json!("127.0.0.256")),
        ("/socket/local/path", json!("/tmp/it")),
        ("/ret", json!(-11)),
        ("/ret", Value::Null),
        ("/error", json!({"name": "EAGAIN", "errno": 11})),
        ("/latency_ns", Value::Null),
        ("/messages/0/name/ip", json!("::1")),
        ("/messages/0/name/family", json!("AF_INET6")),
        ("/messages/0/namelen/in", json!("16")),
        ("/messages/0/iov/0/base", json!(1)),
        ("/messages/0/control/items/0/fds", json!([0.5])),
        ("/messages/0/control/items/0/note", json!("fine")),
        ("/messages/0/payload/text", Value::Null),
        ("/messages/0/payload/sha256", json!("00")),
        ("/truncated", json!({})),
        ("/findings", json!(["timeout_overruns"])),
        ("/findings", json!(["timeout_overrun", "timeout_overrun"])),
        ("/missing", json!({"socket": "forgotten"})),
        ("/missing", json!({"No path!": "fault"})),
        ("/missing", json!({"ret": "fault"})),
    ] {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let known = event_with("/ret");
        let mut event = if known.pointer(parent).is_some() && parent != "/process" {
            known
        } else {
            event_with(parent)
        };
        if pointer.starts_with("/messages/0/name/") {
            event = event_with("/messages/0/name/port");
        }
        assert!(wrong_with_event(&event).is_empty(), "{event}");
        match event.pointer_mut(parent).unwrap() {
            Value::Object(fields) => drop(fields.insert(key.to_owned(), value)),
            Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
            other => panic!("{parent} is {other}"),
        }
        assert!(!wrong_with_event(&event).is_empty(), "{pointer} of {event}");
    }
}

fn health(kind: Kind) -> Health {
    let stream = Stream {
        hook: "fentry".into(),
        kernel: "6.1.0".to_owned(),
        events: vec!["recvmmsg".into(), "recvmmsg_time32".into()],
        kernel_copies: Some(vec!["lengths".into()]),
    };
    let kernel = Stats { ring_full: 3, ..Stats::default() };
    let lost = tracer::health::Lost::new(&kernel, 1, 0);
    let by_cpu = vec![OnCpu { emitted: 5, filtered: 0, lost }];
    let now = Counts { emitted: 5, lost, by_cpu, return_missed: 2, ..Counts::default() };
    Health::new(RunId::new(9), 7, &stream, &Report::new(kind, &now, &Counts::default()))
}

#[test]
fn health_records() {
    let run = Run {
        id: RunId::new(9),
        boot_id: "a-b".to_owned(),
        pid: 1,
        version: "0.1.0".into(),
        host: Some("ho".into()),
    };
    let start = serde_json::to_value(health(Kind::Start).of_run(run)).unwrap();
    let end = serde_json::to_value(health(Kind::End)).unwrap();
    for record in [&start, &end] {
        let wrong = wrong_with_health(record);
        assert!(wrong.is_empty(), "{wrong:#?} in {record}");
        for path in all_pointers(record) {
            let mut other = record.clone();
            let value = other.pointer_mut(&path).unwrap();
            *value = if value.is_boolean() { "true".into() } else { true.into() };
            assert!(!wrong_with_health(&other).is_empty(), "{path} in {other}");
            let mut other = record.clone();
            if let Some(Value::Object(fields)) = other.pointer_mut(&path) {
                fields.insert("surprise".to_owned(), 1.into());
                assert!(!wrong_with_health(&other).is_empty(), "surprise in {path}");
            }
        }
    }
    for (pointer, value) in [
        ("/kind", json!("begin")),
        ("/kind", json!("start")),
        ("/kind", json!("reload")),
        ("/hook", json!("uprobe")),
        ("/events/0", json!("recvfrom")),
        ("/lost/total", json!(-4)),
        ("/time", Value::Null),
    ] {
        let mut record = end.clone();
        *record.pointer_mut(pointer).unwrap() = value;
        assert!(!wrong_with_health(&record).is_empty(), "{pointer} in {record}");
    }
}

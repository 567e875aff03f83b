//! Tracee's event: its fields, all of them and no others, in its order and of its types.

use serde_json::{Value, json};

use crate::each_line;

/// The fields of `trace.Event` (types/trace/trace.go, v0.24) and their types in JSON.
const FIELDS: [(&str, &str); 32] = [
    ("timestamp", "number"),
    ("threadStartTime", "number"),
    ("processorId", "number"),
    ("processId", "number"),
    ("cgroupId", "number"),
    ("threadId", "number"),
    ("parentProcessId", "number"),
    ("hostProcessId", "number"),
    ("hostThreadId", "number"),
    ("hostParentProcessId", "number"),
    ("userId", "number"),
    ("mountNamespace", "number"),
    ("pidNamespace", "number"),
    ("processName", "string"),
    ("executable", "object"),
    ("hostName", "string"),
    ("containerId", "string"),
    ("container", "object"),
    ("kubernetes", "object"),
    ("eventId", "string"),
    ("eventName", "string"),
    ("matchedPolicies", "array"),
    ("argsNum", "number"),
    ("returnValue", "number"),
    ("syscall", "string"),
    ("stackAddresses", "array"),
    ("contextFlags", "object"),
    ("threadEntityId", "number"),
    ("processEntityId", "number"),
    ("parentEntityId", "number"),
    ("args", "array"),
    ("metadata", "object"),
];

/// The arguments, as Tracee names and types them, and the number of the event on x86-64.
const RECVMMSG: (&str, [(&str, &str); 5]) = (
    "299",
    [
        ("sockfd", "int"),
        ("msgvec", "struct mmsghdr*"),
        ("vlen", "unsigned int"),
        ("flags", "int"),
        ("timeout", "struct timespec*"),
    ],
);
const RECVMMSG_TIME32: (&str, [(&str, &str); 5]) = (
    "529",
    [
        ("fd", "int"),
        ("mmsg", "struct mmsghdr*"),
        ("vlen", "unsigned int"),
        ("flags", "unsigned int"),
        ("timeout", "struct old_timespec32*"),
    ],
);

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Number(number) if number.is_i64() => "number",
        Value::String(_) => "string",
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        _ => "another",
    }
}

#[test]
fn tracee_has_its_fields_in_its_order() {
    each_line("tracee", |text, line| {
        let fields = line.as_object().expect("an object");
        assert_eq!(fields.len(), FIELDS.len(), "{line}");
        let mut before = 0;
        for (name, of) in FIELDS {
            assert_eq!(kind(&fields[name]), of, "{name} of {line}");
            let here = text.find(&format!("\"{name}\":")).expect("a field");
            assert!(here > before, "{name} is out of place in {text}");
            before = here;
        }
        assert!(line["executable"]["path"].is_string());
        for flag in ["containerStarted", "isCompat"] {
            assert!(line["contextFlags"][flag].is_boolean(), "{line}");
        }
        assert!(line["eventId"].as_str().is_some_and(|id| id.parse::<i32>().is_ok()), "{line}");
        let args = line["args"].as_array().expect("arguments");
        assert_eq!(line["argsNum"], args.len());
        for arg in args {
            let keys: Vec<_> = arg.as_object().expect("an argument").keys().collect();
            assert_eq!(keys, ["name", "type", "value"]);
        }
    });
}

#[test]
fn tracee_says_what_the_event_says() {
    each_line("tracee", |_, line| {
        let own = &line["metadata"]["properties"];
        let time: jiff::Timestamp = own["time"].as_str().expect("a time").parse().expect("a time");
        let nanoseconds = line["timestamp"].as_i64().expect("a number");
        assert_eq!(i128::from(nanoseconds), time.as_nanosecond(), "{line}");
        assert!(line["hostName"].as_str().is_some_and(|name| !name.is_empty()), "{line}");
        if own["schema"] == "tracer.health/1" {
            assert_eq!(line["eventName"], "tracer_health");
            assert_eq!(line["args"][0]["value"], own["kind"]);
            return;
        }
        let process = &own["process"];
        for (name, value) in [
            ("hostProcessId", &process["pid"]),
            ("hostThreadId", &process["tid"]),
            ("hostParentProcessId", &process["ppid"]),
            ("userId", &process["uid"]),
            ("processName", &process["comm"]),
            ("pidNamespace", &process["ns"]["pid"]),
            ("eventName", &own["event"]),
            ("syscall", &own["syscall"]["name"]),
            ("returnValue", &own["ret"]),
        ] {
            assert_eq!(line[name], *value, "{name} of {line}");
        }
        if !process["ns_pid"].is_null() {
            assert_eq!(line["processId"], process["ns_pid"], "{line}");
            assert_eq!(line["threadId"], process["ns_tid"], "{line}");
        }
        let compat = own["syscall"]["abi"] == "i386" || own["syscall"]["abi"] == "arm";
        assert_eq!(line["contextFlags"]["isCompat"], compat);
        arguments(line, own);
    });
}

fn arguments(line: &Value, own: &Value) {
    let (id, wanted) = if own["event"] == "recvmmsg" { RECVMMSG } else { RECVMMSG_TIME32 };
    if !own["syscall"]["abi"].as_str().expect("an ABI").starts_with("arm") {
        assert_eq!(line["eventId"], id);
    }
    for (i, (name, of)) in wanted.into_iter().enumerate() {
        let arg = &line["args"][i];
        assert_eq!((&arg["name"], &arg["type"]), (&name.into(), &of.into()), "{line}");
        let ours = &own["args"][["sockfd", "msgvec", "vlen", "flags", "timeout"][i]];
        let right = match (of, &ours["requested"]) {
            // As it was asked for, and not what was left, which Tracee shows.
            ("struct timespec*", Value::Object(timeout)) => {
                let part = |name: &str| timeout[name].as_i64().expect("a number");
                match (part("sec"), part("nsec")) {
                    (sec, 0) => json!(sec),
                    (sec, nsec) => json!(sec as f64 + nsec as f64 / 1e9),
                }
            }
            ("struct timespec*", _) if ours["value"].is_null() => json!(0),
            ("struct old_timespec32*", _) if ours["value"].is_null() => json!("0x0"),
            ("struct timespec*", _) => Value::Null,
            ("int", _) => json!(ours["value"].as_i64().expect("a number") as i32),
            _ => ours["value"].clone(),
        };
        assert_eq!(arg["value"], right, "{name} of {line}");
    }
}

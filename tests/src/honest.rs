//! Whether an event says what it could not have: each null that stands for something has
//! a reason in `missing`, and each reason there is of something that is not all there.

use serde_json::{Map, Value};

/// Fields that are null only where they could not be had; lists without their indices.
const KNOWN_OR_MISSING: [&str; 19] = [
    "time",
    "ret",
    "latency_ns",
    "socket",
    "messages",
    "process.ppid",
    "process.exe",
    "process.start_time",
    "process.cgroup.path",
    "args.sockfd.value",
    "args.msgvec.value",
    "args.vlen.value",
    "args.flags.value",
    "args.timeout.requested",
    "args.timeout.remaining",
    "messages[].namelen.in",
    "messages[].control.len_in",
    "messages[].control.items",
    "messages[].iov",
];

/// Panics unless the event is honest; with `payload` this was asked for.
pub fn check(event: &Value, payload: bool) {
    let missing = event["missing"].as_object().expect("an object");
    let mut nulls = Vec::new();
    walk("", event, &mut nulls);
    for path in &nulls {
        let field = without_indices(path);
        let asked =
            KNOWN_OR_MISSING.contains(&field.as_str()) || payload && field == "messages[].payload";
        assert!(!asked || is_named(missing, path), "{path} is null for no reason: {event}");
    }
    for (path, reason) in missing {
        let explained = nulls.iter().any(|null| covers(path, null))
            || is_partial(event, path, reason)
            || is_beyond(event, path);
        assert!(explained, "{path} is missing and there ({reason}): {event}");
    }
}

/// The paths of all nulls.
fn walk(path: &str, value: &Value, nulls: &mut Vec<String>) {
    match value {
        Value::Null => nulls.push(path.to_owned()),
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(&path, value, nulls);
            }
        }
        Value::Array(list) => {
            list.iter()
                .enumerate()
                .for_each(|(i, value)| walk(&format!("{path}[{i}]"), value, nulls));
        }
        _ => {}
    }
}

fn without_indices(path: &str) -> String {
    let mut parts = path.split('[');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let rest = part.split_once(']').map_or("", |(_, rest)| rest);
        format!("{text}[]{rest}")
    })
}

fn is_named(missing: &Map<String, Value>, path: &str) -> bool {
    missing.keys().any(|named| covers(named, path))
}

/// Whether a path of `missing`, perhaps of a range of messages, speaks of this one or of
/// what it is a part of.
fn covers(named: &str, path: &str) -> bool {
    let is_part = |whole: &str, part: &str| {
        part.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    match (indices(named), indices(path)) {
        (Some((from, to, named)), Some((i, _, path))) => {
            (from..to).contains(&i) && is_part(named, path)
        }
        _ => is_part(named, path),
    }
}

/// Of `messages[3..64].field` the numbers and the rest.
fn indices(path: &str) -> Option<(usize, usize, &str)> {
    let (range, rest) = path.strip_prefix("messages[")?.split_once(']')?;
    let number = |text: &str| text.parse::<usize>().ok();
    match range.split_once("..") {
        Some((from, to)) => Some((number(from)?, number(to)?, rest)),
        None => Some((number(range)?, number(range)? + 1, rest)),
    }
}

/// Names that are cut, and payload of which a part could be read.
fn is_partial(event: &Value, path: &str, reason: &Value) -> bool {
    let Some((i, _, field)) = indices(path) else { return false };
    let message = &event["messages"][i];
    match field {
        ".name" => reason == "truncated" && message["name"].is_object(),
        // It is there only where it differs.
        ".kernel" => message.get("kernel").is_none(),
        ".payload" => message["payload"]["captured"].as_u64() < message["payload"]["len"].as_u64(),
        _ => false,
    }
}

/// Messages that are not shown at all.
fn is_beyond(event: &Value, path: &str) -> bool {
    let shown = event["messages"].as_array().map_or(0, Vec::len);
    indices(path).is_some_and(|(from, _, field)| field.is_empty() && from == shown)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nulls_with_reasons_are_honest() {
        check(&json!({"ret": null, "error": null, "missing": {"ret": "thread_exited"}}), false);
        let message = json!({"namelen": {"in": null}, "payload": null});
        let event = |missing: Value| json!({"messages": [message, message], "missing": missing});
        check(&event(json!({"messages[0..2].namelen.in": "fault"})), false);
        check(&event(json!({"messages[0..2]": "fault"})), true);
        check(
            &event(json!({"messages[0..2].namelen.in": "fault", "messages[2..5]": "fault"})),
            false,
        );
    }

    #[test]
    #[should_panic(expected = "messages[1].namelen.in is null for no reason")]
    fn a_null_without_a_reason() {
        let message = json!({"namelen": {"in": null}});
        let missing = json!({"messages[0].namelen.in": "fault"});
        check(&json!({"messages": [message, message], "missing": missing}), false);
    }

    #[test]
    #[should_panic(expected = "messages[0].payload is null for no reason")]
    fn payload_that_was_asked_for() {
        check(&json!({"messages": [{"payload": null}], "missing": {}}), true);
    }

    #[test]
    #[should_panic(expected = "ret is missing and there")]
    fn a_reason_for_nothing() {
        check(&json!({"ret": 1, "missing": {"ret": "fault"}}), false);
    }
}

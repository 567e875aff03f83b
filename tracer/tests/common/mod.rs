//! The JSON of an event, looked at field by field: what the filter's table of fields is
//! held against.

use std::net::IpAddr;

use serde_json::Value as Json;
use tracer::{
    event::Event,
    filter::expr::field::{FIELDS, Field, Type, Value, find},
};

/// The values at a path: through every element of a list, without nulls.
pub fn at<'a>(json: &'a Json, path: &str) -> Vec<&'a Json> {
    match json {
        Json::Array(items) => items.iter().flat_map(|item| at(item, path)).collect(),
        Json::Null => Vec::new(),
        _ if path.is_empty() => vec![json],
        _ => {
            let (key, rest) = path.split_once('.').unwrap_or((path, ""));
            json.get(key).map_or_else(Vec::new, |below| at(below, rest))
        }
    }
}

/// What the JSON says of a field, in words that [`filtered`] uses too.
fn shown(json: &Json, field: &Field) -> Vec<String> {
    if field.path == "missing" {
        return json["missing"].as_object().unwrap().keys().cloned().collect();
    }
    if field.path == "messages" {
        return if json.get("messages").is_some_and(Json::is_array) {
            vec!["an object".to_owned()]
        } else {
            vec![]
        };
    }
    at(json, &field.path).into_iter().map(|value| one_shown(value, field.ty)).collect()
}

fn one_shown(value: &Json, ty: Type) -> String {
    match (ty, value) {
        (Type::Object, Json::Object(_)) => "an object".to_owned(),
        (Type::Span, Json::Object(_)) => {
            let part = |name: &str| i128::from(value[name].as_i64().unwrap());
            (part("sec") * 1_000_000_000 + part("nsec")).to_string()
        }
        (Type::Signed | Type::Unsigned | Type::Span, Json::Number(number)) => number.to_string(),
        (Type::Pointer, Json::String(text)) => {
            u64::from_str_radix(text.strip_prefix("0x").unwrap(), 16).unwrap().to_string()
        }
        (Type::Time, Json::String(text)) => {
            text.parse::<jiff::Timestamp>().unwrap().as_nanosecond().to_string()
        }
        // A symbol without a name.
        (Type::Text, Json::Number(number)) => number.to_string(),
        (Type::Bool, Json::Bool(value)) => u8::from(*value).to_string(),
        (Type::Ip, Json::String(text)) => text.parse::<IpAddr>().unwrap().to_string(),
        (Type::Text | Type::ShortText(_) | Type::Flag | Type::Errno, Json::String(text)) => {
            text.clone()
        }
        _ => panic!("{value} is no {}", ty.name()),
    }
}

/// What the filter sees of a field.
fn filtered(event: &Event, field: &Field) -> Vec<String> {
    let mut values = Vec::new();
    let found = field.any(event, &mut |value| {
        values.push(match value {
            Value::Int(value) => value.to_string(),
            Value::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Value::Ip(ip) => ip.to_string(),
            Value::Object => "an object".to_owned(),
        });
        false
    });
    assert!(!found, "nothing was looked for");
    values
}

/// Filters see what the JSON shows, of every field, and every field of the JSON is one.
pub fn assert_fields(event: &Event) {
    let json = serde_json::to_value(event).unwrap();
    for field in FIELDS.iter() {
        let values = filtered(event, field);
        assert_eq!(values, shown(&json, field), "{} of {json}", field.path);
        assert!(field.many || values.len() < 2, "{} of {json}", field.path);
        assert!(field.nullable || values.len() == 1, "{} of {json}", field.path);
    }
    leaves(&json, "", &json);
}

/// Every leaf of the JSON has a row.
fn leaves(json: &Json, path: &str, whole: &Json) {
    match json {
        _ if ["missing", "run_id", "seq"].contains(&path) => {}
        // What each type of control message says, and payload that is no text.
        _ if path.starts_with("messages.control.items") => {}
        _ if path.starts_with("messages.payload") => {}
        Json::Null if path == "messages.iov" => {}
        Json::Array(items) => items.iter().for_each(|item| leaves(item, path, whole)),
        Json::Object(fields) => {
            for (key, value) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                leaves(value, &format!("{path}{dot}{key}"), whole);
            }
        }
        _ => assert!(find(path).is_some(), "no filter on {path} of {whole}"),
    }
}

//! The schemas' own form; whether they fit what is written, `tests/schema.rs` shows.

use super::*;

/// Calls `visit` with every object of a schema.
fn walk(schema: &Value, visit: &mut impl FnMut(&Map<String, Value>)) {
    match schema {
        Value::Object(object) => {
            visit(object);
            object.values().for_each(|value| walk(value, visit));
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
        _ => {}
    }
}

#[test]
fn they_say_what_they_are() {
    for (schema, name) in [(event(), event::SCHEMA), (health(), health::SCHEMA)] {
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["$id"], format!("urn:tracer:{name}"));
        assert_eq!(schema["title"], name);
        assert_eq!(schema["properties"]["schema"]["const"], name);
    }
}

#[test]
fn every_field_is_described_in_plain_words() {
    for schema in [event(), health(), ecs(), ocsf(), tracee()] {
        walk(&schema, &mut |object| {
            if let Some(Value::Object(properties)) = object.get("properties")
                && ["additionalProperties", "unevaluatedProperties"]
                    .iter()
                    .any(|closed| object.contains_key(*closed))
            {
                for (name, property) in properties {
                    let tag = property.get("const").is_some() || property.is_boolean();
                    assert!(tag || property.get("description").is_some(), "{name} of {object:?}");
                }
            }
            if let Some(Value::String(text)) = object.get("description") {
                assert!(!text.contains("[`") && !text.contains('\n'), "for rustdoc: {text}");
            }
        });
    }
}

/// ajv and others refuse formats that JSON Schema does not know.
#[test]
fn only_formats_of_the_standard() {
    for schema in [event(), health(), ecs(), ocsf(), tracee()] {
        walk(&schema, &mut |object| {
            if let Some(Value::String(format)) = object.get("format") {
                assert!(["date-time", "ipv4", "ipv6"].contains(&format.as_str()), "{format}");
            }
        });
    }
}

#[test]
fn everything_in_the_tables_is_allowed() {
    let text = event().to_string();
    let events = EVENTS.iter().flat_map(|event| {
        let args = event.args.iter().map(|arg| arg.name);
        args.chain(event.syscalls.iter().map(|syscall| syscall.name)).chain([event.name])
    });
    let findings = findings::ALL.iter().map(|finding| finding.name);
    for name in events.chain(findings).chain(abi::ALL.map(abi::Abi::name)) {
        assert!(text.contains(&format!("\"{name}\"")), "no {name}");
    }
}

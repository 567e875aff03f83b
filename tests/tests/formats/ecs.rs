//! Elastic Common Schema: every field is one of its list and of its type.

use std::net::IpAddr;

use serde_json::Value;

use crate::{definition, each_line};

#[test]
fn ecs_knows_every_field() {
    let Some(fields) = definition("ecs-9.4.0.json", None, "formats: ECS's field list") else {
        return;
    };
    assert!(fields.as_object().is_some_and(|fields| fields.len() > 1000), "ECS's fields");
    each_line("ecs", |_, line| {
        for (key, value) in line.as_object().expect("an object") {
            if key != "tracer" {
                check(&fields, key, value, line);
            }
        }
        let required = fields.as_object().expect("fields").iter();
        for (name, _) in required.filter(|(name, field)| {
            // Those of sets that are there.
            field["required"] == true && ["@timestamp", "ecs.version"].contains(&name.as_str())
        }) {
            let pointer = format!("/{}", name.replace('.', "/"));
            assert!(line.pointer(&pointer).is_some(), "no {name} in {line}");
        }
        categories(&fields, line);
        assert_eq!(line["ecs"]["version"], "9.4.0");
    });
}

/// A field and all below it.
fn check(fields: &Value, path: &str, value: &Value, line: &Value) {
    let field = &fields[path];
    if let (Value::Object(below), true) = (value, field.is_null()) {
        assert!(!below.is_empty(), "{path} is empty in {line}");
        for (key, value) in below {
            check(fields, &format!("{path}.{key}"), value, line);
        }
        return;
    }
    assert!(field.is_object(), "ECS has no {path}: {line}");
    let normalized = field["normalize"].as_array().expect("a list");
    let is_list = normalized.iter().any(|how| how == "array");
    let values = match value {
        Value::Array(values) if is_list => &values[..],
        Value::Array(_) => panic!("{path} is a list in {line}"),
        value => {
            assert!(!is_list, "{path} is no list in {line}");
            std::slice::from_ref(value)
        }
    };
    for value in values {
        assert!(fits(field["type"].as_str().expect("a type"), value), "{path} in {line}");
        let allowed = |list: &str, name: fn(&Value) -> &Value| {
            let Some(list) = field[list].as_array() else { return };
            assert!(list.iter().any(|allowed| name(allowed) == value), "{path} {value}: {list:?}");
        };
        allowed("allowed_values", |allowed| &allowed["name"]);
        allowed("expected_values", |expected| expected);
    }
}

fn fits(kind: &str, value: &Value) -> bool {
    let text = value.as_str();
    match kind {
        // What is longer, Elasticsearch does not index.
        "keyword" | "constant_keyword" => text.is_some_and(|text| text.len() <= 1024),
        "match_only_text" | "wildcard" => text.is_some(),
        "long" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "date" => text.is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok()),
        "ip" => text.is_some_and(|text| text.parse::<IpAddr>().is_ok()),
        other => panic!("a field of type {other}"),
    }
}

/// The types are among those that ECS expects of each category.
fn categories(fields: &Value, line: &Value) {
    let allowed = fields["event.category"]["allowed_values"].as_array().expect("categories");
    for category in line["event"]["category"].as_array().into_iter().flatten() {
        let category = allowed.iter().find(|allowed| allowed["name"] == *category);
        let expected = category.and_then(|category| category["expected_event_types"].as_array());
        for kind in line["event"]["type"].as_array().expect("types") {
            assert!(expected.is_some_and(|expected| expected.contains(kind)), "{kind} in {line}");
        }
    }
}

/// What a reader of ECS looks for says what our own event does.
#[test]
fn ecs_says_what_the_event_says() {
    each_line("ecs", |_, line| {
        let own = &line["tracer"];
        assert_eq!(line["@timestamp"], own["time"], "{line}");
        assert_eq!(line["event"]["sequence"], own["seq"]);
        let id = format!("{}-{}", own["run_id"].as_str().expect("a run"), own["seq"]);
        assert_eq!(line["event"]["id"], id);
        assert_eq!(line["agent"]["ephemeral_id"], own["run_id"]);
        assert!(line["host"]["name"].is_string(), "{line}");
        if own["schema"] == "tracer.health/1" {
            assert_eq!(line["event"]["kind"], "metric");
            return;
        }
        assert_eq!(line["process"]["pid"], own["process"]["pid"]);
        assert_eq!(line["process"]["thread"]["id"], own["process"]["tid"]);
        assert_eq!(line["user"]["id"], own["process"]["uid"].to_string());
        assert_eq!(line["error"]["code"], own["error"]["name"]);
        let failed = own["ret"].as_i64().map(|ret| ret < 0);
        let outcome =
            failed.map_or("unknown", |failed| ["success", "failure"][usize::from(failed)]);
        assert_eq!(line["event"]["outcome"], outcome);
        assert_eq!(line["event"]["duration"], own["latency_ns"]);
        let findings = own["findings"].as_array().expect("findings");
        assert_eq!(line["tags"].as_array().map_or(&[][..], |tags| &tags[..]), &findings[..]);
        let family = own["socket"]["family"].as_str().unwrap_or_default();
        if family == "AF_INET" {
            assert_eq!(line["destination"]["port"], own["socket"]["local"]["port"], "{line}");
            assert_eq!(line["network"]["type"], "ipv4", "{line}");
        }
    });
}

//! OCSF: required attributes are there, unknown ones are not, values are of their types and
//! enumerations.

use serde_json::{Map, Value};

use crate::{definition, each_line};

#[test]
fn ocsf_knows_every_attribute() {
    let group = "formats: OCSF's definition";
    let Some(schema) = definition("ocsf-1.8.0.json", Some("TRACER_OCSF_SCHEMA"), group) else {
        return;
    };
    assert_eq!(schema["version"], "1.8.0");
    let class = &schema["classes"]["kernel_activity"];
    each_line("ocsf", |_, line| {
        let profiles = line["metadata"]["profiles"].as_array().expect("profiles");
        let profiles = profiles.iter().map(|name| name.as_str().expect("a name"));
        let checker =
            Checker { schema: &schema, profiles: profiles.map(last).collect(), whole: line };
        checker.object(class, line, "");
        let number = |field: &str| line[field].as_u64().expect("a number");
        assert_eq!(number("type_uid"), number("class_uid") * 100 + number("activity_id"));
        assert_eq!(number("class_uid"), class["uid"].as_u64().expect("a number"));
    });
}

/// A profile's name without its extension's.
fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

struct Checker<'a> {
    schema: &'a Value,
    profiles: Vec<&'a str>,
    whole: &'a Value,
}

impl Checker<'_> {
    fn object(&self, definition: &Value, value: &Value, path: &str) {
        let value = value.as_object().unwrap_or_else(|| panic!("{path} of {}", self.whole));
        let attributes = definition["attributes"].as_object().expect("attributes");
        for (name, attribute) in attributes {
            let applies = attribute["profile"]
                .as_str()
                .is_none_or(|profile| self.profiles.contains(&last(profile)));
            let there = value.contains_key(name);
            let required = attribute["requirement"] == "required" && applies;
            assert!(there || !required, "no {path}.{name} in {}", self.whole);
            assert!(!there || applies, "{path}.{name} is of another profile: {}", self.whole);
        }
        let at_least_one = definition["constraints"]["at_least_one"].as_array();
        if let Some(names) = at_least_one {
            let there = names.iter().any(|name| value.contains_key(name.as_str().expect("a name")));
            assert!(there, "none of {names:?} in {path} of {}", self.whole);
        }
        for (name, field) in value {
            let path = format!("{path}.{name}");
            let attribute = attributes
                .get(name)
                .unwrap_or_else(|| panic!("OCSF has no {path}: {}", self.whole));
            self.attribute(attribute, field, value, &path);
        }
    }

    fn attribute(&self, attribute: &Value, field: &Value, all: &Map<String, Value>, path: &str) {
        let values = match (attribute["is_array"] == true, field) {
            (true, Value::Array(values)) => &values[..],
            (false, value) if !value.is_array() => std::slice::from_ref(value),
            _ => panic!("{path} is a list or none: {}", self.whole),
        };
        let kind = attribute["type"].as_str().expect("a type");
        for value in values {
            match &self.schema["objects"][kind] {
                Value::Null => assert!(self.fits(kind, value), "{path}, {kind}: {}", self.whole),
                // Anything goes: `unmapped`.
                _ if kind == "object" => assert!(value.is_object(), "{path}: {}", self.whole),
                definition => self.object(definition, value, path),
            }
            let Some(options) = attribute["enum"].as_object() else { continue };
            let option = options
                .get(&value.to_string())
                .unwrap_or_else(|| panic!("{path} {value} is none of {options:?}"));
            let sibling = attribute["sibling"].as_str().and_then(|name| all.get(name));
            if let Some(sibling) = sibling.filter(|_| *value != 99) {
                assert_eq!(*sibling, option["caption"], "{path}: {}", self.whole);
            }
        }
    }

    /// Whether a value is of a type, by way of the type that it is made of.
    fn fits(&self, kind: &str, value: &Value) -> bool {
        let definition = &self.schema["types"][kind];
        assert!(definition.is_object(), "no type {kind}");
        if let Some([least, most]) = definition["range"].as_array().map(Vec::as_slice)
            && !(least.as_i64() <= value.as_i64() && value.as_i64() <= most.as_i64())
        {
            return false;
        }
        match definition["type"].as_str().unwrap_or(kind) {
            "string_t" => value.is_string(),
            "integer_t" | "long_t" => value.is_i64() || value.is_u64(),
            "boolean_t" => value.is_boolean(),
            other => panic!("an attribute of type {other}"),
        }
    }
}

/// What a reader of OCSF looks for says what our own event does.
#[test]
fn ocsf_says_what_the_event_says() {
    each_line("ocsf", |_, line| {
        let own = &line["unmapped"];
        assert_eq!(line["metadata"]["original_time"], own["time"], "{line}");
        assert_eq!(line["metadata"]["sequence"], own["seq"]);
        assert_eq!(line["metadata"]["correlation_uid"], own["run_id"]);
        let time: jiff::Timestamp = own["time"].as_str().expect("a time").parse().expect("a time");
        assert_eq!(line["time"], time.as_millisecond());
        assert!(line["device"]["hostname"].is_string(), "{line}");
        if own["schema"] == "tracer.health/1" {
            assert_eq!(line["type_uid"], 100_399);
            assert_eq!(line["activity_name"], own["kind"]);
            return;
        }
        assert_eq!(line["type_uid"], 100_304);
        let process = &line["actor"]["process"];
        assert_eq!(process["pid"], own["process"]["pid"]);
        assert_eq!(process["parent_process"]["pid"], own["process"]["ppid"]);
        assert_eq!(process["user"]["uid"], own["process"]["uid"].to_string());
        assert_eq!(process["file"]["path"], own["process"]["exe"]);
        assert_eq!(line["kernel"]["system_call"], own["syscall"]["name"]);
        assert_eq!(line["status_code"], own["error"]["name"]);
        let findings = own["findings"].as_array().expect("findings");
        assert_eq!(line["severity_id"] == 1, findings.is_empty(), "{line}");
    });
}

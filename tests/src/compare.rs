//! Holds an event against the truth: every field that the truth names, and in the
//! truth's own words (see [`crate::workload::truth`]) where it knows bounds only.

use serde_json::{Map, Value};

use crate::cgroup;

/// How far the tracer's wall clock may lie from the workload's, in nanoseconds.
const CLOCK_TOLERANCE_NS: i64 = 2_000_000;

/// One field that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where, as `messages[3].name.port`.
    pub path: String,
    /// What the truth says.
    pub expected: String,
    /// What the event says.
    pub got: String,
}

/// Panics with every difference and the whole event, if there is one.
pub fn assert_matches(truth: &Value, event: &Value) {
    let event = &without_v1_doubt(truth, event);
    let differences = differences(truth, event);
    if differences.is_empty() {
        return;
    }
    let mut text = String::new();
    for Difference { path, expected, got } in &differences {
        text += &format!("\n  {path}\n    expected {expected}\n    got      {got}");
    }
    panic!("the event is not what happened:{text}\n  event {event}\n  truth {truth}");
}

/// An event without the doubt about its container that it must show where processes are
/// in cgroups of v1 hierarchies too: of those no record tells, and the process may have
/// ended before the tracer could ask.
fn without_v1_doubt(truth: &Value, event: &Value) -> Value {
    let mut event = event.clone();
    let field = "process.container";
    let doubted = event["missing"][field] == "gone" && event["process"]["container"].is_null();
    if doubted && truth["missing"].get(field).is_none() && cgroup::has_v1() {
        event["missing"].as_object_mut().expect("an object").remove(field);
    }
    event
}

/// Every field that differs.
pub fn differences(truth: &Value, event: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    walk(String::new(), truth, Some(event), &mut found);
    found
}

fn walk(path: String, truth: &Value, event: Option<&Value>, found: &mut Vec<Difference>) {
    if let Value::Object(fields) = truth {
        if let Some(fine) = directive(&path, fields, event) {
            if !fine {
                found.push(difference(path, truth, event));
            }
            return;
        }
        if let Some(Value::Object(_)) = event {
            for (key, truth) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(path, truth, event.and_then(|event| event.get(key)), found);
            }
            // `{}` says that there is nothing in it.
            if fields.is_empty() && event.and_then(Value::as_object).is_some_and(|o| !o.is_empty())
            {
                found.push(difference(path, truth, event));
            }
            return;
        }
    }
    if let (Value::Array(truths), Some(Value::Array(events))) = (truth, event) {
        if truths.len() != events.len() {
            found.push(Difference {
                path: format!("{path}.length"),
                expected: truths.len().to_string(),
                got: events.len().to_string(),
            });
        }
        for (i, (truth, event)) in truths.iter().zip(events).enumerate() {
            walk(format!("{path}[{i}]"), truth, Some(event), found);
        }
        return;
    }
    if event != Some(truth) {
        found.push(difference(path, truth, event));
    }
}

fn difference(path: String, truth: &Value, event: Option<&Value>) -> Difference {
    let got = event.map_or_else(|| "nothing".to_owned(), Value::to_string);
    Difference { path, expected: truth.to_string(), got }
}

/// Whether a directive holds; None where the object is none.
fn directive(path: &str, fields: &Map<String, Value>, event: Option<&Value>) -> Option<bool> {
    let matches = |truth: &Value, event: Option<&Value>| {
        let mut found = Vec::new();
        walk(path.to_owned(), truth, event, &mut found);
        found.is_empty()
    };
    if let (2, Some(min), Some(max)) = (fields.len(), fields.get("min"), fields.get("max")) {
        return Some(within(min.as_i64()?, max.as_i64()?, event));
    }
    let (name, value) = fields.iter().next()?;
    match name.as_str() {
        "$absent" => Some(event.is_none()),
        "$if_present" => Some(event.is_none_or(Value::is_null) || matches(value, event)),
        "$one_of" => Some(value.as_array()?.iter().any(|truth| matches(truth, event))),
        "$reasons" => {
            let reasons = value.as_array()?;
            let given = event.and_then(Value::as_object);
            Some(given.is_some_and(|given| {
                !given.is_empty() && given.values().all(|reason| reasons.contains(reason))
            }))
        }
        _ => None,
    }
}

/// A number between bounds, or a point in time between them, give or take the
/// clocks' difference.
fn within(min: i64, max: i64, event: Option<&Value>) -> bool {
    match event {
        Some(Value::Number(number)) => {
            number.as_i64().is_some_and(|number| (min..=max).contains(&number))
        }
        Some(Value::String(text)) => timestamp_ns(text)
            .is_some_and(|at| (min - CLOCK_TOLERANCE_NS..=max + CLOCK_TOLERANCE_NS).contains(&at)),
        _ => false,
    }
}

/// Nanoseconds since the epoch of an RFC 3339 time in UTC.
pub fn timestamp_ns(text: &str) -> Option<i64> {
    if !text.ends_with('Z') {
        return None;
    }
    let timestamp: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(timestamp.as_nanosecond()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(truth: Value, event: Value) -> Vec<String> {
        differences(&truth, &event).into_iter().map(|difference| difference.path).collect()
    }

    #[test]
    fn equal_values_and_fields_beyond_the_truth_are_fine() {
        assert!(
            paths(json!({"a": [1, {"b": null}]}), json!({"a": [1, {"b": null}], "c": 1}))
                .is_empty()
        );
    }

    #[test]
    fn every_difference_is_named() {
        let truth = json!({"a": {"b": 1, "c": null, "d": [1, 2]}, "e": {}});
        let event = json!({"a": {"b": "1", "d": [1, 3, 4]}, "e": {"x": 1}});
        assert_eq!(paths(truth, event), ["a.b", "a.c", "a.d.length", "a.d[1]", "e"]);
    }

    #[test]
    fn null_is_not_zero_and_not_absent() {
        assert_eq!(paths(json!({"a": null}), json!({"a": 0})), ["a"]);
        assert_eq!(paths(json!({"a": null}), json!({})), ["a"]);
        assert_eq!(paths(json!({"a": {"$absent": true}}), json!({"a": null})), ["a"]);
        assert!(paths(json!({"a": {"$absent": true}}), json!({})).is_empty());
    }

    #[test]
    fn intervals_hold_numbers_and_times() {
        let truth = json!({"a": {"min": 10, "max": 20}});
        assert!(paths(truth.clone(), json!({"a": 20})).is_empty());
        assert_eq!(paths(truth.clone(), json!({"a": 21})), ["a"]);
        assert_eq!(paths(truth, json!({"a": null})), ["a"]);
        let truth = json!({"a": {"min": 1_000_000_000, "max": 1_500_000_000}});
        assert!(paths(truth.clone(), json!({"a": "1970-01-01T00:00:01.501Z"})).is_empty());
        assert_eq!(paths(truth.clone(), json!({"a": "1970-01-01T00:00:01.503Z"})), ["a"]);
        assert_eq!(paths(truth, json!({"a": "1970-01-01T00:00:01+00:00"})), ["a"]);
    }

    #[test]
    fn directives() {
        let reasons = json!({"m": {"$reasons": ["fault"]}});
        assert!(paths(reasons.clone(), json!({"m": {"x": "fault"}})).is_empty());
        assert_eq!(paths(reasons.clone(), json!({"m": {}})), ["m"]);
        assert_eq!(paths(reasons, json!({"m": {"x": "fault", "y": "other"}})), ["m"]);
        let one_of = json!({"a": {"$one_of": [null, {"b": {"$absent": true}}]}});
        assert!(paths(one_of.clone(), json!({"a": null})).is_empty());
        assert!(paths(one_of.clone(), json!({"a": {"c": 1}})).is_empty());
        assert_eq!(paths(one_of, json!({"a": {"b": 1}})), ["a"]);
        let if_present = json!({"a": {"$if_present": 3}});
        assert!(paths(if_present.clone(), json!({"a": 3})).is_empty());
        assert!(paths(if_present.clone(), json!({})).is_empty());
        assert_eq!(paths(if_present, json!({"a": 4})), ["a"]);
    }
}

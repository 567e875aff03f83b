//! The schemas, held against what is written.

use std::sync::LazyLock;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;
use tracer::catalog::schema;

static EVENT: LazyLock<Validator> = LazyLock::new(|| validator(&schema::event()));
static HEALTH: LazyLock<Validator> = LazyLock::new(|| validator(&schema::health()));

fn validator(schema: &Value) -> Validator {
    jsonschema::draft202012::meta::validate(schema).expect("a schema by its own schema");
    jsonschema::draft202012::options()
        .should_validate_formats(true)
        .with_pattern_options(PatternOptions::regex())
        .build(schema)
        .expect("a schema that can be used")
}

/// What is wrong with an event, as `/ret: …`.
pub fn wrong_with_event(event: &Value) -> Vec<String> {
    wrong(&EVENT, event)
}

/// The same of a health record.
#[allow(dead_code, reason = "not every test has health records")]
pub fn wrong_with_health(record: &Value) -> Vec<String> {
    wrong(&HEALTH, record)
}

fn wrong(validator: &Validator, value: &Value) -> Vec<String> {
    let errors = validator.iter_errors(value);
    errors.map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[allow(dead_code, reason = "not every test asserts it")]
/// Panics unless the schema accepts an event.
pub fn assert_event(event: &Value) {
    let wrong = wrong_with_event(event);
    assert!(wrong.is_empty(), "{wrong:#?} in {event}");
}

//! The tracer's own schemas, which every line that it writes must fit.

use std::sync::LazyLock;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use crate::tracer;

static EVENT: LazyLock<Validator> = LazyLock::new(|| validator(&["schema"]));
static HEALTH: LazyLock<Validator> = LazyLock::new(|| validator(&["schema", "health"]));

/// As the program prints it.
pub fn printed(args: &[&str]) -> Value {
    let finished = tracer::run(args);
    finished.expect_code(0);
    serde_json::from_str(&finished.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", finished.stdout))
}

fn validator(args: &[&str]) -> Validator {
    jsonschema::draft202012::options()
        .should_validate_formats(true)
        .with_pattern_options(PatternOptions::regex())
        .build(&printed(args))
        .unwrap_or_else(|error| panic!("tracer {args:?}: {error}"))
}

/// Panics unless the line is an event or a health record as its schema has it.
pub fn assert_valid(line: &Value) {
    let validator = match line["schema"].as_str() {
        Some("tracer.event/1") => &EVENT,
        Some("tracer.health/1") => &HEALTH,
        _ => panic!("neither event nor health record: {line}"),
    };
    let wrong: String = validator
        .iter_errors(line)
        .map(|error| format!("  {}: {error}\n", error.instance_path()))
        .collect();
    assert!(wrong.is_empty(), "the schema refuses {line}:\n{wrong}");
}

//! From the schema that schemars derives to one that accepts what is written and
//! nothing else.
//!
//! - An object has the properties that are listed and no others.
//! - What may be left out is never null, but for [`crate::event::Known`].
//! - Formats that JSON Schema does not know are turned into bounds.

use serde_json::{Map, Value, json};

type Object = Map<String, Value>;

/// Tightens a schema in the place of a value, and all below it.
pub fn tighten(schema: &mut Value) {
    let Value::Object(schema) = schema else { return };
    one_line(schema);
    bounds(schema);
    for key in ["items", "additionalProperties"] {
        schema.get_mut(key).into_iter().for_each(tighten);
    }
    if let Some(Value::Object(types)) = schema.get_mut("$defs") {
        types.values_mut().for_each(tighten);
    }
    let required = schema.get("required").cloned().unwrap_or_default();
    let required =
        |name: &str| required.as_array().is_some_and(|all| all.iter().any(|r| r == name));
    let mut names = Vec::new();
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for (name, property) in properties {
            if !required(name) {
                not_null(property);
            }
            tighten(property);
            names.push(name.clone());
        }
    }
    assert!(!schema.contains_key("allOf"), "two unions in one object: {schema:?}");
    let union = ["anyOf", "oneOf"].into_iter().find(|key| schema.contains_key(*key));
    if let Some(Value::Array(variants)) = union.and_then(|key| schema.get_mut(key)) {
        for variant in variants {
            // A union in an object's own properties: each variant closes the whole.
            tighten(variant);
            also(variant, &names);
        }
        if !names.is_empty() {
            return;
        }
    }
    if has_type(schema, "object") && union.is_none() && !schema.contains_key("additionalProperties")
    {
        schema.insert("additionalProperties".into(), false.into());
    }
}

fn has_type(schema: &Object, wanted: &str) -> bool {
    match schema.get("type") {
        Some(Value::Array(types)) => types.iter().any(|kind| kind == wanted),
        Some(kind) => kind == wanted,
        None => false,
    }
}

/// Lets a variant have the properties that its object describes.
fn also(variant: &mut Value, names: &[String]) {
    if names.is_empty() {
        return;
    }
    let properties = variant.get_mut("properties").and_then(Value::as_object_mut);
    let properties = properties.expect("a variant within an object is described in place");
    for name in names {
        properties.entry(name.clone()).or_insert(Value::Bool(true));
    }
}

/// Takes from a nullable schema the null that [`Option`] has added. That of `Known` has
/// a description.
fn not_null(schema: &mut Value) {
    let Value::Object(schema) = schema else { return };
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [one] = &types[..] {
            let one = one.clone();
            schema.insert("type".into(), one);
        }
    }
    let Some(Value::Array(variants)) = schema.get_mut("anyOf") else { return };
    variants.retain(|variant| *variant != json!({"type": "null"}));
    if variants.len() == 1
        && let Some(Value::Object(one)) = variants.pop()
    {
        schema.remove("anyOf");
        for (key, value) in one {
            schema.entry(key).or_insert(value);
        }
    }
}

/// Comments are wrapped, descriptions are not.
fn one_line(schema: &mut Object) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
}

/// The bounds of numbers, where all readers can tell them (RFC 8259, section 6), and
/// the two kinds of address.
fn bounds(schema: &mut Object) {
    let Some(format) = schema.get("format").and_then(Value::as_str) else { return };
    let bounds: Option<(i64, i64)> = match format {
        "uint8" => Some((0, u8::MAX.into())),
        "uint16" => Some((0, u16::MAX.into())),
        "uint32" => Some((0, u32::MAX.into())),
        "int32" => Some((i64::from(i32::MIN), i32::MAX.into())),
        "uint" | "uint64" | "int64" => None,
        "ip" => {
            schema.remove("format");
            schema.insert("anyOf".into(), json!([{"format": "ipv4"}, {"format": "ipv6"}]));
            return;
        }
        _ => return,
    };
    schema.remove("format");
    if let Some((minimum, maximum)) = bounds {
        schema.entry("minimum").or_insert(minimum.into());
        schema.insert("maximum".into(), maximum.into());
    }
}

//! Schemas of what is written by hand, and the forms of strings. All others are derived;
//! `catalog::schema` puts them together.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::json;

use super::{FlagNames, Key, Known, Text};

/// Times to the nanosecond, as [`super::rfc3339`] prints them.
pub const NANOSECONDS: &str = r"^[-0-9]+T[0-9:]+\.[0-9]{9}Z$";
/// Bytes, as [`super::hex`] prints them.
pub const HEX: &str = "^([0-9a-f]{2})*$";
/// Addresses and unnamed flags.
pub const HEX_NUMBER: &str = "^0x[0-9a-f]+$";
/// Keys of [`super::Event::missing`].
pub const PATHS: &str = r"^[a-z_]+(\[[0-9]+(\.\.[0-9]+)?\]|\.[a-z_]+)*$";

impl<T: JsonSchema> JsonSchema for Known<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Known_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [
            generator.subschema_for::<T>(),
            {"type": "null", "description": "It was not to be had, or not asked for."},
        ]})
    }
}

impl JsonSchema for FlagNames {
    fn schema_name() -> Cow<'static, str> {
        "FlagNames".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The names of flags; bits without a name are one number in hex.",
            "type": "array",
            "items": {"anyOf": [{"type": "string"}, {"type": "string", "pattern": HEX_NUMBER}]},
            "uniqueItems": true,
        })
    }
}

impl<K: Key> JsonSchema for Text<K> {
    fn schema_name() -> Cow<'static, str> {
        format!("Text_{}", K::TEXT).into()
    }

    fn schema_id() -> Cow<'static, str> {
        // Two kinds of text may have the same key.
        std::any::type_name::<Self>().into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "properties": {
                K::TEXT: {
                    "type": if K::MAY_BE_MISSING { json!(["string", "null"]) } else { json!("string") },
                    "description": K::WHAT,
                },
                K::HEX: {
                    "type": "string",
                    "pattern": HEX,
                    "description": format!("All bytes of `{}` in hex, where they are not UTF-8.", K::TEXT),
                },
            },
            "required": [K::TEXT],
        })
    }
}

//! What `--detail full` shows of a message: iovecs and payload.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use super::{hex, schema::HEX_NUMBER};

/// A buffer that the kernel may fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Iovec {
    /// Its address.
    #[serde(serialize_with = "address")]
    #[schemars(with = "String", extend("pattern" = HEX_NUMBER))]
    pub base: u64,
    /// Its size.
    pub len: u64,
}

pub(super) fn address<S: Serializer>(value: &u64, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{value:#x}"))
}

/// What a message brought, or its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Bytes that lie in the caller's buffers.
    pub len: u64,
    bytes: Vec<u8>,
    /// Whether only the bytes' hash may be shown.
    pub redacted: bool,
}

impl Payload {
    /// Of a message of `len` bytes these first ones. Text that was cut may end within a
    /// character, whose beginning is left out then.
    pub fn new(len: u64, mut bytes: Vec<u8>) -> Self {
        let cut = u64::try_from(bytes.len()).is_ok_and(|kept| kept < len);
        if let Err(error) = std::str::from_utf8(&bytes)
            && cut
            && error.error_len().is_none()
        {
            bytes.truncate(error.valid_up_to());
        }
        Self { len, bytes, redacted: false }
    }

    /// The bytes, where they are text.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok()
    }

    /// How many bytes of the message are not there.
    pub fn left_out(&self) -> u64 {
        self.len.saturating_sub(u64::try_from(self.bytes.len()).unwrap_or(u64::MAX))
    }
}

/// What a message brought, or its beginning.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Payload")]
struct Shown<'a> {
    /// Bytes that lie in the caller's buffers.
    len: u64,
    /// How many of them, from the first on, are shown or hashed.
    captured: usize,
    #[serde(flatten)]
    content: Content<'a>,
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum Content<'a> {
    Text {
        /// The bytes, where they are UTF-8.
        text: &'a str,
    },
    Base64 {
        /// The bytes, where they are not.
        #[schemars(extend("contentEncoding" = "base64", "pattern" = "^[A-Za-z0-9+/]+={0,2}$"))]
        base64: String,
    },
    Redacted {
        /// The SHA-256 of the bytes, in hex.
        #[schemars(extend("pattern" = "^[0-9a-f]{64}$"))]
        sha256: String,
    },
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let content = match std::str::from_utf8(&self.bytes) {
            _ if self.redacted => Content::Redacted { sha256: hex(&Sha256::digest(&self.bytes)) },
            Ok(text) => Content::Text { text },
            Err(_) => Content::Base64 { base64: STANDARD.encode(&self.bytes) },
        };
        Shown { len: self.len, captured: self.bytes.len(), content }.serialize(serializer)
    }
}

impl JsonSchema for Payload {
    fn schema_name() -> Cow<'static, str> {
        Shown::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Shown::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(len: u64, bytes: &[u8], redacted: bool) -> serde_json::Value {
        let payload = Payload { redacted, ..Payload::new(len, bytes.to_vec()) };
        serde_json::to_value(payload).unwrap()
    }

    #[test]
    fn text_is_text_and_the_rest_is_base64() {
        let none = json!({"len": 0, "captured": 0, "text": ""});
        assert_eq!(shown(0, b"", false), none);
        let text = json!({"len": 4, "captured": 4, "text": "a\u{0}ä"});
        assert_eq!(shown(4, "a\0ä".as_bytes(), false), text);
        let binary = json!({"len": 2, "captured": 2, "base64": "/wA="});
        assert_eq!(shown(2, b"\xff\0", false), binary);
    }

    #[test]
    fn a_cut_may_go_through_a_character() {
        let cut = json!({"len": 9, "captured": 1, "text": "a"});
        assert_eq!(shown(9, b"a\xe2\x82", false), cut);
        let whole = json!({"len": 3, "captured": 3, "base64": "YeKC"});
        assert_eq!(shown(3, b"a\xe2\x82", false), whole);
    }

    #[test]
    fn redacted_is_a_hash() {
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(shown(5, b"abc", true), json!({"len": 5, "captured": 3, "sha256": hash}));
    }
}

//! What `--detail full` shows of a message: iovecs and payload.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Serialize, Serializer, ser::SerializeMap};
use sha2::{Digest as _, Sha256};

use super::hex;

/// A buffer that the kernel may fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Iovec {
    /// Its address.
    #[serde(serialize_with = "address")]
    pub base: u64,
    /// Its size.
    pub len: u64,
}

fn address<S: Serializer>(value: &u64, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{value:#x}"))
}

/// What a message brought, or its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Bytes that lie in the caller's buffers.
    pub len: u64,
    /// The first of them.
    pub bytes: Vec<u8>,
    /// Whether only their hash may be shown.
    pub redacted: bool,
}

impl Payload {
    /// The bytes as text. Where they were cut, they may end within a character,
    /// which is left out then.
    pub fn text(&self) -> Option<&str> {
        let cut = u64::try_from(self.bytes.len()).is_ok_and(|kept| kept < self.len);
        match std::str::from_utf8(&self.bytes) {
            Ok(text) => Some(text),
            Err(error) if cut && error.error_len().is_none() => {
                let (valid, _) = self.bytes.split_at_checked(error.valid_up_to())?;
                std::str::from_utf8(valid).ok()
            }
            Err(_) => None,
        }
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("len", &self.len)?;
        match self.text() {
            _ if self.redacted => {
                map.serialize_entry("captured", &self.bytes.len())?;
                map.serialize_entry("sha256", &hex(&Sha256::digest(&self.bytes)))?;
            }
            Some(text) => {
                map.serialize_entry("captured", &text.len())?;
                map.serialize_entry("text", text)?;
            }
            None => {
                map.serialize_entry("captured", &self.bytes.len())?;
                map.serialize_entry("base64", &STANDARD.encode(&self.bytes))?;
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(len: u64, bytes: &[u8], redacted: bool) -> serde_json::Value {
        serde_json::to_value(Payload { len, bytes: bytes.to_vec(), redacted }).unwrap()
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

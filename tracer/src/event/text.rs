//! Texts that come from strangers.

use std::borrow::Cow;

use serde::{Serialize, Serializer, ser::SerializeMap};

/// Names the JSON keys of a text.
pub trait Key {
    /// The text's key.
    const TEXT: &'static str;
    /// The key of its bytes in hex, where they are not UTF-8.
    const HEX: &'static str;
    /// What it is.
    const WHAT: &'static str;
    /// Whether there are events without it.
    const MAY_BE_MISSING: bool;
}

macro_rules! keys {
    ($($name:ident $text:literal $hex:literal $missing:literal $what:literal)*) => {$(
        #[doc = concat!("The keys `", $text, "` and `", $hex, "`.")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name;
        impl Key for $name {
            const TEXT: &'static str = $text;
            const HEX: &'static str = $hex;
            const WHAT: &'static str = $what;
            const MAY_BE_MISSING: bool = $missing;
        }
    )*};
}
keys! {
    Comm "comm" "comm_hex" false "The thread's name when the call began, at most 15 bytes."
    Exe "exe" "exe_hex" true "The executable's path."
    UnixPath "path" "path_hex" false "The path of a local socket."
    CgroupPath "path" "path_hex" true "Its path below the hierarchy's root."
    Abstract "abstract" "abstract_hex" false "A local socket's abstract name, without the leading NUL."
}

/// Bytes that are usually text and come from strangers. Where they are not UTF-8,
/// the text has replacement characters, and a second key holds the bytes in hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<K> {
    /// The bytes; none where they could not be had.
    pub bytes: Option<Vec<u8>>,
    key: std::marker::PhantomData<K>,
}

impl<K> Text<K> {
    /// Text of these bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: Some(bytes.into()), key: std::marker::PhantomData }
    }

    /// A text that could not be had.
    pub fn missing() -> Self {
        Self { bytes: None, key: std::marker::PhantomData }
    }

    /// The text, with replacement characters for what is not UTF-8.
    pub fn lossy(&self) -> Option<Cow<'_, str>> {
        self.bytes.as_deref().map(String::from_utf8_lossy)
    }
}

impl<K: Key> Serialize for Text<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self.bytes.as_deref().map(|bytes| (bytes, std::str::from_utf8(bytes))) {
            None => map.serialize_entry(K::TEXT, &None::<()>)?,
            Some((_, Ok(text))) => map.serialize_entry(K::TEXT, text)?,
            Some((bytes, Err(_))) => {
                map.serialize_entry(K::TEXT, &String::from_utf8_lossy(bytes))?;
                map.serialize_entry(K::HEX, &hex(bytes))?;
            }
        }
        map.end()
    }
}

/// Bytes as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

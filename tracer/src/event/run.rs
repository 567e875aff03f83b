//! What tells one run's lines from another's, in every line.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The id of a run of the tracer: 64 random bits, in hex. Where lines of many runs or
/// machines meet, `seq` alone does not tell what is missing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId([u8; 16]);

/// That of a recording which has none.
impl Default for RunId {
    fn default() -> Self {
        Self([b'0'; 16])
    }
}

impl RunId {
    /// Of these bits.
    pub fn new(bits: u64) -> Self {
        let digit = |shift: u32| b"0123456789abcdef"[(bits >> shift & 15) as usize];
        Self(std::array::from_fn(|i| digit(60 - 4 * i as u32)))
    }

    /// The digits as bytes.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// Sixteen digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// What is no id of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the id of a run is 16 hex digits, in lower case")]
pub struct NoRunId;

impl FromStr for RunId {
    type Err = NoRunId;

    fn from_str(text: &str) -> Result<Self, NoRunId> {
        let digits = <[u8; 16]>::try_from(text.as_bytes()).map_err(|_| NoRunId)?;
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if digits.iter().all(is_digit) { Ok(Self(digits)) } else { Err(NoRunId) }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for RunId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for RunId {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "RunId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[0-9a-f]{16}$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_sixteen_digits() {
        assert_eq!(RunId::new(0), RunId::default());
        assert_eq!(RunId::new(0x0123_4567_89ab_cdef).as_str(), "0123456789abcdef");
        assert_eq!("0123456789abcdef".parse(), Ok(RunId::new(0x0123_4567_89ab_cdef)));
        for wrong in ["", "0123456789abcde", "0123456789ABCDEF", "0123456789abcdefa"] {
            assert_eq!(wrong.parse::<RunId>(), Err(NoRunId), "{wrong}");
        }
    }
}

//! Arguments of a call.

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::{Known, schema::HEX_NUMBER};

/// One argument.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Arg {
    /// The value.
    pub value: Value,
    /// Names of the flags that are set, unknown bits in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<FlagNames>,
    /// The timeout at entry; left out where the pointer is NULL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested: Option<Known<Timespec>>,
    /// The timeout at exit; left out where the kernel did not write it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining: Option<Known<Timespec>>,
    /// Where the value came from.
    pub tags: Vec<&'static str>,
}

/// The value of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub enum Value {
    /// A C `int`.
    Signed(i32),
    /// A C `unsigned int`.
    Unsigned(u32),
    /// An address, in hex.
    Pointer(#[schemars(with = "String", extend("pattern" = HEX_NUMBER))] u64),
    /// An optional argument that is NULL, or a value that could not be had.
    Null,
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Signed(value) => serializer.serialize_i32(*value),
            Self::Unsigned(value) => serializer.serialize_u32(*value),
            Self::Pointer(value) => serializer.collect_str(&format_args!("{value:#x}")),
            Self::Null => serializer.serialize_none(),
        }
    }
}

/// A timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Timespec {
    /// Seconds.
    pub sec: i64,
    /// Nanoseconds; out of range where the caller said so.
    pub nsec: i64,
}

/// The names of flags; bits without a name are one number in hex.
#[derive(Clone, Debug, Default)]
pub struct FlagNames {
    /// Names of known bits.
    pub names: Vec<&'static str>,
    /// The other bits.
    pub rest: u32,
}

impl Serialize for FlagNames {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rest = (self.rest != 0).then(|| format!("{:#x}", self.rest));
        serializer.collect_seq(self.names.iter().copied().chain(rest.as_deref()))
    }
}

/// Arguments by their names.
pub fn map<S: Serializer>(entries: &[(&'static str, Arg)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(entries.iter().map(|(name, arg)| (name, arg)))
}

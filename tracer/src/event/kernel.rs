//! What the kernel itself went by in receiving a message, where that differs from the
//! memory that is shown.

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::{Iovec, schema::HEX_NUMBER};

/// The kernel's own values; only those that differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Kernel {
    /// Bytes received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub len: Option<u32>,
    /// Address of the buffer for the source address; 0 for none.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "address")]
    #[schemars(with = "String", extend("pattern" = HEX_NUMBER))]
    pub name: Option<u64>,
    /// The first iovec.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iov: Option<Iovec>,
    /// The number of iovecs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iovlen: Option<u64>,
    /// Bytes of all of them together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iov_bytes: Option<u64>,
    /// Address of the buffer for control messages; 0 for none.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "address")]
    #[schemars(with = "String", extend("pattern" = HEX_NUMBER))]
    pub control: Option<u64>,
    /// Its size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controllen: Option<u64>,
}

fn address<S: Serializer>(value: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => super::detail::address(value, to),
        None => to.serialize_none(),
    }
}

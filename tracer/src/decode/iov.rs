//! The iovecs of a message.

use tracer_common::{abi::Abi, record::Status};

use super::Missing;
use crate::{
    event::{Iovec, Known, Reason},
    record::Part,
};

/// The iovecs that were kept; null where they could not be read.
pub fn decode(part: Option<&Part<'_>>, abi: Abi, i: usize, missing: &mut Missing) -> Iovs {
    let reason = match part.map(|part| part.status) {
        Some(Status::Read | Status::Partial | Status::Absent) => None,
        Some(Status::Faulted) => Some(Reason::Fault),
        Some(Status::NotCaptured) | None => Some(Reason::NotCaptured),
    };
    if let Some(reason) = reason {
        missing.insert(format!("messages[{i}].iov"), reason);
        return Iovs { shown: Known(None), count: part.map(|part| part.full), left_out: 0 };
    }
    let part = part.into_iter();
    let iovecs = part.clone().flat_map(|part| part.iovecs(abi));
    let list: Vec<_> = iovecs.map(|iov| Iovec { base: iov.base, len: iov.len }).collect();
    let count = part.map(|part| part.full).sum();
    let left_out = u64::try_from(list.len()).map_or(0, |kept| u64::saturating_sub(count, kept));
    // A NULL list of so many iovecs is one that the kernel can't have read.
    let left_out = if list.is_empty() { 0 } else { left_out };
    Iovs { shown: Known(Some(list)), count: Some(count), left_out }
}

/// The iovecs of a message.
pub struct Iovs {
    /// Those that were kept.
    pub shown: Known<Vec<Iovec>>,
    /// How many there were.
    pub count: Option<u64>,
    /// How many were not kept.
    pub left_out: u64,
}

impl Iovs {
    /// Bytes that all buffers together have; none where not all are known.
    pub fn capacity(&self) -> Option<u64> {
        let known = self.shown.0.as_ref().filter(|_| self.left_out == 0)?;
        Some(known.iter().fold(0, |sum, iov| iov.len.saturating_add(sum)))
    }
}

//! The payload of a message.

use tracer_common::record::Status;

use super::{Missing, iov::Iovs};
use crate::{
    event::{Payload, Reason},
    record::Part,
};

/// What was kept of a message of `len` bytes, and how many bytes were not; none where
/// the part could not be had.
pub fn decode(
    part: Option<&Part<'_>>,
    len: u32,
    iovs: &Iovs,
    i: usize,
    missing: &mut Missing,
) -> (Option<Payload>, u64) {
    let reason = match part.map(|part| part.status) {
        Some(Status::Read | Status::Absent) => None,
        Some(Status::Faulted | Status::Partial) => Some(Reason::Fault),
        Some(Status::NotCaptured) | None => Some(Reason::NotCaptured),
    };
    if let Some(reason) = reason {
        missing.insert(format!("messages[{i}].payload"), reason);
    }
    let Some(part) =
        part.filter(|part| !matches!(part.status, Status::Faulted | Status::NotCaptured))
    else {
        return (None, 0);
    };
    // With MSG_TRUNC the length is the datagram's, of which the buffers have less.
    let len = iovs.capacity().map_or(u64::from(len), |room| room.min(len.into()));
    let payload = Payload::new(len, part.bytes.to_vec());
    let left_out = payload.left_out();
    (Some(payload), left_out)
}

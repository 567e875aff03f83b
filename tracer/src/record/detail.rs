//! The sections of `--detail full`: a part for each message.

use tracer_common::{
    abi::Abi,
    detail::PartHeader,
    record::{SectionHeader, Status},
};
use zerocopy::FromBytes;

use super::{Cursor, RecordError, status};

/// What was read for one message.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// How reading went.
    pub status: Status,
    /// The bytes.
    pub bytes: &'a [u8],
    /// How many there were: of iovecs their number, else bytes.
    pub full: u64,
}

/// The detail of a call's messages; none of what was not asked for. A list may end
/// before the messages do: the rest was not captured.
#[derive(Clone, Debug, Default)]
pub struct Detail<'a> {
    /// iovecs.
    pub iovs: Option<Vec<Part<'a>>>,
    /// Control messages.
    pub control: Option<Vec<Part<'a>>>,
    /// Payload.
    pub payload: Option<Vec<Part<'a>>>,
}

impl Detail<'_> {
    /// Whether a list is longer than the messages.
    pub(super) fn exceeds(&self, messages: usize) -> bool {
        let lists = [&self.iovs, &self.control, &self.payload];
        lists.into_iter().flatten().any(|list| list.len() > messages)
    }

    /// Whether there is none.
    /// Whether nothing was asked for.
    pub fn is_empty(&self) -> bool {
        self.iovs.is_none() && self.control.is_none() && self.payload.is_none()
    }
}

/// A buffer that the kernel may fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Iovec {
    /// Its address.
    pub base: u64,
    /// Its size.
    pub len: u64,
}

impl Part<'_> {
    /// The bytes as iovecs in the layout of an ABI.
    pub fn iovecs(&self, abi: Abi) -> impl Iterator<Item = Iovec> {
        let compat = abi.compat_layout();
        let size = if compat { 8 } else { 16 };
        self.bytes.chunks_exact(size).filter_map(move |bytes| {
            let (base, len) = if compat {
                let [base, len] = <[u32; 2]>::read_from_bytes(bytes).ok()?;
                (base.into(), len.into())
            } else {
                let [base, len] = <[u64; 2]>::read_from_bytes(bytes).ok()?;
                (base, len)
            };
            Some(Iovec { base, len })
        })
    }
}

/// Reads the parts of a section.
pub(super) fn parts<'a>(
    section: &SectionHeader,
    body: &'a [u8],
) -> Result<Vec<Part<'a>>, RecordError> {
    let mut cursor = Cursor { rest: body };
    let mut parts = Vec::new();
    while !cursor.rest.is_empty() {
        let header: PartHeader = cursor.take("part")?;
        let len = usize::try_from(header.len).unwrap_or(usize::MAX);
        let bytes = cursor.bytes("part", len)?;
        parts.push(Part { status: status(header.status)?, bytes, full: header.full });
    }
    if usize::try_from(section.count).is_ok_and(|count| parts.len() > count) {
        return Err(RecordError::Inconsistent("detail"));
    }
    Ok(parts)
}

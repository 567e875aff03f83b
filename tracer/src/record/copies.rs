//! The sections of what the kernel itself went by.

use tracer_common::{copies::KernelHeader, record::SectionHeader};
use zerocopy::FromBytes;

use super::RecordError;

/// What the kernel went by; none of what was not captured at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Copies<'a> {
    /// Its copies of headers.
    pub headers: Option<Headers<'a>>,
    /// The lengths of the messages that it received.
    pub lengths: Option<Lengths<'a>>,
}

impl Copies<'_> {
    /// Whether nothing was captured.
    pub fn is_empty(&self) -> bool {
        self.headers.is_none() && self.lengths.is_none()
    }
}

/// The kernel's copies of the first headers that it came to.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    bytes: &'a [u8],
}

impl Headers<'_> {
    /// Number of them.
    pub fn len(&self) -> usize {
        self.bytes.len() / size_of::<KernelHeader>()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Message `i`'s.
    pub fn get(&self, i: usize) -> Option<KernelHeader> {
        let bytes = self.bytes.chunks_exact(size_of::<KernelHeader>()).nth(i)?;
        KernelHeader::read_from_bytes(bytes).ok()
    }
}

/// The lengths of the messages that the kernel received.
#[derive(Clone, Copy, Debug)]
pub struct Lengths<'a> {
    bytes: &'a [u8],
    /// How many messages it received.
    pub received: usize,
}

impl Lengths<'_> {
    /// Whether the number of messages is all that is known.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Message `i`'s.
    pub fn get(&self, i: usize) -> Option<u32> {
        let bytes = self.bytes.chunks_exact(4).nth(i)?;
        u32::read_from_bytes(bytes).ok()
    }
}

/// Reads the section of headers.
pub(super) fn headers<'a>(
    section: &SectionHeader,
    body: &'a [u8],
) -> Result<Headers<'a>, RecordError> {
    elements(section, body, size_of::<KernelHeader>())?;
    Ok(Headers { bytes: body })
}

/// Reads the section of lengths.
pub(super) fn lengths<'a>(
    section: &SectionHeader,
    body: &'a [u8],
) -> Result<Lengths<'a>, RecordError> {
    let received = elements(section, body, 4)?;
    Ok(Lengths { bytes: body, received })
}

/// How many elements of a size there were, kept or not.
fn elements(section: &SectionHeader, body: &[u8], size: usize) -> Result<usize, RecordError> {
    let full = usize::try_from(section.full).unwrap_or(usize::MAX);
    if !body.len().is_multiple_of(size) || !full.is_multiple_of(size) || full < body.len() {
        return Err(RecordError::Inconsistent("kernel's copies"));
    }
    Ok(full / size)
}

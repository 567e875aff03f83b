//! The control messages of a message (`struct cmsghdr`, include/linux/socket.h and
//! include/net/compat.h): the kernel's own as a rule, but in memory of the caller,
//! who may put anything there.

mod content;

use tracer_common::{
    abi::Abi,
    flags::cmsg::{level_name, type_name},
};

use crate::{
    event::{Content, Item, Note, Symbol, hex},
    record::Part,
};

/// How control messages lie in memory.
#[derive(Clone, Copy)]
struct Layout {
    /// Bytes of `cmsg_len`.
    len: usize,
    /// Bytes of the header, and the alignment of the next one.
    header: usize,
    align: usize,
}

impl Layout {
    fn of(abi: Abi) -> Self {
        if abi.compat_layout() {
            Self { len: 4, header: 12, align: 4 }
        } else {
            Self { len: 8, header: 16, align: 8 }
        }
    }
}

/// Every control message that was kept, and how many bytes were not.
pub fn decode(part: &Part<'_>, abi: Abi) -> (Vec<Item>, u64) {
    let kept = u64::try_from(part.bytes.len()).unwrap_or(u64::MAX);
    let left_out = part.full.saturating_sub(kept);
    let layout = Layout::of(abi);
    let mut items = Vec::new();
    let mut rest = part.bytes;
    // Each round takes a header at least.
    while !rest.is_empty() {
        let (item, after) = one(rest, layout, left_out > 0);
        items.push(item);
        rest = after;
    }
    (items, left_out)
}

/// The first control message, and the bytes after it; none where they can't be told
/// apart.
fn one(bytes: &[u8], layout: Layout, cut: bool) -> (Item, &[u8]) {
    let beyond = if cut { Note::NotCaptured } else { Note::BadLength };
    let Some((len, level, kind, after)) = header(bytes, layout) else {
        let content = Content::Hex { hex: hex(bytes) };
        return (Item { level: None, kind: None, content, note: Some(beyond) }, &[]);
    };
    let item = |content, note| Item {
        level: Some(level_name(level).map_or(Symbol::Number(level), Symbol::Name)),
        kind: Some(type_name(level, kind).map_or(Symbol::Number(kind), Symbol::Name)),
        content,
        note,
    };
    let data = len.checked_sub(layout.header);
    match data.map(|data| after.get(..data)) {
        Some(Some(data)) => {
            let next = len.checked_next_multiple_of(layout.align).and_then(|len| bytes.get(len..));
            let (content, note) = content::decode(level, kind, data);
            (item(content, note), next.unwrap_or_default())
        }
        Some(None) => (item(content::beginning(level, kind, after), Some(beyond)), &[]),
        None => (item(Content::Hex { hex: hex(after) }, Some(Note::BadLength)), &[]),
    }
}

/// `cmsg_len`, `cmsg_level`, `cmsg_type`, and what follows.
fn header(bytes: &[u8], layout: Layout) -> Option<(usize, i32, i32, &[u8])> {
    let (len, rest) = bytes.split_at_checked(layout.len)?;
    let mut wide = [0; 8];
    wide.get_mut(..layout.len)?.copy_from_slice(len);
    let (level, rest) = rest.split_first_chunk()?;
    let (kind, rest) = rest.split_first_chunk()?;
    let len = usize::try_from(u64::from_le_bytes(wide)).unwrap_or(usize::MAX);
    Some((len, i32::from_le_bytes(*level), i32::from_le_bytes(*kind), rest))
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests may panic")]
mod tests;

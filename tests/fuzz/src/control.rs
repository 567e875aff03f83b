//! Target `control`: any bytes as the control messages of a message, native and compat,
//! whole and cut off.

use tracer::{
    decode::control,
    event::{Item, Note},
    record::Part,
};
use tracer_common::{abi::Abi, record::Status};

/// Bytes of the shortest header (`struct compat_cmsghdr`).
const HEADER: usize = 12;
/// Most bytes of JSON for a byte of control messages, and for each item.
const EXPANSION: usize = 32;
const ITEM: usize = 512;

/// Runs the target.
pub fn run(bytes: &[u8]) {
    for abi in [Abi::X86_64, Abi::I386] {
        for cut in [0, 1, u64::MAX] {
            let full = (bytes.len() as u64).saturating_add(cut);
            let part = Part { status: Status::Read, bytes, full };
            let (items, left_out) = control::decode(&part, abi);
            assert_eq!(left_out, full - bytes.len() as u64);
            check(&items, bytes.len());
        }
    }
}

fn check(items: &[Item], len: usize) {
    assert_eq!(items.is_empty(), len == 0);
    // Each round takes a header off the bytes, but for what is left at the end.
    assert!(items.len() <= len / HEADER + 1, "{} items from {len} bytes", items.len());
    if let Some((_, whole)) = items.split_last() {
        for item in whole {
            let broken = matches!(item.note, Some(Note::BadLength | Note::NotCaptured));
            assert!(!broken, "only the last one can be broken off: {item:?}");
        }
    }
    let text = serde_json::to_string(items).expect("control messages can be encoded");
    assert!(text.len() <= ITEM + EXPANSION * len, "{} bytes of JSON from {len}", text.len());
    let _: serde_json::Value = serde_json::from_str(&text).expect("valid JSON");
}

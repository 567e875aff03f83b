//! Target `recording`: any bytes as a file made with `--record`; and, since checksums
//! keep nearly all of them from what lies behind, as frames with right ones.

use tracer::recording::{
    Reader,
    format::{Head, Preamble, VERSION, kind},
};
use zerocopy::IntoBytes;

/// A first frame that is right.
const HEADER: &[u8] = br#"{"kernel":"6.1","arch":"x86_64","hook":"kprobe","events":["recvmmsg"],"clock":{"monotonic":0,"boottime":0}}"#;

/// Runs the target.
pub fn run(bytes: &[u8]) {
    read(bytes);
    read(&framed(bytes));
}

/// Reads to the end, or to what is wrong: every frame takes some of the bytes.
fn read(bytes: &[u8]) {
    let Ok(mut reader) = Reader::new(bytes) else { return };
    let mut frames = 0;
    while let Ok(Some(_)) = reader.next_frame() {
        frames += 1;
        assert!(
            frames <= bytes.len() / size_of::<Head>(),
            "{frames} frames in {} bytes",
            bytes.len()
        );
    }
}

/// A recording whose frames the bytes describe: kind, flags, info, length, and a body.
fn framed(bytes: &[u8]) -> Vec<u8> {
    let preamble = Preamble::new(VERSION);
    let mut out = preamble.as_bytes().to_vec();
    let mut chain = preamble.checksum.get();
    let mut frame = |kind, flags, info, body: &[u8]| {
        let len = u32::try_from(body.len()).unwrap_or(0);
        let head = Head::new(kind, flags, info, body, len, chain);
        chain = head.checksum.get();
        out.extend(head.as_bytes());
        out.extend(body);
    };
    let mut rest = match bytes.split_first() {
        Some((first, rest)) if first % 8 != 0 => {
            frame(kind::HEADER, 0, 0, HEADER);
            rest
        }
        _ => bytes,
    };
    while let Some(([kind, flags, info, low, high], after)) = rest.split_first_chunk() {
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(after.len());
        let (body, after) = after.split_at(len);
        frame(*kind, *flags, u16::from(*info), body);
        rest = after;
    }
    out
}

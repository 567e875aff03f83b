//! Target `recording`: any bytes as a file made with `--record`, as they are and with
//! lengths and checksums put right, without which hardly any would get further.

use tracer::recording::{
    Reader,
    format::{Head, Preamble, VERSION},
};
use zerocopy::{FromZeros, IntoBytes};

/// Runs the target.
pub fn run(bytes: &[u8]) {
    read(bytes);
    read(&mended(bytes));
}

fn read(bytes: &[u8]) {
    let Ok(mut reader) = Reader::new(bytes) else { return };
    let mut frames = 0;
    while let Ok(Some(_)) = reader.next_frame() {
        // Each has a head of its own.
        frames += 1;
        let most = bytes.len() / size_of::<Head>();
        assert!(frames <= most, "{frames} frames out of {} bytes", bytes.len());
    }
}

/// The same frames with the checksums that they must have, the last one cut to what is
/// there.
pub fn mended(bytes: &[u8]) -> Vec<u8> {
    let preamble = Preamble::new(VERSION);
    let mut out = preamble.as_bytes().to_vec();
    let mut chain = preamble.checksum.get();
    let mut rest = bytes.get(size_of::<Preamble>()..).unwrap_or_default();
    while !rest.is_empty() {
        let mut head = Head::new_zeroed();
        let (now, later) = rest.split_at(rest.len().min(size_of::<Head>()));
        head.as_mut_bytes()[..now.len()].copy_from_slice(now);
        let len = later.len().min(head.len.get() as usize);
        let (body, after) = later.split_at(len);
        let len = u32::try_from(len).expect("inputs are small");
        head = Head::new(head.kind, head.flags, head.info.get(), body, len, chain);
        chain = head.checksum.get();
        out.extend(head.as_bytes());
        out.extend(body);
        rest = after;
    }
    out
}

//! Recordings off the kernel: what is written is shown again, and no damage, cut or
//! stranger gets past the reader.

mod any;
mod damage;
mod sample;
mod shown;
mod strangers;

use std::fs;

use serde_json::Value;
use tempfile::NamedTempFile;
use tracer::{
    encode::Encoder,
    event::RunId,
    pipeline::{Output, Pipeline},
    recording::{
        Reader, RecordingError,
        format::{Head, Preamble, VERSION},
    },
    sink::{Destination, Sink},
};
use zerocopy::{FromBytes, IntoBytes};

/// Replays; what was shown, and how it ended.
fn replay(
    bytes: &[u8],
    set: impl FnOnce(&mut Pipeline) -> bool,
) -> (String, Option<RecordingError>) {
    let mut reader = match Reader::new(bytes) {
        Ok(reader) => reader,
        Err(error) => return (String::new(), Some(error)),
    };
    let out = NamedTempFile::new().unwrap();
    let destination = Destination::parse(&format!("file:{}", out.path().display())).unwrap();
    let sink = Sink::open(&destination, RunId::default()).unwrap();
    let outputs = vec![Output::new(sink, Encoder::Json)];
    let mut pipeline = Pipeline::new(reader.header.stream.clone(), reader.header.clock, outputs);
    let all = set(&mut pipeline);
    let error = pipeline.play(&mut reader, all).err();
    pipeline.flush().unwrap();
    (fs::read_to_string(out.path()).unwrap(), error)
}

fn whole(bytes: &[u8], set: impl FnOnce(&mut Pipeline) -> bool) -> Vec<Value> {
    let (shown, error) = replay(bytes, set);
    assert!(error.is_none(), "{error:?}");
    shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A recording taken apart: where frames begin, and the end.
fn frames(bytes: &[u8]) -> Vec<usize> {
    let mut at = size_of::<Preamble>();
    let mut begins = vec![at];
    while at < bytes.len() {
        let (head, _) = Head::read_from_prefix(&bytes[at..]).unwrap();
        at += size_of::<Head>() + head.len.get() as usize;
        begins.push(at);
    }
    assert_eq!(at, bytes.len());
    begins
}

/// A recording of these frames, with everything in order.
fn assembled(frames: &[(u8, u8, u16, &[u8])]) -> Vec<u8> {
    let preamble = Preamble::new(VERSION);
    let mut bytes = preamble.as_bytes().to_vec();
    let mut chain = preamble.checksum.get();
    for (kind, flags, info, body) in frames {
        let head = Head::new(*kind, *flags, *info, body, body.len() as u32, chain);
        chain = head.checksum.get();
        bytes.extend(head.as_bytes());
        bytes.extend(*body);
    }
    bytes
}

/// The frames of a recording, to be put together differently.
fn parts(bytes: &[u8]) -> Vec<(u8, u8, u16, &[u8])> {
    frames(bytes)
        .windows(2)
        .map(|at| {
            let (head, _) = Head::read_from_prefix(&bytes[at[0]..]).unwrap();
            (head.kind, head.flags, head.info.get(), &bytes[at[0] + size_of::<Head>()..at[1]])
        })
        .collect()
}

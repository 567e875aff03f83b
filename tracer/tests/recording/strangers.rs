//! What is no recording, or one that another tracer made.

use std::io::Read;

use serde_json::Value;
use tracer::recording::{
    Fate, Place, Reader, RecordingError,
    format::{FIRST_VERSION, Head, MAX_BODY, MAX_FACT, Preamble, VERSION, flag, kind},
};
use zerocopy::IntoBytes;

use crate::{assembled, parts, replay, sample::sample};

/// Refused by what is wrong, with the words that a user sees.
#[test]
fn strangers_are_refused() {
    let newer = Preamble::new(VERSION + 1);
    let first = [FIRST_VERSION, b",\"kernel\":\"6.18\"}\n"].concat();
    let events = b"{\"schema\":\"tracer.event/1\",\"time\":null}\n";
    for (bytes, words) in [
        (&b""[..], &["not a recording", "empty"][..]),
        (b"no recording\n", &["not a recording", "does not begin like one"]),
        (b"\x89PNG\r\n\x1a\n and so on", &["not a recording"]),
        (events, &["not a recording"]),
        (&first, &["version 1", "reads version 2", "record anew"]),
        (newer.as_bytes(), &["version 3", "reads version 2", "newer"]),
        (Preamble::new(0).as_bytes(), &["version 0", "reads version 2"]),
    ] {
        let (_, error) = replay(bytes, |_| false);
        let error = error.expect("refused").to_string();
        for word in words {
            assert!(error.contains(word), "{word} in: {error}");
        }
    }
}

/// What a newer tracer may add to a recording of the same version.
#[test]
fn unknown_frames_are_left_out_only_where_that_is_allowed() {
    let good = sample();
    let (shown, _) = replay(&good, |_| false);
    let mut frames = parts(&good);
    frames.insert(4, (200, flag::OPTIONAL, 7, b"of no importance"));
    let count = frames.len() as u64 - 1;
    let (.., end) = frames.pop().unwrap();
    let mut totals: Value = serde_json::from_slice(end).unwrap();
    totals["frames"] = count.into();
    totals["invented_later"] = true.into();
    let end = serde_json::to_vec(&totals).unwrap();
    frames.push((kind::END, 0, 0, &end));
    let (part, error) = replay(&assembled(&frames), |_| false);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(part, shown);
    frames[4].1 = 0;
    let (part, error) = replay(&assembled(&frames), |_| false);
    let error = error.expect("refused");
    assert!(matches!(error, RecordingError::Unknown { kind: 200, .. }), "{error}");
    assert!(error.to_string().contains("newer"), "{error}");
    assert!(!part.is_empty() && shown.starts_with(&part), "{part}");
}

/// Frames that are as they were written, by somebody who writes otherwise.
#[test]
fn whole_frames_that_make_no_sense_are_named() {
    let good = sample();
    let frames = parts(&good);
    let header = frames[0];
    let long = format!("{{\"of\":\"cgroup\",\"path\":[{}47]}}", "47,".repeat(MAX_FACT / 3));
    for (frame, words) in [
        ((kind::FACT, 0, 0, long.as_bytes()), "longer than any can be"),
        ((kind::CLOCK, 0, 0, &b"{}"[..]), "monotonic"),
        ((kind::FACT, 0, 0, b"{\"of\":\"exe\",\"exe\":{\"Err\":\"fault\"}}"), "image"),
        ((kind::FACT, 0, 0, b"{\"of\":\"age\"}"), "age"),
        ((kind::HEALTH, 0, 0, b"{\"kind\":\"other\"}"), "other"),
        ((kind::HEALTH, 0, 0, b"\xff"), "line 1"),
        ((kind::RECORD, 0, 9, b""), "fate 9"),
        ((kind::RECORD, 0, Fate::Shown as u16, b"short"), "decode"),
        ((kind::RECORD, 0, Fate::NoCall as u16, b""), "decode"),
        ((kind::END, 0, 0, b"{\"frames\":2,\"records\":0,\"shown\":0}"), "totals"),
        (header, "second header"),
    ] {
        let (part, error) = replay(&assembled(&[header, frame]), |_| false);
        let error = error.expect("refused").to_string();
        assert!(part.is_empty() && error.contains(words), "{words} in: {error}");
        assert!(error.contains("frame 2 (at byte "), "{error}");
    }
    let (_, error) = replay(&assembled(&[frames[1]]), |_| false);
    assert!(error.expect("refused").to_string().contains("no header"));
    // A record that could not be parsed then need not be now.
    let malformed = (kind::RECORD, 0, Fate::Malformed as u16, &b"junk"[..]);
    let (_, error) = replay(&assembled(&[header, malformed]), |_| false);
    assert!(matches!(error, Some(RecordingError::NoEnd(_))), "{error:?}");
}

/// Gives zeros for ever, and counts how many were asked for.
struct Zeros<'a>(&'a [u8], usize);

impl Read for Zeros<'_> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        self.1 += to.len();
        if self.0.is_empty() {
            to.fill(0);
            return Ok(to.len());
        }
        self.0.read(to)
    }
}

#[test]
fn lengths_are_not_believed() {
    let preamble = Preamble::new(VERSION);
    for (len, most) in [(MAX_BODY + 1, 1 << 20), (u32::MAX as usize, 1 << 20), (MAX_BODY, 1 << 23)]
    {
        let head = Head::new(kind::HEADER, 0, 0, b"x", len as u32, preamble.checksum.get());
        let bytes = [preamble.as_bytes(), head.as_bytes()].concat();
        let mut input = Zeros(&bytes, 0);
        let error = Reader::new(&mut input).err().expect("refused");
        assert!(matches!(error, RecordingError::Damaged { .. }), "{len}: {error}");
        assert!(input.1 < most, "{len}: {} bytes read", input.1);
        let (_, error) = replay(&bytes, |_| false);
        let named = matches!(
            error,
            Some(RecordingError::Damaged { .. } | RecordingError::CutOff(Place { frame: 1, .. }))
        );
        assert!(named, "{len}: {error:?}");
    }
}

//! Whatever is changed, cut or moved is found, and what is before it is shown.

use tracer::recording::{Place, RecordingError, format::Preamble};

use crate::{frames, replay, sample::sample};

/// The frame that a byte is in.
fn place(begins: &[usize], at: usize) -> Place {
    let frame = begins.iter().take_while(|begin| **begin <= at).count();
    Place { frame: frame as u64, offset: begins[frame - 1] as u64 }
}

/// Whatever byte is damaged: the frames before it are shown, and it is named.
#[test]
fn any_damaged_byte_is_found() {
    let good = sample();
    let begins = frames(&good);
    let (shown, error) = replay(&good, |_| false);
    assert!(error.is_none(), "{error:?}");
    for at in 0..good.len() {
        for mask in [0x01, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] ^= mask;
            let (part, error) = replay(&bad, |_| false);
            assert!(shown.starts_with(&part), "byte {at}: {part}");
            let error = error.unwrap_or_else(|| panic!("byte {at} is damaged in silence"));
            if at < size_of::<Preamble>() {
                let told = matches!(error, RecordingError::NotOne(_) | RecordingError::Preamble);
                assert!(told, "byte {at}: {error}");
                continue;
            }
            match error {
                RecordingError::Damaged { place: found, .. } => {
                    assert_eq!(found, place(&begins, at), "byte {at}");
                }
                error => panic!("byte {at}: {error}"),
            }
        }
    }
}

/// Wherever it is cut: what is whole is shown, and that it was cut is said.
#[test]
fn any_cut_is_found() {
    let good = sample();
    let begins = frames(&good);
    let (shown, _) = replay(&good, |_| false);
    let mut longest = 0;
    for len in 0..good.len() {
        let (part, error) = replay(&good[..len], |_| false);
        assert!(shown.starts_with(&part), "{len} bytes: {part}");
        assert!(part.len() >= longest, "{len} bytes show less than fewer did");
        longest = part.len();
        let error = error.unwrap_or_else(|| panic!("{len} bytes are cut in silence"));
        let told = match error {
            RecordingError::NotOne(_) => len == 0,
            RecordingError::Preamble => len < size_of::<Preamble>(),
            RecordingError::NoEnd(found) => begins.contains(&len) && found == place(&begins, len),
            RecordingError::CutOff(found) => !begins.contains(&len) && found == place(&begins, len),
            _ => false,
        };
        assert!(told, "{len} bytes: {error}");
    }
    assert_eq!(longest, shown.len(), "only the end was missing in the end");
}

/// Frames that are whole, but not where they were.
#[test]
fn frames_out_of_place_are_found() {
    let good = sample();
    let begins = frames(&good);
    let frame = |i: usize| &good[begins[i]..begins[i + 1]];
    for i in 1..begins.len() - 2 {
        let before = &good[..begins[i]];
        let missing = [before, &good[begins[i + 1]..]].concat();
        let twice = [before, frame(i), &good[begins[i]..]].concat();
        let swapped = [before, frame(i + 1), frame(i), &good[begins[i + 2]..]].concat();
        for (what, bytes) in [("missing", missing), ("twice", twice), ("swapped", swapped)] {
            let (_, error) = replay(&bytes, |_| false);
            let damaged = matches!(error, Some(RecordingError::Damaged { .. }));
            assert!(damaged, "frame {i} {what}: {error:?}");
        }
    }
    let (_, error) = replay(&[&good[..], b"more"].concat(), |_| false);
    assert!(matches!(error, Some(RecordingError::BehindEnd(_))), "{error:?}");
    let (_, error) = replay(&[&good[..], &good].concat(), |_| false);
    assert!(matches!(error, Some(RecordingError::BehindEnd(_))), "{error:?}");
}

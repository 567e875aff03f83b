//! Recordings of real calls, and the JSON that they must become, byte for byte.
//!
//! A recording is made with `tracer --record FILE -e recvmmsg,recvmmsg_time32 --
//! PROGRAM`. With `UPDATE_GOLDEN=1` in the environment the expected JSON is
//! rewritten, to be read in the diff.

#[path = "common/schema.rs"]
mod schema;

use std::{fs, path::Path};

use tracer::{decode, encode::json, process::Processes, record, recording::Reader};
use tracer_common::record::RecordKind;

#[test]
fn recordings_become_their_json() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rec") {
            continue;
        }
        count += 1;
        let actual = decoded(&path);
        for line in actual.lines() {
            schema::assert_event(&serde_json::from_str(line).unwrap());
        }
        let golden = path.with_extension("json");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &actual).unwrap();
            continue;
        }
        let expected = fs::read_to_string(&golden).unwrap();
        let lines = actual.lines().zip(expected.lines()).enumerate();
        for (i, (actual, expected)) in lines {
            assert_eq!(actual, expected, "{}, line {}", golden.display(), i + 1);
        }
        assert_eq!(actual.lines().count(), expected.lines().count(), "{}", golden.display());
    }
    assert!(count > 0, "no recordings in {}", folder.display());
}

fn decoded(path: &Path) -> String {
    let mut reader =
        Reader::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let clock = reader.header.clock;
    let mut out = Vec::new();
    let mut seq = 0;
    let mut processes = Processes::default();
    while let Some(bytes) = reader.next_record().unwrap() {
        let parsed = record::parse(bytes).unwrap_or_else(|error| panic!("record {seq}: {error}"));
        if parsed.kind == RecordKind::Image {
            processes.learn(&parsed);
            continue;
        }
        let mut event = decode::decode(&parsed, &clock);
        processes.complete(&parsed, &mut event);
        seq += 1;
        event.seq = seq;
        json::line(&event, &mut out).unwrap();
    }
    String::from_utf8(out).unwrap()
}

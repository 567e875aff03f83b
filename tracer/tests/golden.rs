//! Recordings of real calls, and the JSON that they must become, byte for byte.
//!
//! A recording is made with `tracer --record FILE -e recvmmsg,recvmmsg_time32 --
//! PROGRAM`. With `UPDATE_GOLDEN=1` in the environment the expected JSON is
//! rewritten, to be read in the diff.

#[path = "common/schema.rs"]
mod schema;

use std::{fs, path::Path};

use tempfile::NamedTempFile;
use tracer::{
    encode::Encoder,
    event::RunId,
    pipeline::{Output, Pipeline},
    recording::Reader,
    sink::{Destination, Sink},
};

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
    let fail = |error: &dyn std::error::Error| -> ! { panic!("{}: {error}", path.display()) };
    let mut reader = Reader::open(path).unwrap_or_else(|error| fail(&error));
    let out = NamedTempFile::new().unwrap();
    let destination = Destination::parse(&format!("file:{}", out.path().display())).unwrap();
    let sink = Sink::open(&destination, RunId::default()).unwrap();
    let outputs = vec![Output::new(sink, Encoder::Json)];
    let mut pipeline = Pipeline::new(reader.header.stream.clone(), reader.header.clock, outputs);
    pipeline.play(&mut reader, false).unwrap_or_else(|error| fail(&error));
    pipeline.flush().unwrap();
    fs::read_to_string(out.path()).unwrap()
}

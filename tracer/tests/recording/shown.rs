//! What a replay shows of what was written.

use std::{fs, path::Path};

use serde_json::Value;
use tempfile::NamedTempFile;
use tracer::recording::{Frame, Reader, Writer, format::kind};

use crate::{
    assembled, parts, replay,
    sample::{EARLIER, LATER, sample},
    whole,
};

#[test]
fn what_was_shown_is_shown_in_its_order() {
    let lines = whole(&sample(), |_| false);
    let about: Vec<_> = lines
        .iter()
        .map(|line| line["kind"].as_str().unwrap_or(line["event"].as_str().unwrap_or("?")))
        .collect();
    assert_eq!(about, ["start", "recvmmsg", "recvmmsg", "loss", "recvmmsg", "end"]);
    for (i, line) in lines.iter().enumerate() {
        assert_eq!(line["seq"], i + 1, "{line}");
    }
    let (start, loss, end) = (&lines[0], &lines[3], &lines[5]);
    assert_eq!(start["run"]["pid"], 4711);
    assert_eq!(start["time"], "2026-11-21T00:11:44.000000001Z");
    assert_eq!([&loss["emitted"], &loss["filtered"], &loss["lost"]["total"]], [2, 1, 3]);
    assert_eq!([&end["emitted"], &end["filtered"], &end["lost"]["total"]], [3, 2, 4]);
    assert!(end.get("run").is_none() && loss.get("run").is_none());
}

/// Each record is decoded with the clock of its time.
#[test]
fn corrections_of_the_clock_hold_from_their_place_on() {
    let lines = whole(&sample(), |_| false);
    let exit =
        |line: &Value| line["time_exit"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    // The same record twice.
    let moved = exit(&lines[4]).as_nanosecond() - exit(&lines[2]).as_nanosecond();
    assert_eq!(moved, i128::from(LATER.monotonic - EARLIER.monotonic));
    let bytes = sample();
    let mut reader = Reader::new(&bytes[..]).unwrap();
    let mut clocks = Vec::new();
    while let Some(frame) = reader.next_frame().unwrap() {
        if let Frame::Clock(clock) = frame {
            clocks.push(clock);
        }
    }
    assert_eq!(clocks, [LATER], "once, and only as it changes");
    assert_eq!(reader.header.clock, EARLIER);
}

/// What /proc said is used for the image that it was said of; what it did not know
/// stays unknown, whatever runs here.
#[test]
fn looked_up_facts_come_from_the_recording() {
    let lines = whole(&sample(), |_| false);
    assert_eq!(lines[2]["process"]["exe"], "/bin/\u{fffd}x");
    assert_eq!(lines[2]["process"]["exe_hex"], "2f62696e2fff78");
    assert_eq!(lines[4]["process"]["exe"], lines[2]["process"]["exe"]);
    let bytes = sample();
    let mut without = parts(&bytes);
    without.retain(|(kind, ..)| *kind != kind::FACT);
    without.pop();
    let (shown, _) = replay(&assembled(&without), |_| false);
    let line: Value = serde_json::from_str(shown.lines().nth(2).unwrap()).unwrap();
    assert_eq!(line["process"]["exe"], Value::Null);
    assert_eq!(line["missing"]["process.exe"], "not_captured");
}

/// With a filter, health says what a live run with that filter would have said.
#[test]
fn further_filters_count_as_filters_of_the_live_run() {
    let lines = whole(&sample(), |pipeline| {
        let expression = tracer::filter::expr::Expression::new("time_exit == null").unwrap();
        pipeline.filter.conditions = expression.0;
        false
    });
    let seqs: Vec<_> = lines.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [1, 2, 3, 4]);
    let (loss, end) = (&lines[2], &lines[3]);
    assert_eq!([&loss["emitted"], &loss["filtered"], &loss["seen"]], [1, 2, 6]);
    assert_eq!([&end["emitted"], &end["filtered"], &end["seen"]], [1, 4, 9]);
    assert_eq!(end["lost"]["total"], 4, "what was lost stays lost");
}

#[test]
fn all_shows_what_the_live_run_filtered_too() {
    let lines = whole(&sample(), |_| true);
    assert_eq!(lines.len(), 7);
    let (loss, end) = (&lines[4], &lines[6]);
    assert_eq!([&loss["emitted"], &loss["filtered"], &loss["seen"]], [3, 0, 6]);
    assert_eq!([&end["emitted"], &end["filtered"], &end["seen"]], [4, 1, 9]);
}

#[test]
fn without_health_records_events_alone_are_numbered() {
    let lines = whole(&sample(), |pipeline| {
        pipeline.health = false;
        false
    });
    let seqs: Vec<_> = lines.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [1, 2, 3]);
}

/// What is read of a recording and written again is read as the same, and shown the
/// same.
#[test]
fn what_is_written_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let recordings = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let recordings = recordings.filter(|path| path.extension().is_some_and(|it| it == "rec"));
    let mut all: Vec<_> = recordings.map(|path| fs::read(path).unwrap()).collect();
    assert!(!all.is_empty(), "no recordings in {}", folder.display());
    all.push(sample());
    for bytes in all {
        let mut reader = Reader::new(&bytes[..]).unwrap();
        let out = NamedTempFile::new().unwrap();
        let mut writer = Writer::create(out.path(), &reader.header).unwrap();
        let mut clock = reader.header.clock;
        while let Some(frame) = reader.next_frame().unwrap() {
            match frame {
                Frame::Record(fate, bytes) => writer.record(fate, bytes, clock).unwrap(),
                Frame::Clock(new) => clock = new,
                Frame::Fact(fact) => writer.fact(&fact).unwrap(),
                Frame::Health(report) => writer.health(&report).unwrap(),
            }
        }
        writer.end().unwrap();
        let again = fs::read(out.path()).unwrap();
        assert_eq!(Reader::new(&again[..]).unwrap().header, reader.header);
        // But for the order of the header's fields.
        assert_eq!(parts(&again)[1..], parts(&bytes)[1..]);
        assert_eq!(whole(&again, |_| true), whole(&bytes, |_| true));
    }
}

/// A recording that the first tracer with this version of recordings wrote, of what
/// [`sample`] has: later ones read it too. With `UPDATE_GOLDEN=1` in the environment the
/// expected JSON is rewritten, as for the other golden recordings.
#[test]
fn an_old_recording_stays_readable() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recording");
    let (shown, error) = replay(&fs::read(folder.join("first.rec")).unwrap(), |_| true);
    assert!(error.is_none(), "{error:?}");
    let golden = folder.join("first.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, shown).unwrap();
        return;
    }
    let expected = fs::read_to_string(&golden).unwrap();
    for (shown, expected) in shown.lines().zip(expected.lines()) {
        assert_eq!(shown, expected);
    }
    assert_eq!(shown.len(), expected.len());
}

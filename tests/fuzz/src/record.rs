//! Target `record`: any bytes as a record. What is accepted becomes an event, and the
//! event a line in every format.

use tracer::{
    decode::{self, Clock},
    encode::{
        json,
        table::{self, Table},
    },
    event::Event,
    process::Processes,
    record::{self, Record},
};
use tracer_common::record::RecordKind;

/// Most bytes of JSON for a byte of a record: an iovec of 8 bytes takes some 60, a byte
/// of a name in UTF-8 replacement characters, escaped and in hex, at most 8.
const EXPANSION: usize = 64;
/// The same for what every event has.
const FIXED: usize = 16 << 10;
/// Columns of the tables: too narrow, usual, more than there are columns for.
const WIDTHS: &[usize] = &[1, 80, 400];

/// Runs the target.
pub fn run(bytes: &[u8]) {
    if let Ok(record) = record::parse(bytes) {
        shown(&record, bytes.len());
    }
}

/// Decodes a record of so many bytes and encodes the event, with payload and without.
/// Returns the event.
pub fn shown(record: &Record<'_>, len: usize) -> Event {
    let clock = Clock { monotonic: 1_700_000_000_000_000_000, boottime: 1_700_000_000_000_000_000 };
    let mut event = decode::decode(record, &clock);
    let mut processes = Processes::default();
    if record.kind == RecordKind::Image {
        processes.learn(record);
    }
    processes.complete(record, &mut event);
    let line = encoded(&event);
    let most = FIXED + EXPANSION * len;
    assert!(line.len() <= most, "{} bytes of JSON from a record of {len}", line.len());
    for width in WIDTHS {
        in_table(&event, *width);
    }
    let mut redacted = event.clone();
    redacted.redact();
    encoded(&redacted);
    event
}

/// The event as JSON: one line, valid, with the schema that it says it has.
fn encoded(event: &Event) -> Vec<u8> {
    let mut line = b"before\n".to_vec();
    json::line(event, &mut line).expect("an event can be encoded");
    let line = line.strip_prefix(b"before\n").expect("a line is appended").to_vec();
    let text = line.strip_suffix(b"\n").expect("a line ends in a newline");
    assert!(!text.contains(&b'\n'), "one line");
    let value: serde_json::Value = serde_json::from_slice(text).expect("valid JSON");
    assert_eq!(value["schema"], tracer::event::SCHEMA);
    // What is null though it applies is named.
    for field in ["time", "latency_ns", "ret"] {
        assert_eq!(value[field].is_null(), !value["missing"][field].is_null(), "{field}: {value}");
    }
    line
}

/// The event as a line of a table: nothing that a terminal would act on.
fn in_table(event: &Event, width: usize) {
    let mut out = Vec::new();
    Table::new(width, false).event(event, &mut out);
    let text = String::from_utf8(out).expect("tables are UTF-8");
    assert_eq!(text.lines().count(), 2, "the header and a line: {text:?}");
    for line in text.lines() {
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert!(table::width(line) <= width, "more than {width} columns: {line:?}");
    }
}

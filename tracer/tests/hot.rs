//! What is written of ordinary calls at once is what the long way writes, byte for byte:
//! for recordings of real calls, and for the same with bytes changed in them.

use std::{cell::RefCell, fs, path::Path};

use proptest::prelude::*;
use tracer::{
    decode::{self, Clock},
    encode::json,
    event::RunId,
    hot::Hot,
    process::{Fact, Processes},
    record,
    recording::{Frame, Reader},
};
use tracer_common::record::{Call, RecordKind, flags};
use zerocopy::FromBytes;

fn clock() -> Clock {
    Clock { monotonic: 1_790_000_000_000_000_000, boottime: 1_790_000_000_000_000_000 }
}

/// The records of all golden recordings, one recording after the other. Calls that do not
/// tell of a pid namespace are said to be of the initial one: of what is older than that
/// field nothing would be ordinary.
fn records() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rec"))
        .collect();
    paths.sort();
    let mut records = Vec::new();
    for path in paths {
        let mut reader = Reader::open(&path).unwrap();
        while let Some(frame) = reader.next_frame().unwrap() {
            if let Frame::Record(_, record) = frame {
                let mut record = record.to_vec();
                if record::parse(&record).unwrap().own_ids.is_none() {
                    let (call, _) = Call::mut_from_prefix(&mut record).unwrap();
                    call.header.flags |= flags::INITIAL_PID_NS;
                }
                records.push(record);
            }
        }
    }
    records
}

static RUN: std::sync::LazyLock<RunId> = std::sync::LazyLock::new(|| RunId::new(0x1f));

/// Both ways to JSON, with what they remember.
struct Both {
    hot: Hot,
    short: Processes,
    long: Processes,
    ordinary: usize,
}

impl Default for Both {
    fn default() -> Self {
        let processes = || {
            let mut processes = Processes::default();
            processes.preload(Fact::Hierarchies { v1: false });
            processes
        };
        Self { hot: Hot::default(), short: processes(), long: processes(), ordinary: 0 }
    }
}

impl Both {
    /// With the program images of all recordings.
    fn of_images() -> Self {
        let mut both = Self::default();
        for bytes in records() {
            if record::parse(&bytes).unwrap().kind == RecordKind::Image {
                both.check(&bytes, &clock());
            }
        }
        both
    }

    fn check(&mut self, bytes: &[u8], clock: &Clock) {
        let Ok(record) = record::parse(bytes) else { return };
        if record.kind == RecordKind::Image {
            self.short.learn(&record);
            self.long.learn(&record);
            return;
        }
        let mut out = b"before\n".to_vec();
        if !self.hot.line(&record, clock, &mut self.short, (*RUN, 7), &mut out) {
            assert_eq!(out, b"before\n", "nothing is left of what was begun");
            return;
        }
        self.ordinary += 1;
        let mut event = decode::decode(&record, clock);
        self.long.complete(&record, &mut event);
        event.run_id = *RUN;
        event.seq = 7;
        let mut expected = b"before\n".to_vec();
        json::line(&event, &mut expected).unwrap();
        assert_eq!(String::from_utf8(out), String::from_utf8(expected));
    }
}

#[test]
fn recordings_become_the_same_lines() {
    let mut both = Both::default();
    let records = records();
    for record in &records {
        both.check(record, &clock());
    }
    // Start times move with the clock.
    for record in &records {
        both.check(record, &Clock { boottime: 1_790_000_000_500_000_000, ..clock() });
    }
    assert!(both.ordinary > 60, "{} of {} are ordinary", both.ordinary, 2 * records.len());
}

thread_local! {
    /// Calls. The executables that go with them are learned once: a program image has one.
    static CALLS: Vec<Vec<u8>> = records()
        .into_iter()
        .filter(|bytes| record::parse(bytes).unwrap().kind == RecordKind::Call)
        .collect();
    /// Kept from case to case, so that what is remembered of one meets the next.
    static BOTH: RefCell<Both> = RefCell::new(Both::of_images());
}

/// Where bytes are changed: in the fixed part, which all that is shown goes by, or anywhere.
fn place() -> impl Strategy<Value = (prop::sample::Index, bool)> {
    (any::<prop::sample::Index>(), any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn changed_records_become_the_same_lines(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((place(), any::<u8>()), 0..4),
    ) {
        CALLS.with(|records| {
            let mut bytes = records[which.index(records.len())].clone();
            for ((at, fixed), byte) in changes {
                let at = at.index(if fixed { size_of::<Call>() } else { bytes.len() });
                bytes[at] = byte;
            }
            if record::parse(&bytes).is_ok_and(|record| record.kind == RecordKind::Image) {
                return;
            }
            BOTH.with_borrow_mut(|both| both.check(&bytes, &clock()));
        });
    }
}

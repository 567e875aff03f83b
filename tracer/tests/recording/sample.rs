//! A small recording with everything in it, of records that a kernel wrote.

use std::{fs, path::Path};

use jiff::Timestamp;
use tempfile::NamedTempFile;
use tracer::{
    decode::Clock,
    event::RunId,
    health::{Counts, Kind, Lost, OnCpu, Report, Run, Stream},
    process::{Fact, Image},
    record,
    recording::{Fate, Frame, Header, Reader, Setup, Writer},
};

/// The clock at the start.
pub const EARLIER: Clock =
    Clock { monotonic: 1_700_000_000_000_000_000, boottime: 1_700_000_000_000_000_000 };
/// The clock after it was stepped.
pub const LATER: Clock =
    Clock { monotonic: 1_700_000_001_234_567_890, boottime: 1_700_000_001_000_000_000 };

/// The records of a golden recording.
fn golden(name: &str) -> Vec<(Fate, Vec<u8>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let mut reader = Reader::open(&path).unwrap();
    let mut records = Vec::new();
    while let Some(frame) = reader.next_frame().unwrap() {
        let Frame::Record(fate, bytes) = frame else { panic!("{name}: {frame:?}") };
        records.push((fate, bytes.to_vec()));
    }
    records
}

/// Bodies of records.
pub fn bodies() -> Vec<Vec<u8>> {
    ["eintr.rec", "started-before-attach.rec", "detail-unix.rec"]
        .iter()
        .flat_map(|name| golden(name))
        .map(|(_, bytes)| bytes)
        .collect()
}

fn report(kind: Kind, [emitted, filtered, lost]: [u64; 3], nanosecond: i128) -> Report {
    let lost = Lost {
        total: lost,
        ring_full: lost - lost.min(1),
        malformed: lost.min(1),
        ..Lost::default()
    };
    let by_cpu = vec![OnCpu { emitted, filtered, lost }];
    let counts = Counts { emitted, filtered, lost, by_cpu, ..Counts::default() };
    let second = "2026-11-21T00:11:44Z".parse::<Timestamp>().unwrap().as_nanosecond();
    let time = Timestamp::from_nanosecond(second + nanosecond).unwrap();
    Report { kind, time, counts, changes: Vec::new() }
}

/// start, a program image and its call, a call that /proc was asked about, one that was
/// filtered, one that was malformed, loss, the second call under another clock, end.
pub fn sample() -> Vec<u8> {
    let header = Header {
        stream: Stream {
            kernel: "6.18.0".to_owned(),
            hook: "raw-tracepoint".into(),
            events: vec!["recvmmsg".into()],
            kernel_copies: None,
        },
        arch: "x86_64".to_owned(),
        run: Some(Run {
            id: RunId::new(5),
            boot_id: "a boot".to_owned(),
            pid: 4711,
            version: "0.1.0".into(),
            host: Some("a host".to_owned()),
        }),
        clock: EARLIER,
        setup: Some(Setup {
            detail: "messages".to_owned(),
            messages: 64,
            payload: 0,
            offsets_sha256: "ab".repeat(32),
            config_sha256: "cd".repeat(32),
        }),
    };
    let file = NamedTempFile::new().unwrap();
    let mut writer = Writer::create(file.path(), &header).unwrap();
    let mut write = || -> std::io::Result<()> {
        writer.health(&report(Kind::Start, [0, 0, 0], 1))?;
        let first = golden("eintr.rec");
        assert_eq!(
            first.iter().map(|(fate, _)| *fate).collect::<Vec<_>>(),
            [Fate::NoCall, Fate::Shown]
        );
        for (fate, bytes) in &first {
            writer.record(*fate, bytes, EARLIER)?;
        }
        let records = golden("started-before-attach.rec");
        let (_, late) = records.last().unwrap();
        let image = Image::of(&record::parse(late).unwrap().call.task);
        let fact = Fact::Exe { image, exe: Ok(b"/bin/\xffx".to_vec()) };
        writer.fact(&fact)?;
        writer.record(Fate::Shown, late, EARLIER)?;
        writer.record(Fate::Filtered, &first[1].1, EARLIER)?;
        writer.record(Fate::Malformed, b"no record", EARLIER)?;
        writer.health(&report(Kind::Loss, [2, 1, 3], 2))?;
        writer.record(Fate::Shown, late, LATER)?;
        writer.health(&report(Kind::End, [3, 2, 4], 3))?;
        writer.end()
    };
    write().unwrap();
    fs::read(file.path()).unwrap()
}

//! The kernel's own copies in a record: a golden recording's, and headers put into it.

use std::path::Path;

use serde_json::{Value, json};
use tracer::{
    decode,
    filter::expr::field::find,
    record,
    recording::{Frame, Reader},
};
use tracer_common::{
    copies::{KernelHeader, known},
    record::{RecordKind, SectionHeader, SectionKind, Status},
};
use zerocopy::IntoBytes;

/// The first call of `races`: two messages with lengths that fit them.
fn call() -> (Vec<u8>, decode::Clock) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/races.rec");
    let mut reader = Reader::open(&path).unwrap();
    let clock = reader.header.clock;
    while let Some(frame) = reader.next_frame().unwrap() {
        if let Frame::Record(_, bytes) = frame
            && record::parse(bytes).unwrap().kind == RecordKind::Call
        {
            return (bytes.to_vec(), clock);
        }
    }
    panic!("no call in {}", path.display());
}

/// The record with the kernel's copies of headers.
fn with(mut record: Vec<u8>, headers: &[KernelHeader], full: usize) -> Vec<u8> {
    let section = SectionHeader {
        kind: SectionKind::KernelHeaders as u16,
        status: Status::Read as u8,
        version: 1,
        len: u32::try_from(size_of_val(headers)).unwrap(),
        full: u32::try_from(full * size_of::<KernelHeader>()).unwrap(),
        count: u32::try_from(headers.len()).unwrap(),
    };
    record.extend(section.as_bytes());
    record.extend(headers.as_bytes());
    let len = u32::try_from(record.len()).unwrap();
    // `RecordHeader::len`
    record[4..8].copy_from_slice(&len.to_le_bytes());
    record
}

fn decoded(bytes: &[u8], clock: &decode::Clock) -> Value {
    let record = record::parse(bytes).unwrap_or_else(|error| panic!("{error}"));
    serde_json::to_value(decode::decode(&record, clock)).unwrap()
}

/// What the kernel copies of honest messages.
fn honest(record: &[u8]) -> Vec<KernelHeader> {
    let record = record::parse(record).unwrap();
    let messages = record.messages.unwrap();
    let parts = messages.detail.iovs.unwrap();
    let headers = (0..messages.entry.len()).map(|i| {
        let entry = messages.entry.get(i).unwrap();
        let iovs: Vec<_> = parts[i].iovecs(record.abi).collect();
        KernelHeader {
            name: entry.name,
            control: entry.control,
            controllen: entry.controllen,
            iov_base: iovs[0].base,
            iov_len: iovs[0].len,
            iov_bytes: iovs.iter().map(|iov| iov.len).sum(),
            iovlen: entry.iovlen,
            known: known::IOVS | known::FIRST_IOV,
        }
    });
    headers.collect()
}

#[test]
fn what_differs_is_shown_and_found() {
    let (record, clock) = call();
    let same = honest(&record);
    let silent = decoded(&with(record.clone(), &same, 2), &clock);
    assert_eq!(silent["findings"], json!([]), "{silent}");
    assert_eq!(silent["missing"], decoded(&record, &clock)["missing"]);

    let mut other = same[1];
    (other.name, other.control, other.controllen) = (0x10, 0x20, 30);
    (other.iov_base, other.iov_len, other.iov_bytes, other.iovlen) = (0x40, 50, 60, 7);
    let event = decoded(&with(record.clone(), &[same[0], other], 2), &clock);
    let kernel = json!({
        "name": "0x10", "control": "0x20", "controllen": 30,
        "iov": {"base": "0x40", "len": 50}, "iov_bytes": 60, "iovlen": 7,
    });
    assert_eq!(event["messages"][1]["kernel"], kernel, "{event}");
    assert_eq!(event["messages"][0].get("kernel"), None, "{event}");
    assert_eq!(event["findings"], json!(["kernel_saw_other"]), "{event}");
    for field in kernel.as_object().unwrap().keys().filter(|field| *field != "iov") {
        assert!(find(&format!("messages.kernel.{field}")).is_some(), "{field}");
    }
}

/// What the kernel's copy does not tell is not held against it.
#[test]
fn what_is_not_known_is_silent() {
    let (record, clock) = call();
    let mut headers = honest(&record);
    for header in &mut headers {
        (header.iov_base, header.iov_len, header.iov_bytes, header.iovlen) = (1, 2, 3, 4);
        header.known = 0;
    }
    let event = decoded(&with(record, &headers, 2), &clock);
    assert_eq!(event["findings"], json!([]), "{event}");
}

#[test]
fn headers_that_are_not_there_are_missing() {
    let (record, clock) = call();
    let first = &honest(&record)[..1];
    let event = decoded(&with(record, first, 1), &clock);
    assert_eq!(event["missing"]["messages[1].kernel"], "not_captured", "{event}");
    assert_eq!(event["findings"], json!([]), "{event}");
}

#[test]
fn a_section_that_contradicts_itself_is_refused() {
    let (record, _) = call();
    let headers = honest(&record);
    assert!(record::parse(&with(record.clone(), &headers, 1)).is_err());
    let twice = with(with(record, &headers, 2), &headers, 2);
    assert!(record::parse(&twice).is_err());
}

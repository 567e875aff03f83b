//! Properties that hold for any bytes: nothing panics, nothing loops, and what is
//! accepted becomes one line of JSON.

mod common;
#[path = "common/schema.rs"]
mod schema;

use proptest::prelude::*;
use tracer::{
    decode::{self, Clock},
    event, record,
};
use tracer_common::detail::PartHeader;
use tracer_common::record::{
    Call, CompatMmsghdr, Mmsghdr, NameHeader, RecordHeader, SectionHeader, SectionKind, Status,
    Task, Timeout,
};
use zerocopy::IntoBytes;

fn clock() -> Clock {
    Clock { monotonic: 1_700_000_000_000_000_000, boottime: 1_700_000_000_000_000_000 }
}

/// The JSON of a record, as text and parsed again.
fn json(bytes: &[u8]) -> Option<(String, serde_json::Value)> {
    let record = record::parse(bytes).ok()?;
    let text = serde_json::to_string(&decode::decode(&record, &clock())).unwrap();
    let value = serde_json::from_str(&text).expect("valid JSON");
    schema::assert_event(&value);
    Some((text, value))
}

fn section(kind: SectionKind, body: usize, full: usize, count: usize, status: Status) -> Vec<u8> {
    SectionHeader {
        kind: kind as u16,
        status: status as u8,
        version: 1,
        len: u32::try_from(body).unwrap(),
        full: u32::try_from(full).unwrap(),
        count: u32::try_from(count).unwrap(),
    }
    .as_bytes()
    .to_vec()
}

fn fixed(kind: SectionKind, len: usize, status: u8) -> SectionHeader {
    let len = u32::try_from(len).unwrap();
    SectionHeader { kind: kind as u16, status, version: 1, len, full: len, count: 0 }
}

prop_compose! {
    fn header()(
        abi in 1u8..=5,
        event in 1u16..=2,
        flags in 0u32..128,
        (nr, cpu) in any::<(u32, u32)>(),
        (entry_ns, exit_ns) in any::<(u64, u64)>(),
        ret in prop_oneof![-600i64..2000, any::<i64>(), Just(-14), 0i64..10],
        args in any::<[u64; 6]>(),
    ) -> RecordHeader {
        RecordHeader {
            version: 1, kind: 1, len: 0, event, abi, reserved: 0, flags, cpu, nr,
            entry_ns, exit_ns, ret, args,
        }
    }
}

/// Bytes that are nearly control messages: headers with lengths around what is there.
fn control() -> impl Strategy<Value = Vec<u8>> {
    let one = (
        prop_oneof![0u64..64, any::<u64>(), any::<u32>().prop_map(u64::from)],
        prop_oneof![Just(0i32), Just(1), Just(17), Just(41), any::<i32>()],
        prop_oneof![0i32..110, any::<i32>()],
        prop::collection::vec(any::<u8>(), 0..64),
        any::<bool>(),
    );
    prop::collection::vec(one, 0..5).prop_map(|all| {
        let mut bytes = Vec::new();
        for (len, level, kind, data, honest) in all {
            let len = if honest { 16 + data.len() as u64 } else { len };
            bytes.extend(len.to_le_bytes());
            bytes.extend(level.to_le_bytes());
            bytes.extend(kind.to_le_bytes());
            bytes.extend(data);
        }
        bytes
    })
}

/// What one section has of each message: status, how much there was, bytes.
fn detail() -> impl Strategy<Value = Vec<(u8, u64, Vec<u8>)>> {
    let bytes = prop_oneof![control(), prop::collection::vec(any::<u8>(), 0..256)];
    let full = prop_oneof![0u64..300, any::<u64>()];
    prop::collection::vec((0u8..5, full, bytes), 0..8)
}

prop_compose! {
    /// A well-formed record of a native or compat call whose messages are arbitrary.
    fn whole()(
        header in header(),
        comm in any::<[u8; 16]>(),
        (requested_status, remaining_status) in (0u8..5, 0u8..5),
        timeouts in any::<[[u8; 16]; 2]>(),
        messages in prop::collection::vec(
            (any::<[u64; 8]>(), any::<[u64; 8]>(), 0u8..5, prop::collection::vec(any::<u8>(), 0..128)),
            0..8,
        ),
        entries in 0usize..8,
        beyond in 0usize..4,
        abi in prop_oneof![Just(1u8), Just(2)],
        details in prop::collection::vec(detail(), 3),
        kernel_headers in prop::option::of(prop::collection::vec(any::<[u64; 8]>(), 0..8)),
        kernel_lengths in prop::option::of((prop::collection::vec(any::<u32>(), 0..8), 0usize..4)),
    ) -> Vec<u8> {
        let mut call = Call {
            header: RecordHeader { abi, ..header },
            task_section: fixed(SectionKind::Task, size_of::<Task>(), 1),
            task: Task { comm, ..Task::default() },
            requested_section: fixed(SectionKind::TimeoutRequested, 16, requested_status),
            requested: Timeout { raw: timeouts[0] },
            remaining_section: fixed(SectionKind::TimeoutRemaining, 16, remaining_status),
            remaining: Timeout { raw: timeouts[1] },
        };
        let stride = if abi == 1 { size_of::<Mmsghdr>() } else { size_of::<CompatMmsghdr>() };
        let entries = entries.min(messages.len());
        let wanted = messages.len() + beyond;
        let mut rest = Vec::new();
        for (kind, count, at_exit) in
            [(SectionKind::EntryHeaders, entries, false), (SectionKind::ExitHeaders, messages.len(), true)]
        {
            rest.extend(section(kind, count * stride, wanted * stride, count, Status::Partial));
            for (before, after, ..) in &messages[..count] {
                rest.extend(&if at_exit { after } else { before }.as_bytes()[..stride]);
            }
        }
        let mut names = Vec::new();
        for (.., status, bytes) in &messages {
            let header = NameHeader {
                status: *status,
                reserved: 0,
                len: u16::try_from(bytes.len()).unwrap(),
                full: u32::try_from(bytes.len()).unwrap(),
            };
            names.extend(header.as_bytes());
            names.extend(bytes);
            names.resize(names.len().next_multiple_of(8), 0xaa);
        }
        rest.extend(section(SectionKind::Names, names.len(), names.len(), messages.len(), Status::Read));
        rest.extend(names);
        let kinds = [SectionKind::Iovs, SectionKind::Control, SectionKind::Payload];
        for (kind, parts) in kinds.into_iter().zip(&details) {
            let parts = &parts[..parts.len().min(messages.len())];
            let mut body = Vec::new();
            for (status, full, bytes) in parts {
                let len = u32::try_from(bytes.len()).unwrap();
                body.extend(PartHeader { status: *status, reserved: [0; 3], len, full: *full }.as_bytes());
                body.extend(bytes);
                body.resize(body.len().next_multiple_of(8), 0xaa);
            }
            rest.extend(section(kind, body.len(), body.len(), messages.len(), Status::Read));
            rest.extend(body);
        }
        if let Some(headers) = &kernel_headers {
            let len = size_of_val(headers.as_slice());
            rest.extend(section(SectionKind::KernelHeaders, len, len, headers.len(), Status::Read));
            rest.extend(headers.as_bytes());
        }
        if let Some((lengths, beyond)) = &kernel_lengths {
            let (len, full) = (4 * lengths.len(), 4 * (lengths.len() + beyond));
            rest.extend(section(SectionKind::KernelLengths, len, full, lengths.len(), Status::Read));
            rest.extend(lengths.as_bytes());
            rest.resize(rest.len().next_multiple_of(8), 0xaa);
        }
        call.header.len = u32::try_from(size_of::<Call>() + rest.len()).unwrap();
        let mut bytes = call.as_bytes().to_vec();
        bytes.extend(rest);
        bytes
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_refused_or_decoded(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        json(&bytes);
    }

    #[test]
    fn a_whole_record_becomes_one_line(bytes in whole()) {
        let (text, value) = json(&bytes).expect("a well-formed record");
        prop_assert!(!text.contains('\n'));
        prop_assert_eq!(&value["schema"], event::SCHEMA);
        // What is null though it applies is named.
        for field in ["time", "latency_ns", "ret"] {
            prop_assert_eq!(value[field].is_null(), !value["missing"][field].is_null(), "{}", text);
        }
    }

    #[test]
    fn filters_see_what_the_json_shows(bytes in whole()) {
        let record = record::parse(&bytes).expect("a well-formed record");
        common::assert_fields(&decode::decode(&record, &clock()));
    }

    #[test]
    fn a_damaged_record_is_refused_or_decoded(
        mut bytes in whole(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        json(&bytes);
        json(&bytes[..cut.index(bytes.len())]);
    }

    #[test]
    fn names_and_control_characters_survive(name in prop::collection::vec(any::<u8>(), 1..108)) {
        use tracer::event::{Text, UnixPath, hex};
        let text: Text<UnixPath> = Text::new(name.clone());
        let value = serde_json::to_value(&text).unwrap();
        match std::str::from_utf8(&name) {
            Ok(valid) => {
                prop_assert_eq!(value["path"].as_str(), Some(valid));
                prop_assert!(value.get("path_hex").is_none());
            }
            Err(_) => {
                let expected = hex(&name);
                prop_assert_eq!(value["path_hex"].as_str(), Some(expected.as_str()));
            }
        }
    }
}

/// The record of a call with one message and these control messages.
fn with_control(abi: u8, bytes: &[u8], full: u64) -> Vec<u8> {
    let header = RecordHeader {
        version: 1,
        kind: 1,
        len: 0,
        event: 1,
        abi,
        reserved: 0,
        flags: 0,
        cpu: 0,
        nr: 299,
        entry_ns: 1,
        exit_ns: 2,
        ret: 1,
        args: [0; 6],
    };
    let mut call = Call {
        header,
        task_section: fixed(SectionKind::Task, size_of::<Task>(), 1),
        task: Task::default(),
        requested_section: fixed(SectionKind::TimeoutRequested, 16, 0),
        requested: Timeout::default(),
        remaining_section: fixed(SectionKind::TimeoutRemaining, 16, 0),
        remaining: Timeout::default(),
    };
    let stride = if abi == 1 { size_of::<Mmsghdr>() } else { size_of::<CompatMmsghdr>() };
    let mut rest = Vec::new();
    for kind in [SectionKind::EntryHeaders, SectionKind::ExitHeaders] {
        rest.extend(section(kind, stride, stride, 1, Status::Read));
        // There was room for all of it.
        if abi == 1 {
            rest.extend(Mmsghdr { controllen: full, ..Mmsghdr::default() }.as_bytes());
        } else {
            let controllen = u32::try_from(full).unwrap();
            rest.extend(CompatMmsghdr { controllen, ..CompatMmsghdr::default() }.as_bytes());
        }
    }
    rest.extend(section(SectionKind::Names, 0, 0, 0, Status::Read));
    let len = u32::try_from(bytes.len()).unwrap();
    let part = PartHeader { status: 1, reserved: [0; 3], len, full };
    let mut body = [part.as_bytes(), bytes].concat();
    body.resize(body.len().next_multiple_of(8), 0);
    rest.extend(section(SectionKind::Control, body.len(), body.len(), 1, Status::Read));
    rest.extend(body);
    call.header.len = u32::try_from(size_of::<Call>() + rest.len()).unwrap();
    [call.as_bytes(), &rest].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn any_control_bytes_become_items(
        bytes in prop_oneof![control(), prop::collection::vec(any::<u8>(), 0..256)],
        abi in prop_oneof![Just(1u8), Just(2)],
        cut in 0u64..100,
    ) {
        let full = bytes.len() as u64 + cut;
        let (_, value) = json(&with_control(abi, &bytes, full)).expect("a well-formed record");
        let items = value["messages"][0]["control"]["items"].as_array().expect("items");
        prop_assert_eq!(items.is_empty(), bytes.is_empty());
        // A header has twelve bytes at least.
        prop_assert!(items.len() <= bytes.len() / 12 + 1, "{:?}", items);
        // Only the last one can be broken off.
        for item in items.iter().rev().skip(1) {
            let note = item["note"].as_str();
            prop_assert!(note.is_none_or(|note| note == "unexpected_length"), "{}", item);
        }
        let left_out = &value["truncated"]["control_bytes"];
        prop_assert_eq!(left_out.as_u64().unwrap_or(0), cut);
    }

    /// A header may say anything: what there was no room for was not left out.
    #[test]
    fn no_more_is_left_out_than_there_was_room_for(
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        more in 0..u64::MAX / 2,
    ) {
        let full = bytes.len() as u64;
        let mut record = with_control(1, &bytes, full);
        // The header of the part follows those of the sections.
        let part = record.len() - bytes.len().next_multiple_of(8) - size_of::<PartHeader>();
        let at = part + std::mem::offset_of!(PartHeader, full);
        record[at..at + 8].copy_from_slice(&(full + more).to_le_bytes());
        let (_, value) = json(&record).expect("a well-formed record");
        prop_assert!(value["truncated"].is_null(), "{}", value["truncated"]);
    }
}

#[test]
fn sections_of_a_newer_program_are_skipped() {
    let mut call = Call {
        header: RecordHeader {
            version: 1,
            kind: 1,
            len: 0,
            event: 1,
            abi: 1,
            reserved: 0,
            flags: 0,
            cpu: 0,
            nr: 299,
            entry_ns: 1,
            exit_ns: 2,
            ret: -11,
            args: [0; 6],
        },
        task_section: fixed(SectionKind::Task, size_of::<Task>(), 1),
        task: Task::default(),
        requested_section: fixed(SectionKind::TimeoutRequested, 16, 0),
        requested: Timeout::default(),
        remaining_section: fixed(SectionKind::TimeoutRemaining, 16, 0),
        remaining: Timeout::default(),
    };
    let mut newer = fixed(SectionKind::Names, 5, 1);
    newer.kind = 999;
    let tail = [newer.as_bytes(), b"hello\0\0\0"].concat();
    call.header.len = u32::try_from(size_of::<Call>() + tail.len()).unwrap();
    let bytes = [call.as_bytes(), &tail].concat();
    let (_, value) = json(&bytes).expect("the unknown section is skipped");
    assert_eq!(value["error"]["name"], "EAGAIN");
    assert!(value.get("messages").is_none());
}

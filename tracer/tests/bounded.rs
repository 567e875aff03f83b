//! Properties of the parsers of what strangers write: whatever comes in, they end, and
//! they end well. Inputs are made in shapes that random bytes do not take by themselves;
//! what must hold of the outcome is what the fuzz targets check (`tests/fuzz`).

#[path = "../../tests/fuzz/src/lib.rs"]
#[expect(dead_code, reason = "seeds are for the test `corpus`")]
mod fuzz;

use std::{
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use proptest::prelude::*;
use tracer::filter::expr::field::FIELDS;

/// Far longer than any input takes, on any machine.
const LONGEST: Duration = Duration::from_secs(60);

/// Runs a target on an input; what does not end is named, and ends the tests.
fn ends(run: fn(&[u8]), bytes: &[u8]) {
    let (done, wait) = channel::<()>();
    let shown = bytes.to_vec();
    let watch = thread::spawn(move || {
        if wait.recv_timeout(LONGEST) == Err(RecvTimeoutError::Timeout) {
            eprintln!("does not end: {}", shown.escape_ascii());
            std::process::abort();
        }
    });
    let outcome = std::panic::catch_unwind(|| run(bytes));
    drop(done);
    watch.join().unwrap();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// Bytes with runs of zeros, of ones, and small numbers, as lengths and counts are.
fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..64),
        (any::<u8>(), 1usize..64).prop_map(|(byte, count)| vec![byte; count]),
        (0u32..64).prop_map(|number| number.to_le_bytes().to_vec()),
        any::<u64>().prop_map(|number| number.to_le_bytes().to_vec()),
    ];
    prop::collection::vec(piece, 0..most / 16).prop_map(|pieces| pieces.concat())
}

/// Sections after a fixed part, with lengths that are mostly honest.
fn sections() -> impl Strategy<Value = Vec<u8>> {
    let section = (1u16..20, 0u8..6, bytes(512), any::<u32>(), 0u32..20, any::<bool>());
    (prop::collection::vec(any::<u8>(), 256), prop::collection::vec(section, 0..8)).prop_map(
        |(mut record, sections)| {
            record.truncate(size_of::<tracer_common::record::Call>());
            for (kind, status, body, other, count, honest) in sections {
                let len = u32::try_from(body.len()).unwrap();
                record.extend(kind.to_le_bytes());
                record.extend([status, 1]);
                record.extend(if honest { len } else { other }.to_le_bytes());
                record.extend(if honest { len } else { other }.to_le_bytes());
                record.extend(count.to_le_bytes());
                record.extend(&body);
                record.resize(record.len().next_multiple_of(8), 0);
            }
            record
        },
    )
}

/// Text of the words of the grammar, in any order.
fn words() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "==",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
        "~",
        "in",
        "&&",
        "||",
        "!",
        "(",
        ")",
        ",",
        "&",
        "null",
        "true",
        "false",
        "0",
        "-1",
        "0x40",
        "1.5s",
        "5ms",
        "18446744073709551616",
        "\"a*\"",
        "'10.0.0.0/8'",
        "\"::1\"",
        "\"MSG_TRUNC\"",
        "\"{a,[b-c]}?\"",
        "\"\\\"\"",
        "\"2026-01-01T00:00:00Z\"",
        "é",
        "\"",
        "'",
        "\\",
        ".",
        "=",
        "and",
    ];
    let field = (0..FIELDS.len()).prop_map(|i| FIELDS[i].path.clone());
    let word = prop_oneof![field, (0..WORDS.len()).prop_map(|i| WORDS[i].to_owned())];
    prop::collection::vec((word, any::<bool>()), 0..24).prop_map(|words| {
        words
            .iter()
            .flat_map(|(word, space)| [word.as_str(), if *space { " " } else { "" }])
            .collect()
    })
}

/// Text that follows the grammar, and mostly the types too.
fn expressions() -> impl Strategy<Value = String> {
    let field = (0..FIELDS.len()).prop_map(|i| FIELDS[i].path.clone());
    let literal = prop_oneof![
        Just("null".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<u64>().prop_map(|number| format!("{number:#x}")),
        (any::<u32>(), prop_oneof![Just("ns"), Just("us"), Just("ms"), Just("s"), Just("h")])
            .prop_map(|(number, unit)| format!("{number}{unit}")),
        "[a-zA-Z0-9/*?{},!\\[\\].:-]{0,16}".prop_map(|text| format!("{text:?}")),
        any::<[u8; 4]>().prop_map(|ip| format!("'{}'", std::net::Ipv4Addr::from(ip))),
    ];
    let op = prop_oneof![
        Just("=="),
        Just("!="),
        Just("<"),
        Just("<="),
        Just(">"),
        Just(">="),
        Just("~"),
        Just("in")
    ];
    let test =
        (field, op, literal).prop_map(|(field, op, literal)| format!("{field} {op} {literal}"));
    test.prop_recursive(6, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(|terms| terms.join(" && ")),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|terms| terms.join(" || ")),
            inner.clone().prop_map(|term| format!("!({term})")),
            inner.prop_map(|term| format!("({term})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn record(bytes in prop_oneof![bytes(2048), sections()]) {
        ends(fuzz::record::run, &bytes);
    }

    #[test]
    fn decode(bytes in prop_oneof![bytes(2048), sections()]) {
        ends(fuzz::decode::run, &bytes);
    }

    #[test]
    fn control(bytes in bytes(512)) {
        ends(fuzz::control::run, &bytes);
    }

    #[test]
    fn filter(text in prop_oneof![any::<String>(), words(), expressions()]) {
        ends(fuzz::filter::run, text.as_bytes());
    }

    #[test]
    fn recording(header in any::<bool>(), bytes in bytes(2048)) {
        // The preamble, and the frame that must come first.
        const GOLDEN: &[u8] = include_bytes!("golden/eintr.rec");
        let len = u32::from_le_bytes(*GOLDEN[20..].first_chunk().unwrap()) as usize;
        let start = if header { &GOLDEN[..32 + len] } else { &[] };
        ends(fuzz::recording::run, &[start, &bytes].concat());
    }
}

#[test]
fn deep_and_long_expressions() {
    for text in [
        "(".repeat(100_000),
        "!".repeat(100_000),
        format!("{}ret == 0{}", "(".repeat(64), ")".repeat(64)),
        vec!["ret == 0"; 10_000].join(" && "),
        vec!["ret == 0"; 10_000].join(" || "),
        format!("ret in ({})", vec!["1"; 50_000].join(",")),
        format!("process.comm ~ \"{}\"", "*a".repeat(500)),
        format!("process.exe ~ \"{}\"", "{a,b}".repeat(200)),
    ] {
        ends(fuzz::filter::run, text.as_bytes());
    }
}

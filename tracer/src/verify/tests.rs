//! Streams of which something is missing, and such as only look so.

use std::io::Write;

use proptest::prelude::*;

use super::*;

fn event(run: u64, seq: u64) -> String {
    let run = RunId::new(run);
    format!(
        r#"{{"schema":"tracer.event/1","time":"2026-01-01T00:00:00.{seq:09}Z","run_id":"{run}","seq":{seq},"event":"recvmmsg","args":{{}}}}"#
    )
}

fn health(run: u64, seq: u64, kind: &str, lost: &str) -> String {
    let id = RunId::new(run);
    let about = match kind {
        "start" => r#","run":{"boot_id":"b","pid":1,"version":"0","host":"h\u001b"}"#,
        _ => "",
    };
    format!(
        r#"{{"schema":"tracer.health/1","kind":"{kind}","run_id":"{id}","seq":{seq},"lost":{{{lost}}}{about}}}"#
    )
}

const NONE: &str = r#""total":0"#;

/// A start, three events and an end.
fn whole(run: u64) -> Vec<String> {
    let mut lines = vec![health(run, 1, "start", NONE)];
    lines.extend((2..5).map(|seq| event(run, seq)));
    lines.push(health(run, 5, "end", NONE));
    lines
}

fn verified(lines: &[String], open: bool) -> Report {
    let mut verifier = Verifier::default();
    for (number, line) in lines.iter().enumerate() {
        verifier.line("f", number as u64 + 1, line.as_bytes()).expect("little memory");
    }
    verifier.report(open)
}

proptest! {
    #[test]
    fn any_order_and_any_duplicates_of_two_runs_are_complete_and_nothing_less_is(
        order in Just([whole(1), whole(2)].concat()).prop_shuffle(),
        again in prop::collection::vec(0_usize..10, 0..5),
        without in 0_usize..10,
    ) {
        let mut lines = order.clone();
        lines.extend(again.iter().map(|i| order[*i].clone()));
        let report = verified(&lines, false);
        prop_assert!(report.complete, "{}", report);
        prop_assert_eq!(report.restarts, 1);
        let duplicates: u64 = report.runs.iter().map(|run| run.duplicates).sum();
        prop_assert_eq!(duplicates, again.len() as u64);
        prop_assert_eq!(report.runs.iter().map(|run| run.events).sum::<u64>(), 6);
        let less: Vec<_> = lines.into_iter().filter(|line| *line != order[without]).collect();
        prop_assert!(!verified(&less, false).complete);
    }
}

#[test]
fn a_gap_is_explained_by_as_much_declared_loss() {
    for (lost, undeclared) in [
        (r#""total":2,"queue_full":2"#, 1),
        (r#""total":3,"queue_full":2,"sink":1"#, 0),
        (r#""total":9,"ring_full":9"#, 3),
    ] {
        let mut lines = vec![health(1, 1, "start", NONE), event(1, 2), event(1, 6)];
        lines.push(health(1, 7, "loss", lost));
        for end in [false, true] {
            if end {
                lines.push(health(1, 8, "end", lost));
            }
            let report = verified(&lines, true);
            let run = &report.runs[0];
            assert!(!report.complete, "{report}");
            assert_eq!((run.missing, run.undeclared), (3, undeclared), "{report}");
            assert_eq!(run.gaps, [report::Gap { first: 3, last: 5 }]);
            assert_eq!(report.to_string().contains("undeclared gap"), undeclared > 0);
        }
    }
}

#[test]
fn a_run_may_be_without_its_end_only_if_that_is_said() {
    let mut lines = whole(1);
    lines.pop();
    assert!(!verified(&lines, false).complete);
    assert!(verified(&lines, true).complete);
    lines.remove(0);
    assert!(!verified(&lines, true).complete, "a start there must be");
    assert!(!verified(&[], true).complete, "nothing proves nothing");
}

#[test]
fn torn_and_foreign_lines_are_counted_and_shown_without_their_tricks() {
    let mut lines = whole(1);
    lines.push(event(1, 6)[..40].to_owned());
    lines.push("\x1b[2Jhello".to_owned());
    let report = verified(&lines, false);
    assert_eq!((report.torn, report.foreign, report.complete), (1, 1, false));
    let text = report.to_string();
    assert!(text.contains("f:6: torn: {") && text.contains("f:7: not the tracer's: \\x1b[2J"));
    assert!(!text.contains('\x1b'), "{text}");
}

fn file(bytes: &[u8]) -> Report {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("written");
    let mut verifier = Verifier::default();
    verifier.file(file.path()).expect("readable");
    verifier.report(false)
}

fn gzip(text: &str) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).expect("memory");
    gzip.finish().expect("memory")
}

#[test]
fn files_may_be_compressed_and_framed() {
    let text = whole(1).join("\n");
    assert!(file(text.as_bytes()).complete);
    let (first, last) = text.split_at(150);
    let packed = [gzip(first), gzip(last)].concat();
    assert!(file(&packed).complete, "two members");
    let cut = file(&packed[..packed.len() - 20]);
    assert_eq!((cut.complete, cut.torn > 0), (false, true), "{cut}");
    #[cfg(feature = "zstd")]
    assert!(file(&zstd::encode_all(text.as_bytes(), 1).expect("memory")).complete);
    for end in ["", "\n"] {
        let frame = |line: &String| {
            let frame = format!("<134>1 - h tracer 1 - - {line}{end}");
            format!("{} {frame}", frame.len())
        };
        let framed: String = whole(1).iter().map(frame).collect();
        let report = file(framed.as_bytes());
        assert!(report.complete, "{report}");
    }
}

#[test]
fn a_line_without_end_takes_no_memory_without_end() {
    let mut text = vec![b'x'; input::LONGEST + 5];
    text.extend(format!("\n{}\n", whole(1).join("\n")).bytes());
    let report = file(&text);
    assert_eq!((report.foreign, report.runs[0].complete), (1, true), "{report}");
}

#[test]
fn what_is_too_scattered_to_keep_is_an_error() {
    let mut verifier = Verifier::default();
    let result = (0..=MOST_INTERVALS as u64)
        .try_for_each(|i| verifier.line("f", i, event(1, 2 * i).as_bytes()));
    assert!(matches!(result, Err(VerifyError::TooScattered(_))));
}

/// A destination that was added and taken out twice: each line of its own is missed, and none
/// from when it was not there.
#[test]
fn what_lies_between_an_end_and_a_start_is_not_missed() {
    let part = |from: u64| {
        let mut lines = vec![health(1, from, "start", NONE)];
        lines.extend((from + 1..from + 4).map(|seq| event(1, seq)));
        lines.push(health(1, from + 4, "end", NONE));
        lines
    };
    let lines = [part(5), part(20)].concat();
    let report = verified(&lines, false);
    assert!(report.complete, "{report}");
    assert_eq!((report.runs[0].missing, report.runs[0].events), (0, 6));
    for without in 0..lines.len() {
        let mut less = lines.clone();
        less.remove(without);
        assert!(!verified(&less, false).complete, "without {}", lines[without]);
    }
    // Loss that either part declares counts.
    let mut lossy = lines.clone();
    lossy[4] = health(1, 9, "end", r#""total":2,"queue_full":2"#);
    let report = verified(&lossy, false);
    assert_eq!((report.complete, report.runs[0].lost.total), (false, 2), "{report}");
    // While it is there again.
    let again = [lines, vec![health(1, 40, "start", NONE), event(1, 41)]].concat();
    assert!(!verified(&again, false).complete);
    assert!(verified(&again, true).complete);
}

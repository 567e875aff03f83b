//! Every workload under strace and the tracer at the same time, and what they say of the
//! same calls, field by field. Guests have no strace: this runs on the machine's own
//! kernel.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tests::skip::{require_root_bpf, skip};
use tests::strace::meet::{self, Met};
use tests::strace::{self, known};
use tests::{child, compat, workload};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

/// Scenarios with calls of the machine's own ABI.
const NATIVE: &[&[&str]] = &[
    &["udp4", "--count", "5"],
    &["udp6", "--count", "5"],
    &["udp6", "--vlen", "70"],
    &["unix"],
    &["netlink"],
    &["kinds"],
    &["vlen", "--vlen", "200"],
    &["vlen", "--vlen", "2000"],
    &["null-name"],
    &["short-name"],
    &["cut"],
    &["control"],
    &["partial"],
    &["detail-control"],
    &["detail-unix"],
    &["detail-errors"],
    &["detail-buffers"],
    &["eagain", "--count", "20"],
    &["ebadf"],
    &["enotsock"],
    &["efault"],
    &["einval"],
    &["vlen0"],
    &["unknown-flags"],
    &["cold"],
    &["edge"],
    &["blocking"],
    &["swapped"],
    &["no-timeout"],
    &["expired"],
    &["waitforone"],
    &["eintr"],
    &["eintr-retry"],
    &["eintr-rcvtimeo"],
    &["restarted"],
    &["nested"],
    &["stopped"],
    &["threads", "--threads", "4", "--count", "10"],
    &["mixed", "--threads", "4", "--count", "4"],
    &["crowd", "--threads", "20"],
    &["children"],
    &["pid-namespaces"],
    &["reused-pid"],
    &["reused-thread"],
    &["exit-blocked"],
    &["hostile-memory"],
    &["hostile-lengths"],
    &["hostile-vanished"],
    &["hostile-comms"],
    &["hostile-unix"],
    &["relay", "--threads", "4", "--count", "20"],
    &["risk"],
    &["fit"],
    &["delivered"],
    &["undelivered"],
    &["varied"],
];

/// Those of x86-64's other ways in.
const X86_64: &[&[&str]] = &[&["high-bits"], &["x32"]];

/// By `int $0x80`.
const INT80: &[&[&str]] = &[
    &["time32"],
    &["time64"],
    &["socketcall"],
    &["socketcall-fault"],
    &["restarted-time32"],
    &["restarted-time64"],
    &["restarted-socketcall"],
    &["detail-control-compat"],
    &["detail-unix-compat"],
    &["detail-errors-compat"],
    &["detail-buffers-compat"],
    &["confusion"],
    &["hostile-memory-compat"],
    &["hostile-lengths-compat"],
    &["hostile-vanished-compat"],
    &["delivered-compat"],
    &["undelivered-compat"],
    &["varied-compat"],
];

/// Scenarios that are not compared, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    ("two-calls", "waits for somebody between calls that are like `eagain`"),
    ("blocked", "waits for somebody to say that it may go on, else like `blocking`"),
    ("flood", "calls that all are like `eagain`"),
    ("still-blocked", "waits for somebody, in calls that are like `exit-blocked`"),
    ("short-lived", "calls that are like `exit-blocked`"),
    ("bring-back", "makes no call of ours"),
    ("hostile-lies", "strace does not come to an end of control messages longer than their room"),
    ("hostile-lies-compat", "likewise"),
    ("hostile-race", "memory that changes all the time is not the same to any two who look"),
    ("hostile-race-compat", "likewise"),
    ("races", "likewise"),
    ("races-compat", "likewise"),
    ("no-races", "likewise"),
    ("no-races-compat", "likewise"),
    ("socketcall-changed", "likewise"),
    ("probe-int80", "makes no call of ours"),
];

/// What of a call must have been compared, by the events' paths.
const FIELDS: &[&str] = &[
    "args.sockfd.value",
    "args.vlen.value",
    "args.flags.value",
    "args.flags.names",
    "args.msgvec.value",
    "args.timeout.value",
    "args.timeout.requested.sec",
    "args.timeout.requested.nsec",
    "args.timeout.remaining.sec",
    "args.timeout.remaining.nsec",
    "ret",
    "error.name",
    "messages[].len",
    "messages[].name.family",
    "messages[].name.ip",
    "messages[].name.port",
    "messages[].name.path",
    "messages[].name.abstract",
    "messages[].name.pid",
    "messages[].namelen.in",
    "messages[].namelen.out",
    "messages[].iov[].len",
    "messages[].iovlen",
    "messages[].control.len_out",
    "messages[].control.items[].level",
    "messages[].control.items[].type",
    "messages[].flags.value",
    "messages[].flags.names",
    "messages[].payload.text",
    "messages[].payload.base64",
];

/// Runs a scenario under both.
fn scenario(strace: &Path, scenario: &[&str]) -> Met {
    let folder = TempDir::new().expect("a temporary folder");
    let truth = folder.path().join("truth");
    let truth = truth.to_str().expect("a path in UTF-8");
    let program = [&[WORKLOAD], scenario, &["--truth", truth]].concat();
    meet::compare(&scenario.join(" "), &strace::run(strace, &program))
}

/// A true 32-bit program's calls by each of its numbers; a named skip where there is none.
fn i386(strace: &Path, group: &str) -> Met {
    let mut met = Met::default();
    let folder = TempDir::new().expect("a temporary folder");
    let cc = ["cc", "-m32"];
    let program = match compat::program("TRACER_TEST_I386", folder.path(), "compat", &cc) {
        Ok(program) => program,
        Err(error) => {
            skip(group, &format!("{}: {error}", cc.join(" ")));
            return met;
        }
    };
    if let Some(reason) = compat::obstacle(&program) {
        skip(group, &reason);
        return met;
    }
    let truth = folder.path().join("truth");
    let [program, truth] = [&program, &truth].map(|path| path.to_str().expect("a path in UTF-8"));
    for way in ["time32", "time64", "socketcall"] {
        met.add(meet::compare(
            &format!("i386 {way}"),
            &strace::run(strace, &[program, truth, way]),
        ));
    }
    assert!(met.calls == 0 || met.calls == 15, "five calls by each number: {met:?}");
    met
}

/// strace, or a named skip.
fn required(group: &str) -> Option<PathBuf> {
    if !require_root_bpf(group) {
        return None;
    }
    let strace = strace::find();
    if strace.is_none() {
        skip(group, "no strace");
    }
    strace
}

#[test]
fn every_workload_field_by_field() {
    let group = "strace every_workload_field_by_field";
    let Some(strace) = required(group) else { return };
    let mut met = Met::default();
    let mut all = NATIVE.to_vec();
    if cfg!(target_arch = "x86_64") {
        all.extend(X86_64);
    }
    all.iter().for_each(|words| met.add(scenario(&strace, words)));
    if child::run(WORKLOAD, &["probe-int80"]).status.success() {
        for words in INT80 {
            met.add(scenario(&strace, &[words, &["--plain-registers"][..]].concat()));
        }
        // Once with something in the upper halves.
        met.add(scenario(&strace, &["time64"]));
        met.add(i386(&strace, &format!("{group} i386")));
    } else {
        skip(&format!("{group} int80"), "this kernel has no int $0x80");
    }

    println!("{} calls, {} fields", met.calls, met.compared.values().sum::<u64>());
    met.compared.iter().for_each(|(field, count)| println!("  {count:6} {field}"));
    met.known.iter().for_each(|(row, count)| println!("  known {count:6} {row}"));
    for field in FIELDS {
        assert!(met.compared.contains_key(*field), "{field} was never compared: {met:#?}");
    }
    for row in known::TABLE {
        assert!(met.known.contains_key(row.name), "nothing differs as {} says: {met:#?}", row.name);
    }
}

/// A new scenario has to be compared too.
#[test]
fn every_scenario_is_compared_or_left_out_for_a_reason() {
    let listed = [NATIVE, X86_64, INT80].concat();
    let listed: Vec<_> = listed.iter().map(|words| words[0]).collect();
    for scenario in workload::scenarios() {
        let left_out = LEFT_OUT.iter().any(|(name, _)| *name == scenario);
        let found = listed.contains(&scenario);
        assert!(found != left_out, "{scenario} is to be listed here, or left out for a reason");
    }
}

/// The table that readers have is the one that differences are held against.
#[test]
fn the_documented_table_is_this_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("../tracer/docs/STRACE.md")).expect("the page");
    let documented: Vec<_> = page.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    let table: Vec<_> =
        known::TABLE.iter().map(|row| format!("| {} | {} |", row.strace, row.tracer)).collect();
    assert_eq!(documented, table, "STRACE.md (left) and known.rs (right)");
}

//! What can stand in the way: each is said with the way out, or does not matter.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde_json::json;
use tempfile::NamedTempFile;
use tests::confine::Change;
use tests::skip::{require_root_bpf, skip};
use tests::tracer::{Attached, Waiting};

use super::{doctor, hooks, hooks_but, lacking, run, traced};
use crate::WORKLOAD;

const BTF: &str = "/sys/kernel/btf/vmlinux";
const SYMBOLS: &str = "/proc/kallsyms";
const TRACEFS: [Change<'_>; 2] =
    [Change::Unmounted("/sys/kernel/tracing"), Change::Unmounted("/sys/kernel/debug")];

/// Without tracefs the hook that needs it says so, and the others don't care.
#[test]
fn tracefs_is_not_mounted() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    let finished = run(&["--hook", "tracepoint"], &TRACEFS);
    finished.expect_code(3);
    for word in ["tracefs is not mounted", "mount -t tracefs", "/sys/kernel/tracing"] {
        assert!(finished.stderr.contains(word), "must say {word}: {}", finished.stderr);
    }
    for hook in hooks_but("tracepoint") {
        traced(hook, &TRACEFS, &["udp4"]).assert_exact();
    }
}

/// 32-bit calls have no tracepoints: asking for an event that has no others is refused.
#[cfg(target_arch = "x86_64")]
#[test]
fn a_hook_that_is_blind_for_an_event() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    let finished = run(&["--hook", "tracepoint", "-e", "recvmmsg_time32"], &[]);
    finished.expect_code(3);
    for word in ["recvmmsg_time32", "32-bit", "x86_64"] {
        assert!(finished.stderr.contains(word), "must say {word}: {}", finished.stderr);
    }
}

/// Without type information fentry can't be; `auto` takes another and says why.
#[test]
fn no_type_information() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    let changes = [Change::Empty(BTF)];
    let args = ["--hook", "fentry", "-d", "1ms"];
    let finished = run(&args, &changes);
    finished.expect_code(3);
    assert!(finished.stderr.contains("fentry"), "{}", finished.stderr);
    for hook in hooks_but("fentry") {
        let finished = run(&["--hook", hook, "-d", "1ms"], &changes);
        finished.expect_code(0);
        assert!(finished.stderr.contains("tracer: attached"), "{hook}: {}", finished.stderr);
    }
    let finished = run(&["-d", "1ms"], &changes);
    finished.expect_code(0);
    assert!(finished.stderr.contains("not fentry"), "says why: {}", finished.stderr);
}

/// Addresses that are hidden from root too are not needed.
#[test]
fn addresses_are_hidden() {
    const SETTING: &str = "/proc/sys/kernel/kptr_restrict";
    if !require_root_bpf(module_path!()) {
        return;
    }
    let Ok(before) = fs::read_to_string(SETTING) else {
        return skip(module_path!(), &format!("no {SETTING}"));
    };
    let hooks: Vec<_> = hooks().collect();
    fs::write(SETTING, "2").expect("a setting of the kernel");
    let traced: Vec<_> = hooks.iter().map(|hook| traced(hook, &[], &["udp4"])).collect();
    fs::write(SETTING, before).expect("a setting of the kernel");
    traced.iter().for_each(tests::tracer::Traced::assert_exact);
}

/// The kernel's symbols without those of some names.
fn symbols_without(names: &[&str]) -> NamedTempFile {
    let text = fs::read_to_string(SYMBOLS).expect("the kernel's symbols");
    let mut file = NamedTempFile::new().expect("a temporary file");
    for line in text.lines() {
        let name = line.split_ascii_whitespace().nth(2);
        if name.is_none_or(|name| !names.contains(&name)) {
            writeln!(file, "{line}").expect("a line in a temporary file");
        }
    }
    file.flush().expect("a temporary file");
    file
}

fn functions() -> Vec<&'static str> {
    let on_functions = |hook: &&str| matches!(*hook, "fentry" | "kprobe");
    hooks().filter(on_functions).collect()
}

/// Without the function that has the kernel's timeout, it is read from the caller's
/// memory, tagged so, and the doctor says so.
#[test]
fn the_function_with_the_timeout_is_missing() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    let symbols = symbols_without(&["do_recvmmsg"]);
    let changes = [Change::Replaced(SYMBOLS, symbols.path())];
    for hook in functions() {
        let traced = traced(hook, &changes, &["blocking"]);
        traced.finished.expect_code(0);
        assert!(!traced.stream.events.is_empty(), "{hook}: something was traced");
        for event in &traced.stream.events {
            let tags = &event["args"]["timeout"]["tags"];
            assert_eq!(*tags, json!(["U", "TOCTOU", "OPT"]), "{hook}: {event}");
        }
    }
    if !functions().is_empty() {
        let report = run(&["doctor"], &changes).stdout;
        assert!(report.contains("no do_recvmmsg"), "{report}");
    }
}

/// Without the syscall's own function there is nothing to attach to.
#[test]
fn the_syscalls_function_is_missing() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    let function =
        if cfg!(target_arch = "x86_64") { "__x64_sys_recvmmsg" } else { "__arm64_sys_recvmmsg" };
    let symbols = symbols_without(&[function]);
    let changes = [Change::Replaced(SYMBOLS, symbols.path())];
    for hook in functions() {
        let finished = run(&["--hook", hook, "-d", "1ms"], &changes);
        finished.expect_code(3);
        for word in [hook, function, SYMBOLS] {
            assert!(finished.stderr.contains(word), "must say {word}: {}", finished.stderr);
        }
    }
}

/// Two tracers at the same time both see everything.
#[test]
fn a_second_tracer() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    for hook in hooks() {
        let workload = Waiting::start(WORKLOAD, &["udp4", "--count", "5"]);
        let args = ["--hook", hook, "--pid", &workload.pid()];
        let (first, second) = (Attached::with(&args), Attached::with(&args));
        let truth = workload.go();
        for attached in [first, second] {
            let (stream, _) = attached.stop();
            stream.assert_exactly(&truth);
            assert_eq!(stream.lost(), 0, "{hook}: {}", stream.end());
        }
    }
}

/// A hook that fails half-way, for want of descriptors, is taken back whole before the
/// next one is tried: nothing is seen twice, and nothing of it is left.
#[test]
fn attaching_fails_half_way() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    let fits = |hook: &str, descriptors: u64| {
        let room = [Change::Descriptors(descriptors)];
        let options = ["--hook", hook, "-w", "file:/dev/null", "--", WORKLOAD, "udp4"];
        let finished = run(&options, &room);
        let error = &finished.stderr;
        let attached = finished.status.code() == Some(0);
        assert!(attached || error.contains("open files"), "{hook}, {descriptors}: {error}");
        attached
    };
    // The fewest that one hook can do with.
    let (mut few, mut enough) = (8, 64);
    assert!(fits("raw-tracepoint", enough), "raw-tracepoint takes more descriptors");
    while few + 1 < enough {
        let middle = few.midpoint(enough);
        if fits("raw-tracepoint", middle) { enough = middle } else { few = middle }
    }
    if let Some(reason) = lacking("fentry") {
        return skip(module_path!(), &format!("fentry takes more descriptors, and: {reason}"));
    }
    assert!(!fits("fentry", enough), "fentry takes more descriptors than {enough}");
    let room = [Change::Descriptors(enough)];
    let traced = traced("auto", &room, &["udp4"]);
    traced.assert_exact();
    assert_eq!(traced.stream.hook(), Some("raw-tracepoint"));
    let said = &traced.finished.stderr;
    assert!(said.contains("not fentry") && said.contains("open files"), "{said}");
}

/// Lockdown can't be lifted again, so the runner starts this last.
#[test]
#[ignore = "locks the kernel down until it is booted again"]
fn locked_down() {
    const LOCKDOWN: &str = "/sys/kernel/security/lockdown";
    assert!(Path::new("/guest").is_dir(), "in a guest only");
    if fs::write(LOCKDOWN, "integrity").is_err() {
        return skip(module_path!(), &format!("this kernel has no {LOCKDOWN}"));
    }
    for hook in hooks() {
        traced(hook, &[], &["udp4"]).assert_exact();
    }
    fs::write(LOCKDOWN, "confidentiality").expect("a stricter mode");
    for args in [&["-d", "1ms"][..], &["--hook", "kprobe", "-d", "1ms"]] {
        let finished = run(args, &[]);
        finished.expect_code(3);
        for word in ["lockdown=confidentiality", "lockdown=integrity", "boot"] {
            assert!(finished.stderr.contains(word), "must say {word}: {}", finished.stderr);
        }
    }
    assert_eq!(doctor()["ok"], json!(false));
    // Where the mode can't be read, the kernel's own words must do.
    let finished = run(&["-d", "1ms"], &[Change::Unmounted("/sys/kernel/security")]);
    finished.expect_code(3);
    assert!(finished.stderr.contains("lockdown"), "{}", finished.stderr);
}

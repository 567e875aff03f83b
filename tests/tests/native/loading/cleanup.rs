//! Nothing stays behind, however the tracer ends; and others do not pay for it.

use std::fs;

use tests::bpf::{descriptors, held, left, runs};
use tests::skip::{require_root_bpf, skip};
use tests::tools::is_slow;
use tests::tracer::Attached;
use tracer::source::{KernelFilters, Live, Options, Shape};
use tracer_common::detail::Detail;
use tracer_common::registry::EVENTS;

use super::{attaching_here, hooks, lacking};

/// Where the kernel lists the probes that have been set, with debugfs.
const PROBES: &str = "/sys/kernel/debug/kprobes/list";

/// A tracer that is killed leaves no program, map, link or probe.
#[test]
fn killed() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    for hook in hooks() {
        let attached = Attached::with(&["--hook", hook]);
        let ids = held(attached.tracer.id());
        assert!(ids.len() > 10, "{hook}: programs, maps and links: {ids:?}");
        let probes = fs::read_to_string(PROBES).unwrap_or_default();
        if hook == "kprobe" && fs::exists(PROBES).expect("a path") {
            assert!(probes.contains("recvmmsg"), "{hook}: {probes}");
        }
        attached.tracer.signal(libc::SIGKILL);
        let finished = attached.tracer.finish();
        assert!(!finished.status.success(), "{hook}: killed");
        assert_eq!(left(&ids), [].into(), "{hook}: left behind");
        let probes = fs::read_to_string(PROBES).unwrap_or_default();
        assert!(!probes.contains("recvmmsg"), "{hook}: left behind: {probes}");
        let pins = fs::read_dir("/sys/fs/bpf").map_or(0, Iterator::count);
        assert_eq!(pins, 0, "{hook}: something is pinned");
    }
}

fn everything() -> Options {
    Options {
        events: EVENTS.iter().collect(),
        messages: 64,
        detail: Detail::NONE,
        rings: Shape { count: 1, size: 1 << 16 },
        filters: KernelFilters::default(),
        unrolled: false,
        talkative: false,
    }
}

/// Attaching and detaching many times leaks nothing: neither in the kernel nor here.
#[test]
fn many_times() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    // Each time takes half a second and more under emulation.
    let times = std::env::var("TRACER_TEST_TIMES").ok().and_then(|times| times.parse().ok());
    let times = times.unwrap_or(if is_slow() { 3 } else { 100 });
    let me = std::process::id();
    let _alone = attaching_here();
    for hook in tracer::source::Hook::ALL {
        if lacking(hook.name()).is_some() {
            continue;
        }
        let options = Options {
            events: EVENTS.iter().filter(|event| hook.sees(event)).collect(),
            ..everything()
        };
        let before = (descriptors(me), held(me));
        let mut ids = std::collections::BTreeSet::new();
        for _ in 0..times {
            let (live, _) = Live::attached(&options, Some(hook)).expect("attached");
            ids.extend(held(me).difference(&before.1).copied());
            drop(live);
        }
        assert_eq!((descriptors(me), held(me)), before, "{}: held here", hook.name());
        assert!(ids.len() >= 10 * times, "{}: {} objects", hook.name(), ids.len());
        assert_eq!(left(&ids), [].into(), "{}: left in the kernel", hook.name());
    }
}

/// With hooks on the functions themselves no program runs for other calls.
#[test]
fn other_calls_run_no_program() {
    const COUNTING: &str = "/proc/sys/kernel/bpf_stats_enabled";
    const CALLS: u64 = 20_000;
    if !require_root_bpf(module_path!()) {
        return;
    }
    let Ok(before) = fs::read_to_string(COUNTING) else {
        return skip(module_path!(), &format!("no {COUNTING}"));
    };
    fs::write(COUNTING, "1").expect("a setting of the kernel");
    for hook in hooks() {
        let attached = Attached::with(&["--hook", hook]);
        let id = attached.tracer.id();
        let start = runs(id);
        for _ in 0..CALLS {
            // SAFETY: no arguments.
            unsafe { libc::syscall(libc::SYS_getppid) };
        }
        let ran = runs(id) - start;
        match hook {
            // Tests beside this one may receive messages, but not as many.
            "raw-tracepoint" => assert!(ran >= 2 * CALLS, "{hook}: each call is looked at: {ran}"),
            _ => assert!(ran < CALLS / 10, "{hook}: others' calls run programs: {ran}"),
        }
        attached.stop();
    }
    fs::write(COUNTING, before).expect("a setting of the kernel");
}

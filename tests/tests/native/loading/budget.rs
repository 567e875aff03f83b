//! How much the verifier has to look at, program by program: half of what it accepts is
//! the most.

use std::io::Write as _;

use tests::skip::{require_root_bpf, skip};
use tracer::source::{Hook, KernelChecks, KernelFilters, Live, Options, Shape, SourceError};
use tracer_common::check::{Check, MAX_CHECKS, RET, bits};
use tracer_common::detail::{Detail, MAX_PAYLOADS};
use tracer_common::record::{MAX_MESSAGES, MAX_MESSAGES_UNROLLED};
use tracer_common::registry::EVENTS;

use super::{attaching_here, lacking};

/// Half of BPF_COMPLEXITY_LIMIT_INSNS (include/linux/bpf.h).
const LIMIT: u32 = 500_000;

/// Every kind of filter, none of which lets a call pass.
fn filters(cgroup: bool) -> KernelFilters {
    KernelFilters {
        pids: vec![(1, true), (2, false)],
        tids: vec![(1, true), (2, false)],
        uids: vec![(u32::MAX, true), (0, false)],
        comms: vec![(*b"no such name\0\0\0\0", true), (*b"another\0\0\0\0\0\0\0\0\0", false)],
        cgroups: if cgroup { vec![(u64::MAX, true), (1, false)] } else { Vec::new() },
        follow: true,
        checks: KernelChecks { entry: checks(2), exit: checks(RET) },
    }
}

/// As many checks as there is room for, of the field and of the descriptor.
fn checks(field: u32) -> Vec<Check> {
    let check = |i: usize| match i % 3 {
        0 => Check { mask: !0, low: i64::MIN, span: 1, field, bits: bits::NEGATED | bits::OR },
        1 => Check { mask: 0x40, low: 1, span: u64::MAX / 2, field, bits: bits::OR },
        _ => Check { mask: !0, low: -1, span: 9, field: 0, bits: bits::SIGNED },
    };
    (0..MAX_CHECKS).map(check).collect()
}

fn options(hook: Hook, messages: u32, filters: KernelFilters) -> Options {
    let events = EVENTS.iter().filter(|event| hook.sees(event)).collect();
    Options {
        events,
        messages,
        detail: Detail::NONE,
        rings: Shape { count: 1, size: 1 << 16 },
        filters,
        unrolled: false,
        talkative: false,
    }
}

/// Attaches and prints a line for each program.
fn check(hook: Hook, name: &str, options: &Options) -> Result<(), SourceError> {
    let (live, _) = Live::attached(options, Some(hook))?;
    let mut lines = String::new();
    for verified in live.verified() {
        let (program, target) = (verified.program, &verified.target);
        let count = verified.instructions.map_or("-".to_owned(), |count| count.to_string());
        lines += &format!("@verified {} {program} {name} {count}\n", hook.name());
        let count = verified.instructions.unwrap_or(0);
        assert!(count <= LIMIT, "{} {program} {target}, {name}: {count}", hook.name());
    }
    // Past libtest, which keeps what passing tests print to itself.
    std::io::stdout().write_all(lines.as_bytes()).expect("stdout");
    Ok(())
}

#[test]
fn every_program() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    let _alone = attaching_here();
    for hook in Hook::ALL {
        // What does not load is not over the budget, and has to be told apart from that.
        if let Some(reason) = lacking(hook.name()) {
            skip(module_path!(), &format!("hook {}: {reason}", hook.name()));
            continue;
        }
        let fine = |result: Result<(), _>| result.unwrap_or_else(|error| panic!("{error}"));
        let few = options(hook, MAX_MESSAGES_UNROLLED, KernelFilters::default());
        fine(check(hook, "default", &few));
        // Everything at once; not every kernel has what that takes.
        let whole = options(hook, MAX_MESSAGES, filters(true));
        match check(hook, "whole", &whole) {
            Err(SourceError::NeedsHelper { .. } | SourceError::TooManyMessages { .. }) => {}
            result => fine(result),
        }
        let talkative = |options: Options| Options { talkative: true, ..options };
        fine(check(hook, "talkative", &talkative(few)));
        let full =
            |payload: u32, options: Options| Options { detail: Detail::full(payload), ..options };
        let few = full(0, options(hook, MAX_MESSAGES_UNROLLED, KernelFilters::default()));
        fine(check(hook, "full", &few));
        let payload = MAX_PAYLOADS / MAX_MESSAGES;
        match check(hook, "payload", &full(payload, options(hook, MAX_MESSAGES, filters(true)))) {
            Err(SourceError::NeedsHelper { .. } | SourceError::TooManyMessages { .. }) => {}
            result => fine(result),
        }
        // What kernels before 5.17 get, which do not tell.
        let unrolled =
            Options { unrolled: true, ..options(hook, MAX_MESSAGES_UNROLLED, filters(false)) };
        fine(check(hook, "whole", &unrolled));
        fine(check(hook, "talkative", &talkative(unrolled.clone())));
        fine(check(hook, "full", &full(0, unrolled.clone())));
        fine(check(hook, "payload", &full(MAX_PAYLOADS / MAX_MESSAGES_UNROLLED, unrolled)));
    }
}

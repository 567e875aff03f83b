//! The hooks, each judged by loading and attaching it.

use std::time::Instant;

use tracer_common::{detail::Detail, record::MAX_MESSAGES_UNROLLED, registry::EVENTS};

use super::{Attached, HookReport};
use crate::{
    encode::table::escape,
    source::{AUTO, Hook, KernelFilters, Live, Options, Shape, SourceError},
};

/// All hooks, in the order in which `auto` tries them.
pub fn all() -> Vec<HookReport> {
    Hook::ALL.into_iter().map(report).collect()
}

/// Loads and attaches a hook as a trace would, for calls of this process only.
fn report(hook: Hook) -> HookReport {
    let options = Options {
        events: EVENTS.iter().filter(|event| hook.sees(event)).collect(),
        messages: MAX_MESSAGES_UNROLLED,
        detail: Detail::NONE,
        rings: Shape { count: 1, size: 1 << 16 },
        filters: KernelFilters {
            pids: vec![(std::process::id(), true)],
            ..KernelFilters::default()
        },
        unrolled: false,
        talkative: false,
    };
    let (status, detail) = match attach(&options, hook) {
        Ok(detail) => (Attached::Yes, detail),
        Err(SourceError::Privilege { capabilities, .. }) => {
            (Attached::Unknown, format!("not tried: it takes {}", capabilities.join(" and ")))
        }
        // The verifier's log has many lines.
        Err(error) => {
            (Attached::No, error.brief().split_whitespace().collect::<Vec<_>>().join(" "))
        }
    };
    let auto = AUTO.contains(&hook) && hook.unfit().is_none();
    HookReport { hook: hook.name(), status, detail: escape(detail.as_bytes()), auto }
}

fn attach(options: &Options, hook: Hook) -> Result<String, SourceError> {
    let start = Instant::now();
    let (live, _) = Live::attached(options, Some(hook))?;
    let took = start.elapsed().as_secs_f64() * 1e3;
    let plan = live.plan();
    let what = match hook {
        Hook::Fentry => "fentry and fexit on the entry functions",
        Hook::Kprobe => "kprobe and kretprobe on the entry functions",
        Hook::RawTracepoint if plan.typed => "sys_enter and sys_exit, typed (tp_btf)",
        Hook::RawTracepoint => "sys_enter and sys_exit, untyped",
        Hook::Tracepoint => "syscalls:sys_enter_… and sys_exit_…",
    };
    let timeout = match hook {
        Hook::Fentry | Hook::Kprobe if plan.kernel_timeout => "; the kernel's own timeout",
        Hook::Fentry | Hook::Kprobe => {
            "; no do_recvmmsg here, so the timeout is read from the caller's memory"
        }
        Hook::RawTracepoint | Hook::Tracepoint => "",
    };
    let blind = hook.blind_spot().map_or_else(String::new, |blind| format!("; {blind}"));
    Ok(format!("{what}: attached in {took:.0} ms{timeout}{blind}"))
}

//! The hooks, each judged by loading and attaching it.

use std::time::Instant;

use tracer_common::{record::MAX_MESSAGES_UNROLLED, registry::EVENTS};

use super::{Check, Status};
use crate::{
    encode::table::escape,
    source::{Hook, KernelFilters, Live, Options, SourceError},
};

/// Loads and attaches a hook as a trace would, for calls of this process only.
pub fn check(hook: Hook) -> Check {
    let name = hook.name();
    let options = Options {
        events: EVENTS.iter().filter(|event| hook.sees(event)).collect(),
        messages: MAX_MESSAGES_UNROLLED,
        buffer: 1 << 16,
        filters: KernelFilters {
            pids: vec![(std::process::id(), true)],
            ..KernelFilters::default()
        },
    };
    match attach(&options, hook) {
        Ok(detail) => Check::new(name, Status::Ok, detail),
        Err(error) => {
            let remedy = match &error {
                SourceError::Privilege { .. } => "as for privileges above",
                SourceError::Object(_) => "rebuild the eBPF object with cargo xtask ebpf",
                SourceError::Architecture(_) | SourceError::NoSuchSyscall { .. } => {
                    "run it on x86_64 or aarch64"
                }
                SourceError::OldKernel { .. } => "boot Linux 5.10 or later",
                _ => {
                    "see what failed or warned above; if nothing did, report this message \
                     with the kernel's release and configuration"
                }
            };
            let detail = match &error {
                // The check of privileges says the rest.
                SourceError::Privilege { capabilities, .. } => {
                    format!("not tried: it takes {}", capabilities.join(" and "))
                }
                other => other.to_string(),
            };
            // The verifier's log has many lines.
            let detail = detail.split_whitespace().collect::<Vec<_>>().join(" ");
            // Any hook will do, and this one sees everything that the others see.
            let status = if hook == Hook::RawTracepoint { Status::Fail } else { Status::Unknown };
            let check = Check::new(name, status, escape(detail.as_bytes()));
            if status == Status::Fail { check.remedy(remedy) } else { check }
        }
    }
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

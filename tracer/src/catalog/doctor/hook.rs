//! The hook, judged by loading and attaching it.

use std::time::Instant;

use tracer_common::{record::MAX_MESSAGES_UNROLLED, registry::EVENTS};

use super::{Check, Status};
use crate::{
    encode::table::escape,
    source::{KernelFilters, Live, Options, SourceError},
};

/// The one hook there is.
pub const NAME: &str = "raw-tracepoint";

/// Loads and attaches the hook as a trace would, for calls of this process only.
pub fn check() -> Check {
    let options = Options {
        events: EVENTS.iter().collect(),
        messages: MAX_MESSAGES_UNROLLED,
        buffer: 1 << 16,
        filters: KernelFilters {
            pids: vec![(std::process::id(), true)],
            ..KernelFilters::default()
        },
    };
    match attach(&options) {
        Ok(detail) => Check::new(NAME, Status::Ok, detail),
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
            Check::new(NAME, Status::Fail, escape(detail.as_bytes())).remedy(remedy)
        }
    }
}

fn attach(options: &Options) -> Result<String, SourceError> {
    let start = Instant::now();
    let mut live = Live::load(options)?;
    let loaded = start.elapsed();
    live.attach()?;
    let attached = start.elapsed() - loaded;
    let typed = if live.typed() { "typed (tp_btf)" } else { "untyped" };
    Ok(format!(
        "sys_enter and sys_exit, {typed}: loaded in {:.0} ms, attached in {:.1} ms",
        loaded.as_secs_f64() * 1e3,
        attached.as_secs_f64() * 1e3
    ))
}

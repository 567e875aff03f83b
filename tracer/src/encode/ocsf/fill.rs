//! Where the fields have their values from.

use std::borrow::Cow;

use jiff::Timestamp;

use super::{
    super::own::{self, LineId, Own, Shown},
    Actor, CLASS, Container, Device, File, Id, Kernel, Line, Metadata, Observable, Os, Parent,
    Process, Product, VERSION,
};
use crate::{
    event::{self, Event},
    health::{self, Health, Kind, Origin},
};

/// What tells of somebody who gets around a monitor, or tries to; what else is found is an
/// application's own trouble.
const SUSPICIOUS: [&str; 4] =
    ["delivered_then_efault", "changed_during_call", "kernel_saw_other", "compat_on_64bit"];

/// What a severity is called.
fn severity(id: u32) -> &'static str {
    match id {
        1 => "Informational",
        2 => "Low",
        _ => "Medium",
    }
}

pub fn of_event<'a>(event: &'a Event, origin: &'a Origin) -> Line<'a, Event> {
    let grave = event.findings.iter().any(|finding| SUSPICIOUS.contains(finding));
    let severity_id = match event.findings.is_empty() {
        true => 1,
        false if grave => 3,
        false => 2,
    };
    let (status_id, status) = match event.ret {
        None => (0, "Unknown"),
        Some(..0) => (2, "Failure"),
        Some(0..) => (1, "Success"),
    };
    let error = event.error.as_ref();
    let addresses = own::addresses(event).into_iter();
    Line {
        class_uid: CLASS,
        class_name: "Kernel Activity",
        category_uid: 1,
        category_name: "System Activity",
        activity_id: 4,
        activity_name: "Invoke",
        type_uid: CLASS * 100 + 4,
        type_name: "Kernel Activity: Invoke",
        severity_id,
        severity: severity(severity_id),
        status_id: Some(status_id),
        status: Some(status),
        status_code: error.map(|error| error.name.as_ref()),
        status_detail: error.map(own::text),
        time: own::when(event).as_millisecond(),
        start_time: event.time.map(Timestamp::as_millisecond),
        end_time: own::end(event).map(Timestamp::as_millisecond),
        duration: event.latency_ns.map(|latency| latency / 1_000_000),
        timezone_offset: 0,
        message: None,
        metadata: Metadata {
            profiles: &["host", "container", "linux/linux_users"],
            is_truncated: Some(event.truncated.is_some()),
            labels: &event.findings,
            ..Metadata::new(origin, event.seq, event.event, own::when(event))
        },
        kernel: Kernel {
            name: event.event,
            type_id: 2,
            kind: "System Call",
            system_call: Some(event.syscall.name),
        },
        actor: Actor { process: Some(Process::of(&event.process)), app_name: None },
        device: Device::new(origin),
        observables: addresses.map(|ip| Observable::address(ip.to_string())).collect(),
        unmapped: Own(event),
    }
}

pub fn of_health<'a>(health: &'a Health, origin: &'a Origin) -> Line<'a, Health> {
    let severity_id = if health.kind == Kind::Loss { 3 } else { 1 };
    Line {
        class_uid: CLASS,
        class_name: "Kernel Activity",
        category_uid: 1,
        category_name: "System Activity",
        activity_id: 99,
        activity_name: health.kind.name(),
        type_uid: CLASS * 100 + 99,
        type_name: "Kernel Activity: Other",
        severity_id,
        severity: severity(severity_id),
        status_id: None,
        status: None,
        status_code: None,
        status_detail: None,
        time: health.time.as_millisecond(),
        start_time: None,
        end_time: None,
        duration: None,
        timezone_offset: 0,
        message: Some(health.summary()),
        metadata: Metadata {
            log_name: health::SCHEMA,
            ..Metadata::new(origin, health.seq, "tracer_health", health.time)
        },
        kernel: Kernel {
            name: &origin.stream.hook,
            type_id: 99,
            kind: "tracer_health",
            system_call: None,
        },
        actor: Actor {
            process: origin.run.as_ref().map(|run| Process::tracer(run.pid)),
            app_name: Some("tracer"),
        },
        device: Device::new(origin),
        observables: Vec::new(),
        unmapped: Own(health),
    }
}

impl<'a> Metadata<'a> {
    fn new(origin: &'a Origin, seq: u64, code: &'a str, time: Timestamp) -> Self {
        Self {
            version: VERSION,
            product: Product { name: "tracer", version: origin.version() },
            profiles: &["host"],
            uid: Shown(LineId(origin.run_id(), seq)),
            correlation_uid: origin.run_id(),
            sequence: seq,
            event_code: code,
            log_name: event::SCHEMA,
            original_time: Some(time),
            is_truncated: None,
            labels: &[],
        }
    }
}

impl<'a> Process<'a> {
    fn of(process: &'a event::Process) -> Self {
        let file = |path: Cow<'_, str>| File {
            name: own::file_name(&path).to_owned(),
            path: path.into_owned(),
            type_id: 8,
        };
        Self {
            pid: process.pid,
            tid: Some(process.tid),
            namespace_pid: process.ns_pid,
            name: process.comm.lossy().unwrap_or_default(),
            file: process.exe.lossy().map(file),
            created_time: process.start_time.map(Timestamp::as_millisecond),
            parent_process: process.ppid.map(|pid| Parent { pid }),
            user: Some(Id { uid: Shown(process.uid) }),
            group: Some(Id { uid: Shown(process.gid) }),
            container: process.container.as_ref().map(|container| Container {
                uid: &container.id,
                runtime: container.runtime.as_deref(),
            }),
        }
    }

    /// The tracer's own.
    fn tracer(pid: u32) -> Self {
        Self {
            pid,
            tid: None,
            namespace_pid: None,
            name: "tracer".into(),
            file: None,
            created_time: None,
            parent_process: None,
            user: None,
            group: None,
            container: None,
        }
    }
}

impl<'a> Device<'a> {
    fn new(origin: &'a Origin) -> Self {
        Self {
            name: origin.host().unwrap_or("unknown"),
            hostname: origin.host(),
            boot_uid: origin.run.as_ref().map(|run| run.boot_id.as_str()),
            type_id: 0,
            os: Os { name: "Linux", type_id: 200, kernel_release: &origin.stream.kernel },
        }
    }
}

impl Observable {
    fn address(value: String) -> Self {
        Self { name: "unmapped", type_id: 2, value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspicious_findings_are_findings() {
        let all = crate::decode::findings::ALL.map(|finding| finding.name);
        assert!(SUSPICIOUS.iter().all(|name| all.contains(name)));
    }
}

//! A checked record becomes an [`Event`].
//!
//! Pure: it needs neither the kernel that the record came from nor privileges.
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

pub mod args;
mod clock;
pub mod control;
mod copies;
pub mod findings;
mod iov;
mod mmsg;
mod payload;
mod sockaddr;
mod socket;

use std::collections::BTreeMap;

use tracer_common::{
    flags::errno_name,
    record::{flags, unknown},
};

pub use clock::Clock;

use crate::{
    event::{Cgroup, Errno, Event, Namespaces, Process, Reason, RunId, SCHEMA, Syscall, Text},
    record::Record,
};

/// What could not be had, so far.
type Missing = BTreeMap<String, Reason>;

/// Decodes a record. `run_id` and `seq` are left 0, and the paths of the executable and of the cgroup
/// missing: the pipeline fills them in.
pub fn decode(record: &Record<'_>, clock: &Clock) -> Event {
    let header = &record.call.header;
    let mut missing = Missing::new();
    let returned = !record.has(flags::NO_RETURN);
    if !returned {
        let reason = if record.has(flags::RETURN_MISSED) {
            Reason::NotCaptured
        } else {
            Reason::ThreadExited
        };
        for field in ["ret", "latency_ns"] {
            missing.insert(field.to_owned(), reason);
        }
    }
    let began = !record.has(flags::NO_ENTRY);
    if !began {
        for field in ["time", "latency_ns"] {
            missing.insert(field.to_owned(), unseen(record));
        }
    }
    let exit = clock.wall(header.exit_ns);
    let args = args::decode(record, &mut missing);
    let delivered = copies::delivered(record);
    let (messages, truncated) = mmsg::decode(record, delivered, &mut missing);
    let socket = socket::decode(record, &mut missing);
    let mut event = Event {
        schema: SCHEMA,
        time: if began { clock.wall(header.entry_ns) } else { None },
        time_exit: if began { None } else { exit },
        run_id: RunId::default(),
        seq: 0,
        event: record.event.name,
        cpu: header.cpu,
        syscall: Syscall {
            name: record.event.syscall(record.abi, header.nr).map_or("unknown", |call| call.name),
            nr: header.nr,
            abi: record.abi.name(),
        },
        process: process(record, clock, &mut missing),
        args,
        socket,
        ret: returned.then_some(header.ret),
        error: if returned { error(header.ret) } else { None },
        latency_ns: (began && returned).then(|| header.exit_ns.saturating_sub(header.entry_ns)),
        delivered: delivered.map(|delivered| delivered.count),
        messages,
        truncated,
        findings: Vec::new(),
        missing,
    };
    event.findings = findings::findings(record, &event);
    event
}

/// Why the entry of a call was not seen.
fn unseen(record: &Record<'_>) -> Reason {
    if record.has(flags::NO_ROOM | flags::ENTRY_MISSED) {
        Reason::NotCaptured
    } else {
        Reason::StartedBeforeAttach
    }
}

/// The error that a return value is.
pub fn error(ret: i64) -> Option<Errno> {
    let errno = if ret < 0 { ret.unsigned_abs() } else { return None };
    Some(self::errno(errno))
}

/// An error by its number.
fn errno(errno: u64) -> Errno {
    let name = u32::try_from(errno).ok().and_then(errno_name);
    Errno { name: name.map_or_else(|| errno.to_string().into(), Into::into), errno }
}

fn process(record: &Record<'_>, clock: &Clock, missing: &mut Missing) -> Process {
    let task = record.task();
    let mut not_captured = Vec::new();
    let mut known = |bit: u32, path: &str| {
        let known = task.unknown & bit == 0;
        if !known {
            missing.insert(path.to_owned(), Reason::UnsupportedKernel);
        }
        known
    };
    let ppid = known(unknown::PPID, "process.ppid").then_some(task.ppid);
    let start_time = known(unknown::START, "process.start_time")
        .then(|| clock.start(task.start_boottime_ns))
        .flatten();
    let ns = Namespaces {
        pid: known(unknown::PID_NS, "process.ns.pid").then_some(task.pid_ns),
        mnt: known(unknown::MNT_NS, "process.ns.mnt").then_some(task.mnt_ns),
        net: known(unknown::NET_NS, "process.ns.net").then_some(task.net_ns),
    };
    for field in ["process.ns_pid", "process.ns_tid"] {
        if known(unknown::PID_NS, field) && record.own_ids.is_none() {
            // Of an earlier tracer.
            not_captured.push(field);
        }
    }
    missing.extend(not_captured.into_iter().map(|field| (field.to_owned(), Reason::NotCaptured)));
    Process {
        pid: task.pid,
        tid: task.tid,
        ppid,
        comm: Text::new(until_nul(&task.comm)),
        exe: Text::missing(),
        uid: task.uid,
        gid: task.gid,
        start_time,
        cgroup: Cgroup { id: task.cgroup_id, path: Text::missing() },
        container: None,
        ns,
        ns_pid: record.own_ids.map(|ids| ids.pid),
        ns_tid: record.own_ids.map(|ids| ids.tid),
    }
}

/// The bytes before the first NUL.
fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

//! What can be looked up of a caller and of its cgroup while they are there.

use std::{
    fs, io,
    ops::RangeInclusive,
    os::unix::{ffi::OsStringExt, fs::MetadataExt},
};

use rustix::time::{ClockId, clock_gettime};
use tracer_common::record::unknown;

use super::{
    container,
    facts::{CgroupPath, Looked},
    proc::{STARTTIME, TICK_NS, stat},
};
use crate::{
    event::{Container, Reason},
    record::Record,
    source::{Found, Hierarchy, holds},
};

/// Where things are looked up.
pub struct Lookup {
    hierarchy: Option<Hierarchy>,
    /// Whether /proc numbers processes as records do.
    same_pids: bool,
}

/// `PROC_PID_INIT_INO` (include/linux/proc_ns.h): the initial pid namespace.
const INITIAL_PID_NS: u64 = 0xefff_fffc;

impl Lookup {
    /// On this machine.
    pub fn new() -> Self {
        let own_ns = fs::metadata("/proc/self/ns/pid").map(|ns| ns.ino());
        Self {
            hierarchy: Hierarchy::open(),
            same_pids: own_ns.is_ok_and(|ns| ns == INITIAL_PID_NS),
        }
    }

    /// Whether processes are in cgroups of v1 hierarchies too.
    pub fn has_v1() -> bool {
        let own = fs::read("/proc/self/cgroup").unwrap_or_default();
        v1(&own).next().is_some()
    }

    /// The caller of a record.
    pub fn caller(&self, record: &Record<'_>) -> Caller {
        let task = record.task();
        let start = (task.unknown & unknown::START == 0).then_some(task.start_boottime_ns);
        let at = if start.is_some() {
            0
        } else {
            let asleep = now(ClockId::Boottime).saturating_sub(now(ClockId::Monotonic));
            record.call.header.exit_ns.saturating_add(asleep)
        };
        Caller { pid: task.pid, tid: task.tid, start, at, visible: self.same_pids }
    }

    /// Where a cgroup lies, and whether that is the last word: by its id, or else, where
    /// the tracer may not do so, by the caller, if that is still in it.
    pub fn cgroup(&self, id: u64, caller: &Caller) -> (Looked<CgroupPath>, bool) {
        // Its path could be looked up by the caller, but not whether it is that of this
        // cgroup: the caller may have been moved.
        let Some(hierarchy) = &self.hierarchy else { return (Err(Reason::NotCaptured), true) };
        let whole = hierarchy.whole;
        let is_in = |path: &[u8]| hierarchy.id(path).is_ok_and(|found| found == id);
        let path = match hierarchy.find(id) {
            Ok(Found::Path(path)) => return (Ok(CgroupPath { path, whole }), true),
            // /proc shows those by `/..`.
            Ok(Found::Outside(cgroup)) => {
                caller.cgroup(|_| holds(&cgroup, caller.pid).unwrap_or(false))
            }
            Err(error) if error.raw_os_error() == Some(libc::ESTALE) => {
                return (Err(Reason::Gone), true);
            }
            Err(error) => {
                log::debug!("the path of cgroup {id} by its id: {error}");
                caller.cgroup(is_in)
            }
        };
        let path = path.map(|path| CgroupPath { path, whole });
        let final_ = path.is_ok();
        (path, final_)
    }
}

/// The caller of a record.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// Thread group id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// CLOCK_BOOTTIME when the process started, ns; none where it is not known.
    pub start: Option<u64>,
    /// CLOCK_BOOTTIME when the call ended, ns; of no meaning where `start` is known.
    pub at: u64,
    /// Whether /proc shows it by that pid. It does not to a tracer in another pid
    /// namespace than the initial one.
    pub visible: bool,
}

impl Caller {
    /// The path of the executable.
    pub fn exe(&self) -> Looked<Vec<u8>> {
        // The leader of a process may have ended before its other threads.
        let link = |path: String| fs::read_link(path);
        let read = || {
            link(format!("/proc/{}/exe", self.pid))
                .or_else(|_| link(format!("/proc/{}/task/{}/exe", self.pid, self.tid)))
        };
        self.ask(read).map(|path| path.into_os_string().into_vec())
    }

    /// The path of the cgroup that it is in now, if that is the one that is meant.
    fn cgroup(&self, is_meant: impl FnOnce(&[u8]) -> bool) -> Looked<Vec<u8>> {
        let lines = self.cgroups()?;
        let v2 = lines.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"0::"));
        let path = v2.ok_or(Reason::NotCaptured)?;
        if is_meant(path) { Ok(path.to_vec()) } else { Err(Reason::Gone) }
    }

    /// The container of its cgroups in v1 hierarchies: runtimes use the same path in all
    /// that they use.
    pub fn container(&self) -> Looked<Option<Container>> {
        Ok(v1(&self.cgroups()?).find_map(container::of))
    }

    fn cgroups(&self) -> Looked<Vec<u8>> {
        self.ask(|| fs::read(format!("/proc/{}/cgroup", self.pid)))
    }

    /// Reads something of the process that now has the pid, and sees whether that is the
    /// caller: after reading, so that it was then, too.
    fn ask<T>(&self, read: impl FnOnce() -> io::Result<T>) -> Looked<T> {
        let value = read();
        self.is_there()?;
        value.map_err(|error| match error.kind() {
            // It has ended, and waits for its parent.
            io::ErrorKind::NotFound => Reason::Gone,
            _ => match error.raw_os_error() {
                Some(libc::ESRCH) => Reason::Gone,
                _ => Reason::NotCaptured,
            },
        })
    }

    /// Whether the process that now has the pid is the caller.
    fn is_there(&self) -> Looked<()> {
        if !self.visible {
            return Err(Reason::NotCaptured);
        }
        let found: u64 = stat(self.pid, STARTTIME).ok_or(Reason::Gone)?;
        match self.start {
            Some(start) if found == start / TICK_NS => Ok(()),
            Some(_) => Err(Reason::Gone),
            // The pid was the caller's when the call ended. Who has had it since before
            // then is the caller.
            None if (found + 1).saturating_mul(TICK_NS) <= self.at => Ok(()),
            None if found.saturating_mul(TICK_NS) > self.at => Err(Reason::Gone),
            None => Err(Reason::NotCaptured),
        }
    }

    /// The calls that are known to be of the process that now has the pid, if the caller
    /// is it.
    pub fn proven(&self) -> Option<RangeInclusive<u64>> {
        let until = now(ClockId::Boottime);
        self.is_there().ok()?;
        Some(self.at..=until.max(self.at))
    }
}

fn now(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    let nanoseconds = now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec);
    u64::try_from(nanoseconds).unwrap_or(0)
}

/// The paths of the lines of v1 hierarchies in /proc/PID/cgroup: `ID:CONTROLLERS:PATH`,
/// where v2 has the id 0.
fn v1(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line.splitn(3, |byte| *byte == b':');
        let (id, _, path) = (fields.next()?, fields.next()?, fields.next()?);
        (id != b"0").then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_v1_hierarchies() {
        let id = "0123456789abcdef".repeat(4);
        let lines = format!(
            "12:pids:/a:b\n1:name=systemd:/docker/{id}\n0::/system.slice/containerd.service\n"
        );
        let paths: Vec<_> = v1(lines.as_bytes()).collect();
        assert_eq!(paths, [&b"/a:b"[..], format!("/docker/{id}").as_bytes()]);
        assert_eq!(v1(b"0::/\n").count(), 0);
    }
}

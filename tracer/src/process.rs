//! The executables of callers: from the record of each program image, and from
//! /proc where that is missing.

use std::{collections::HashMap, fs, os::unix::ffi::OsStringExt, sync::Arc};

use tracer_common::record::{Task, unknown};

use crate::{
    event::{Event, Reason, Text},
    record::Record,
};

/// Entries kept; past it all are dropped and looked up anew.
const MOST: usize = 16 << 10;
/// Fields of /proc/PID/stat.
const PPID: usize = 4;
const STARTTIME: usize = 22;
/// Nanoseconds of a clock tick in /proc/PID/stat (USER_HZ is 100 everywhere).
const TICK_NS: u64 = 10_000_000;

/// One program image: a pid may be used again, and a process may execute another
/// program.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Image {
    pid: u32,
    start: u64,
    exec_id: u32,
}

/// Executables, one for each program image.
#[derive(Default)]
pub struct Processes {
    exes: HashMap<Image, Option<Arc<[u8]>>>,
    proc: bool,
}

impl Processes {
    /// Of this machine: what the records do not say is looked up in /proc.
    pub fn live() -> Self {
        Self { proc: true, ..Self::default() }
    }

    /// Learns from a record of a program image.
    pub fn learn(&mut self, record: &Record<'_>) {
        if let Some(path) = record.exe.and_then(|exe| exe.path()) {
            self.make_room();
            self.exes.insert(Image::of(record.task()), Some(path.into()));
        }
    }

    /// Fills in the executable of the caller of an event.
    pub fn complete(&mut self, record: &Record<'_>, event: &mut Event) {
        self.make_room();
        let task = record.task();
        let exe = self
            .exes
            .entry(Image::of(task))
            .or_insert_with(|| self.proc.then(|| exe(task)).flatten().map(Arc::from));
        match exe {
            Some(path) => event.process.exe = Text::new(path.to_vec()),
            None => {
                event.missing.insert("process.exe".to_owned(), Reason::NotCaptured);
            }
        }
    }

    fn make_room(&mut self) {
        if self.exes.len() >= MOST {
            self.exes.clear();
        }
    }
}

impl Image {
    fn of(task: &Task) -> Self {
        Self { pid: task.pid, start: task.start_boottime_ns, exec_id: task.exec_id }
    }
}

/// The executable of the process that made the call, if it still is that process.
fn exe(task: &Task) -> Option<Vec<u8>> {
    let path = fs::read_link(format!("/proc/{}/exe", task.pid)).ok()?;
    let known = task.unknown & unknown::START == 0;
    if known && stat::<u64>(task.pid, STARTTIME)?.abs_diff(task.start_boottime_ns / TICK_NS) > 1 {
        return None;
    }
    Some(path.into_os_string().into_vec())
}

/// The thread groups below one, as /proc shows them now.
pub fn descendants(of: u32) -> Vec<u32> {
    let mut parents: Vec<(u32, u32)> = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        if let Some(pid) = pid
            && let Some(parent) = stat(pid, PPID)
        {
            parents.push((pid, parent));
        }
    }
    let mut found = vec![of];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

/// A field of /proc/PID/stat by its number in proc_pid_stat(5), from 3 on: the
/// name, field 2, may hold spaces and parentheses.
fn stat<T: std::str::FromStr>(pid: u32, field: usize) -> Option<T> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let rest = std::str::from_utf8(stat.get(after_name..)?).ok()?;
    rest.split_ascii_whitespace().nth(field - 3)?.parse().ok()
}

/// Number of processes there are now.
pub fn count() -> usize {
    let numeric = |name: &std::ffi::OsStr| name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter(|entry| numeric(&entry.file_name())).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_parent_and_start_are_found() {
        let pid = std::process::id();
        assert_eq!(stat(pid, PPID), Some(std::os::unix::process::parent_id()));
        assert!(stat::<u64>(pid, STARTTIME).is_some_and(|ticks| ticks > 0));
        assert!(count() > 0);
    }

    #[test]
    fn a_child_is_a_descendant() {
        let mut child = std::process::Command::new("sleep").arg("10").spawn().unwrap();
        assert!(descendants(std::process::id()).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

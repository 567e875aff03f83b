//! Processes as /proc shows them now.

use std::fs;

/// Fields of /proc/PID/stat.
const PPID: usize = 4;
/// In ticks of [`TICK_NS`] since boot, rounded down.
pub const STARTTIME: usize = 22;
/// Nanoseconds of a clock tick in /proc/PID/stat (USER_HZ is 100 everywhere).
pub const TICK_NS: u64 = 10_000_000;

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
pub fn stat<T: std::str::FromStr>(pid: u32, field: usize) -> Option<T> {
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

//! Who runs where.

use std::{
    io,
    process::{Child, Command},
};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The CPU for the workload and the one for what watches it: the last and the one
/// before it that this process may use; the same where there is one.
pub fn choose() -> io::Result<(usize, usize)> {
    let set = sched_getaffinity(None)?;
    let mut allowed = (0..CpuSet::MAX_CPU).rev().filter(|cpu| set.is_set(*cpu));
    let workload = allowed.next().unwrap_or(0);
    Ok((workload, allowed.next().unwrap_or(workload)))
}

/// Starts a program on a CPU: it begins with the affinity of the thread that starts it.
pub fn spawn_on(cpu: usize, command: &mut Command) -> io::Result<Child> {
    let before = sched_getaffinity(None)?;
    let mut one = CpuSet::new();
    one.set(cpu);
    sched_setaffinity(None, &one)?;
    let child = command.spawn();
    sched_setaffinity(None, &before)?;
    child
}

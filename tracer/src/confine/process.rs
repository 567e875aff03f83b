//! The process as others see it, and others as it sees them.

use std::{fs, thread, time::Duration};

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// How long a thread that has been waited for may still be listed.
const ENDING: Duration = Duration::from_millis(500);

/// Sees that no other threads run than so many, for which nothing would hold.
pub fn alone(others: usize) -> Result<String, String> {
    let most = 1 + others;
    let pause = Duration::from_millis(1);
    let mut waited = Duration::ZERO;
    loop {
        let tasks = fs::read_dir("/proc/self/task").map_err(|error| error.to_string())?;
        let count = tasks.count();
        if count <= most {
            return Ok("none before it".to_owned());
        }
        if waited >= ENDING {
            return Err(format!("{} run already, which it does not hold for", count - most));
        }
        thread::sleep(pause);
        waited += pause;
    }
}

/// Whether /proc shows only processes that may be traced, to whom it is mounted so.
pub fn hides_others() -> bool {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts.lines().any(hides)
}

/// Whether a line of mountinfo is of such a /proc (proc(5), hidepid).
fn hides(line: &str) -> bool {
    let Some((mount, rest)) = line.split_once(" - ") else { return false };
    let mut rest = rest.split(' ');
    let proc = mount.split(' ').nth(4) == Some("/proc") && rest.next() == Some("proc");
    let options = rest.nth(1).unwrap_or_default();
    let value = options.split(',').find_map(|option| option.strip_prefix("hidepid="));
    proc && value.is_some_and(|value| !matches!(value, "0" | "off"))
}

/// Has the kernel keep others of the same user from the memory, and from dumping it. Not
/// where the process is kept from its own /proc files then, which it reads counts from, as
/// older kernels keep users other than root.
pub fn keep_memory_private() {
    let sees_itself = || fs::read_to_string("/proc/self/fdinfo/2").is_ok();
    if !sees_itself() || set_dumpable_behavior(DumpableBehavior::NotDumpable).is_err() {
        return;
    }
    if !sees_itself() {
        let _ = set_dumpable_behavior(DumpableBehavior::Dumpable);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_may_hide_processes() {
        let line = |point: &str, kind: &str, options: &str| {
            format!("22 28 0:20 / {point} rw,nosuid shared:5 - {kind} proc {options}")
        };
        assert!(hides(&line("/proc", "proc", "rw,gid=5,hidepid=invisible")));
        assert!(hides(&line("/proc", "proc", "rw,hidepid=2")));
        assert!(!hides(&line("/proc", "proc", "rw,hidepid=0")));
        assert!(!hides(&line("/proc", "proc", "rw")));
        assert!(!hides(&line("/x/proc", "proc", "rw,hidepid=2")));
        assert!(!hides(""));
    }
}

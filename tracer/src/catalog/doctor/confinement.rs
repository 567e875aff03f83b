//! What a trace can give up here once it is attached.

use super::{Check, Status};
use crate::confine::{filters_offered, landlock_abi};

/// What each version of Landlock brought that matters to a trace.
const LANDLOCK: [(u8, &str); 5] = [
    (1, "files (Linux 5.13)"),
    (3, "truncation (6.2)"),
    (4, "TCP ports (6.7)"),
    (5, "devices (6.10)"),
    (6, "signals and abstract sockets (6.12)"),
];

/// Both ways.
pub fn all() -> [Check; 2] {
    [landlock(landlock_abi()), seccomp(filters_offered())]
}

fn landlock(abi: u8) -> Check {
    let name = "landlock";
    if abi == 0 {
        return Check::new(name, Status::Warn, "none: a trace keeps access to all files and ports")
            .remedy("boot Linux 5.13 or later with CONFIG_SECURITY_LANDLOCK and landlock in lsm=");
    }
    let (has, lacks): (Vec<_>, Vec<_>) = LANDLOCK.iter().partition(|(since, _)| *since <= abi);
    let list = |parts: Vec<&(u8, &'static str)>| {
        let names: Vec<_> = parts.iter().map(|(_, what)| *what).collect();
        names.join(", ")
    };
    let mut detail = format!("a trace gives up access to {}", list(has));
    if !lacks.is_empty() {
        detail.push_str(&format!("; this kernel can't take away {}", list(lacks)));
    }
    Check::new(name, Status::Ok, detail)
}

fn seccomp(offered: bool) -> Check {
    let name = "seccomp";
    if offered {
        return Check::new(name, Status::Ok, "a trace gives up system calls that it does not make");
    }
    Check::new(name, Status::Warn, "no filters: a trace keeps all system calls")
        .remedy("use a kernel with CONFIG_SECCOMP_FILTER")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_by_what_they_bring() {
        assert_eq!(landlock(0).status, Status::Warn);
        let old = landlock(3);
        assert!(old.detail.contains("truncation (6.2); this kernel can't take away TCP ports"));
        assert!(!landlock(6).detail.contains("can't"), "{:?}", landlock(6));
    }
}

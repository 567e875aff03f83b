//! A command that finds the machine changed: files hidden or replaced, file systems not
//! mounted, few descriptors. The changes are made in a mount namespace of its own, and
//! nobody else sees them.

use std::ffi::CString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// A change.
#[derive(Clone, Debug)]
pub enum Change<'a> {
    /// The file is empty.
    Empty(&'a str),
    /// The first file has the contents of the second.
    Replaced(&'a str, &'a Path),
    /// The file system is not mounted here, if it was.
    Unmounted(&'a str),
    /// /proc shows only processes that may be traced.
    HiddenProcesses,
    /// So many descriptors can be open at once.
    Descriptors(u64),
    /// This capability is not to be had (include/uapi/linux/capability.h).
    Incapable(u64),
    /// It is in this cgroup, and in a cgroup namespace whose root that is; the hierarchy
    /// of that is mounted here.
    CgroupNamespace(&'a Path, &'a str),
}

/// What the child does before it becomes the program: prepared system calls only.
enum Step {
    Bind { from: CString, to: CString },
    Unmount(CString),
    HideProcesses,
    Descriptors(u64),
    Incapable(u64),
    CgroupNamespace { procs: CString, point: CString },
}

/// Prepares the command; as root.
pub fn confine(command: &mut Command, changes: &[Change<'_>]) {
    let c = |text: &str| CString::new(text).expect("a path without NUL");
    let steps: Vec<_> = changes
        .iter()
        .map(|change| match change {
            Change::Empty(path) => Step::Bind { from: c("/dev/null"), to: c(path) },
            Change::Replaced(path, with) => {
                Step::Bind { from: c(with.to_str().expect("a path in UTF-8")), to: c(path) }
            }
            Change::Unmounted(path) => Step::Unmount(c(path)),
            Change::HiddenProcesses => Step::HideProcesses,
            Change::Descriptors(most) => Step::Descriptors(*most),
            Change::Incapable(capability) => Step::Incapable(*capability),
            Change::CgroupNamespace(folder, point) => {
                let procs = folder.join("cgroup.procs");
                let procs = c(procs.to_str().expect("a path in UTF-8"));
                Step::CgroupNamespace { procs, point: c(point) }
            }
        })
        .collect();
    // SAFETY: between fork and exec the closure makes system calls and nothing else.
    unsafe { command.pre_exec(move || enter(&steps)) };
}

fn enter(steps: &[Step]) -> io::Result<()> {
    let check = |result: libc::c_int| match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    };
    let none = std::ptr::null();
    // SAFETY: pointers to strings that live through the calls, or none.
    unsafe {
        check(libc::unshare(libc::CLONE_NEWNS))?;
        let private = libc::MS_REC | libc::MS_PRIVATE;
        check(libc::mount(c"none".as_ptr(), c"/".as_ptr(), none, private, none.cast()))?;
        for step in steps {
            match step {
                Step::Bind { from, to } => {
                    let bind = libc::MS_BIND;
                    check(libc::mount(from.as_ptr(), to.as_ptr(), none, bind, none.cast()))?;
                }
                Step::Unmount(path) => {
                    // EINVAL: nothing is mounted there. ENOENT: there is no such place.
                    while libc::umount2(path.as_ptr(), libc::MNT_DETACH) == 0 {}
                }
                Step::HideProcesses => {
                    let (kind, options) = (c"proc".as_ptr(), c"hidepid=2".as_ptr());
                    check(libc::mount(kind, c"/proc".as_ptr(), kind, 0, options.cast()))?;
                }
                Step::Descriptors(most) => {
                    let limit = libc::rlimit { rlim_cur: *most, rlim_max: *most };
                    check(libc::setrlimit(libc::RLIMIT_NOFILE, &limit))?;
                }
                Step::CgroupNamespace { procs, point } => {
                    let file = libc::open(procs.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
                    // 0 is the process that writes.
                    check(libc::c_int::from(libc::write(file, c"0".as_ptr().cast(), 1) != 1))?;
                    check(libc::unshare(libc::CLONE_NEWCGROUP))?;
                    while libc::umount2(point.as_ptr(), libc::MNT_DETACH) == 0 {}
                    let kind = c"cgroup2".as_ptr();
                    check(libc::mount(kind, point.as_ptr(), kind, 0, none.cast()))?;
                }
                // The program that root executes has what the bounding set allows.
                Step::Incapable(capability) => {
                    check(libc::prctl(libc::PR_CAPBSET_DROP, *capability))?;
                }
            }
        }
    }
    Ok(())
}

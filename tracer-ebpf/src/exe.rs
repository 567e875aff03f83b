//! The path of the caller's executable, as /proc/PID/exe would show it.
//!
//! A short-lived process is gone before the daemon could look. So the path is
//! walked here, but only at the first call of a program image: from the file
//! up to the root of its mount namespace (fs/d_path.c, prepend_path).

use aya_ebpf::helpers::generated;
use tracer_common::record::{
    Call, MAX_COMPONENT, MAX_EXE, SectionHeader, SectionKind, Status, flags, unknown,
};

use crate::{
    config::config,
    maps::Scratch,
    mem::{opaque, probe},
    task::{Current, known},
    walk::{Body, Loop},
};

/// Most steps of a walk: components, and mounts on the way.
const MAX_STEPS: u32 = 48;
const SECTION: u64 = size_of::<SectionHeader>() as u64;
/// Bytes that the section may take.
pub const ROOM: u64 = SECTION + (MAX_EXE + MAX_COMPONENT) as u64;

/// How a step of the walk ended.
enum Step {
    On,
    Root,
    Fault,
}

/// The way from a file to the root.
struct Walk {
    scratch: *mut Scratch,
    body: *mut u8,
    /// 1 once it has come to the root.
    whole: u64,
}

impl Body for Walk {
    #[inline(always)]
    unsafe fn step(&mut self, _: u64) -> bool {
        // SAFETY: the maker vouches for both pointers.
        match unsafe { step(self.scratch, self.body) } {
            Step::On => true,
            Step::Root => {
                self.whole = 1;
                false
            }
            Step::Fault => false,
        }
    }
}

/// Appends the section at `at`; its length, 0 where there is nothing to say.
///
/// # Safety
/// `scratch` is this CPU's, with [`ROOM`] after `at`.
#[inline(never)]
pub unsafe fn append<L: Loop>(scratch: *mut Scratch, at: u64) -> u64 {
    if !known(unknown::EXE) {
        return 0;
    }
    let file = Current::get().exe_file();
    if file.is_null() {
        return 0;
    }
    let file = file as u64 as *const u8;
    // SAFETY: the caller vouches for `scratch`.
    unsafe {
        let record: *mut u8 = (&raw mut (*scratch).record).cast();
        let dentry = probe(file, config!(offsets.file_dentry));
        (*scratch).mnt = probe(file, config!(offsets.file_mnt));
        (*scratch).dentry = dentry;
        (*scratch).path = 0;
        if probe::<u64>(dentry as *const u8, config!(offsets.dentry_pprev)) == 0 {
            (*record.cast::<Call>()).header.flags |= flags::EXE_DELETED;
        }
        let body = record.add((at + SECTION) as usize);
        let mut walk = Walk { scratch, body, whole: 0 };
        L::run(MAX_STEPS, &mut walk);
        let status = if core::ptr::read_volatile(&raw const walk.whole) != 0 {
            Status::Read
        } else {
            Status::Partial
        };
        let len = opaque(core::ptr::read_volatile(&raw const (*scratch).path));
        if len > (MAX_EXE + MAX_COMPONENT) as u64 {
            return 0;
        }
        let section = record.add(at as usize).cast::<SectionHeader>();
        (*section).kind = SectionKind::Exe as u16;
        (*section).status = status as u8;
        (*section).version = 1;
        (*section).len = len as u32;
        (*section).full = len as u32;
        (*section).count = 0;
        SECTION + ((len + 7) & !7)
    }
}

/// Takes one component, or steps from a mount to where it is mounted.
///
/// # Safety
/// `scratch` is this CPU's, and `body` has room for a path.
#[inline(always)]
unsafe fn step(scratch: *mut Scratch, body: *mut u8) -> Step {
    // SAFETY: the caller vouches for both; the helper checks what it reads.
    unsafe {
        let mnt = core::ptr::read_volatile(&raw const (*scratch).mnt);
        let dentry = core::ptr::read_volatile(&raw const (*scratch).dentry);
        let used = opaque(core::ptr::read_volatile(&raw const (*scratch).path));
        if used > MAX_EXE as u64 {
            return Step::Fault;
        }
        let root: u64 = probe(mnt as *const u8, config!(offsets.vfsmount_root));
        if dentry == root {
            let mount = mnt.wrapping_sub(config!(offsets.mount_mnt).into());
            let parent: u64 = probe(mount as *const u8, config!(offsets.mount_parent));
            if parent == mount || parent == 0 {
                return Step::Root;
            }
            (*scratch).dentry = probe(mount as *const u8, config!(offsets.mount_mountpoint));
            (*scratch).mnt = parent.wrapping_add(config!(offsets.mount_mnt).into());
            return Step::On;
        }
        let parent: u64 = probe(dentry as *const u8, config!(offsets.dentry_parent));
        let detached = parent == dentry;
        if detached && used > 0 {
            return Step::Root;
        }
        let name: u64 = probe(dentry as *const u8, config!(offsets.dentry_name));
        let copied = generated::bpf_probe_read_kernel_str(
            body.add(used as usize).cast(),
            MAX_COMPONENT as u32,
            name as *const _,
        );
        let copied = opaque(copied as u64);
        if copied == 0 || copied > MAX_COMPONENT as u64 {
            return Step::Fault;
        }
        core::ptr::write_volatile(&raw mut (*scratch).path, used + copied);
        (*scratch).dentry = parent;
        // A file without a folder, such as a memfd, has a name all the same.
        if detached { Step::Root } else { Step::On }
    }
}

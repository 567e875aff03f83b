//! The v2 hierarchy of cgroups: from a cgroup's id to its path.
//!
//! The id is that of the directory's kernfs node, and at the same time a file handle of
//! it (fs/kernfs/mount.c, `__kernfs_fh_to_dentry`). It takes no process to look at, so
//! that the path is found after all of the cgroup's processes have ended.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::{
        fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
        unix::{
            ffi::{OsStrExt, OsStringExt},
            fs::MetadataExt,
        },
    },
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags, openat};

/// The id of the hierarchy's root (fs/kernfs/dir.c: the first that is given out).
pub const ROOT: u64 = 1;

/// `FILEID_KERNFS` (include/linux/exportfs.h): a handle that is a 64-bit id.
const FILEID_KERNFS: i32 = 0xfe;

/// A `struct file_handle` with such an id.
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    id: [u8; 8],
}

/// Where a cgroup lies.
pub enum Found {
    /// At this path below the mount.
    Path(Vec<u8>),
    /// Outside of the part that is mounted; the directory itself.
    Outside(OwnedFd),
}

/// The mounted hierarchy.
pub struct Hierarchy {
    mount: File,
    /// Where it is mounted.
    pub point: PathBuf,
    /// Whether the mount shows the hierarchy from its root on, and not, as in a cgroup
    /// namespace, from some cgroup on.
    pub whole: bool,
}

impl Hierarchy {
    /// The first mount of the whole hierarchy, or else of a part of it.
    pub fn open() -> Option<Self> {
        let mounts = fs::read("/proc/self/mountinfo").ok()?;
        let mut found = None;
        for point in points(&mounts) {
            let Ok(mount) = File::open(&point) else { continue };
            let Ok(metadata) = mount.metadata() else { continue };
            let whole = metadata.ino() == ROOT;
            if whole || found.is_none() {
                found = Some(Self { mount, point, whole });
            }
            if whole {
                break;
            }
        }
        found
    }

    /// Where a cgroup lies.
    ///
    /// # Errors
    /// ESTALE where there is no such cgroup any more, EPERM without
    /// CAP_DAC_READ_SEARCH.
    pub fn find(&self, id: u64) -> io::Result<Found> {
        let mut handle = Handle { bytes: 8, kind: FILEID_KERNFS, id: id.to_ne_bytes() };
        // SAFETY: the kernel reads the handle's head and as many bytes as it says; the
        // descriptor is open.
        let fd = unsafe {
            libc::open_by_handle_at(
                self.mount.as_raw_fd(),
                (&raw mut handle).cast(),
                libc::O_PATH | libc::O_CLOEXEC,
            )
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor that was just opened and is nobody else's.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let link = fs::read_link(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))?;
        let link = without_mark(link.into_os_string().into_vec(), id);
        Ok(self.below(&link).map_or(Found::Outside(fd), Found::Path))
    }

    /// A path without that of the mount; none where it is not below it. The kernel shows
    /// `/` for what lies outside of the part that is mounted (fs/d_path.c,
    /// `prepend_path`).
    fn below(&self, path: &[u8]) -> Option<Vec<u8>> {
        let point = match self.point.as_os_str().as_bytes() {
            b"/" => &b""[..],
            point => point,
        };
        match path.strip_prefix(point)? {
            b"" => Some(b"/".to_vec()),
            below if below.starts_with(b"/") => Some(below.to_vec()),
            _ => None,
        }
    }

    /// The id of the cgroup at a path below the mount.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn id(&self, path: &[u8]) -> io::Result<u64> {
        let below = std::ffi::OsStr::from_bytes(path.strip_prefix(b"/").unwrap_or(path));
        Ok(fs::symlink_metadata(self.point.join(Path::new(below)))?.ino())
    }
}

/// Whether a process is in a cgroup, given by its directory, now.
///
/// # Errors
/// Those of the file system.
pub fn holds(cgroup: &OwnedFd, pid: u32) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let mut processes = String::new();
    File::from(openat(cgroup, "cgroup.procs", flags, Mode::empty())?)
        .read_to_string(&mut processes)?;
    Ok(processes.lines().any(|line| line.parse() == Ok(pid)))
}

/// A path without the kernel's mark of a directory that has been removed since it was
/// opened; a cgroup may as well have such a name.
fn without_mark(link: Vec<u8>, id: u64) -> Vec<u8> {
    let Some(path) = link.strip_suffix(b" (deleted)") else { return link };
    let named = Path::new(std::ffi::OsStr::from_bytes(&link));
    if fs::symlink_metadata(named).is_ok_and(|metadata| metadata.ino() == id) {
        return link;
    }
    path.to_vec()
}

/// Where the hierarchy is mounted, from /proc/self/mountinfo.
fn points(mounts: &[u8]) -> impl Iterator<Item = PathBuf> {
    mounts.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        let point = fields.nth(4)?;
        let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
        let point = std::ffi::OsString::from_vec(unescaped(point));
        (kind == b"cgroup2").then(|| point.into())
    })
}

/// Without the octal numbers that mountinfo has for blanks and the like (fs/proc_namespace.c).
fn unescaped(point: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(point.len());
    let mut rest = point;
    while let Some((byte, after)) = rest.split_first() {
        let octal = after.first_chunk::<3>().filter(|_| *byte == b'\\');
        let octal = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(escaped) => {
                plain.push(escaped);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                plain.push(*byte);
                rest = after;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_the_hierarchy() {
        let mounts =
            b"31 24 0:26 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n\
            32 24 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
            33 24 0:26 /a /mnt/my\\040own rw - cgroup2 none rw\n\n";
        let found: Vec<_> = points(mounts).collect();
        assert_eq!(found, [Path::new("/sys/fs/cgroup/unified"), Path::new("/mnt/my own")]);
        assert_eq!(unescaped(b"a\\134b\\"), b"a\\b\\");
    }

    #[test]
    fn paths_below_the_mount_and_outside_of_it() {
        for (point, link, below) in [
            ("/sys/fs/cgroup", "/sys/fs/cgroup", Some("/")),
            ("/sys/fs/cgroup", "/sys/fs/cgroup/a/b", Some("/a/b")),
            ("/sys/fs/cgroup", "/", None),
            ("/sys/fs/cgroup", "/sys/fs/cgroup2/b", None),
            ("/", "/a", Some("/a")),
            ("/", "/", Some("/")),
        ] {
            let mount = File::open("/").unwrap();
            let hierarchy = Hierarchy { mount, point: point.into(), whole: false };
            let expected = below.map(|below| below.as_bytes().to_vec());
            assert_eq!(hierarchy.below(link.as_bytes()), expected, "{link}");
        }
    }
}

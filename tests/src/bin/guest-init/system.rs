//! What the first process owes the system.

use std::{
    ffi::CString,
    fs, io,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::fs::PermissionsExt as _,
    },
};

/// Kind, place and options of each file system.
const MOUNTS: &[(&str, &str, &str)] = &[
    ("proc", "/proc", ""),
    ("sysfs", "/sys", ""),
    ("devtmpfs", "/dev", ""),
    ("tracefs", "/sys/kernel/tracing", ""),
    ("debugfs", "/sys/kernel/debug", ""),
    ("securityfs", "/sys/kernel/security", ""),
    ("bpf", "/sys/fs/bpf", ""),
    ("cgroup2", "/sys/fs/cgroup", ""),
];

/// Mounts everything and makes loopback usable; an error names what failed.
pub fn set_up() -> Result<(), String> {
    for (kind, place, options) in MOUNTS {
        mount(kind, place, options).map_err(|error| format!("mount {kind} {place}: {error}"))?;
    }
    open_tmp().map_err(|error| format!("/tmp: {error}"))?;
    loopback_up().map_err(|error| format!("lo: {error}"))
}

fn mount(kind: &str, place: &str, options: &str) -> io::Result<()> {
    // Kernels that lack a file system also lack its folder in /sys.
    fs::create_dir_all(place)?;
    let [kind, place, options] = [kind, place, options].map(CString::new);
    let (kind, place, options) = (kind?, place?, options?);
    // SAFETY: strings that live through the call.
    let result = unsafe {
        libc::mount(kind.as_ptr(), place.as_ptr(), kind.as_ptr(), 0, options.as_ptr().cast())
    };
    // The kernel may have mounted devtmpfs by itself.
    if result == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EBUSY) {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}

/// A folder for everybody. Not a file system of its own: the programs may lie in it, as
/// they did where they were built, and everything here is in memory anyway.
fn open_tmp() -> io::Result<()> {
    fs::create_dir_all("/tmp")?;
    fs::set_permissions("/tmp", fs::Permissions::from_mode(0o1777))
}

fn loopback_up() -> io::Result<()> {
    // SAFETY: integers only.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that was just opened and is nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: integers and arrays of them, for which zeros are values.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an ifreq, which lives through the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &request) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Ends the guest.
pub fn power_off() {
    // SAFETY: integers only; there is nothing on disk to lose.
    unsafe { libc::reboot(libc::LINUX_REBOOT_CMD_POWER_OFF) };
}

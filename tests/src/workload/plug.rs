//! A CPU that is taken away and comes back.

use std::io::Read;

use super::Context;

/// Whether CPU 1 is online: the kernel's Documentation/core-api/cpu_hotplug.rst.
pub const ONLINE: &str = "/sys/devices/system/cpu/cpu1/online";

/// Brings CPU 1 back at the end of stdin, however that comes about.
pub fn bring_back(_: &Context) {
    std::io::stdin().read_to_end(&mut Vec::new()).expect("the end of stdin");
    std::fs::write(ONLINE, "1").unwrap_or_else(|error| panic!("{ONLINE}: {error}"));
}

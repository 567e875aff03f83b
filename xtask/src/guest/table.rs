//! The tables of guests: their kernels and their machines. What runs on them is in
//! [`super::suites`].

use std::time::Duration;

use super::compat::Compat;

/// A guest: a kernel on a machine.
#[derive(Debug)]
pub struct Guest {
    pub name: &'static str,
    pub arch: &'static Arch,
    /// Debian's release and package.
    pub release: &'static str,
    pub package: &'static str,
    /// For everything, from the start of QEMU on; a multiple of what it takes alone
    /// on a machine of two CPUs.
    pub deadline: Duration,
}

/// An architecture that guests can have.
#[derive(Debug)]
pub struct Arch {
    pub name: &'static str,
    pub debian: &'static str,
    pub target: &'static str,
    pub qemu: &'static str,
    /// QEMU's options for the machine and its processor.
    pub machine: &'static [&'static str],
    /// QEMU's options that lead to `console` and `results`.
    pub lines: &'static [&'static str],
    /// The kernel's names of the two lines.
    pub console: &'static str,
    pub results: &'static str,
    /// The 32-bit programs that its kernels run, where they are built to.
    pub compat: Compat,
    /// The linker with which other architectures can build for it.
    pub cross_ld: Option<&'static str>,
}

pub const X86_64: Arch = Arch {
    name: "x86_64",
    debian: "amd64",
    target: "x86_64-unknown-linux-gnu",
    qemu: "qemu-system-x86_64",
    // What newer processors can do is slower to emulate. Without random numbers from the
    // processor, programs that want some would wait for minutes.
    machine: &["-machine", "pc", "-cpu", "qemu64,+rdrand"],
    lines: &["-serial", "chardev:console", "-serial", "chardev:results"],
    console: "ttyS0",
    results: "/dev/ttyS1",
    compat: Compat::I386,
    cross_ld: None,
};

pub const ARM64: Arch = Arch {
    name: "aarch64",
    debian: "arm64",
    target: "aarch64-unknown-linux-gnu",
    qemu: "qemu-system-aarch64",
    // Pointer authentication is slow to emulate; without the atomics of newer processors
    // everything is.
    machine: &["-machine", "virt", "-cpu", "max,pauth=off"],
    lines: &["-serial", "chardev:console", "-device", "pci-serial,chardev=results"],
    console: "ttyAMA0",
    results: "/dev/ttyS0",
    compat: Compat::Armhf,
    cross_ld: Some("aarch64-linux-gnu-ld"),
};

const fn x86_64(name: &'static str, release: &'static str, package: &'static str) -> Guest {
    Guest { name, arch: &X86_64, release, package, deadline: Duration::from_secs(1200) }
}

const fn arm64(name: &'static str, release: &'static str, package: &'static str) -> Guest {
    Guest { name, arch: &ARM64, release, package, deadline: Duration::from_secs(1200) }
}

pub const GUESTS: &[Guest] = &[
    x86_64("5.10", "bullseye", "linux-image-cloud-amd64"),
    x86_64("6.1", "bookworm", "linux-image-cloud-amd64"),
    x86_64("6.12", "bookworm", "linux-image-6.12-cloud-amd64"),
    arm64("6.1-arm64", "bookworm", "linux-image-cloud-arm64"),
    arm64("6.12-arm64", "bookworm", "linux-image-6.12-cloud-arm64"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_guests_are_unique() {
        let mut names: Vec<_> = GUESTS.iter().map(|guest| guest.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), GUESTS.len());
    }
}

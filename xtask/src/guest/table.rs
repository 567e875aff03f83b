//! The tables of guests: their kernels, their machines, and what is left out on them.

use std::{process::Command, time::Duration};

use anyhow::Result;

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
    /// Whether its kernels run i386 programs.
    pub i386: bool,
}

impl Arch {
    /// Why programs for it can't be built here, if so.
    pub fn obstacle(&self) -> Option<String> {
        (std::env::consts::ARCH != self.name).then(|| {
            format!("building for {} on {} is not set up", self.name, std::env::consts::ARCH)
        })
    }

    /// Makes a cargo build static programs.
    pub fn steer(&self, command: &mut Command) -> Result<()> {
        command.env_remove("CARGO_ENCODED_RUSTFLAGS");
        command.env("RUSTFLAGS", "-C target-feature=+crt-static");
        Ok(())
    }
}

pub const X86_64: Arch = Arch {
    name: "x86_64",
    debian: "amd64",
    target: "x86_64-unknown-linux-gnu",
    qemu: "qemu-system-x86_64",
    machine: &["-machine", "pc", "-cpu", "max"],
    lines: &["-serial", "chardev:console", "-serial", "chardev:results"],
    console: "ttyS0",
    results: "/dev/ttyS1",
    i386: true,
};

const fn x86_64(name: &'static str, release: &'static str, package: &'static str) -> Guest {
    Guest { name, arch: &X86_64, release, package, deadline: Duration::from_secs(240) }
}

pub const GUESTS: &[Guest] = &[
    x86_64("5.10", "bullseye", "linux-image-cloud-amd64"),
    x86_64("6.1", "bookworm", "linux-image-cloud-amd64"),
    x86_64("6.12", "bookworm", "linux-image-6.12-cloud-amd64"),
];

/// Tests that do not run in guests.
pub struct LeftOut {
    /// The only guest, or all.
    pub guest: Option<&'static str>,
    pub suite: &'static str,
    pub tests: &'static [&'static str],
    pub why: &'static str,
}

/// Loading the tracer takes a second or more under emulation, and tests that start it
/// again and again take most of the time. What differs between kernels is how values
/// are read; how options combine is the same code everywhere and is tested natively.
pub const LEFT_OUT: &[LeftOut] = &[LeftOut {
    guest: None,
    suite: "native_filters",
    tests: &["pid", "tid", "comm_exact", "combined", "event"],
    why: "many starts, and no kernel reads these differently",
}];

/// What is left out of a suite on a guest.
pub fn left_out(guest: &str, suite: &str) -> impl Iterator<Item = &'static LeftOut> {
    LEFT_OUT
        .iter()
        .filter(move |row| row.suite == suite && row.guest.is_none_or(|name| name == guest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A test that was renamed would run again, or hide that it is gone.
    #[test]
    fn tests_that_are_left_out_exist() {
        let tests = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/tests");
        for row in LEFT_OUT {
            assert!(row.guest.is_none_or(|name| GUESTS.iter().any(|guest| guest.name == name)));
            let file = tests.join(format!("{}.rs", row.suite));
            let text = std::fs::read_to_string(&file).expect("the suite's file");
            for test in row.tests {
                assert!(
                    text.contains(&format!("#[test]\nfn {test}() {{")),
                    "{}: {test}",
                    row.suite
                );
            }
        }
    }

    #[test]
    fn names_of_guests_are_unique() {
        let mut names: Vec<_> = GUESTS.iter().map(|guest| guest.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), GUESTS.len());
    }
}

//! The Debian packages that chores need, each with its purpose.

/// What a package is for; chores ask for the parts that they need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Building the eBPF object.
    Object,
    /// Running the tests on the machine's own kernel.
    Tests,
    /// Fuzzing the parsers.
    Fuzz,
    /// Measuring others beside the tracer.
    Bench,
    /// Running the tests on other kernels, under QEMU.
    Guests,
    /// The stable toolchain's own helpers: rustfmt and clippy.
    Components,
}

impl Part {
    pub const ALL: &[Self] =
        &[Self::Object, Self::Tests, Self::Fuzz, Self::Bench, Self::Guests, Self::Components];

    pub fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Tests => "tests",
            Self::Fuzz => "fuzz",
            Self::Bench => "bench",
            Self::Guests => "guests",
            Self::Components => "components",
        }
    }
}

/// How to see without dpkg that what a package brings is there.
#[derive(Debug, Clone, Copy)]
pub enum Probe {
    /// A program, in PATH or in the system's sbin folders.
    Program(&'static str),
    /// Any of these files.
    File(&'static [&'static str]),
}

#[derive(Debug, Clone, Copy)]
pub struct Package {
    pub name: &'static str,
    pub purpose: &'static str,
    pub probe: Probe,
    /// Never installed, only unpacked beside the system: a daemon that would take the place
    /// of the machine's own, or begin with the next boot.
    pub beside: bool,
}

const fn package(name: &'static str, purpose: &'static str, probe: Probe) -> Package {
    Package { name, purpose, probe, beside: false }
}

const fn beside(name: &'static str, purpose: &'static str, probe: Probe) -> Package {
    Package { name, purpose, probe, beside: true }
}

/// Major version of the LLVM that Debian's `rustc-web` is built with, and so of the
/// packages below and of bpf-linker's feature.
pub const LLVM: &str = "22";
pub const LLVM_PREFIX: &str = "/usr/lib/llvm-22";

const RUSTC: Probe = Probe::File(&["/usr/bin/rustc"]);
const CC: Probe = Probe::Program("cc");
const MULTILIB: Probe =
    Probe::File(&["/usr/include/gnu/stubs-32.h", "/usr/include/x86_64-linux-gnu/gnu/stubs-32.h"]);

/// Debian's second compiler, which follows upstream closely, and what links for BPF.
///
/// The compiler's source is needed for the same bytes everywhere: LLVM copies the
/// lines of `core` that it finds on disk into the object's BTF line information.
pub const OBJECT: &[Package] = &[
    package("rustc-web", "the compiler", RUSTC),
    package("cargo-web", "its cargo", Probe::File(&["/usr/bin/cargo"])),
    package(
        "libstd-rust-web-dev-bpf",
        "core, built for bpfel-unknown-none",
        Probe::File(&["/usr/lib/rustlib/bpfel-unknown-none"]),
    ),
    package("rust-web-src", "core's source", Probe::File(&["/usr/lib/rustlib/src/rust"])),
    package("llvm-22", "llvm-strip", Probe::File(&["/usr/lib/llvm-22/bin/llvm-strip"])),
    package("llvm-22-dev", "the library that bpf-linker links", Probe::File(&[LLVM_PREFIX])),
    package("gcc", "linking build scripts, macros and bpf-linker", CC),
    package("libc6-dev", "the same", Probe::File(&["/usr/include/stdlib.h"])),
];

/// What workloads and comparisons of the tests are made of.
pub const TESTS: &[Package] = &[
    package("gcc", "building workloads", CC),
    package("libc6-dev", "the same", Probe::File(&["/usr/include/stdlib.h"])),
    package("gcc-multilib", "32-bit workloads (x86-64 only)", MULTILIB),
    package("strace", "a second opinion on the same calls", Probe::Program("strace")),
    package("chrony", "a real caller of recvmmsg", Probe::Program("chronyd")),
    package(
        "manpages-dev",
        "the example program of recvmmsg(2)",
        Probe::File(&["/usr/share/man/man2/recvmmsg.2.gz", "/usr/share/man/man2/recvmmsg.2"]),
    ),
    package("jq", "reading the output as users do", Probe::Program("jq")),
    package("tmux", "terminals of a known width", Probe::Program("tmux")),
    GXX,
    MAKE,
    LIBSSL,
    ZLIB,
    package("pkg-config", "finding these", Probe::Program("pkg-config")),
    package("kcat", "reading out of Kafka", Probe::Program("kcat")),
    package("openssl", "certificates", Probe::Program("openssl")),
    package("socat", "a receiver of TLS", Probe::Program("socat")),
    package("systemd", "systemd-analyze, for the unit", Probe::Program("systemd-analyze")),
    beside("rsyslog", "a receiver of recipes", Probe::Program("rsyslogd")),
    beside("syslog-ng-core", "a receiver of recipes", Probe::Program("syslog-ng")),
    beside("logrotate", "a recipe", Probe::Program("logrotate")),
    beside("prometheus", "promtool, which checks metrics", Probe::Program("promtool")),
    beside("nats-server", "a server that events are sent to", Probe::Program("nats-server")),
];

/// What builds librdkafka, of the tracer's feature `kafka`; part of the above.
pub const KAFKA: &[Package] = &[GXX, MAKE, LIBSSL, ZLIB];

const GXX: Package = package("g++", "building librdkafka", Probe::Program("c++"));
const MAKE: Package = package("make", "the same", Probe::Program("make"));
const LIBSSL: Package =
    package("libssl-dev", "the same, with TLS", Probe::File(&["/usr/include/openssl/ssl.h"]));
const ZLIB: Package =
    package("zlib1g-dev", "the same, with gzip", Probe::File(&["/usr/include/zlib.h"]));

/// libFuzzer is built from source.
pub const FUZZ: &[Package] = &[package("g++", "building libFuzzer", Probe::Program("c++"))];

/// Other tracers.
pub const BENCH: &[Package] = &[
    package("strace", "the same calls under strace", Probe::Program("strace")),
    package("bpftrace", "under bpftrace", Probe::Program("bpftrace")),
    package("linux-perf", "under perf trace", Probe::Program("perf")),
];

/// Guests run programs that are linked statically, on kernels from Debian.
pub const GUESTS: &[Package] = &[
    package("qemu-system-x86", "x86-64 guests", Probe::Program("qemu-system-x86_64")),
    package("qemu-system-arm", "arm64 guests", Probe::Program("qemu-system-aarch64")),
    package(
        "binutils-aarch64-linux-gnu",
        "linking for them",
        Probe::Program("aarch64-linux-gnu-ld"),
    ),
    package(
        "binutils-arm-linux-gnueabihf",
        "a true armhf program for them",
        Probe::Program("arm-linux-gnueabihf-ld"),
    ),
    package(
        "libc6-dev-armhf-cross",
        "the same",
        Probe::File(&["/usr/arm-linux-gnueabihf/lib/libc.a"]),
    ),
    package("rustc-web", "compiling for them", RUSTC),
    package("cargo-web", "its cargo", Probe::File(&["/usr/bin/cargo"])),
    package(
        "debian-archive-keyring",
        "checking their kernels",
        Probe::File(&["/usr/share/keyrings/debian-archive-keyring.gpg"]),
    ),
    package("gcc", "linking statically", CC),
    package("libc6-dev", "the same", Probe::File(&["/usr/include/stdlib.h"])),
    package("gcc-multilib", "a true i386 program (x86-64 only)", MULTILIB),
];

pub fn of(part: Part) -> &'static [Package] {
    match part {
        Part::Object => OBJECT,
        Part::Tests => TESTS,
        Part::Fuzz => FUZZ,
        Part::Bench => BENCH,
        Part::Guests => GUESTS,
        Part::Components => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_llvm_version_everywhere() {
        assert_eq!(LLVM_PREFIX, format!("/usr/lib/llvm-{LLVM}"));
        for package in OBJECT.iter().filter(|package| package.name.starts_with("llvm-")) {
            assert!(package.name.starts_with(&format!("llvm-{LLVM}")), "{}", package.name);
        }
    }

    #[test]
    fn no_package_twice_in_a_part() {
        for &part in Part::ALL {
            let mut names: Vec<_> = of(part).iter().map(|package| package.name).collect();
            names.sort_unstable();
            let count = names.len();
            names.dedup();
            assert_eq!(names.len(), count, "{}", part.name());
        }
    }
}

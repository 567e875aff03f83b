//! The tables of guests: their kernels, their machines, and what is left out on them.

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
    machine: &["-machine", "pc", "-cpu", "max"],
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
    // The processor's usual pointer authentication is slow to emulate.
    machine: &["-machine", "virt", "-cpu", "max,pauth-impdef=on"],
    lines: &["-serial", "chardev:console", "-device", "pci-serial,chardev=results"],
    console: "ttyAMA0",
    results: "/dev/ttyS0",
    compat: Compat::Armhf,
    cross_ld: Some("aarch64-linux-gnu-ld"),
};

const fn x86_64(name: &'static str, release: &'static str, package: &'static str) -> Guest {
    Guest { name, arch: &X86_64, release, package, deadline: Duration::from_secs(600) }
}

const fn arm64(name: &'static str, release: &'static str, package: &'static str) -> Guest {
    Guest { name, arch: &ARM64, release, package, deadline: Duration::from_secs(600) }
}

pub const GUESTS: &[Guest] = &[
    x86_64("5.10", "bullseye", "linux-image-cloud-amd64"),
    x86_64("6.1", "bookworm", "linux-image-cloud-amd64"),
    x86_64("6.12", "bookworm", "linux-image-6.12-cloud-amd64"),
    arm64("6.1-arm64", "bookworm", "linux-image-cloud-arm64"),
    arm64("6.12-arm64", "bookworm", "linux-image-6.12-cloud-arm64"),
];

/// Tests that do not run in guests.
pub struct LeftOut {
    /// The only guest, or all.
    pub guest: Option<&'static str>,
    pub suite: &'static str,
    pub tests: &'static [&'static str],
    pub why: &'static str,
}

/// Loading the tracer takes one to two seconds under emulation, and three to four on
/// 5.10, which verifies unrolled loops. What differs between kernels is how values are
/// read; how options combine is the same code everywhere and is tested natively.
pub const LEFT_OUT: &[LeftOut] = &[
    LeftOut {
        guest: None,
        suite: "native_filters",
        tests: &[
            "pid",
            "tid",
            "uid",
            "comm_exact",
            "comm_glob",
            "comm_of_children",
            "exe",
            "combined",
            "event",
        ],
        why: MANY_STARTS,
    },
    LeftOut {
        guest: None,
        suite: "native_errors",
        tests: &[
            "ebadf",
            "enotsock",
            "einval",
            "no_messages_asked_for",
            "flags_without_a_name_are_in_hex",
            "bits_that_the_kernel_does_not_look_at",
            "control_characters_in_the_threads_name",
        ],
        why: MANY_STARTS,
    },
    LeftOut {
        guest: None,
        suite: "native_follow",
        tests: &[
            "a_process_is_all_of_its_threads",
            "the_exit_status_is_the_commands",
            "without_follow_children_are_not_traced",
        ],
        why: MANY_STARTS,
    },
    LeftOut {
        guest: None,
        suite: "native_loss",
        tests: &[
            "loss_is_told_on_the_stream",
            "more_loss_than_allowed_is_exit_4",
            "less_loss_than_allowed_is_fine",
            "filtered_calls_are_counted",
        ],
        why: MANY_STARTS,
    },
    LeftOut {
        guest: Some("5.10"),
        suite: "native_loss",
        tests: &["more_calls_under_way_than_can_be_remembered"],
        why: NO_BPF_LOOP,
    },
    LeftOut {
        guest: Some("5.10"),
        suite: "native_udp",
        tests: &["batches_shown_whole_when_asked_to"],
        why: NO_BPF_LOOP,
    },
    LeftOut {
        guest: None,
        suite: "native_udp",
        tests: &[
            "ipv4_one_message",
            "ipv6_ten_messages",
            "fewer_messages_shown_when_asked_to",
            "the_cpu_is_the_one_that_the_workload_stays_on",
        ],
        why: MANY_STARTS,
    },
];

const MANY_STARTS: &str = "many starts, and no kernel reads these differently";
const NO_BPF_LOOP: &str = "before Linux 5.17 at most 64 messages of a call are kept";

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

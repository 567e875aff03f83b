//! What runs in guests: the calls with every hook, the options and the loading once.

use std::fmt::Write as _;

use super::table::Guest;

/// A way for the tracer to see calls.
pub struct Hook {
    /// As `--hook` has it.
    pub name: &'static str,
    /// Modules whose calls it can't see, and why.
    pub blind: &'static [(&'static str, &'static str)],
}

pub const HOOKS: &[Hook] = &[
    Hook { name: "fentry", blind: &[] },
    Hook { name: "kprobe", blind: &[] },
    Hook { name: "raw-tracepoint", blind: &[] },
    Hook {
        name: "tracepoint",
        blind: &[("calls::compat", "its tracepoints do not fire for 32-bit and x32 calls")],
    },
];

/// Tests that run by themselves. With kprobe the first takes all the room that the kernel
/// has for returns, and others' would be missed; the second has ids handed out that others
/// had before.
const ALONE: [&str; 2] = [
    "calls::family::many_calls_under_way_at_the_same_time",
    "calls::processes::a_thread_id_that_is_used_again_after_exec",
];

/// The guest and the hook with room for the returns of two calls: one test at a time.
const NARROW: (&str, &str) = ("5.10", "kprobe");

/// The hook for the tests of options: every kernel has it. With fentry they need more than
/// half as long again, and could not run two at a time: a tracer that comes or goes makes
/// the kernel leave out other fexit programs on the same function for the calls that are
/// in it (kernel/bpf/trampoline.c, bpf_tramp_image_put).
const OPTIONS_HOOK: &str = "raw-tracepoint";

/// A hook that a guest's kernel can't have.
pub struct Missing {
    pub guest: &'static str,
    pub hook: &'static str,
    /// Words of the tracer's own explanation.
    pub says: &'static str,
}

pub const MISSING: &[Missing] = &[
    // Its BTF has `struct pt_regs` as a forward declaration only.
    Missing { guest: "5.10", hook: "fentry", says: "type FWD is not a struct" },
    // Trampolines came to arm64 with Linux 6.4.
    Missing { guest: "6.1-arm64", hook: "fentry", says: "fentry programs can't be attached" },
];

/// Why a hook is missing on a guest, if it is.
pub fn missing(guest: &str, hook: &str) -> Option<&'static Missing> {
    MISSING.iter().find(|row| row.guest == guest && row.hook == hook)
}

/// Tests of options that do not run in guests.
pub struct LeftOut {
    /// The only guest, or all.
    pub guest: Option<&'static str>,
    /// The module below `options`.
    pub module: &'static str,
    pub tests: &'static [&'static str],
    pub why: &'static str,
}

/// Loading the tracer takes one to two seconds under emulation, and three to four on
/// 5.10, which verifies unrolled loops. What differs between kernels is how values are
/// read; how options combine is the same code everywhere and is tested natively.
pub const LEFT_OUT: &[LeftOut] = &[
    LeftOut {
        guest: None,
        module: "filters",
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
        guest: Some("5.10"),
        module: "filters",
        tests: &["cgroup"],
        why: "5.10 does not offer bpf_get_current_ancestor_cgroup_id to tracing programs",
    },
    LeftOut { guest: None, module: "containers", tests: &["of_one_container"], why: MANY_STARTS },
    LeftOut {
        guest: None,
        module: "expressions",
        tests: &["on_a_recording", "on_calls", "of_one_process"],
        why: MANY_STARTS,
    },
    LeftOut {
        guest: None,
        module: "checks",
        tests: &["of_every_kind", "of_compat_calls", "as_the_daemon_would"],
        why: MANY_STARTS,
    },
    LeftOut {
        guest: None,
        module: "follow",
        tests: &["a_process_is_all_of_its_threads", "without_follow_children_are_not_traced"],
        why: MANY_STARTS,
    },
    LeftOut {
        guest: None,
        module: "accounts",
        tests: &["the_exit_status_is_the_commands"],
        why: MANY_STARTS,
    },
    LeftOut {
        guest: None,
        module: "adds_up",
        tests: &["by_the_cpu_that_calls_were_on", "a_tracer_that_is_stopped_and_continued"],
        why: MANY_STARTS,
    },
    LeftOut {
        guest: None,
        module: "loss",
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
        module: "loss",
        tests: &["more_calls_under_way_than_can_be_remembered"],
        why: NO_BPF_LOOP,
    },
    LeftOut {
        guest: Some("5.10"),
        module: "batches",
        tests: &["batches_shown_whole_when_asked_to"],
        why: NO_BPF_LOOP,
    },
    LeftOut {
        guest: None,
        module: "batches",
        tests: &["fewer_messages_shown_when_asked_to"],
        why: MANY_STARTS,
    },
    LeftOut {
        guest: Some("5.10"),
        module: "detail",
        tests: &["a_thousand_messages"],
        why: NO_BPF_LOOP,
    },
    LeftOut {
        guest: None,
        module: "detail",
        tests: &["what_messages_have_anyway"],
        why: MANY_STARTS,
    },
];

const MANY_STARTS: &str = "many starts, and no kernel reads these differently";
const NO_BPF_LOOP: &str = "before Linux 5.17 at most 64 messages of a call are kept";

/// What is left out on a guest.
pub fn left_out(guest: &str) -> impl Iterator<Item = &'static LeftOut> {
    LEFT_OUT.iter().filter(move |row| row.guest.is_none_or(|name| name == guest))
}

/// Tests of options that every hook takes that has something of its own for them.
const BY_HOOK: (&str, &[&str]) = ("options::copies::", &["fentry", "kprobe"]);

/// What `guest-init` shall do; see there. With `only`, no more than some tests with every
/// hook, each with a tracer of its own.
pub fn plan(guest: &Guest, has_compat: bool, only: Option<&str>) -> String {
    let mut plan = format!("results {}\ndeadline {SUITE_SECONDS}\n", guest.arch.results);
    plan += "env TRACER_BIN=/guest/tracer\nenv TRACER_TEST_SLOW=1\n";
    if has_compat {
        let compat = guest.arch.compat;
        let _ = writeln!(plan, "env {}=/guest/{}", compat.variable(), compat.name());
    }
    if let Some(only) = only {
        for Hook { name, .. } in HOOKS {
            if missing(guest.name, name).is_none() {
                let _ = write!(plan, "section {name}\nenv TRACER_TEST_HOOK={name}\n");
                let _ = writeln!(plan, "suite /guest/native {only}");
            }
        }
        return plan;
    }
    for Hook { name, blind } in HOOKS {
        let file = format!("/tmp/{name}.json");
        let _ = write!(
            plan,
            "section {name}\nenv TRACER_TEST_HOOK={name}\nenv TRACER_TEST_SHARED={file}\n\
             tracer /guest/tracer --hook {name} -o json -w file:{file}\n\
             suite /guest/native calls::"
        );
        ALONE.iter().for_each(|test| plan += &format!(" --skip {test}"));
        blind.iter().for_each(|(module, _)| plan += &format!(" --skip {module}::"));
        if (guest.name, *name) == NARROW {
            plan += " --test-threads=1";
        }
        let alone = ALONE.join(" ");
        let _ = writeln!(plan, "\nsuite /guest/native --test-threads=1 --exact {alone}\nstop");
        plan += "suite /guest/native --ignored --exact shared::the_stream_is_sound\n";
        let (tests, hooks) = BY_HOOK;
        if hooks.contains(name) {
            let narrow = (guest.name, *name) == NARROW;
            let alone = if narrow { " --test-threads=1" } else { "" };
            let _ = writeln!(plan, "suite /guest/native {tests}{alone}");
        }
    }
    let hook = format!("env TRACER_TEST_HOOK={OPTIONS_HOOK}");
    let _ = write!(plan, "section options\n{hook}\nsuite /guest/native options::");
    for row in left_out(guest.name) {
        let test = |test: &&str| plan += &format!(" --skip options::{}::{test}", row.module);
        row.tests.iter().for_each(test);
    }
    // They look at what the machine has loaded.
    let _ = write!(plan, "\nsection loading\nsuite /guest/native --test-threads=1 ");
    if loading_left_out(guest.name).is_some() {
        return plan + "loading::budget\n";
    }
    // The last of them can't be undone.
    plan + "loading::\nsuite /guest/native --ignored --exact loading::obstacles::locked_down\n"
}

/// Why only the verifier's budget is tested of loading, if so. One kernel with every hook
/// shows the rest, which is the daemon's doing.
pub fn loading_left_out(guest: &str) -> Option<&'static str> {
    const WITH_EVERY_HOOK: &str = "6.1";
    (guest != WITH_EVERY_HOOK).then_some("many starts; guest 6.1, with every hook, runs them")
}

/// The longest that a suite may take; the guest as a whole has its own deadline.
const SUITE_SECONDS: u64 = 420;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::table::GUESTS;

    /// A test that was renamed would run again, or hide that it is gone; and libtest
    /// skips every test in whose name it finds what it shall skip.
    #[test]
    fn tests_that_are_left_out_exist() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        for row in LEFT_OUT {
            assert!(row.guest.is_none_or(|name| GUESTS.iter().any(|guest| guest.name == name)));
            let file = folder.join(format!("../tests/tests/native/options/{}.rs", row.module));
            let text = std::fs::read_to_string(&file).expect("the module's file");
            for test in row.tests {
                let found = text.matches(&format!("#[test]\nfn {test}")).count();
                assert!(text.contains(&format!("#[test]\nfn {test}() {{")), "no {test}");
                assert_eq!(found, 1, "{}::{test} begins another test's name", row.module);
            }
        }
    }

    #[test]
    fn tests_that_run_alone_exist() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        for test in ALONE {
            let (module, test) = test.rsplit_once("::").expect("a module");
            let file = format!("../tests/tests/native/{}.rs", module.replace("::", "/"));
            let text = std::fs::read_to_string(folder.join(file)).expect("the module's file");
            assert!(text.contains(&format!("#[test]\nfn {test}() {{")), "{test}");
        }
    }

    #[test]
    fn hooks_that_are_missing_are_hooks_of_guests() {
        for row in MISSING {
            assert!(HOOKS.iter().any(|hook| hook.name == row.hook), "{}", row.hook);
            assert!(GUESTS.iter().any(|guest| guest.name == row.guest), "{}", row.guest);
        }
    }

    #[test]
    fn the_plan_of_a_guest() {
        let plan = plan(&GUESTS[0], true, None);
        let lines: Vec<_> = plan.lines().collect();
        assert_eq!(
            lines[..3],
            ["results /dev/ttyS1", "deadline 420", "env TRACER_BIN=/guest/tracer"]
        );
        for line in [
            "section kprobe",
            "tracer /guest/tracer --hook kprobe -o json -w file:/tmp/kprobe.json",
            "suite /guest/native --test-threads=1 --exact \
             calls::family::many_calls_under_way_at_the_same_time \
             calls::processes::a_thread_id_that_is_used_again_after_exec",
            "stop",
        ] {
            assert!(lines.contains(&line), "{plan}");
        }
        assert!(plan.contains(" --skip options::filters::tid "), "{plan}");
        assert!(lines.contains(&"suite /guest/native options::copies::"), "{plan}");
    }

    #[test]
    fn the_plan_of_some_tests() {
        let plan = super::plan(&GUESTS[1], false, Some("copies"));
        let wanted = "section kprobe\nenv TRACER_TEST_HOOK=kprobe\nsuite /guest/native copies\n";
        assert!(plan.contains(wanted), "{plan}");
        assert!(!plan.contains("tracer /guest/tracer"), "{plan}");
    }
}

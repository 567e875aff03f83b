//! The 32-bit ways in, from 64-bit code and from a true i386 program, and x32. Each
//! number has a module of its own, by which results are counted.

use tests::skip::skip;
use tests::{child, compat};

use crate::WORKLOAD;

/// Runs a scenario of `int $0x80` and compares every call with exactly one event.
fn exact(module: &str, scenario: &str) {
    if child::run(WORKLOAD, &["probe-int80"]).status.success() {
        super::exact(&[scenario]);
    } else {
        skip(module, "this kernel has no int $0x80");
    }
}

fn i386_program(module: &str, way: &str) {
    let test = format!("{module}::an_i386_program");
    compat::check(&test, way, "TRACER_TEST_I386", &["cc", "-m32"]);
}

mod time32 {
    #[test]
    fn by_int80() {
        super::exact(module_path!(), "time32");
    }

    #[test]
    fn restarted_is_one_call() {
        super::exact(module_path!(), "restarted-time32");
    }

    #[test]
    fn an_i386_program() {
        super::i386_program(module_path!(), "time32");
    }
}

mod time64 {
    #[test]
    fn by_int80() {
        super::exact(module_path!(), "time64");
    }

    #[test]
    fn restarted_is_one_call() {
        super::exact(module_path!(), "restarted-time64");
    }

    #[test]
    fn an_i386_program() {
        super::i386_program(module_path!(), "time64");
    }
}

mod socketcall {
    #[test]
    fn by_int80() {
        super::exact(module_path!(), "socketcall");
    }

    #[test]
    fn without_its_arguments() {
        super::exact(module_path!(), "socketcall-fault");
    }

    #[test]
    fn restarted_is_one_call() {
        super::exact(module_path!(), "restarted-socketcall");
    }

    #[test]
    fn arguments_that_change_meanwhile() {
        super::exact(module_path!(), "socketcall-changed");
    }

    #[test]
    fn an_i386_program() {
        super::i386_program(module_path!(), "socketcall");
    }
}

mod delivered {
    /// In every ABI's own way to write the timeout back.
    #[test]
    fn then_efault() {
        super::exact(module_path!(), "delivered-compat");
        super::exact(module_path!(), "undelivered-compat");
    }
}

mod x32 {
    use tests::{hook, skip::skip};

    #[test]
    fn attempts_are_events() {
        if hook::on_functions() {
            return skip(module_path!(), "kernels without x32 have no function for its calls");
        }
        super::super::exact(&["x32"]);
    }
}

//! The command line: what is refused, with which words and which exit status.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use tempfile::TempDir;
use tests::child::{Finished, Running};
use tests::skip::{is_root, require_root_bpf, skip};
use tests::{tools, tracer};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

/// Runs the tracer with arguments that it must refuse, saying these words.
fn refused(code: i32, args: &[&str], words: &[&str]) -> Finished {
    let finished = tracer::run(args);
    assert_eq!(finished.status.code(), Some(code), "{args:?}: {finished:#?}");
    assert_eq!(finished.stdout, "", "{args:?}: stdout is for events");
    for word in words {
        assert!(finished.stderr.contains(word), "{args:?} must say {word}: {}", finished.stderr);
    }
    assert!(!finished.stderr.contains("panicked"), "{args:?}: {}", finished.stderr);
    assert!(!finished.stderr.contains("tracer: attached"), "{args:?}: {}", finished.stderr);
    finished
}

#[test]
fn unknown_events_name_the_nearest_known_one() {
    refused(2, &["--event", "recvmsgg"], &["recvmsgg", "recvmmsg"]);
    refused(2, &["-e", "recvmmsg,recvmmsg_tim32"], &["recvmmsg_tim32", "recvmmsg_time32"]);
    refused(2, &["-e", ""], &[]);
}

#[test]
fn bad_values_are_usage_errors() {
    for pid in ["abc", "-1", "99999999999", "1.5", "!", ""] {
        refused(2, &[&format!("--pid={pid}")], &["--pid"]);
    }
    refused(2, &["--tid=x"], &["--tid", "x"]);
    refused(2, &["--uid=nobody-of-that-name"], &["--uid"]);
    refused(2, &["--comm=[a"], &["--comm", "[a"]);
    refused(2, &["--exe=[a"], &["--exe", "[a"]);
    refused(2, &["--buffer=12Q"], &["--buffer", "12Q"]);
    refused(2, &["--buffer=0"], &["--buffer"]);
    refused(2, &["--messages=5000"], &["--messages", "1024"]);
    refused(2, &["--messages=x"], &["--messages"]);
    refused(2, &["--payload=10"], &["--payload", "--detail full"]);
    refused(2, &["--detail=full", "--payload=65537"], &["--payload", "65536"]);
    refused(2, &["--detail=full", "--payload=65536"], &["--payload", "--messages"]);
    refused(2, &["--detail=full", "--redact"], &["--redact", "--payload"]);
    let recorded = ["--detail=full", "--payload=1", "--redact", "--record=/tmp/never-written"];
    refused(2, &recorded, &["--redact", "--record"]);
    refused(2, &["--duration=soon"], &["--duration", "soon"]);
    refused(2, &["--count=-1"], &["--count"]);
    refused(2, &["--max-loss=some"], &["--max-loss"]);
    refused(2, &["--output=yaml"], &["--output", "json"]);
    refused(2, &["--hook=magic"], &["--hook"]);
    refused(2, &["--follow"], &["--follow", "--pid"]);
    refused(2, &["--write=nowhere"], &["--write", "file:"]);
    refused(2, &["--filter"], &["--filter"]);
    refused(2, &["--no-such-option"], &["--no-such-option"]);
    refused(2, &["no-such-command"], &["no-such-command"]);
}

/// Before anything is attached or opened, also where there is nothing to replay.
#[test]
fn filters_that_are_none_are_shown_where_they_are_wrong() {
    for (filter, words) in [
        (
            "args.vln > 16",
            [
                "unknown field args.vln; did you mean args.vlen?",
                "    args.vln > 16\n    ^^^^^^^^\n",
            ],
        ),
        (
            "ret < 0 && args.vlen == \"four\"",
            [
                "args.vlen is a number from 0 up, not a text",
                "    ret < 0 && args.vlen == \"four\"\n                            ^^^^^^\n",
            ],
        ),
        ("ret <", ["expected a field or a value, not the end", "    ret <\n         ^\n"]),
        ("", ["expected a field or a value", "^"]),
    ] {
        refused(2, &["--filter", filter], &words);
        refused(2, &["--filter", "ret < 0", "--filter", filter], &words);
        refused(2, &["replay", "/no/such/recording", "--filter", filter], &words);
        refused(2, &["--filter", filter, "-w", "file:/no/such/folder/events", "--", "x"], &words);
    }
}

#[test]
fn help_and_version_are_fine() {
    for args in [["--help"], ["--version"]] {
        let finished = tracer::run(&args);
        finished.expect_code(0);
        assert!(finished.stdout.contains("tracer"), "{finished:#?}");
    }
}

#[test]
fn a_command_that_does_not_exist() {
    if require_root_bpf("cli") {
        let finished = tracer::run(&["--", "/no/such/program"]);
        assert!(matches!(finished.status.code(), Some(1 | 2)), "{finished:#?}");
        assert!(finished.stderr.contains("/no/such/program"), "{finished:#?}");
    }
}

#[test]
fn an_output_that_can_not_be_opened() {
    if require_root_bpf("cli") {
        let finished = tracer::run(&["-d", "1s", "-w", "file:/no/such/folder/events"]);
        assert!(matches!(finished.status.code(), Some(1 | 5)), "{finished:#?}");
        assert!(finished.stderr.contains("/no/such/folder/events"), "{finished:#?}");
        assert!(!finished.stderr.contains("tracer: attached"), "{finished:#?}");
    }
}

/// Every write to /dev/full fails.
#[test]
fn a_sink_that_fails_for_good_is_exit_5() {
    if require_root_bpf("cli") {
        let args = ["-o", "json", "-w", "file:/dev/full", "--", WORKLOAD, "eagain"];
        let folder = TempDir::new().expect("a temporary folder");
        let truth = folder.path().join("truth");
        let truth = truth.to_str().expect("a path in UTF-8");
        let finished = tracer::run(&[&args[..], &["--truth", truth]].concat());
        finished.expect_code(5);
        assert!(finished.stderr.contains("/dev/full"), "{finished:#?}");
        assert!(finished.stderr.contains("No space left"), "{finished:#?}");
    }
}

#[test]
fn without_privileges_it_says_which() {
    if !is_root() {
        let finished = tracer::run(&["-d", "1s"]);
        finished.expect_code(3);
        assert!(finished.stderr.contains("CAP_"), "{finished:#?}");
        return;
    }
    let Some(setpriv) = tools::find("setpriv") else {
        return skip("cli without_privileges_it_says_which", "no setpriv (util-linux)");
    };
    // Where everybody can execute it.
    let folder = TempDir::new().expect("a temporary folder");
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).expect("our own folder");
    let copy = folder.path().join("tracer");
    std::fs::copy(tracer::binary(), &copy).expect("the tracer can be copied");
    let mut command = Command::new(setpriv);
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]);
    command.arg(copy).args(["-d", "1s"]);
    let finished = Running::start(command).finish();
    finished.expect_code(3);
    assert_eq!(finished.stdout, "", "stdout is for events");
    assert!(finished.stderr.contains("CAP_BPF"), "{finished:#?}");
}

//! `--filter`: the events of an expression are those of all events for which it holds.

use serde_json::Value;
use tempfile::TempDir;
use tests::skip::require_root_bpf;
use tests::stream::Stream;
use tests::tracer::{self, Attached, Waiting, around};

use super::filters::{attached, command, strings};
use crate::WORKLOAD;

/// An expression, and the same on an event or a workload's truth.
type Case = (&'static str, fn(&Value) -> bool);

fn ret(call: &Value) -> i64 {
    call["ret"].as_i64().expect("a call that returned")
}

fn vlen(call: &Value) -> i64 {
    call["args"]["vlen"]["value"].as_i64().expect("a number")
}

fn flags(call: &Value) -> u64 {
    call["args"]["flags"]["value"].as_u64().expect("a number")
}

fn comm(call: &Value) -> &str {
    call["process"]["comm"].as_str().expect("a name")
}

fn error(call: &Value) -> Option<&str> {
    call["error"]["name"].as_str()
}

/// The messages; a call without any has none.
fn messages(call: &Value) -> &[Value] {
    call["messages"].as_array().map_or(&[], Vec::as_slice)
}

fn any_message(call: &Value, wanted: impl Fn(&Value) -> bool) -> bool {
    messages(call).iter().any(wanted)
}

fn has(list: &Value, name: &str) -> bool {
    list.as_array().is_some_and(|list| list.iter().any(|item| item == name))
}

/// What both the truth and the events tell.
const TOLD: &[Case] = &[
    ("ret >= 0", |call| ret(call) >= 0),
    ("ret < 0 && args.vlen > 3", |call| ret(call) < 0 && vlen(call) > 3),
    ("ret != args.vlen", |call| ret(call) != vlen(call)),
    ("!(ret < 0) || args.vlen in (1, 64)", |call| ret(call) >= 0 || [1, 64].contains(&vlen(call))),
    ("error == null", |call| error(call).is_none()),
    ("error.name == 'EAGAIN'", |call| error(call) == Some("EAGAIN")),
    ("error.name != \"EAGAIN\"", |call| error(call) != Some("EAGAIN")),
    ("process.comm == 'worker-1'", |call| comm(call) == "worker-1"),
    ("process.comm != 'worker-1' && ret < 0", |call| comm(call) != "worker-1" && ret(call) < 0),
    ("process.comm ~ '*-[02]'", |call| ["worker-0", "worker-2"].contains(&comm(call))),
    ("process.comm in ('worker-0', 'worker-2')", |call| {
        ["worker-0", "worker-2"].contains(&comm(call))
    }),
    ("process.uid == 0 && process.pid != 1", |_| true),
    ("process.pid == process.tid", |call| call["process"]["pid"] == call["process"]["tid"]),
    ("'MSG_DONTWAIT' in args.flags.names", |call| {
        has(&call["args"]["flags"]["names"], "MSG_DONTWAIT")
    }),
    ("args.flags & 0x40 != 0", |call| flags(call) & 0x40 != 0),
    ("args.timeout == null", |call| call["args"]["timeout"]["value"].is_null()),
    ("syscall.abi == 'x86_64' || syscall.abi == 'arm64'", |_| true),
    ("event == 'recvmmsg_time32'", |_| false),
];

/// What is looked up in whole events alone: the truth leaves some of it open.
const SHOWN: &[Case] = &[
    ("messages.len > 20", |call| any_message(call, |m| m["len"].as_u64() > Some(20))),
    ("messages != null", |call| call["messages"].is_array()),
    ("messages.name.ip in '127.0.0.0/8'", |call| {
        any_message(call, |m| m["name"]["ip"] == "127.0.0.1")
    }),
    ("messages.name.ip == '::1'", |call| any_message(call, |m| m["name"]["ip"] == "::1")),
    ("messages.name.family != 'AF_UNIX'", |call| {
        !any_message(call, |m| m["name"]["family"] == "AF_UNIX")
    }),
    ("messages.name.path ~ '/*'", |call| any_message(call, |m| m["name"]["path"].is_string())),
    ("'MSG_TRUNC' in messages.flags.names", |call| {
        any_message(call, |m| has(&m["flags"]["names"], "MSG_TRUNC"))
    }),
    ("messages.flags & 0x20 != 0", |call| {
        any_message(call, |m| m["flags"]["value"].as_u64().is_some_and(|bits| bits & 0x20 != 0))
    }),
    ("messages.control.len_out > 0", |call| {
        any_message(call, |m| m["control"]["len_out"].as_u64() > Some(0))
    }),
    ("missing ~ '[am]*'", |call| {
        let missing = call["missing"].as_object();
        missing.is_some_and(|missing| missing.keys().any(|path| path.starts_with(['a', 'm'])))
    }),
    ("truncated.messages > 10", |call| call["truncated"]["messages"].as_u64() > Some(10)),
    ("args.timeout.requested >= 1s", |call| {
        call["args"]["timeout"]["requested"]["sec"].as_i64() >= Some(1)
    }),
    ("args.timeout.remaining != null", |call| call["args"]["timeout"]["remaining"].is_object()),
    ("latency_ns < 20us", |call| call["latency_ns"].as_u64().is_some_and(|ns| ns < 20_000)),
    ("latency_ns >= 20us || latency_ns == null", |call| {
        call["latency_ns"].as_u64().is_none_or(|ns| ns >= 20_000)
    }),
    ("process.exe ~ '*/workload'", |_| true),
    ("time > '2020-01-01T00:00:00Z' && time < '2100-01-01T00:00:00Z'", |_| true),
];

const THREADS: [&str; 5] = ["threads", "--threads", "3", "--count", "4"];
const SCENARIOS: [&[&str]; 7] = [
    &THREADS,
    &["mixed", "--threads", "2", "--count", "6"],
    &["unix"],
    &["udp6"],
    &["cut"],
    &["control"],
    &["efault"],
];

/// One recording of all calls, played once for each expression.
#[test]
fn on_a_recording() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("recording");
    let path = path.to_str().expect("a path in UTF-8");
    let mut tried = [[0; 2]; 2];
    for scenario in SCENARIOS {
        let traced = around(WORKLOAD, &["--record", path, "--messages", "20"], scenario);
        traced.assert_fine();
        let all = traced.stream.recorded();
        for (expression, wanted) in TOLD.iter().chain(SHOWN) {
            let args = ["replay", path, "-o", "json", "--filter", expression];
            let finished = tracer::run(&args);
            finished.expect_code(0);
            let mut expected = all.clone();
            expected.retain(wanted);
            tried[0][usize::from(!expected.is_empty())] += 1;
            tried[1][usize::from(expected.len() < all.len())] += 1;
            let events = Stream::parse(&finished.stdout).recorded();
            assert_eq!(events, expected, "--filter '{expression}' of {scenario:?}");
        }
    }
    assert!(tried.as_flattened().iter().all(|count| *count > 20), "{tried:?}");
}

/// The same while the calls are made.
#[test]
fn on_calls() {
    for (expression, wanted) in TOLD {
        command(&THREADS, &["--filter", expression], wanted);
    }
    command(&THREADS, &["--filter", "ret < 0", "--filter", "process.comm ~ '*-1'"], |call| {
        ret(call) < 0 && comm(call) == "worker-1"
    });
    command(&THREADS, &["--comm", "worker-*", "--filter", "ret > 0", "--uid", "0"], |call| {
        ret(call) > 0
    });
    command(&THREADS, &["--comm", "worker-1", "--filter", "process.comm != 'worker-1'"], |_| false);
}

/// Of a process that was there before: what the kernel decides, and that it is told.
#[test]
fn of_one_process() {
    let own =
        |pid: &str, rest: &str| strings(&["--filter", &format!("process.pid == {pid}{rest}")]);
    attached(&THREADS, |pid| own(pid, ""), |_| true);
    attached(&THREADS, |pid| own(pid, " && ret < 0"), |call| ret(call) < 0);
    attached(
        &THREADS,
        |pid| own(pid, " && process.comm in ('worker-0', 'x')"),
        |call| comm(call) == "worker-0",
    );
    attached(&THREADS, |pid| own(pid, &format!(" && process.tid != {pid}")), |_| true);
    attached(&THREADS, |pid| own(pid, &format!(" && process.tid == {pid}")), |_| false);
    attached(&THREADS, |pid| own(pid, " && process.pid == 1"), |_| false);
    attached(&THREADS, |pid| own(pid, " && !(process.uid in (1, 0))"), |_| false);
    attached(
        &THREADS,
        |pid| [own(pid, ""), strings(&["--pid", &format!("1,{pid}"), "--uid", "0"])].concat(),
        |_| true,
    );
}

#[test]
fn it_says_what_is_decided_where() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    let waiting = Waiting::start(WORKLOAD, &THREADS);
    let filter = format!("process.pid == {} && ret < 0 && process.comm ~ '*-1'", waiting.pid());
    let attached = Attached::start(&["-v", "--uid", "0", "--filter", &filter]);
    let expected = format!(
        "filters: the kernel decides uid, `process.pid == {}`, `ret < 0`, \
         the daemon `process.comm ~ \"*-1\"`",
        waiting.pid()
    );
    let mut truth = waiting.go();
    let (stream, finished) = attached.stop();
    truth.retain(|call| ret(call) < 0 && comm(call) == "worker-1");
    stream.assert_exactly(&truth);
    assert!(finished.stderr.contains(&expected), "{expected}: {}", finished.stderr);
}

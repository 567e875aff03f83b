//! For which events expressions hold.

use std::collections::BTreeMap;

use crate::{
    event::{
        Arg, Cgroup, Control, Errno, Event, FlagNames, InOut, Known, Message, MessageFlags, Name,
        Namespaces, Process, SCHEMA, Syscall, Text, Timespec, Value,
    },
    filter::expr::Expression,
};

fn arg(value: Value) -> Arg {
    Arg { value, names: None, requested: None, remaining: None, tags: vec!["K"] }
}

fn message(len: u32, name: Option<Name>, flag: Option<(u32, &'static str)>) -> Message {
    let value = flag.map_or(0, |(value, _)| value);
    let names = flag.map(|(_, name)| name).into_iter().collect();
    Message {
        len,
        name,
        namelen: InOut { before: Some(128), after: 16 },
        flags: MessageFlags { value, names: FlagNames { names, rest: 0 } },
        control: Control { len_in: None, len_out: 0, items: None },
        iov: None,
        iovlen: None,
        payload: None,
        kernel: None,
    }
}

/// Two messages, one from 10.0.0.7 and one cut from no address.
fn received() -> Event {
    let inet = Name::Inet { ip: [10, 0, 0, 7].into(), port: 53 };
    let messages =
        vec![message(48, Some(inet), None), message(512, None, Some((0x20, "MSG_TRUNC")))];
    Event { ret: Some(2), error: None, messages: Some(Known(Some(messages))), ..failed() }
}

/// EAGAIN after 5 ms.
fn failed() -> Event {
    let names = FlagNames { names: vec!["MSG_DONTWAIT"], rest: 0x8_0000 };
    let time = "2026-11-20T20:41:07.5Z".parse().ok();
    Event {
        schema: SCHEMA,
        time,
        time_exit: None,
        run_id: crate::event::RunId::default(),
        seq: 0,
        event: "recvmmsg",
        cpu: 1,
        syscall: Syscall { name: "recvmmsg", nr: 299, abi: "x86_64" },
        process: Process {
            pid: 812,
            tid: 813,
            ppid: None,
            comm: Text::new("nginx: worker"),
            exe: Text::missing(),
            uid: 102,
            gid: 109,
            start_time: time,
            cgroup: Cgroup { id: 5650, path: Text::new(&b"/a"[..]) },
            container: None,
            ns: Namespaces { pid: Some(1), mnt: Some(2), net: None },
            ns_pid: Some(1),
            ns_tid: Some(1),
        },
        args: vec![
            ("sockfd", arg(Value::Signed(-1))),
            ("msgvec", arg(Value::Pointer(0x7ffd_e00e_3890))),
            ("vlen", arg(Value::Unsigned(4))),
            ("flags", Arg { names: Some(names), ..arg(Value::Unsigned(0x8_0040)) }),
            (
                "timeout",
                Arg {
                    requested: Some(Known(Some(Timespec { sec: 0, nsec: 1_000_000 }))),
                    ..arg(Value::Pointer(0x7ffd_e00e_3700))
                },
            ),
        ],
        socket: None,
        ret: Some(-11),
        error: Some(Errno { name: "EAGAIN".into(), errno: 11 }),
        latency_ns: Some(5_000_000),
        delivered: None,
        messages: None,
        truncated: None,
        findings: Vec::new(),
        missing: BTreeMap::from([("process.exe".to_owned(), crate::event::Reason::Fault)]),
    }
}

fn holds(text: &str, event: &Event) -> bool {
    Expression::new(text).unwrap_or_else(|error| panic!("{error}")).holds(event)
}

fn all(event: &Event, cases: &[(&str, bool)]) {
    for (text, expected) in cases {
        assert_eq!(holds(text, event), *expected, "{text}");
    }
}

#[test]
fn numbers() {
    all(
        &failed(),
        &[
            ("args.vlen == 4", true),
            ("args.vlen.value == 4", true),
            ("args.vlen > 4", false),
            ("args.vlen >= 4 && args.vlen <= 4 && args.vlen < 5 && args.vlen != 5", true),
            ("4 < args.vlen", false),
            ("5 > args.vlen && 3 < args.vlen && 4 >= args.vlen && 4 <= args.vlen", true),
            ("ret < 0 && ret == -11", true),
            ("args.sockfd == -1", true),
            ("args.msgvec == 0x7ffde00e3890", true),
            ("ret in (-4, -11)", true),
            ("ret in (0, 1)", false),
            ("args.flags & 0x40 != 0", true),
            ("args.flags & 0x1 != 0", false),
            ("args.flags & 0x80040 == 0x80040", true),
            ("ret < args.vlen", true),
            ("process.pid == process.tid", false),
            ("error.errno == 11", true),
        ],
    );
}

#[test]
fn times() {
    all(
        &failed(),
        &[
            ("latency_ns == 5ms", true),
            ("latency_ns == 5000000", true),
            ("latency_ns > 4999us && latency_ns < 1s", true),
            ("args.timeout.requested == 1ms", true),
            ("latency_ns > args.timeout.requested", true),
            ("args.timeout.requested.nsec == 1000000", true),
            ("time > \"2026-11-20T20:41:07Z\"", true),
            ("time > \"2026-11-20T22:41:07+01:00\"", false),
            ("process.start_time == \"2026-11-20T20:41:07.50Z\"", true),
            ("time == process.start_time", true),
        ],
    );
}

#[test]
fn texts() {
    all(
        &failed(),
        &[
            ("process.comm == \"nginx: worker\"", true),
            ("process.comm == 'nginx'", false),
            ("process.comm ~ \"nginx*\"", true),
            ("process.comm ~ \"*[xy]: ?orker\"", true),
            ("process.comm ~ \"nginx\"", false),
            ("!(process.comm ~ \"nginx*\")", false),
            ("process.comm in (\"a\", \"nginx: worker\")", true),
            ("error.name == \"EAGAIN\"", true),
            ("event == syscall.name", true),
            ("\"MSG_DONTWAIT\" in args.flags.names", true),
            ("args.flags.names == \"MSG_DONTWAIT\"", true),
            ("args.flags.names ~ \"MSG_*\"", true),
            ("\"0x80000\" in args.flags.names", true),
            ("\"MSG_PEEK\" in args.flags.names", false),
            ("\"K\" in args.vlen.tags", true),
            ("\"process.exe\" in missing", true),
            ("missing ~ \"process.*\"", true),
        ],
    );
}

#[test]
fn addresses() {
    let event = received();
    all(
        &event,
        &[
            ("messages.name.ip == \"10.0.0.7\"", true),
            ("messages.name.ip == \"10.0.0.8\"", false),
            ("messages.name.ip == \"::ffff:10.0.0.7\"", true),
            ("messages.name.ip in \"10.0.0.0/8\"", true),
            ("messages.name.ip == \"10.0.0.0/8\"", true),
            ("messages.name.ip in (\"::1\", \"192.168.0.0/16\")", false),
            ("messages.name.family == \"AF_INET\" && messages.name.port == 53", true),
        ],
    );
}

#[test]
fn of_several_values_one_is_enough() {
    let event = received();
    all(
        &event,
        &[
            ("messages.len == 48", true),
            ("messages.len == 512", true),
            ("messages.len > 48", true),
            ("messages.len > 512", false),
            ("48 in messages.len", true),
            ("messages.len in (1, 2)", false),
            // Not the same message.
            ("messages.len == 512 && messages.name.port == 53", true),
            ("\"MSG_TRUNC\" in messages.flags.names", true),
            // Of bits, != holds for one of several as well.
            ("messages.flags & 0x20 != 0", true),
            ("messages.flags & 0x20 == 0", true),
            ("messages.flags & 0x8 != 0", false),
            ("messages.len > ret", true),
            // != is the negation of ==: none is equal.
            ("messages.len != 48", false),
            ("messages.len != 50", true),
            ("!(messages.len == 48)", false),
        ],
    );
}

#[test]
fn null_is_no_value() {
    let (received, failed) = (received(), failed());
    let without_return = Event { ret: None, error: None, latency_ns: None, ..failed.clone() };
    for (text, of_received, of_failed, of_unreturned) in [
        ("error == null", true, false, true),
        ("error != null", false, true, false),
        ("null == error", true, false, true),
        ("ret == null", false, false, true),
        // Every comparison with null fails ...
        ("error.name == \"EAGAIN\"", false, true, false),
        ("ret < 0", false, true, false),
        ("ret >= 0", true, false, false),
        ("latency_ns > 1ns", true, true, false),
        ("ret < args.vlen", true, true, false),
        ("error.name ~ \"*\"", false, true, false),
        // ... and negations are the opposite of what they negate.
        ("error.name != \"EAGAIN\"", true, false, true),
        ("!(ret < 0)", true, false, true),
        ("ret != args.vlen", true, true, true),
        // A list is null if it has no value.
        ("messages == null", false, true, true),
        ("messages.len == null", false, true, true),
        ("messages.len != null", true, false, false),
        ("messages.name.ip != null", true, false, false),
        ("messages.name.path == null", true, true, true),
        ("messages.len != 48", false, true, true),
        ("messages.flags & 0x8 != 0", false, false, false),
        ("ret & 1 != 0", false, true, false),
        ("args.timeout == null", false, false, false),
        ("args.timeout.remaining == null", true, true, true),
        ("process.ppid == null && process.exe == null", true, true, true),
        ("missing != null", true, true, true),
    ] {
        assert_eq!(holds(text, &received), of_received, "{text} of a call with messages");
        assert_eq!(holds(text, &failed), of_failed, "{text} of a failed call");
        assert_eq!(holds(text, &without_return), of_unreturned, "{text} of a call without return");
    }
}

#[test]
fn logic() {
    all(
        &failed(),
        &[
            ("ret < 0 && cpu == 1", true),
            ("ret < 0 && cpu == 2", false),
            ("ret > 0 || cpu == 1", true),
            ("ret > 0 || cpu == 2", false),
            ("!ret > 0", true),
            ("!(ret < 0 && cpu == 1)", false),
            ("ret > 0 || cpu == 1 && cpu == 2", false),
            ("(ret < 0 || cpu == 1) && cpu == 2", false),
        ],
    );
}

#[test]
fn texts_are_bytes() {
    let mut event = failed();
    event.process.comm = Text::new(&b"a\xff"[..]);
    all(
        &event,
        &[
            ("process.comm ~ \"a?\"", true),
            ("process.comm == \"a\u{fffd}\"", false),
            ("process.comm_hex == \"61ff\"", true),
            ("process.exe_hex == null", true),
        ],
    );
}

//! Screens as people see them.

use std::{borrow::Cow, collections::BTreeMap};

use jiff::Timestamp;
use tracer_common::flags::MSG;
use unicode_width::UnicodeWidthStr;

use super::Table;
use crate::event::{
    Arg, Cgroup, Control, Errno, Event, FlagNames, InOut, Known, Message, MessageFlags, Name,
    Namespaces, Process, Reason, SCHEMA, Syscall, Text, Timespec, Truncated, Value,
};

fn flag_names(value: u32) -> FlagNames {
    let (names, rest) = MSG.split(value);
    FlagNames { names: names.collect(), rest }
}

fn event(ms: i64, pid: u32, comm: &[u8]) -> Event {
    let start = 1_795_207_267_123; // 2026-11-20T20:41:07.123Z
    Event {
        schema: SCHEMA,
        time: Timestamp::from_millisecond(start + ms).ok(),
        time_exit: None,
        run_id: crate::event::RunId::default(),
        seq: 1,
        event: "recvmmsg",
        cpu: 1,
        syscall: Syscall { name: "recvmmsg", nr: 299, abi: "x86_64" },
        process: Process {
            pid,
            tid: pid,
            ppid: Some(1),
            comm: Text::new(comm),
            exe: Text::missing(),
            uid: 102,
            gid: 109,
            start_time: None,
            cgroup: Cgroup { id: 1, path: Text::new(&b"/a"[..]) },
            container: None,
            ns: Namespaces { pid: None, mnt: None, net: None },
            ns_pid: Some(1),
            ns_tid: Some(1),
        },
        args: vec![
            ("sockfd", arg(Value::Signed(5))),
            ("msgvec", arg(Value::Pointer(0x7ffd_e00e_3890))),
            ("vlen", arg(Value::Unsigned(4))),
            ("flags", Arg { names: Some(flag_names(0)), ..arg(Value::Unsigned(0)) }),
            ("timeout", arg(Value::Null)),
        ],
        socket: None,
        ret: Some(0),
        error: None,
        latency_ns: Some(591),
        delivered: None,
        messages: None,
        truncated: None,
        findings: Vec::new(),
        missing: BTreeMap::new(),
    }
}

fn arg(value: Value) -> Arg {
    Arg { value, names: None, requested: None, remaining: None, tags: vec!["K"] }
}

impl Event {
    fn set(mut self, name: &str, arg: Arg) -> Self {
        self.args
            .iter_mut()
            .filter(|(found, _)| *found == name)
            .for_each(|(_, at)| *at = arg.clone());
        self
    }

    fn flags(self, value: u32) -> Self {
        self.set("flags", Arg { names: Some(flag_names(value)), ..arg(Value::Unsigned(value)) })
    }

    fn timeout(self, sec: i64, nsec: i64) -> Self {
        let requested = Some(Known(Some(Timespec { sec, nsec })));
        self.set("timeout", Arg { requested, ..arg(Value::Pointer(0x7ffd_e00e_3700)) })
    }

    fn failed(mut self, name: &'static str, errno: u64) -> Self {
        self.ret = Some(-i64::try_from(errno).unwrap());
        self.error = Some(Errno { name: Cow::Borrowed(name), errno });
        self
    }

    fn received(mut self, messages: Vec<Message>) -> Self {
        self.ret = Some(i64::try_from(messages.len()).unwrap());
        self.messages = Some(Known(Some(messages)));
        self
    }
}

fn message(len: u32, name: Option<Name>) -> Message {
    Message {
        len,
        name,
        namelen: InOut { before: Some(128), after: 16 },
        flags: MessageFlags { value: 0, names: flag_names(0) },
        iov: None,
        iovlen: None,
        control: Control { len_in: Some(0), len_out: 0, items: None },
        payload: None,
        kernel: None,
    }
}

fn flagged(len: u32, name: Option<Name>, flags: u32) -> Message {
    let flags = MessageFlags { value: flags, names: flag_names(flags) };
    let control = Control { len_in: Some(256), len_out: 64, items: None };
    Message { flags, control, ..message(len, name) }
}

fn inet(ip: [u8; 4], port: u16) -> Option<Name> {
    Some(Name::Inet { ip: ip.into(), port })
}

/// One of each kind.
fn events() -> Vec<Event> {
    let local = [127, 0, 0, 1];
    let mut truncated = event(40, 12034, b"flood")
        .set("vlen", arg(Value::Unsigned(2000)))
        .received((0..64).map(|_| message(1, inet(local, 5552))).collect());
    truncated.ret = Some(2000);
    truncated.truncated = Some(Truncated { messages: 1936, ..Truncated::default() });
    truncated.latency_ns = Some(1_234_567);

    let mut threaded = event(51, 12040, b"systemd-resolve").flags(0x40).received(vec![
        message(48, inet([192, 168, 100, 200], 54321)),
        message(1400, inet([192, 168, 100, 201], 54321)),
        message(12, inet([10, 0, 0, 7], 123)),
    ]);
    threaded.process.tid = 12047;

    let mut compat =
        event(60, 4_194_303, b"compat").timeout(0, 100_000_000).received(vec![message(
            9,
            Some(Name::Inet6 {
                ip: [0xfe80, 0, 0, 0, 0x1234, 0x5678, 0x9abc, 0xdef0].into(),
                port: 5353,
                flowinfo: 0,
                scope_id: 2,
            }),
        )]);
    compat.syscall = Syscall { name: "recvmmsg_time64", nr: 417, abi: "i386" };

    let mut unseen = event(0, 700, b"earlier").received(vec![message(3, None)]);
    unseen.time_exit = unseen.time.take();
    unseen.latency_ns = None;
    unseen.process.ppid = None;
    unseen.missing.insert("time".to_owned(), Reason::StartedBeforeAttach);
    unseen.missing.insert("messages[0].name".to_owned(), Reason::Fault);

    let mut unread = event(75, 1003, b"partial").received(vec![message(7, inet(local, 5552))]);
    unread.ret = Some(3);
    unread.missing.insert("messages[1..3]".to_owned(), Reason::Fault);

    let mut faulted = event(80, 701, b"socketcall").failed("EFAULT", 14);
    for (name, arg) in &mut faulted.args {
        arg.value = Value::Null;
        arg.names = None;
        faulted.missing.insert(format!("args.{name}"), Reason::Fault);
    }
    faulted.syscall = Syscall { name: "socketcall", nr: 102, abi: "i386" };

    let mut killed = event(90, 702, b"killed").timeout(1, 500_000_000);
    (killed.ret, killed.latency_ns) = (None, None);

    vec![
        event(0, 812, b"chronyd").flags(0x40).received(vec![message(48, inet([10, 0, 0, 7], 123))]),
        event(1, 812, b"chronyd").flags(0x40).failed("EAGAIN", 11),
        event(2, 999, b"batch")
            .timeout(1, 0)
            .received((0..3).map(|_| message(11, inet(local, 5552))).collect()),
        event(30, 999, b"connected").timeout(2, 0).failed("ECONNREFUSED", 111),
        truncated,
        threaded,
        event(52, 999, b"cut").flags(0x1_0040).received(vec![
            flagged(2048, inet([10, 0, 0, 7], 123), 0x20),
            flagged(2048, inet([10, 0, 0, 7], 123), 0x2000),
        ]),
        event(55, 1, b"systemd").received(vec![message(
            21,
            Some(Name::Unix {
                path: Some(Text::new(*b"/run/no\ntify\x1b[31m")),
                abstract_name: None,
            }),
        )]),
        event(56, 1, b"systemd-udevd")
            .received(vec![message(340, Some(Name::Netlink { pid: 0, groups: 2 }))]),
        compat,
        event(70, 1000, b"\x1b[2J\xff\xe2\x80\xae\nx")
            .set("sockfd", arg(Value::Signed(-1)))
            .failed("EBADF", 9),
        event(71, 1001, "日本語テキスト".as_bytes()).set("vlen", arg(Value::Unsigned(u32::MAX))),
        unseen,
        unread,
        faulted,
        killed,
        event(95, 1002, b"odd").flags(0x8_0000).timeout(-1, 2_000_000_000).failed("EINVAL", 22),
    ]
}

fn screen(width: usize, color: bool) -> String {
    let mut table = Table::new(width, color);
    let mut out = Vec::new();
    table.health("start", "raw-tracepoint recvmmsg,recvmmsg_time32", &mut out);
    events().iter().for_each(|event| table.event(event, &mut out));
    table.health("loss", "seen 4, filtered 0, emitted 0, lost 4 (ring_full 4)", &mut out);
    table.health("end", "seen 21, filtered 0, emitted 17, lost 4 (ring_full 4)", &mut out);
    String::from_utf8(out).unwrap()
}

/// What a terminal shows of coloured text.
fn without_color(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, sequence)) = rest.split_once('\x1b') {
        plain.push_str(before);
        let (parameters, after) = sequence.split_once('m').unwrap();
        assert!(parameters.bytes().skip(1).all(|byte| byte.is_ascii_digit() || byte == b';'));
        rest = after;
    }
    plain + rest
}

#[test]
fn no_line_is_longer_than_the_terminal() {
    let events = events().len();
    for width in (1..=260).chain([1000]) {
        let screen = screen(width, false);
        assert_eq!(screen.lines().count(), events + 4, "at {width}:\n{screen}");
        for line in screen.lines() {
            assert!(line.width() <= width, "{} > {width}: {line}", line.width());
            assert!(super::width(line) <= width, "{} > {width}: {line}", line.width());
            assert_eq!(line, line.trim_end());
        }
    }
}

#[test]
fn nothing_that_a_terminal_acts_on_comes_out() {
    for width in [40, 80, 120, 160, 1000] {
        let screen = screen(width, false);
        assert!(
            screen.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'),
            "at {width}:\n{screen}"
        );
    }
    assert!(screen(160, false).contains(r"\x1b[2J\xff…"));
    assert!(screen(160, false).contains(r"/run/no\x0atify\x1b[31m"));
}

#[test]
fn color_changes_no_text() {
    for width in [40, 80, 120, 160] {
        let colored = screen(width, true);
        assert!(colored.contains("\x1b[31mEAGAIN\x1b[0m"), "{colored:?}");
        assert_eq!(without_color(&colored), screen(width, false));
    }
}

#[test]
fn the_header_comes_first_and_after_a_change_of_width() {
    let mut table = Table::new(80, false);
    let mut out = Vec::new();
    for width in [80, 80, 100, 100] {
        table.resize(width);
        table.event(&event(0, 1, b"init"), &mut out);
    }
    let text = String::from_utf8(out).unwrap();
    let headers: Vec<_> = text.lines().map(|line| line.starts_with("TIME (UTC)")).collect();
    assert_eq!(headers, [true, false, false, true, false, false]);
    assert!(text.contains(&table.header()));
}

#[test]
fn screen_of_40_columns() {
    assert_eq!(screen(40, false), include_str!("screens/40.txt"));
}

#[test]
fn screen_of_80_columns() {
    assert_eq!(screen(80, false), include_str!("screens/80.txt"));
}

#[test]
fn screen_of_120_columns() {
    assert_eq!(screen(120, false), include_str!("screens/120.txt"));
}

#[test]
fn screen_of_160_columns() {
    assert_eq!(screen(160, false), include_str!("screens/160.txt"));
}

#[test]
fn a_foreign_abi_shows_at_every_width() {
    for width in 40..=260 {
        let screen = screen(width, false);
        let marked = screen.lines().filter(|line| line.contains("i386")).count();
        assert_eq!(marked, 2, "at {width}:\n{screen}");
    }
}

#[test]
fn findings_show_unless_something_else_shows_them() {
    let mut event = event(0, 1, b"x");
    event.findings = vec!["kernel_saw_other", "payload_truncated"];
    for width in [80, 120, 160] {
        let mut out = Vec::new();
        Table::new(width, false).event(&event, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("kernel_saw_other"), "{text}");
        assert!(!text.contains("payload_truncated"), "{text}");
    }
}

//! What is said of expressions that are none, and where it points.

use crate::filter::expr::Expression;

/// The message of a refused expression; its place is where `^` stands below it.
fn refused(text: &str, carets: &str, message: &str) {
    let error = Expression::new(text).expect_err(text);
    assert_eq!(error.to_string(), format!("{message}\n    {text}\n    {carets}"), "of {text}");
}

#[test]
fn unknown_fields_name_the_nearest() {
    refused("args.vln > 16", "^^^^^^^^", "unknown field args.vln; did you mean args.vlen?");
    refused(
        "ret < 0 && error.nam == \"x\"",
        "           ^^^^^^^^^",
        "unknown field error.nam; did you mean error.name?",
    );
    for (path, meant) in [
        ("vlen", "args.vlen"),
        ("pid", "process.pid"),
        ("uid", "process.uid"),
        ("comm", "process.comm"),
        ("process.command", "process.comm"),
        ("proces.pid", "process.pid"),
        ("fd", "args.sockfd"),
        ("args.fd", "args.sockfd"),
        ("ip", "socket.peer.ip"),
        ("errno", "error.errno"),
        ("latency", "latency_ns"),
        ("args.flags.name", "args.flags.names"),
        ("Args.Vlen", "args.vlen"),
        ("args.timeout.requested.secs", "args.timeout.requested.sec"),
        ("messages.flags.name", "messages.flags.names"),
    ] {
        let error = Expression::new(&format!("{path} == 1")).unwrap_err();
        let expected = format!("unknown field {path}; did you mean {meant}?");
        assert_eq!(error.problem.message, expected);
    }
    let known = "schema, time, time_exit, event, cpu, syscall, process, args, socket, ret, \
                 error, latency_ns, delivered, messages, truncated, findings, missing";
    for path in ["zzz.yyy", "qqqqq"] {
        let error = Expression::new(&format!("{path} == 1")).unwrap_err();
        let expected = format!("unknown field {path}; paths begin with {known}");
        assert_eq!(error.problem.message, expected);
    }
    refused(
        "args.xyz == 3",
        "^^^^^^^^",
        "unknown field args.xyz; below args are sockfd, sockfd.tags, msgvec, msgvec.tags, vlen, \
         vlen.tags, flags, flags.names, flags.tags, timeout, timeout.requested, \
         timeout.requested.sec, timeout.requested.nsec, timeout.remaining, \
         timeout.remaining.sec, timeout.remaining.nsec, timeout.tags",
    );
    refused("seq > 3", "^^^", "seq numbers the events that pass the filters; no filter can use it");
}

#[test]
fn values_that_do_not_fit() {
    for (text, carets, message) in [
        (
            "args.vlen > \"x\"",
            "            ^^^",
            "args.vlen is a number from 0 up, not a text; write it as in 64 or 0x40",
        ),
        ("cpu == -1", "       ^^", "cpu is never negative"),
        (
            "ret == 5ms",
            "       ^^^",
            "ret is a number, not a length of time; write it as in 64 or 0x40",
        ),
        (
            "process.comm == 5",
            "                ^",
            "process.comm is a text, not a number; write it in quotes",
        ),
        (
            "process.comm == nginx",
            "                ^^^^^",
            "unknown field nginx; a text goes in quotes: \"nginx\"",
        ),
        (
            "process.comm == \"systemd-resolved\"",
            "                ^^^^^^^^^^^^^^^^^^",
            "the kernel keeps 15 bytes of it, so process.comm is never this; shorten it, \
             or use a glob: process.comm ~ \"systemd-resolve*\"",
        ),
        (
            "latency_ns > \"5ms\"",
            "             ^^^^^",
            "latency_ns is a length of time, not a text; \
             write nanoseconds, or a number with a unit as in 5ms",
        ),
        (
            "time > \"yesterday\"",
            "       ^^^^^^^^^^^",
            "time is a point in time, not this; write it as in \"2026-11-20T20:41:07Z\"",
        ),
        (
            "messages.name.ip == \"10.0.0\"",
            "                    ^^^^^^^^",
            "messages.name.ip is an IP address, not this; \
             write it as in \"10.0.0.7\", \"fe80::1\" or \"10.0.0.0/8\"",
        ),
        (
            "error == \"EAGAIN\"",
            "         ^^^^^^^^",
            "error is compared with null only; below it are error.name, error.errno",
        ),
        (
            "args.flags == \"MSG_DONTWAIT\"",
            "              ^^^^^^^^^^^^^^",
            "args.flags is a number from 0 up, not a text; \
             the names of its flags are in args.flags.names",
        ),
        (
            "\"MSG_DONTWIAT\" in args.flags.names",
            "^^^^^^^^^^^^^^",
            "no flag \"MSG_DONTWIAT\"; did you mean \"MSG_DONTWAIT\"?",
        ),
        ("process.pid == null", "               ^^^^", "process.pid is never null"),
        ("ret in (1, null)", "           ^^^^", "null is compared with == and != only"),
        (
            "error.name == \"EAGIAN\"",
            "              ^^^^^^^^",
            "no error \"EAGIAN\"; did you mean \"EAGAIN\"?",
        ),
        (
            "error.name ~ \"oops\"",
            "             ^^^^^^",
            "no error \"oops\"; their names are as in \"EAGAIN\"",
        ),
        (
            "error.name == \"EWOULDBLOCK\"",
            "              ^^^^^^^^^^^^^",
            "EWOULDBLOCK is shown as \"EAGAIN\"",
        ),
        ("error.name == \"11\"", "              ^^^^", "error 11 is shown as \"EAGAIN\""),
        (
            "error.errno == \"EAGAIN\"",
            "               ^^^^^^^^",
            "error.errno is a number from 0 up, not a text; write error.name == \"EAGAIN\"",
        ),
        (
            "ret == \"EINTR\"",
            "       ^^^^^^^",
            "ret is a number, not a text; write error.name == \"EINTR\"",
        ),
        ("ret == EINTR", "       ^^^^^", "unknown field EINTR; write error.name == \"EINTR\""),
        (
            "socket.pending_error.errno != EPIPE",
            "                              ^^^^^",
            "unknown field EPIPE; write socket.pending_error.name == \"EPIPE\"",
        ),
        (
            "args.flags.names ~ \"DONTWAIT\"",
            "                   ^^^^^^^^^^",
            "no flag \"DONTWAIT\"; did you mean \"MSG_DONTWAIT\"?",
        ),
        (
            "args.timeout > 5ms",
            "               ^^^",
            "args.timeout is a pointer, not a length of time; \
             the length of time is in args.timeout.requested",
        ),
        ("process.comm ~ 5", "               ^", "after ~ comes a glob in quotes"),
        (
            "process.comm ~ \"[\"",
            "               ^^^",
            "not a glob: unclosed character class; missing ']'",
        ),
    ] {
        refused(text, carets, message);
    }
}

#[test]
fn comparisons_that_make_no_sense() {
    for (text, carets, message) in [
        ("5 == 5", "^^^^^^", "one side of a comparison is a field"),
        ("1 in (1)", "^^^^^^^^", "before or after in comes a field"),
        (
            "process.comm < \"x\"",
            "             ^",
            "process.comm is a text, which < does not order",
        ),
        (
            "args.vlen ~ \"1*\"",
            "          ^",
            "args.vlen is a number from 0 up, and ~ matches texts",
        ),
        ("ret < null", "    ^", "null is compared with == and != only"),
        (
            "error < 5",
            "      ^",
            "error is compared with null only; below it are error.name, error.errno",
        ),
        (
            "\"MSG_DONTWAIT\" in args.flags",
            "                  ^^^^^^^^^^",
            "args.flags is a number from 0 up; the names of its flags are in args.flags.names",
        ),
        (
            "\"ngin\" in process.comm",
            "          ^^^^^^^^^^^^",
            "process.comm is one text and no list; for a part of it write process.comm ~ \"*ngin*\"",
        ),
        ("5 in ret", "     ^^^", "ret is a number and no list; write =="),
        (
            "ret in 1",
            "       ^",
            "after in come values in parentheses, as in (1, 2), or a network in quotes",
        ),
        (
            "\"x*\" ~ process.comm",
            "     ^",
            "~ takes the field on its left and the glob on its right",
        ),
        (
            "args.vlen == process.comm",
            "^^^^^^^^^^^^^^^^^^^^^^^^^",
            "args.vlen is a number from 0 up, process.comm a text",
        ),
        (
            "messages.len < messages.namelen.in",
            "^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^",
            "messages.len and messages.namelen.in may both have several values, \
             and which would be compared is not clear",
        ),
        (
            "latency_ns & 1 == 0",
            "^^^^^^^^^^^^^^",
            "latency_ns is a length of time, which has no bits",
        ),
        ("ret & 1 == null", "           ^^^^", "bits are never null; ret may be"),
    ] {
        refused(text, carets, message);
    }
}

#[test]
fn what_is_no_expression() {
    for (text, carets, message) in [
        ("", "^", "expected a field or a value, not the end"),
        ("args.vlen >", "           ^", "expected a field or a value, not the end"),
        ("ret", "   ^", "expected a comparison after ret, for instance ret != null, not the end"),
        (
            "args.flags & 0x40",
            "                 ^",
            "expected a comparison after args.flags & 0x40, \
             for instance args.flags & 0x40 != 0, not the end",
        ),
        (
            "ret = 3",
            "    ^",
            "expected a comparison after ret, for instance ret != null, not =; equality is ==",
        ),
        (
            "ret < 0 and cpu == 1",
            "        ^^^",
            "expected && or || or the end, not and; write && for and",
        ),
        (
            "16 < args.vlen < 64",
            "               ^",
            "expected && or || or the end, not <; \
             for two limits write two comparisons with && between them",
        ),
        (
            "ret in 1, 2",
            "        ^",
            "expected && or || or the end, not ,; several values go in parentheses, as in (1, 2)",
        ),
        ("ret in [1, 2]", "       ^", "expected values in parentheses, not [, as in (1, 2)"),
        ("ret <> 0", "     ^", "expected a field or a value, not >; the opposite of == is !="),
        (
            "ret == -EAGAIN",
            "       ^",
            "expected a field or a value, not -; \
             errors go by name, as in error.name == \"EAGAIN\"",
        ),
        (
            "process.comm == “x”",
            "                ^",
            "expected a field or a value, not “; texts go between \" or '",
        ),
        ("not ret < 0", "^^^", "not is no field; write ! for it, as in !(ret < 0)"),
        (
            "args.flags & MSG_PEEK != 0",
            "             ^^^^^^^^",
            "after & come bits, for instance 0x40; \
             a flag goes by name as in \"MSG_PEEK\" in args.flags.names",
        ),
        ("args.flags & -1 == 0", "             ^^", "after & come bits, for instance 0x40"),
        ("(ret < 0", "        ^", "expected ) or && or ||, not the end"),
        ("ret < 0)", "       ^", "expected && or || or the end, not )"),
        ("ret < 0 && ", "           ^", "expected a field or a value, not the end"),
        ("ret in ()", "        ^", "expected a value, not )"),
        ("ret in (1, 2", "            ^", "expected ) or ,, not the end"),
        ("process.comm ~ \"a", "               ^^", "the text has no closing \""),
        ("process.comm ~ 'ä\\*'", "                 ^", "a \\ in a text is written \\\\"),
        (
            "messages.name.ip == 10.0.0.7",
            "                    ^^^^^^^^",
            "10.0.0.7 is no number; addresses, networks and times go in quotes",
        ),
        (
            "ret == 5mss",
            "       ^^^^",
            "5mss is no number; units of time are ns, us, ms, s, m and h",
        ),
        ("ret == 0x", "       ^^", "0x is no number: after 0x come the digits 0 to 9 and a to f"),
        (
            "ret == 18446744073709551616",
            "       ^^^^^^^^^^^^^^^^^^^^",
            "18446744073709551616 is too large: numbers go up to 18446744073709551615",
        ),
        ("latency_ns > -5ms", "             ^^^^", "-5ms is no length of time: it is negative"),
    ] {
        // What is shown ends with the last character.
        let error = Expression::new(text).expect_err(text);
        let expected = format!("{message}\n    {}\n    {carets}", text.trim_end());
        assert_eq!(error.to_string(), expected, "of {text}");
    }
}

#[test]
fn the_place_is_right_below_wide_and_control_characters() {
    let error = Expression::new("process.comm == \"日本\n\" && x == 1").unwrap_err();
    let shown = error.to_string();
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines[1], "    process.comm == \"日本 \" && x == 1");
    assert_eq!(lines[2], format!("    {}^", " ".repeat("process.comm == \"1234 \" && ".len())));
}

#[test]
fn quoted_control_characters_stay_on_the_line() {
    let error = Expression::new("\"a\n\x1b[2J\"").unwrap_err();
    let shown = error.to_string();
    let message = "expected a comparison after \"a  [2J\", not the end";
    assert_eq!(shown, format!("{message}\n    \"a  [2J\"\n            ^"));
}

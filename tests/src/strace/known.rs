//! The differences between what strace 6.1 tells and what the tracer tells, each with
//! its reason. `tracer/docs/STRACE.md` has the same table for readers, and a test holds
//! the two against each other.

use serde_json::Value;

use crate::compare::Difference;

/// A difference.
pub struct Row {
    /// A short name.
    pub name: &'static str,
    /// What strace tells.
    pub strace: &'static str,
    /// What the tracer tells, and why.
    pub tracer: &'static str,
    /// Whether it is this one; None where strace says nothing, so that nothing differs.
    pub is: Option<fn(&Value, &Difference) -> bool>,
}

const fn untold(name: &'static str, strace: &'static str, tracer: &'static str) -> Row {
    Row { name, strace, tracer, is: None }
}

const fn differs(
    name: &'static str,
    strace: &'static str,
    tracer: &'static str,
    is: fn(&Value, &Difference) -> bool,
) -> Row {
    Row { name, strace, tracer, is: Some(is) }
}

/// All of them.
pub const TABLE: &[Row] = &[
    untold(
        "array-address",
        "of a call that succeeds the messages, not where their array lies",
        "both: `args.msgvec`",
    ),
    untold(
        "failed-call",
        "of a call that fails only where the array lies",
        "the same, and what is read of its socket",
    ),
    untold("control-room", "`msg_controllen` when the call ended", "both: `control.len_in` too"),
    untold(
        "buffer-address",
        "what lies in a buffer, not where it lies",
        "both: `iov[].base`, and with `--payload` what lies there",
    ),
    untold(
        "unreadable-buffer",
        "the address of a buffer that it can't read",
        "the address, no payload, and `missing` says `fault`",
    ),
    untold(
        "netlink",
        "what netlink messages mean; the bytes are not shown",
        "the bytes, as payload",
    ),
    untold(
        "unnamed-control",
        "of control messages of IPv6 and UDP, and of newer ones of sockets, level and \
         number only",
        "their names and what they say",
    ),
    untold(
        "cut-control",
        "`???` of a control message that was cut",
        "its bytes in hex, with the note `unexpected_length`",
    ),
    untold(
        "1024-messages",
        "at most 1,024 messages, then `...`",
        "as many as `--messages` says, at most 1,024, and how many are left out",
    ),
    untold(
        "vanished",
        "the address of an array, a name, iovecs or control messages that it can't read, \
         although the kernel could",
        "null, and `missing` says `fault`",
    ),
    untold(
        "unreadable-message",
        "`...` in place of a message whose header it can't read whole",
        "the messages before it, and `missing` says `fault` of it",
    ),
    untold(
        "no-room-for-name",
        "the address of a name's buffer without room for a family",
        "the bytes that there are, and `missing` says `truncated`",
    ),
    untold(
        "unreadable-array",
        "where the array lies, as it takes the upper halves of registers for a part of \
         the address",
        "the messages: the kernel looks at the lower halves only",
    ),
    untold(
        "unreadable-timeout",
        "the address of a timeout that it can't read",
        "the address; what is missing is named, or was never asked for",
    ),
    untold(
        "unsigned-nanoseconds",
        "nanoseconds below zero as 64 bits without a sign",
        "with their sign, as the C type has one",
    ),
    untold(
        "restarts",
        "an interrupted call each time it is made: `? ERESTARTSYS`, then once more",
        "one call, from its first beginning to its return, as its caller sees it",
    ),
    untold(
        "no-return",
        "the descriptor only of a call that its thread never returns from",
        "all arguments, and `ret` null",
    ),
    untold(
        "socketcall-block",
        "`socketcall(19, …)` with the block's address where that can't be read",
        "that it is a recvmmsg, all arguments null, and why",
    ),
    differs(
        "register-halves",
        "pointers with the upper halves of registers, for `int $0x80` of 64-bit code",
        "what the kernel takes: 32 bits, and null for 0 of them",
        |event, difference| {
            let lower = |text: &str| {
                u64::from_str_radix(text.trim_matches('"').strip_prefix("0x")?, 16).ok()
            };
            let pointer =
                matches!(difference.path.as_str(), "args.msgvec.value" | "args.timeout.value");
            let (expected, got) = (lower(&difference.expected), lower(&difference.got));
            pointer
                && event["syscall"]["abi"] == "i386"
                && expected.is_some_and(|whole| whole >> 32 != 0)
                && expected.map(|whole| whole & 0xffff_ffff)
                    == got.or((difference.got == "null").then_some(0))
        },
    ),
    differs(
        "old-names",
        "`SO_TIMESTAMP_OLD` and its like",
        "`SO_TIMESTAMP`, the name that programs use for it",
        |_, difference| {
            let ours = difference.got.trim_matches('"');
            difference.path.ends_with("].type") && difference.expected == format!("\"{ours}_OLD\"")
        },
    ),
    differs(
        "16-iovecs",
        "all iovecs",
        "the first 16 of a message, the others counted in `truncated.iov`",
        |event, Difference { path, expected, got }| {
            let more = |text: &str| text.parse::<u64>().unwrap_or(0);
            event["truncated"]["iov"].as_u64().is_some_and(|left_out| left_out > 0)
                && path.ends_with(".iov.length")
                && (more(got), more(expected) > 16) == (16, true)
        },
    ),
    differs(
        "16-iovecs-of-payload",
        "what lies in all buffers",
        "what lies in the first 16 of a message, the rest counted in \
         `truncated.payload_bytes`",
        |event, Difference { path, .. }| {
            message(event, path).is_some_and(|message| {
                let captured = message["payload"]["captured"].as_u64();
                path.contains(".payload.")
                    && message["iovlen"].as_u64() > Some(16)
                    && captured < message["payload"]["len"].as_u64()
            })
        },
    ),
    differs(
        "256-bytes-of-control",
        "all descriptors of an `SCM_RIGHTS`",
        "those in the first 256 bytes of control messages, with the note `not_captured` \
         and the rest counted in `truncated.control_bytes`",
        |event, Difference { path, .. }| {
            event["truncated"]["control_bytes"].as_u64().is_some_and(|left_out| left_out > 0)
                && path.ends_with(".fds.length")
        },
    ),
    differs(
        "iovecs-of-the-end",
        "iovecs and buffers where the header points when the call has ended",
        "where it pointed when the call began, with the finding `changed_during_call` \
         (and null with `fault` where nothing could be read there)",
        |event, Difference { path, .. }| {
            let changed = event["findings"]
                .as_array()
                .is_some_and(|found| found.iter().any(|found| found == "changed_during_call"));
            changed && [".iov", ".payload"].iter().any(|part| path.contains(part))
        },
    ),
    differs(
        "control-of-the-end",
        "control messages where the header points when the call has ended",
        "where it pointed when the call began, likewise",
        |event, Difference { path, got, .. }| {
            got == "null" && path.ends_with(".control.items") && is_missing(event, path, "fault")
        },
    ),
];

/// The message that a path is of.
fn message<'a>(event: &'a Value, path: &str) -> Option<&'a Value> {
    let (_, rest) = path.split_once("messages[")?;
    let index: usize = rest.split(']').next()?.parse().ok()?;
    event["messages"].get(index)
}

/// Whether the event says that this is missing; of a range of messages, that any is.
fn is_missing(event: &Value, path: &str, reason: &str) -> bool {
    let tail = path.rsplit("].").next().unwrap_or(path);
    let missing = event["missing"].as_object();
    missing.is_some_and(|missing| {
        missing.iter().any(|(named, why)| {
            why == reason
                && (named == path || named.starts_with("messages[") && named.ends_with(tail))
        })
    })
}

/// The rows that explain a difference.
pub fn explain(event: &Value, difference: &Difference) -> Option<&'static str> {
    let row = TABLE.iter().find(|row| row.is.is_some_and(|is| is(event, difference)));
    row.map(|row| row.name)
}

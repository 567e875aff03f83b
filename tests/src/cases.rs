//! Filters on arguments and return values, with the same in Rust: what the tests of the
//! kernel's own filters go through.

use serde_json::Value;

/// An expression, and the same on an event or a workload's truth.
pub type Case = (&'static str, fn(&Value) -> bool);

fn ret(call: &Value) -> i64 {
    call["ret"].as_i64().expect("a call that returned")
}

/// An argument; none where it could not be read.
fn arg(call: &Value, name: &str) -> Option<i64> {
    call["args"][name]["value"].as_i64()
}

fn vlen(call: &Value) -> Option<i64> {
    arg(call, "vlen")
}

fn flags(call: &Value) -> Option<i64> {
    arg(call, "flags")
}

/// What can be told of every call.
pub const CASES: &[Case] = &[
    ("args.sockfd == -1", |call| arg(call, "sockfd") == Some(-1)),
    ("args.sockfd >= 0 && args.sockfd < 1000", |call| {
        arg(call, "sockfd").is_some_and(|fd| (0..1000).contains(&fd))
    }),
    ("args.vlen == 1", |call| vlen(call) == Some(1)),
    ("args.vlen != 1", |call| vlen(call) != Some(1)),
    ("args.vlen > 1 && args.vlen <= 4", |call| vlen(call).is_some_and(|n| (2..=4).contains(&n))),
    ("args.vlen in (0, 2, 7, 100)", |call| vlen(call).is_some_and(|n| [0, 2, 7, 100].contains(&n))),
    ("!(args.vlen <= 1)", |call| vlen(call).is_none_or(|n| n > 1)),
    ("'MSG_DONTWAIT' in args.flags.names", |call| flags(call).is_some_and(|f| f & 0x40 != 0)),
    ("!('MSG_DONTWAIT' in args.flags.names)", |call| flags(call).is_none_or(|f| f & 0x40 == 0)),
    ("args.flags & 0x40 == 0", |call| flags(call).is_some_and(|f| f & 0x40 == 0)),
    ("'0x100000' in args.flags.names", |call| {
        flags(call).is_some_and(|flags| flags & 0x10_0000 != 0)
    }),
    ("args.sockfd == null", |call| arg(call, "sockfd").is_none()),
    ("ret == 1", |call| ret(call) == 1),
    ("ret < 0", |call| ret(call) < 0),
    ("ret in (-4, -9)", |call| [-4, -9].contains(&ret(call))),
    ("ret == null", |_| false),
    ("error.name == 'EINTR'", |call| ret(call) == -4),
    ("error.name != 'EAGAIN'", |call| ret(call) != -11),
    ("error == null && args.vlen < 5", |call| {
        ret(call) >= 0 && vlen(call).is_some_and(|vlen| vlen < 5)
    }),
    ("ret == -4 || args.vlen == 5 || args.vlen == null", |call| {
        ret(call) == -4 || vlen(call).is_none_or(|vlen| vlen == 5)
    }),
];

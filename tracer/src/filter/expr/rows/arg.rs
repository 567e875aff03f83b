//! Fields of an argument.

use tracer_common::registry::Kind;

use super::{
    super::field::{
        Row,
        Type::{Flag, Pointer, Signed, Span, Text, Unsigned},
        Visit,
    },
    flags, int, span, text,
};
use crate::event::{self, Arg, Known, Timespec};

const SIGNED: &[Row<Arg>] = &[Row::nullable("value", Signed, value)];
const UNSIGNED: &[Row<Arg>] = &[Row::nullable("value", Unsigned, value)];
const POINTER: &[Row<Arg>] = &[Row::nullable("value", Pointer, value)];
const NAMES: &[Row<Arg>] = &[Row::many("names", Flag, |arg, visit| {
    arg.names.as_ref().is_some_and(|names| flags(names, visit))
})];
const TIMEOUT: &[Row<Arg>] = &[
    Row::nullable("requested", Span, |arg, visit| int(timeout(arg.requested.as_ref()), visit)),
    Row::nullable("requested.sec", Signed, |arg, visit| {
        int(part(arg.requested.as_ref(), |time| time.sec), visit)
    }),
    Row::nullable("requested.nsec", Signed, |arg, visit| {
        int(part(arg.requested.as_ref(), |time| time.nsec), visit)
    }),
    Row::nullable("remaining", Span, |arg, visit| int(timeout(arg.remaining.as_ref()), visit)),
    Row::nullable("remaining.sec", Signed, |arg, visit| {
        int(part(arg.remaining.as_ref(), |time| time.sec), visit)
    }),
    Row::nullable("remaining.nsec", Signed, |arg, visit| {
        int(part(arg.remaining.as_ref(), |time| time.nsec), visit)
    }),
];
const TAGS: &[Row<Arg>] =
    &[Row::many("tags", Text, |arg, visit| arg.tags.iter().any(|tag| text(tag, &mut *visit)))];

/// Fields of an argument.
pub fn arg(kind: Kind) -> [&'static [Row<Arg>]; 3] {
    match kind {
        Kind::Fd => [SIGNED, &[], TAGS],
        Kind::Count => [UNSIGNED, &[], TAGS],
        Kind::MsgFlags => [UNSIGNED, NAMES, TAGS],
        Kind::Mmsghdrs => [POINTER, &[], TAGS],
        Kind::Timespec64 | Kind::Timespec32 => [POINTER, TIMEOUT, TAGS],
    }
}

fn value(arg: &Arg, visit: Visit<'_>) -> bool {
    match arg.value {
        event::Value::Signed(value) => int(Some(value), visit),
        event::Value::Unsigned(value) => int(value, visit),
        event::Value::Pointer(value) => int(value, visit),
        event::Value::Null => false,
    }
}

fn part(time: Option<&Known<Timespec>>, part: fn(&Timespec) -> i64) -> Option<i64> {
    time?.0.as_ref().map(part)
}

fn timeout(time: Option<&Known<Timespec>>) -> Option<i128> {
    time?.0.map(span)
}

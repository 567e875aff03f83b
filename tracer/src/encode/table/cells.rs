//! One cell per column: what it says of an event, and how it looks.

use anstyle::{AnsiColor, Style};
use jiff::{Timestamp, tz::Offset};

use super::{
    columns::Column,
    text::{escape, short_duration},
};
use crate::event::{Arg, Event, Known, Timespec, Value};

/// What needs no attention.
pub const PLAIN: Style = Style::new();
/// Background.
pub const DIM: Style = Style::new().dimmed();
/// What the eye looks for.
pub const STRONG: Style = Style::new().bold();
/// An error.
pub const ERROR: Style = AnsiColor::Red.on_default();
/// Something is cut, or unusual.
pub const CAUTION: Style = AnsiColor::Yellow.on_default();
/// Something could not be had.
pub const UNKNOWN: Style = CAUTION;

/// What a cell says, escaped, and how it looks.
pub fn cell(column: Column, event: &Event) -> (Style, String) {
    let process = &event.process;
    let number = |value: Option<u32>| value.map(|value| value.to_string());
    let or_unknown = |style, text: Option<String>| match text {
        Some(text) => (style, text),
        None => (UNKNOWN, "?".to_owned()),
    };
    match column {
        Column::Time => or_unknown(DIM, event.time.map(time_of_day)),
        Column::Pid => (PLAIN, process.pid.to_string()),
        Column::Tid => (DIM, process.tid.to_string()),
        Column::Ppid => or_unknown(DIM, number(process.ppid)),
        Column::Uid => (DIM, process.uid.to_string()),
        Column::Comm => or_unknown(STRONG, process.comm.bytes.as_deref().map(escape)),
        Column::Call if is_native(event) => (PLAIN, event.syscall.name.to_owned()),
        Column::Call => (CAUTION, format!("{}/{}", event.syscall.name, event.syscall.abi)),
        Column::Fd => (PLAIN, argument(event, "sockfd")),
        Column::Vlen => (PLAIN, argument(event, "vlen")),
        Column::Flags => (PLAIN, flags(event)),
        Column::Timeout => (PLAIN, timeout(event)),
        Column::Latency => or_unknown(PLAIN, event.latency_ns.map(super::text::duration)),
        Column::Ret => match (&event.error, event.ret) {
            (Some(error), _) => (ERROR, error.name.clone().into_owned()),
            (None, ret) => or_unknown(PLAIN, ret.map(|ret| ret.to_string())),
        },
        Column::Messages => (PLAIN, String::new()),
    }
}

/// Whether the call was made through the machine's own ABI: a kernel's other ABIs
/// are those of 32-bit programs.
pub fn is_native(event: &Event) -> bool {
    matches!(event.syscall.abi, "x86_64" | "arm64")
}

/// `20:41:07.123`
pub fn time_of_day(time: Timestamp) -> String {
    let time = Offset::UTC.to_datetime(time);
    format!(
        "{:02}:{:02}:{:02}.{:03}",
        time.hour(),
        time.minute(),
        time.second(),
        time.millisecond()
    )
}

fn find<'a>(event: &'a Event, name: &str) -> Option<&'a Arg> {
    event.args.iter().find(|(found, _)| *found == name).map(|(_, arg)| arg)
}

/// What a null stands for: a value that could not be had, or NULL.
fn null(event: &Event, name: &str) -> String {
    let missing = event.missing.contains_key(&format!("args.{name}"));
    if missing { "?" } else { "-" }.to_owned()
}

/// The value of an argument; empty where the call has no such argument.
fn argument(event: &Event, name: &str) -> String {
    let Some(arg) = find(event, name) else { return String::new() };
    match arg.value {
        Value::Signed(value) => value.to_string(),
        Value::Unsigned(value) => value.to_string(),
        Value::Pointer(value) => format!("{value:#x}"),
        Value::Null => null(event, name),
    }
}

/// A flag's name without what all of them begin with.
pub fn flag(name: &str) -> &str {
    name.strip_prefix("MSG_").unwrap_or(name)
}

/// `DONTWAIT|WAITFORONE|0x80000`, or 0 where none is set.
pub fn flags(event: &Event) -> String {
    match find(event, "flags") {
        Some(Arg { names: Some(names), .. }) if !names.names.is_empty() || names.rest != 0 => {
            let mut all: Vec<_> = names.names.iter().map(|name| flag(name).to_owned()).collect();
            if names.rest != 0 {
                all.push(format!("{:#x}", names.rest));
            }
            all.join("|")
        }
        _ => argument(event, "flags"),
    }
}

/// The timeout that the caller asked for.
pub fn timeout(event: &Event) -> String {
    match find(event, "timeout") {
        None => String::new(),
        Some(Arg { value: Value::Null, .. }) => null(event, "timeout"),
        Some(Arg { requested: Some(Known(Some(timeout))), .. }) => timespec(*timeout),
        Some(_) => "?".to_owned(),
    }
}

/// A timeout as people write it. The kernel takes none that is negative or has more
/// nanoseconds than a second (timespec64_valid).
fn timespec(timeout: Timespec) -> String {
    match (u64::try_from(timeout.sec), u64::try_from(timeout.nsec)) {
        (Ok(sec), Ok(nsec @ 0..1_000_000_000)) => {
            short_duration(sec.saturating_mul(1_000_000_000).saturating_add(nsec))
        }
        _ => "invalid".to_owned(),
    }
}

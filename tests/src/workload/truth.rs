//! The truth's language: JSON in the shape of the tracer's events, with a few
//! directives where the workload knows bounds rather than a value.
//!
//! | directive | the event's field must |
//! |---|---|
//! | `{"min":A,"max":B}` | lie between; times as nanoseconds since the epoch |
//! | `{"$absent":true}` | not be there |
//! | `{"$if_present":V}` | match V, or be null or not there |
//! | `{"$one_of":[V,…]}` | match one of them |
//! | `{"$reasons":[R,…]}` | be an object with at least one entry, every value among R |
//!
//! `$kernel_copy`, beside an event's own fields, is `args.timeout.requested` as hooks
//! show it that see the kernel's copy, and `$with` what is different for tracers that
//! capture more of the kernel's own copies: see [`crate::hook`]. `$seen` is what the
//! caller saw of the call, for tests that ask whether it sees the same without a tracer.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

/// The clocks, in nanoseconds.
pub struct Clock;

impl Clock {
    fn read(clock: libc::clockid_t) -> i64 {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `now` is a timespec of ours.
        let result = unsafe { libc::clock_gettime(clock, &mut now) };
        assert_eq!(result, 0, "clock {clock}");
        now.tv_sec * 1_000_000_000 + now.tv_nsec
    }

    /// Since an arbitrary point.
    pub fn mono() -> i64 {
        Self::read(libc::CLOCK_MONOTONIC)
    }

    /// Since the epoch.
    pub fn wall() -> i64 {
        Self::read(libc::CLOCK_REALTIME)
    }

    /// Since boot, with the time asleep.
    pub fn boot() -> i64 {
        Self::read(libc::CLOCK_BOOTTIME)
    }
}

/// Bounds, both included.
pub fn interval(min: i64, max: i64) -> Value {
    json!({"min": min, "max": max})
}

/// The field must not be there.
pub fn absent() -> Value {
    json!({"$absent": true})
}

/// The field may be missing; where it is not, it must match.
pub fn if_present(value: Value) -> Value {
    json!({"$if_present": value})
}

/// The field must match one of these.
pub fn one_of(values: &[Value]) -> Value {
    json!({"$one_of": values})
}

/// The field must be an object with entries, all of whose values are among these.
pub fn reasons(values: &[&str]) -> Value {
    json!({"$reasons": values})
}

/// A pointer or address.
pub fn hex(value: u64) -> Value {
    json!(format!("{value:#x}"))
}

/// Message flags (`include/linux/socket.h`), those that scenarios provoke.
const FLAGS: [(u32, &str); 9] = [
    (0x2, "MSG_PEEK"),
    (0x8, "MSG_CTRUNC"),
    (0x20, "MSG_TRUNC"),
    (0x40, "MSG_DONTWAIT"),
    (0x80, "MSG_EOR"),
    (0x100, "MSG_WAITALL"),
    (0x2000, "MSG_ERRQUEUE"),
    (0x10000, "MSG_WAITFORONE"),
    (0x4000_0000, "MSG_CMSG_CLOEXEC"),
];

/// A word of message flags; what has no name is one hexadecimal number at the end.
pub fn flags(value: u32) -> Value {
    let mut rest = value;
    let mut names = Vec::new();
    for (bit, name) in FLAGS {
        if value & bit != 0 {
            names.push(name.to_owned());
            rest &= !bit;
        }
    }
    if rest != 0 {
        names.push(format!("{rest:#x}"));
    }
    json!({"value": value, "names": names})
}

/// The `error` of a return value.
pub fn error(ret: i64) -> Value {
    if ret >= 0 {
        return Value::Null;
    }
    let errno = -ret;
    let name = match errno as i32 {
        libc::EINTR => "EINTR",
        libc::EBADF => "EBADF",
        libc::EAGAIN => "EAGAIN",
        libc::EFAULT => "EFAULT",
        libc::EINVAL => "EINVAL",
        libc::ENOSYS => "ENOSYS",
        libc::EMSGSIZE => "EMSGSIZE",
        libc::ENOTSOCK => "ENOTSOCK",
        libc::ECONNREFUSED => "ECONNREFUSED",
        libc::ENOTCONN => "ENOTCONN",
        _ => panic!("no scenario provokes errno {errno}"),
    };
    json!({"name": name, "errno": errno})
}

/// The source address of a message: the first `out` bytes of a buffer of which
/// `len_in` were offered.
pub fn name(bytes: Option<&[u8]>, len_in: u64, out: u64) -> Value {
    let Some(bytes) = bytes else { return Value::Null };
    if out == 0 {
        return Value::Null;
    }
    let cut = len_in < out;
    let bytes = &bytes[..(len_in.min(out) as usize).min(bytes.len())];
    let port = || u16::from_be_bytes([bytes[2], bytes[3]]);
    let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
    if cut {
        return cut_name(bytes);
    }
    match i32::from(u16::from_ne_bytes([bytes[0], bytes[1]])) {
        libc::AF_INET => {
            let ip: [u8; 4] = bytes[4..8].try_into().expect("4 bytes");
            json!({"family": "AF_INET", "ip": std::net::Ipv4Addr::from(ip).to_string(),
                   "port": port()})
        }
        libc::AF_INET6 if bytes.len() >= 28 => {
            let ip: [u8; 16] = bytes[8..24].try_into().expect("16 bytes");
            json!({"family": "AF_INET6", "ip": std::net::Ipv6Addr::from(ip).to_string(),
                   "port": port(), "flowinfo": word(4), "scope_id": word(24)})
        }
        libc::AF_UNIX => {
            let mut name = json!({"family": "AF_UNIX"});
            if bytes[2] == 0 {
                put_text(&mut name, "abstract", &bytes[3..]);
            } else {
                let path = bytes[2..].split(|byte| *byte == 0).next().expect("a first part");
                put_text(&mut name, "path", path);
            }
            name
        }
        libc::AF_NETLINK => {
            json!({"family": "AF_NETLINK", "pid": word(4), "groups": word(8)})
        }
        // Scenarios that provoke it say how the family is shown.
        _ => json!({"raw": hex_of(bytes)}),
    }
}

/// A name that did not fit its buffer: null, or what did arrive and nothing more.
fn cut_name(bytes: &[u8]) -> Value {
    if bytes.len() < 2 {
        return json!({"family": null, "raw": hex_of(bytes)});
    }
    let gone = || one_of(&[absent(), Value::Null]);
    match i32::from(u16::from_ne_bytes([bytes[0], bytes[1]])) {
        libc::AF_INET => {
            if bytes.len() >= 8 {
                // All of the address is there, whatever the length says.
                return name(Some(bytes), 8, 8);
            }
            one_of(&[Value::Null, json!({"family": "AF_INET", "ip": gone()})])
        }
        libc::AF_UNIX => {
            let path = String::from_utf8_lossy(&bytes[2..]);
            one_of(&[
                Value::Null,
                json!({"family": "AF_UNIX", "path": one_of(&[gone(), json!(path)])}),
            ])
        }
        family => panic!("no scenario cuts names of family {family}"),
    }
}

/// A text, and where it is not UTF-8 also its bytes in hex.
pub fn put_text(object: &mut Value, key: &str, bytes: &[u8]) {
    object[key] = json!(String::from_utf8_lossy(bytes));
    let bytes = str::from_utf8(bytes).is_err().then(|| hex_of(bytes));
    object[format!("{key}_hex")] = bytes.map_or_else(absent, Value::from);
}

/// Bytes in hex.
pub fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where the truth is written to.
pub struct Recorder {
    file: Option<File>,
}

impl Recorder {
    /// Appends to a file, or writes to stdout.
    pub fn new(path: Option<&Path>) -> Self {
        let file = path.map(|path| {
            OpenOptions::new()
                .append(true)
                .create(true)
                .open(path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        });
        Self { file }
    }

    /// Writes one line, whole: threads and children share the file.
    pub fn record(&self, truth: &Value) {
        let line = format!("{truth}\n");
        let result = match &self.file {
            Some(file) => (&mut &*file).write_all(line.as_bytes()),
            None => std::io::stdout().lock().write_all(line.as_bytes()),
        };
        result.expect("the truth can be written");
    }
}

//! The arguments of a call, by kind.

use tracer_common::{
    flags::MSG,
    record::{Status, Timeout, flags},
    registry::{self, Kind},
    tags::Tags,
};
use zerocopy::FromBytes;

use super::{Missing, unseen};
use crate::{
    event::{Arg, FlagNames, Known, Reason, Timespec, Value},
    record::{Field, Record},
};

/// Decodes the arguments in the order of the registry.
pub fn decode(record: &Record<'_>, missing: &mut Missing) -> Vec<(&'static str, Arg)> {
    let raw = record.call.header.args;
    let args = record.event.args.iter().zip(raw);
    args.map(|(arg, raw)| (arg.name, one(record, arg, raw, missing))).collect()
}

fn one(record: &Record<'_>, arg: &registry::Arg, raw: u64, missing: &mut Missing) -> Arg {
    let mut decoded = Arg {
        value: Value::Null,
        names: None,
        requested: None,
        remaining: None,
        tags: tags(record, arg).names().collect(),
    };
    if record.has(flags::ARGS_FAULTED) {
        missing.insert(format!("args.{}", arg.name), Reason::Fault);
        return decoded;
    }
    let [a, b, c, d, ..] = raw.to_le_bytes();
    let low = [a, b, c, d];
    match arg.kind {
        Kind::Fd => decoded.value = Value::Signed(i32::from_le_bytes(low)),
        Kind::Count => decoded.value = Value::Unsigned(u32::from_le_bytes(low)),
        Kind::MsgFlags => {
            let value = u32::from_le_bytes(low);
            decoded.value = Value::Unsigned(value);
            decoded.names = Some(flag_names(value));
        }
        Kind::Mmsghdrs => decoded.value = Value::Pointer(raw),
        Kind::Timespec64 | Kind::Timespec32 => {
            if raw == 0 {
                return decoded;
            }
            decoded.value = Value::Pointer(raw);
            let mut timeout = |field: Field<Timeout>, name| {
                let reason = match field.status {
                    Status::Absent => return None,
                    Status::Read => return Some(Known(timespec(record, arg.kind, field.value))),
                    Status::Faulted | Status::Partial => Reason::Fault,
                    Status::NotCaptured if record.has(flags::NO_ENTRY) => unseen(record),
                    Status::NotCaptured => Reason::NotCaptured,
                };
                missing.insert(format!("args.{}.{name}", arg.name), reason);
                Some(Known(None))
            };
            decoded.requested = timeout(record.requested, "requested");
            decoded.remaining = timeout(record.remaining, "remaining");
        }
    }
    decoded
}

/// Where an argument's value really came from in this call.
pub fn tags(record: &Record<'_>, arg: &registry::Arg) -> Tags {
    let timeout = matches!(arg.kind, Kind::Timespec64 | Kind::Timespec32);
    if timeout && record.has(flags::TIMEOUT_FROM_KERNEL) {
        return Tags::K | Tags::OPT;
    }
    if record.has(flags::ARGS_FROM_USER) && arg.tags.contains(Tags::K) {
        Tags::U | Tags::TOCTOU
    } else {
        arg.tags
    }
}

/// The names of `MSG_*` flags.
pub fn flag_names(value: u32) -> FlagNames {
    let (names, rest) = MSG.split(value);
    FlagNames { names: names.collect(), rest }
}

fn timespec(record: &Record<'_>, kind: Kind, timeout: Timeout) -> Option<Timespec> {
    let from_kernel = record.has(flags::TIMEOUT_FROM_KERNEL);
    if kind == Kind::Timespec32 && !from_kernel {
        let ([sec, nsec], _) = <[i32; 2]>::read_from_prefix(&timeout.raw).ok()?;
        return Some(Timespec { sec: sec.into(), nsec: nsec.into() });
    }
    let ([sec, mut nsec], _) = <[i64; 2]>::read_from_prefix(&timeout.raw).ok()?;
    if record.abi.compat_layout() && !from_kernel {
        // 32-bit callers may leave garbage in the upper half, and the kernel
        // ignores it (kernel/time/time.c, get_timespec64).
        nsec &= 0xffff_ffff;
    }
    Some(Timespec { sec, nsec })
}

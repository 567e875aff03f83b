//! What was called, with what arguments, as JSON: the part of a line that stays the same
//! while a thread makes one call over and over.

use tracer_common::{record::flags, registry::Kind};

use super::{
    recent,
    text::{push, push_hex, push_number},
};
use crate::{decode::args, record::Record};

/// What the text is made from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    args: [u64; 6],
    nr: u32,
    flags: u32,
    event: u16,
    abi: u8,
}

impl Shape {
    /// A call's.
    pub fn of(record: &Record<'_>) -> Self {
        let header = &record.call.header;
        Self {
            args: header.args,
            nr: header.nr,
            flags: header.flags & (flags::ARGS_FROM_USER | flags::TIMEOUT_FROM_KERNEL),
            event: record.event.id.0,
            abi: record.abi as u8,
        }
    }
}

impl recent::Key for Shape {
    fn hash(&self) -> usize {
        // Headers lie at round addresses, and what else there is are small numbers.
        let [fd, msgvec, vlen, flags, ..] = self.args;
        let mixed = (msgvec >> 4) ^ (fd << 32) ^ (vlen << 40) ^ (flags << 48);
        usize::try_from(mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40).unwrap_or(0)
    }

    fn same(&self, other: &Self) -> bool {
        self == other
    }
}

/// The JSON before and after the description of the process; None where the call is not
/// ordinary.
pub fn around_process(record: &Record<'_>) -> Option<[Vec<u8>; 2]> {
    let nr = record.call.header.nr;
    let (mut before, mut after) = (Vec::new(), Vec::new());
    push(&mut before, br#","syscall":{"name":""#);
    push(&mut before, record.event.syscall(record.abi, nr)?.name.as_bytes());
    push(&mut before, br#"","nr":"#);
    push_number(&mut before, nr);
    push(&mut before, br#","abi":""#);
    push(&mut before, record.abi.name().as_bytes());
    push(&mut before, br#""},"process":"#);
    push_arguments(&mut after, record)?;
    Some([before, after])
}

fn push_arguments(out: &mut Vec<u8>, record: &Record<'_>) -> Option<()> {
    push(out, br#","args":{"#);
    let all = record.event.args.iter().zip(record.call.header.args);
    for (i, (arg, raw)) in all.enumerate() {
        push(out, if i == 0 { b"\"" } else { b",\"" });
        push(out, arg.name.as_bytes());
        push(out, br#"":"#);
        let [a, b, c, d, ..] = raw.to_le_bytes();
        let low = [a, b, c, d];
        match arg.kind {
            Kind::Fd => {
                push(out, br#"{"value":"#);
                push_number(out, i32::from_le_bytes(low));
            }
            Kind::Count => {
                push(out, br#"{"value":"#);
                push_number(out, u32::from_le_bytes(low));
            }
            Kind::MsgFlags => push_flags(out, u32::from_le_bytes(low))?,
            Kind::Mmsghdrs => {
                push(out, br#"{"value":""#);
                push_hex(out, raw);
                push(out, b"\"");
            }
            // Its value, and what may be concluded from it, are not for here.
            Kind::Timespec64 | Kind::Timespec32 if raw != 0 => return None,
            Kind::Timespec64 | Kind::Timespec32 => push(out, br#"{"value":null"#),
        }
        push(out, br#","tags":["#);
        for (i, name) in args::tags(record, arg).names().enumerate() {
            push(out, if i == 0 { b"\"" } else { b",\"" });
            push(out, name.as_bytes());
            push(out, b"\"");
        }
        push(out, b"]}");
    }
    push(out, b"}");
    Some(())
}

/// `{"value":64,"names":["MSG_DONTWAIT"]`, without its end.
pub fn push_flags(out: &mut Vec<u8>, value: u32) -> Option<()> {
    push(out, br#"{"value":"#);
    push_number(out, value);
    push(out, br#","names":"#);
    serde_json::to_writer(out, &args::flag_names(value)).ok()
}

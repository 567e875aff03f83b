//! What the kernel wrote is overwritten before the call ends, by the kernel's own hand:
//! the second message's buffers lie where the first one's header, name or control
//! messages are, so that its datagram decides what is found there. No thread has to be in
//! time for it.

use serde_json::{Value, json};

use super::lengths::timestamp;
use super::tell;
use crate::workload::Context;
use crate::workload::arena::{Arena, PAGE};
use crate::workload::batch::{Batch, CONTROL_LEN, DATA_LEN};
use crate::workload::call::Call;
use crate::workload::entry::Entry;
use crate::workload::races::found;
use crate::workload::sockets::{self, Udp};
use crate::workload::truth::{absent, hex, hex_of};

/// By the native call.
pub fn native(context: &Context) {
    everything(context, Entry::Native);
}

/// By `int $0x80`.
pub fn compat(context: &Context) {
    for entry in [Entry::I386Time64, Entry::Socketcall] {
        everything(context, entry);
    }
}

fn everything(context: &Context, entry: Entry) {
    control(context, entry);
    names(context, entry);
    header(context, entry);
}

/// Calls with two messages, the second of which writes these bytes to these places.
fn overwrite(
    context: &Context,
    entry: Entry,
    places: impl Fn(&Batch) -> Vec<(u64, usize)>,
    bytes: &[u8],
    fix: impl Fn(&mut Value, &Batch),
) {
    let udp = Udp::v4();
    sockets::set_option(udp.fd(), libc::SO_TIMESTAMP, 1).expect("SO_TIMESTAMP");
    let batch = Batch::new(entry.compat(), 2);
    (0..2).for_each(|i| batch.set_control(i, CONTROL_LEN));
    let word = if entry.compat() { 4 } else { 8 };
    let list = Arena::new(PAGE);
    let places = places(&batch);
    for (i, (base, len)) in places.iter().enumerate() {
        list.put_word(2 * i * word, word, *base);
        list.put_word((2 * i + 1) * word, word, *len as u64);
    }
    batch.set_iov(1, list.addr(0), places.len() as u64);
    udp.queue(0);
    udp.queue_bytes(bytes);
    let made = Call::new(entry, udp.fd(), &batch).make();
    assert_eq!(made.ret, 2, "both were waiting");
    tell(context, &made, &batch, |truth| {
        let iov: Vec<_> =
            places.iter().map(|(base, len)| json!({"base": hex(*base), "len": len})).collect();
        truth["messages"][1]["iovlen"] = json!(iov.len());
        truth["messages"][1]["iov"] = iov.into();
        truth["messages"][1]["payload"] = payload(bytes);
        for i in 0..2 {
            truth["messages"][i]["control"]["items"] = json!([timestamp()]);
        }
        fix(truth, &batch);
    });
}

/// Bytes as payload, shorter than what is kept of it.
fn payload(bytes: &[u8]) -> Value {
    use base64::Engine as _;
    let mut payload = json!({"len": bytes.len(), "captured": bytes.len()});
    match str::from_utf8(bytes) {
        Ok(text) => payload["text"] = json!(text),
        Err(_) => {
            let encoder = base64::engine::general_purpose::STANDARD;
            payload["base64"] = json!(encoder.encode(bytes));
        }
    }
    payload
}

/// Control messages whose lengths can't be.
fn control(context: &Context, entry: Entry) {
    let compat = entry.compat();
    let (header, whole) = if compat { (12, 20) } else { (16, 32) };
    let word = |value: u64| value.to_ne_bytes()[..if compat { 4 } else { 8 }].to_vec();
    let kind = |level: i32, kind: i32| [level.to_ne_bytes(), kind.to_ne_bytes()].concat();
    let rest: Vec<u8> = (1..=(whole - header) as u8).collect();
    let place = |batch: &Batch| vec![(batch.control_field(0).0, whole)];
    let bad = |level: &str, name: &str, rest: &[u8]| json!([{"level": level, "type": name, "hex": hex_of(rest), "note": "bad_length"}]);
    for len in [0, 1, header as u64 - 1, whole as u64 + 1, 1 << 31, u64::MAX, 1 << 63] {
        let bytes = [word(len), kind(libc::SOL_SOCKET, libc::SCM_CREDENTIALS), rest.clone()];
        let items = bad("SOL_SOCKET", "SCM_CREDENTIALS", &rest);
        // 32-bit callers have the lower half: 1 << 63 is 0 to them.
        overwrite(context, entry, place, &bytes.concat(), |truth, _| {
            truth["messages"][0]["control"]["items"] = items.clone();
        });
    }
    // Descriptors past the end: those that are there are shown.
    let bytes = [word(u64::MAX), kind(libc::SOL_SOCKET, libc::SCM_RIGHTS), rest.clone()];
    let fds: Vec<_> = rest
        .chunks_exact(4)
        .map(|fd| i32::from_ne_bytes(fd.try_into().expect("4 bytes")))
        .collect();
    let items = json!([{"level": "SOL_SOCKET", "type": "SCM_RIGHTS", "fds": fds,
                        "note": "bad_length"}]);
    overwrite(context, entry, place, &bytes.concat(), |truth, _| {
        truth["messages"][0]["control"]["items"] = items.clone();
    });
    // A good one without data, then nothing that could be one.
    let bytes = [word(header as u64), kind(libc::SOL_UDP, 999), rest.clone()].concat();
    let after = if compat {
        json!({"level": absent(), "type": absent(), "hex": hex_of(&rest), "note": "bad_length"})
    } else {
        let number = |at: usize| i32::from_ne_bytes(rest[at..at + 4].try_into().expect("4 bytes"));
        json!({"level": number(8), "type": number(12), "hex": "", "note": "bad_length"})
    };
    let items = json!([{"level": "SOL_UDP", "type": 999, "hex": ""}, after]);
    overwrite(context, entry, place, &bytes, |truth, _| {
        truth["messages"][0]["control"]["items"] = items.clone();
    });
}

/// Source addresses of other families than the socket's.
fn names(context: &Context, entry: Entry) {
    // struct sockaddr_in has 16 bytes, which is what the header says.
    let place = |batch: &Batch| vec![(batch.name_at(0), 16)];
    let named = |family: u16, rest: &[u8]| {
        let mut bytes = family.to_ne_bytes().to_vec();
        bytes.extend(rest);
        bytes.resize(16, 0);
        bytes
    };
    let unix = libc::AF_UNIX as u16;
    for bytes in [
        named(unix, b"a\"\n\x1b[31m\xff\\"),
        named(unix, b"\0\0\xc3\x28\0'"),
        named(unix, b"sixteen, no NUL!"),
    ] {
        overwrite(context, entry, place, &bytes[..16], |_, _| {});
    }
    for (family, name) in [(0, "AF_UNSPEC"), (0xffff, "65535"), (libc::AF_INET6 as u16, "AF_INET6")]
    {
        let bytes = named(family, b"whatever");
        overwrite(context, entry, place, &bytes, |truth, _| {
            truth["messages"][0]["name"] = json!({"family": name, "raw": hex_of(&bytes)});
        });
    }
}

/// A header that says that more was received than there was room for.
fn header(context: &Context, entry: Entry) {
    const FLAGS: u32 = (libc::MSG_TRUNC | libc::MSG_CTRUNC) as u32 | 0x10_0000;
    let compat = entry.compat();
    let word = if compat { 4 } else { 8 };
    let most = if compat { u32::MAX.into() } else { u64::MAX };
    let bytes = [
        &u32::MAX.to_ne_bytes()[..],
        &most.to_ne_bytes()[..word],
        &FLAGS.to_ne_bytes(),
        &u32::MAX.to_ne_bytes(),
    ];
    let places = |batch: &Batch| {
        let [namelen, controllen, flags, len] = batch.fields_that_the_kernel_writes(0);
        vec![(namelen, 4), (controllen, word), (flags, 4), (len, 4)]
    };
    let written = if compat { 20 } else { 32 };
    let header = if compat { 12 } else { 16 };
    overwrite(context, entry, places, &bytes.concat(), |truth, batch| {
        let mut data = batch.data(0);
        data.truncate(super::super::detail::PAYLOAD);
        let message = &mut truth["messages"][0];
        assert_eq!(message["len"], u32::MAX, "{message}");
        assert_eq!(message["control"]["len_out"], most, "{message}");
        // The name is whole all the same.
        message["name"] = crate::workload::truth::name(batch.name(0).as_deref(), 128, 16);
        // No more than there was room for.
        message["payload"] = payload(&data);
        message["payload"]["len"] = json!(DATA_LEN);
        // What the kernel wrote, then zeros in which no control message can be.
        let zeros = "00".repeat(CONTROL_LEN - written - header);
        message["control"]["items"] = json!([
            timestamp(),
            {"level": 0, "type": 0, "hex": zeros, "note": "bad_length"},
        ]);
        message["control"]["items"][1]["level"] = json!("SOL_IP");
        truth["truncated"] =
            json!({"payload_bytes": DATA_LEN - data.len(), "control_bytes": absent()});
        truth["$with"] = json!({"lengths": found(truth, 0, json!({"len": 1}))});
    });
}

//! iovecs, and the payload that lies in their buffers.

use serde_json::{Value, json};

use super::{PAYLOAD, text, told};
use crate::workload::Context;
use crate::workload::arena::{Arena, PAGE};
use crate::workload::batch::{Batch, DATA_LEN};
use crate::workload::call::Call;
use crate::workload::entry::Entry;
use crate::workload::sockets::{self, Udp};
use crate::workload::truth::hex;

/// Most iovecs of a message that the tracer keeps.
const MAX_IOVS: usize = 16;
/// An address that nobody has.
const NOWHERE: u64 = 0xffff_0000;

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
    several(context, entry);
    contents(context, entry);
    shorter(context, entry);
    overwritten(context, entry);
    partly_overwritten(context, entry);
    redirected(context, entry);
    redirected_control(context, entry);
}

/// Messages with one, no, some and many iovecs.
fn several(context: &Context, entry: Entry) {
    let udp = Udp::v4();
    let batch = Batch::new(entry.compat(), 5);
    let arena = Arena::new(2 * PAGE);
    let lists: [&[usize]; 5] =
        [&[100], &[], &[3, 0, 5, 1, 30, 60], &[1; MAX_IOVS + 12], &[2; MAX_IOVS]];
    let mut at = PAGE;
    let mut told_iovs = Vec::new();
    for (i, lens) in lists.iter().enumerate() {
        let word = if entry.compat() { 4 } else { 8 };
        let list = i * 1024;
        let mut told = Vec::new();
        for (j, len) in lens.iter().enumerate() {
            let base = arena.addr(at);
            arena.put_word(list + 2 * j * word, word, base);
            arena.put_word(list + (2 * j + 1) * word, word, *len as u64);
            told.push(json!({"base": hex(base), "len": len}));
            // A gap, so that what is read has to follow the list.
            at += len + 7;
        }
        told.truncate(MAX_IOVS);
        batch.set_iov(i, arena.addr(list), lens.len() as u64);
        told_iovs.push(told);
    }
    let sent = "0123456789abcdefghijklmnopqrstuvwxyz".repeat(2);
    for lens in lists {
        let room: usize = lens.iter().sum();
        udp.queue_bytes(&sent.as_bytes()[..room.clamp(1, 64)]);
    }
    let made = Call::new(entry, udp.fd(), &batch).make();
    assert_eq!(made.ret, 5, "all datagrams were waiting");
    let mut truth = told(context, &made, &batch);
    let mut left_out = 0;
    for (i, lens) in lists.iter().enumerate() {
        let message = &mut truth["messages"][i];
        let received = &sent[..message["len"].as_u64().expect("a length") as usize];
        message["iov"] = told_iovs[i].clone().into();
        message["iovlen"] = json!(lens.len());
        message["payload"] = if lens.len() > MAX_IOVS {
            json!({"len": received.len(), "captured": MAX_IOVS, "text": received[..MAX_IOVS]})
        } else {
            text(received.as_bytes())
        };
        let shown = message["payload"]["captured"].as_u64().expect("a length");
        left_out += received.len() as u64 - shown;
    }
    truth["truncated"] = json!({"iov": 12, "payload_bytes": left_out});
    context.recorder.record(&truth);
}

/// Text, binary, nothing, and text that is cut within a character.
fn contents(context: &Context, entry: Entry) {
    let long = format!("{}\u{e4}\u{20ac}", "x".repeat(PAYLOAD - 1));
    let payloads: [&[u8]; 5] = [
        "gr\u{fc}\u{df}e\n\u{0}\u{1F600}".as_bytes(),
        &[250, 251, 252, 253, 254, 255, 0, 1],
        b"",
        long.as_bytes(),
        b"plain text",
    ];
    let udp = Udp::v6();
    payloads.iter().for_each(|payload| udp.queue_bytes(payload));
    let batch = Batch::new(entry.compat(), payloads.len());
    let made = Call::new(entry, udp.fd(), &batch).make();
    assert_eq!(made.ret, payloads.len() as i64, "all datagrams were waiting");
    let mut told = told_without_payload(context, &made, &batch);
    told["messages"][0]["payload"] = text(payloads[0]);
    told["messages"][1]["payload"] = json!({"len": 8, "captured": 8, "base64": "+vv8/f7/AAE="});
    told["messages"][2]["payload"] = json!({"len": 0, "captured": 0, "text": ""});
    told["messages"][3]["payload"] =
        json!({"len": long.len(), "captured": PAYLOAD - 1, "text": "x".repeat(PAYLOAD - 1)});
    told["messages"][4]["payload"] = json!({"len": 10, "captured": 10, "text": "plain text"});
    told["truncated"] = json!({"payload_bytes": long.len() - (PAYLOAD - 1)});
    context.recorder.record(&told);
}

fn told_without_payload(
    context: &Context,
    made: &crate::workload::call::Made,
    batch: &Batch,
) -> Value {
    let mut truth = made.truth(context.options.messages);
    for (i, message) in truth["messages"].as_array_mut().expect("messages").iter_mut().enumerate() {
        let (base, len) = batch.buffer(i);
        message["iov"] = json!([{"base": hex(base), "len": len}]);
        message["iovlen"] = json!(1);
    }
    truth
}

/// A datagram longer than its buffer, whose length the caller asks for: no more is
/// shown than was delivered.
fn shorter(context: &Context, entry: Entry) {
    let udp = Udp::v4();
    udp.queue_bytes(b"longer than the buffer");
    let batch = Batch::new(entry.compat(), 1);
    batch.set_buffer_len(0, 6);
    let flags = libc::MSG_TRUNC | libc::MSG_DONTWAIT;
    let made = Call::new(entry, udp.fd(), &batch).flags(flags).make();
    let mut truth = told(context, &made, &batch);
    assert_eq!(truth["messages"][0]["len"], 22, "{truth}");
    truth["messages"][0]["payload"] = json!({"len": 6, "captured": 6, "text": "longer"});
    context.recorder.record(&truth);
}

/// A datagram that overwrites its own iovec: what is read by it must not be shown as
/// payload where it can't be read.
fn overwritten(context: &Context, entry: Entry) {
    let udp = Udp::v4();
    let batch = Batch::new(entry.compat(), 2);
    let arena = Arena::new(PAGE);
    let word = if entry.compat() { 4 } else { 8 };
    arena.put_word(0, word, arena.addr(0));
    arena.put_word(word, word, 2 * word as u64);
    batch.set_iov(0, arena.addr(0), 1);
    let words = [NOWHERE.to_ne_bytes(), 4096u64.to_ne_bytes()];
    let lie: Vec<u8> = words.iter().flat_map(|bytes| &bytes[..word]).copied().collect();
    udp.queue_bytes(&lie);
    udp.queue_bytes(b"fine");
    let made = Call::new(entry, udp.fd(), &batch).make();
    assert_eq!(made.ret, 2, "both were waiting");
    let mut truth = told_without_payload(context, &made, &batch);
    truth["messages"][0]["iov"] = json!([{"base": hex(NOWHERE), "len": 4096}]);
    truth["messages"][0]["payload"] = Value::Null;
    truth["messages"][1]["payload"] = text(b"fine");
    truth["missing"] = json!({"messages[0].payload": "fault"});
    context.recorder.record(&truth);
}

/// The same with a first buffer that is fine: what it holds is shown.
fn partly_overwritten(context: &Context, entry: Entry) {
    let udp = Udp::v4();
    let batch = Batch::new(entry.compat(), 1);
    let arena = Arena::new(PAGE);
    let word = if entry.compat() { 4 } else { 8 };
    let (good, second) = (arena.addr(1024), arena.addr(2 * word));
    let list = [good, 4, second, 2 * word as u64];
    list.iter().enumerate().for_each(|(i, value)| arena.put_word(i * word, word, *value));
    batch.set_iov(0, arena.addr(0), 2);
    let words = [NOWHERE.to_ne_bytes(), 4096u64.to_ne_bytes()];
    let lie: Vec<u8> = words.iter().flat_map(|bytes| &bytes[..word]).copied().collect();
    udp.queue_bytes(&[b"good", &lie[..]].concat());
    let made = Call::new(entry, udp.fd(), &batch).make();
    assert_eq!(made.ret, 1, "it was waiting");
    let mut truth = made.truth(context.options.messages);
    let message = &mut truth["messages"][0];
    message["iov"] = json!([{"base": hex(good), "len": 4}, {"base": hex(NOWHERE), "len": 4096}]);
    message["iovlen"] = json!(2);
    message["payload"] = json!({"len": 4 + 2 * word, "captured": 4, "text": "good"});
    truth["missing"] = json!({"messages[0].payload": "fault"});
    truth["truncated"] = json!({"payload_bytes": 2 * word});
    context.recorder.record(&truth);
}

/// The first datagram points the second message at other iovecs than at entry, where
/// there was nothing to read: neither they nor zeros are shown.
fn redirected(context: &Context, entry: Entry) {
    let udp = Udp::v4();
    let batch = Batch::new(entry.compat(), 2);
    let word = if entry.compat() { 4 } else { 8 };
    let (own, field) = batch.iov_field(1);
    batch.set_buffer(0, field, word);
    batch.set_iov(1, NOWHERE, 1);
    udp.queue_bytes(&own.to_ne_bytes()[..word]);
    udp.queue_bytes(b"elsewhere");
    let made = Call::new(entry, udp.fd(), &batch).make();
    assert_eq!(made.ret, 2, "both were waiting");
    assert_eq!(&batch.data(1)[..9], b"elsewhere", "the kernel took the other iovecs");
    let mut truth = made.truth(context.options.messages);
    truth["messages"][0]["iov"] = json!([{"base": hex(field), "len": word}]);
    truth["messages"][1]["iov"] = Value::Null;
    truth["messages"][1]["iovlen"] = json!(1);
    truth["messages"][1]["payload"] = Value::Null;
    let found = truth["findings"].as_array_mut().expect("a list");
    found.insert(0, json!("changed_during_call"));
    truth["missing"] = json!({"messages[1].iov": "fault", "messages[1].payload": "fault"});
    assert_eq!(DATA_LEN, batch.buffer(1).1);
    context.recorder.record(&truth);
}

/// Likewise at another buffer for control messages.
fn redirected_control(context: &Context, entry: Entry) {
    let udp = Udp::v4();
    sockets::set_option(udp.fd(), libc::SO_TIMESTAMP, 1).expect("SO_TIMESTAMP");
    let batch = Batch::new(entry.compat(), 2);
    let word = if entry.compat() { 4 } else { 8 };
    let (own, field) = batch.control_field(1);
    batch.set_buffer(0, field, word);
    batch.set_control_at(1, NOWHERE, 64);
    udp.queue_bytes(&own.to_ne_bytes()[..word]);
    udp.queue_bytes(b"elsewhere");
    let made = Call::new(entry, udp.fd(), &batch).make();
    assert_eq!(made.ret, 2, "both were waiting");
    let mut truth = told_without_payload(context, &made, &batch);
    assert_ne!(truth["messages"][1]["control"]["len_out"], 0, "{truth}");
    truth["messages"][0]["control"]["items"] = json!([]);
    truth["messages"][1]["control"]["items"] = Value::Null;
    // The header did change, besides what the call's own truth knows.
    let found = truth["findings"].as_array_mut().expect("a list");
    found.insert(0, json!("changed_during_call"));
    truth["missing"] = json!({"messages[1].control.items": "fault"});
    context.recorder.record(&truth);
}

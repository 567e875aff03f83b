//! Calls whose memory another thread changes while they block: what the kernel went by is
//! not what lies there.
//!
//! The truth is told for a tracer that has none of the kernel's own copies. `$with` says
//! what is different with which of them: see [`crate::hook`].

use serde_json::{Value, json};

use super::Context;
use super::arena::{Arena, PAGE};
use super::batch::{Batch, DATA_LEN};
use super::call::{Call, Moment};
use super::entry::Entry;
use super::process;
use super::sockets::{self, Udp};
use super::truth::hex;
use super::watch::{blocked, until, wait_blocked};

/// A change that is made while the first datagram is waited for, and undone while the
/// second is: once the kernel has copied the second header.
struct Swap<'a> {
    name: &'a str,
    change: &'a (dyn Fn(&Batch, &Batch) + Sync),
    undo: &'a (dyn Fn(&Batch, &Batch) + Sync),
    /// What the kernel's copy of the second header shows, of the batch and the other one.
    header: &'a dyn Fn(&Batch, &Batch) -> Value,
    /// Likewise its length.
    length: Option<u32>,
}

/// Headers and iovecs that are swapped and swapped back.
pub fn unseen(context: &Context) {
    let iovec = |base: u64, len: usize| json!({"base": hex(base), "len": len});
    let swaps = [
        Swap {
            name: "msg_iov",
            change: &|batch, other| batch.set_iov(1, other.iov(1), 1),
            undo: &|batch, _| batch.set_iov(1, batch.iov_field(1).0, 1),
            header: &|_, other| json!({"iov": iovec(other.buffer(1).0, DATA_LEN)}),
            length: None,
        },
        // More was delivered than the buffer has that is seen.
        Swap {
            name: "msg_iov and the buffer's size",
            change: &|batch, other| batch.set_iov(1, other.iov(1), 1),
            undo: &|batch, _| {
                batch.set_iov(1, batch.iov_field(1).0, 1);
                batch.set_buffer_len(1, 1);
            },
            header: &|_, other| json!({"iov": iovec(other.buffer(1).0, DATA_LEN), "iov_bytes": DATA_LEN}),
            length: Some(2),
        },
        Swap {
            name: "the iovec itself",
            change: &|batch, other| batch.set_buffer(1, other.buffer(1).0, 64),
            undo: &|batch, _| batch.set_buffer_len(1, DATA_LEN),
            header: &|_, other| json!({"iov": iovec(other.buffer(1).0, 64), "iov_bytes": 64}),
            length: None,
        },
        // The iovecs of messages lie one behind the other.
        Swap {
            name: "msg_iovlen",
            change: &|batch, _| batch.set_iov(1, batch.iov_field(1).0, 2),
            undo: &|batch, _| batch.set_iov(1, batch.iov_field(1).0, 1),
            header: &|batch, _| {
                // 32-bit iovecs have a gap behind them.
                let bytes = if batch.is_compat() { DATA_LEN } else { 2 * DATA_LEN };
                if bytes == DATA_LEN {
                    json!({"iovlen": 2})
                } else {
                    json!({"iovlen": 2, "iov_bytes": bytes})
                }
            },
            length: None,
        },
        Swap {
            name: "msg_name",
            change: &|batch, other| batch.set_name(1, other.name_addr(1), 128),
            undo: &|batch, _| batch.set_name(1, batch.name_at(1), 128),
            header: &|_, other| json!({"name": hex(other.name_addr(1))}),
            length: None,
        },
        Swap {
            name: "msg_control",
            change: &|batch, other| batch.set_control_at(1, other.control_field(1).0, 64),
            undo: &|batch, _| batch.set_control_at(1, 0, 0),
            header: &|_, other| json!({"control": hex(other.control_field(1).0), "controllen": 64}),
            length: None,
        },
        // Seen without the kernel's copy too.
        Swap {
            name: "msg_iov for good",
            change: &|batch, other| batch.set_iov(1, other.iov(1), 1),
            undo: &|_, _| (),
            header: &|_, other| json!({"iov": iovec(other.buffer(1).0, DATA_LEN)}),
            length: None,
        },
    ];
    for entry in entries(context) {
        for swap in &swaps {
            swapped_back(context, *entry, swap);
        }
    }
    length_rewritten(context);
}

/// The native call, and `int $0x80` where asked for.
fn entries(context: &Context) -> &'static [Entry] {
    if context.options.scenario.ends_with("-compat") {
        &[Entry::I386Time64, Entry::Socketcall]
    } else {
        &[Entry::Native]
    }
}

fn swapped_back(context: &Context, entry: Entry, swap: &Swap<'_>) {
    let udp = Udp::v4();
    let compat = entry.compat();
    let (batch, other) = (Batch::new(compat, 3), Batch::new(compat, 3));
    // A name that stays where the kernel writes elsewhere: 127.0.0.1, port 1.
    batch.put_name(1, &[libc::AF_INET as u8, 0, 0, 1, 127, 0, 0, 1]);
    let call = Call::new(entry, udp.fd(), &batch).vlen(2).flags(0);
    let nr = entry.nr();
    let (made, inside) = blocked(call, |tid| {
        (swap.change)(&batch, &other);
        udp.send(0);
        wait_next(&batch, tid, nr);
        (swap.undo)(&batch, &other);
        let acted = Moment::now();
        udp.send(1);
        acted
    });
    assert_eq!(made.ret, 2, "the kernel's answer with another {}", swap.name);
    let mut truth = made.truth_with(context.options.messages, Some(inside));
    if batch.iov(1) != batch.iov_field(1).0 {
        truth["findings"].as_array_mut().expect("a list").insert(0, json!("changed_during_call"));
    }
    truth["$with"] = json!({"headers": found(&truth, 1, (swap.header)(&batch, &other))});
    if let Some(length) = swap.length {
        truth["$with"]["lengths"] = found(&truth, 1, json!({"len": length}));
    }
    context.recorder.record(&truth);
}

/// Waits until the kernel is done with the first message and waits for the second, whose
/// header it has copied then. The first one is one byte long.
fn wait_next(batch: &Batch, tid: i32, nr: i64) {
    until("the first message", || (batch.len(0) == 1).then_some(()));
    wait_blocked(process::pid(), tid, nr);
}

/// What is different with a source that shows `kernel` of message `i`.
pub fn found(truth: &Value, i: usize, kernel: Value) -> Value {
    let mut findings = truth["findings"].as_array().cloned().expect("a list");
    let at = findings.iter().take_while(|finding| *finding == "changed_during_call").count();
    findings.insert(at, json!("kernel_saw_other"));
    json!({"findings": findings, "messages": {i.to_string(): {"kernel": kernel}}})
}

/// Another thread writes the length of the first message anew while the second is waited
/// for.
fn length_rewritten(context: &Context) {
    let udp = Udp::v4();
    let batch = Batch::new(false, 2);
    let call = Call::new(Entry::Native, udp.fd(), &batch).flags(0);
    let (made, inside) = blocked(call, |tid| {
        udp.send(0);
        wait_next(&batch, tid, Entry::Native.nr());
        batch.set_len(0, 77);
        let acted = Moment::now();
        udp.send(1);
        acted
    });
    assert_eq!(made.ret, 2, "the kernel's answer");
    let mut truth = made.truth_with(context.options.messages, Some(inside));
    assert_eq!(truth["messages"][0]["len"], 77, "{truth}");
    truth["$with"] = json!({"lengths": found(&truth, 0, json!({"len": 1}))});
    context.recorder.record(&truth);
}

/// The same thread at work where the kernel does not look, or not yet, and honest calls of
/// every kind: nothing is found.
pub fn seen(context: &Context) {
    for entry in entries(context) {
        meanwhile(context, *entry);
        honest(context, *entry);
    }
    too_long(context);
}

/// What is changed back before the kernel comes to it, what it only writes, and what it
/// takes anew from the caller when it writes.
fn meanwhile(context: &Context, entry: Entry) {
    type Act = fn(&Batch, &Batch);
    let acts: [Act; 3] = [
        |batch, other| {
            batch.set_iov(1, other.iov(1), 1);
            batch.set_buffer(0, other.buffer(0).0, 3);
            batch.set_buffer_len(0, DATA_LEN);
            batch.set_iov(1, batch.iov_field(1).0, 1);
        },
        |batch, _| {
            for i in 0..2 {
                batch.set_len(i, 0xffff_ffff);
                batch.set_flags(i, 0x6666_6666);
            }
        },
        |batch, _| batch.set_namelen(1, 64),
    ];
    for act in acts {
        let udp = Udp::v4();
        let (batch, other) = (Batch::new(entry.compat(), 2), Batch::new(entry.compat(), 2));
        let call = Call::new(entry, udp.fd(), &batch).flags(0);
        let (made, inside) = blocked(call, |_| {
            act(&batch, &other);
            udp.send(0);
            let acted = Moment::now();
            udp.send(1);
            acted
        });
        assert_eq!(made.ret, 2, "the kernel's answer");
        context.recorder.record(&made.truth_with(context.options.messages, Some(inside)));
    }
}

/// A batch in which nearly every message has something else: names, control messages and
/// payload that are cut, one, no and many iovecs. The kernel itself writes its lengths.
fn honest(context: &Context, entry: Entry) {
    let udp = Udp::v4();
    sockets::set_option(udp.fd(), libc::SO_TIMESTAMP, 1).expect("SO_TIMESTAMP");
    let batch = Batch::new(entry.compat(), 40);
    let word = if entry.compat() { 4 } else { 8 };
    let lists = Arena::new(PAGE);
    for i in 0..40 {
        batch.set_namelen(i, [128, 16, 64][i % 3]);
        batch.set_control(i, [0, 256, 64, 8][i % 4]);
        batch.set_buffer_len(i, [DATA_LEN, 1][i / 2 % 2]);
        let list = i * 1024;
        match i % 5 {
            3 => batch.set_iov(i, 0, 0),
            4 => {
                // As many as the tracer keeps, and more.
                for j in 0..17 {
                    lists.put_word(list + 2 * j * word, word, batch.buffer(i).0 + 2 * j as u64);
                    lists.put_word(list + (2 * j + 1) * word, word, (j % 3) as u64);
                }
                batch.set_iov(i, lists.addr(list), 16 + (i / 5 % 2) as u64);
            }
            _ => {}
        }
    }
    udp.send_all(40);
    let made = Call::new(entry, udp.fd(), &batch).make();
    assert_eq!(made.ret, 40, "all datagrams were waiting");
    let mut truth = made.truth(context.options.messages);
    let findings = truth["findings"].as_array().expect("a list");
    for cut in ["payload_truncated", "control_truncated"] {
        assert!(findings.contains(&json!(cut)), "{truth}");
    }
    // Of iovecs and control messages more than are shown.
    truth.as_object_mut().expect("an object").remove("truncated");
    context.recorder.record(&truth);
}

/// Buffers of more bytes than the kernel takes at a time: it shortens its own copy.
fn too_long(context: &Context) {
    let udp = Udp::v4();
    let batch = Batch::new(false, 3);
    let room = 0x1_0000_0000u64;
    batch.set_buffer(0, batch.buffer(0).0, room as usize);
    let lists = Arena::new(PAGE);
    let second = [batch.buffer(1).0, 16, batch.buffer(1).0 + 16, room];
    second.iter().enumerate().for_each(|(i, word)| lists.put_word(8 * i, 8, *word));
    batch.set_iov(1, lists.addr(0), 2);
    udp.send_all(3);
    let made = Call::new(Entry::Native, udp.fd(), &batch).make();
    // Where the address space of a process ends where its mappings do, as with 48 bits on
    // arm64, the buffers reach past it, and the kernel looks.
    let refused = -i64::from(libc::EFAULT);
    let allowed = if cfg!(target_arch = "x86_64") { &[3][..] } else { &[3, refused] };
    assert!(allowed.contains(&made.ret), "the kernel's answer: {}", made.ret);
    context.tell(&made);
}

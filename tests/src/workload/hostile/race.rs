//! A thread that rewrites everything while calls are made: headers, iovecs, names,
//! control messages, the timeout and `socketcall`'s block. Nobody can know what a call
//! looks like; but every call is one event, and what it returned is known.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

use serde_json::json;

use super::NOWHERE;
use crate::workload::batch::{Batch, CONTROL_LEN};
use crate::workload::entry::{Entry, invoke};
use crate::workload::sockets::{self, Udp};
use crate::workload::truth::error;
use crate::workload::{Context, process};

/// Messages of a batch.
const MESSAGES: usize = 4;

/// By the native call.
pub fn native(context: &Context) {
    everything(context, Entry::Native);
}

/// By `int $0x80`.
pub fn compat(context: &Context) {
    everything(context, Entry::I386Time64);
    everything(context, Entry::Socketcall);
}

/// Numbers that look as if by chance, and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn one_of(&mut self, values: &[u64]) -> u64 {
        values[(self.next() % values.len() as u64) as usize]
    }
}

/// Makes `--count` calls while the other thread rewrites.
fn everything(context: &Context, entry: Entry) {
    let udp = Udp::v4();
    sockets::set_option(udp.fd(), libc::SO_TIMESTAMP, 1).expect("SO_TIMESTAMP");
    let batch = Batch::new(entry.compat(), MESSAGES);
    (0..MESSAGES).for_each(|i| batch.set_control(i, CONTROL_LEN));
    let timeout = batch.put_timeout(entry.timeout_word(), 1, 0);
    let args =
        [udp.fd() as u64, batch.msgvec(), MESSAGES as u64, libc::MSG_DONTWAIT as u64, timeout];
    let block = if entry.compat() { batch.put_block(args) } else { 0 };
    let (rounds, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut returned = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
            while !done.load(Relaxed) {
                (0..MESSAGES).for_each(|i| rewrite(&batch, i, &mut numbers));
                let nsec = numbers.one_of(&[0, 1, 999_999_999, 999_999_999, 1_000_000_000]);
                batch.put_timeout(
                    entry.timeout_word(),
                    numbers.one_of(&[0, 1, 7]) as i64,
                    nsec as i64,
                );
                if entry == Entry::Socketcall {
                    rewrite_block(&batch, args, &mut numbers);
                }
                rounds.fetch_add(1, Relaxed);
            }
        });
        for i in 0..context.options.count {
            // Not all calls find the same where the other thread is kept from running.
            let before = rounds.load(Relaxed);
            while i % 4 == 0 && rounds.load(Relaxed) == before {
                thread::yield_now();
            }
            (0..MESSAGES).for_each(|j| udp.send(i as usize + j));
            returned.push(invoke(entry, args, block));
        }
        done.store(true, Relaxed);
    });
    for ret in returned {
        let known = [libc::EFAULT, libc::EINVAL, libc::EMSGSIZE, libc::EAGAIN, libc::EBADF];
        let allowed = ret >= 0 || known.contains(&(-ret as i32));
        assert!(allowed, "the kernel's answer: {ret}");
        context.recorder.record(&json!({
            "event": entry.event(),
            "syscall": {"name": entry.syscall_name(), "nr": entry.nr(), "abi": entry.abi()},
            "process": {"pid": process::pid(), "tid": process::tid()},
            "ret": ret,
            "error": error(ret),
            "$seen": if ret < 0 { json!(ret) } else { json!("received") },
        }));
    }
}

/// Changes something of message `i`; every address is one of its own or nobody's, and
/// no more than `MESSAGES` headers are ever asked for, so that nothing else is hit.
fn rewrite(batch: &Batch, i: usize, numbers: &mut Numbers) {
    let most = if batch.is_compat() { u64::from(u32::MAX) } else { u64::MAX };
    let (iov, _) = batch.iov_field(i);
    let (control, _) = batch.control_field(i);
    match numbers.next() % 8 {
        0 => batch.set_iov(
            i,
            numbers.one_of(&[iov, NOWHERE, 0, iov]),
            numbers.one_of(&[1, 1, 0, 1025, most]),
        ),
        1 => batch.set_iov(i, iov, 1),
        2 => batch.set_buffer(
            i,
            numbers.one_of(&[
                batch.data_at(i),
                batch.data_at(i),
                NOWHERE,
                control,
                batch.name_at(i),
            ]),
            numbers.one_of(&[0, 1, 64, 128]) as usize,
        ),
        3 => batch.set_name(
            i,
            numbers.one_of(&[0, NOWHERE, batch.name_at(i), batch.name_at(i)]),
            numbers.one_of(&[0, 1, 16, 16, 128, 4096, 4096, u32::MAX.into()]) as u32,
        ),
        4 => batch.set_control_at(
            i,
            numbers.one_of(&[0, NOWHERE, control, control]),
            numbers.one_of(&[0, 8, 20, 256, most]) as usize,
        ),
        5 => batch.put_control(i, &numbers.next().to_ne_bytes()),
        6 => batch.put_name(i, &numbers.next().to_ne_bytes()),
        _ => {
            batch.set_name(i, batch.name_at(i), 128);
            batch.set_control_at(i, control, CONTROL_LEN);
            batch.set_buffer(i, batch.data_at(i), 64);
        }
    }
}

/// Changes something of `socketcall`'s block, in the same bounds.
fn rewrite_block(batch: &Batch, args: [u64; 5], numbers: &mut Numbers) {
    let mut block = args;
    match numbers.next() % 6 {
        0 => block[0] = u32::MAX.into(),
        1 => block[1] = NOWHERE,
        2 => block[2] = numbers.next() % (MESSAGES as u64 + 1),
        3 => block[3] |= 0x10_0000,
        4 => block[4] = numbers.one_of(&[0, NOWHERE]),
        _ => {}
    }
    batch.put_block(block);
}

//! Memory that is taken away while a call blocks: the kernel has written the first
//! message and waits for the second when nobody can read any more what it wrote.

use std::thread;

use serde_json::{Value, json};

use super::lengths::timestamp;
use super::tell;
use crate::workload::Context;
use crate::workload::arena::{Arena, PAGE};
use crate::workload::batch::Batch;
use crate::workload::blocking::WHILE;
use crate::workload::call::{Call, Moment};
use crate::workload::entry::Entry;
use crate::workload::sockets::{self, Udp};
use crate::workload::truth::hex;
use crate::workload::watch::blocked;

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

const NAME: usize = 0;
const CONTROL: usize = 1024;
const LIST: usize = 2048;
const DATA: usize = 4096;

fn everything(context: &Context, entry: Entry) {
    let word = if entry.compat() { 4 } else { 8 };
    let name = |batch: &Batch, far: &Arena| batch.set_name(0, far.addr(NAME), 128);
    let control = |batch: &Batch, far: &Arena| batch.set_control_at(0, far.addr(CONTROL), 64);
    let list = |batch: &Batch, far: &Arena| {
        let (base, len) = batch.buffer(0);
        far.put_word(LIST, word, base);
        far.put_word(LIST + word, word, len as u64);
        batch.set_iov(0, far.addr(LIST), 1);
    };
    let data = |batch: &Batch, far: &Arena| batch.set_buffer(0, far.addr(DATA), 100);

    let gone = |truth: &mut Value, field: &str| {
        let message = &mut truth["messages"][0];
        match field.split_once('.') {
            None => message[field] = Value::Null,
            Some((outer, inner)) => message[outer][inner] = Value::Null,
        }
        truth["missing"][format!("messages[0].{field}")] = json!("fault");
    };
    vanish(context, entry, name, |truth| gone(truth, "name"));
    vanish(context, entry, control, |truth| gone(truth, "control.items"));
    vanish(context, entry, list, |truth| {
        gone(truth, "iov");
        gone(truth, "payload");
    });
    vanish(context, entry, data, |truth| gone(truth, "payload"));
    let all = |batch: &Batch, far: &Arena| {
        name(batch, far);
        control(batch, far);
        list(batch, far);
    };
    vanish(context, entry, all, |truth| {
        ["name", "control.items", "iov", "payload"].iter().for_each(|field| gone(truth, field));
    });
    header(context, entry);
}

/// Takes away what `set` has put into memory of its own.
fn vanish(context: &Context, entry: Entry, set: impl Fn(&Batch, &Arena), fix: impl Fn(&mut Value)) {
    let udp = Udp::v4();
    sockets::set_option(udp.fd(), libc::SO_TIMESTAMP, 1).expect("SO_TIMESTAMP");
    let batch = Batch::new(entry.compat(), 2);
    (0..2).for_each(|i| batch.set_control(i, 64));
    let far = Arena::new(PAGE);
    set(&batch, &far);
    let call = Call::new(entry, udp.fd(), &batch).flags(0);
    let (made, _) = blocked(call, |_| {
        udp.send(0);
        // The kernel waits for the second message once it has written the first.
        thread::sleep(WHILE);
        far.protect(libc::PROT_NONE);
        let acted = Moment::now();
        udp.send(1);
        acted
    });
    far.protect(libc::PROT_READ | libc::PROT_WRITE);
    assert_eq!(made.ret, 2, "the kernel's answer");
    tell(context, &made, &batch, |truth| {
        for i in 0..2 {
            truth["messages"][i]["control"]["items"] = json!([timestamp()]);
        }
        let (base, len) = batch.buffer(0);
        truth["messages"][0]["iov"] = json!([{"base": hex(base), "len": len}]);
        fix(truth);
    });
}

/// The first header itself, of an array over two pages: the array is read as far as it
/// goes, which is nowhere.
fn header(context: &Context, entry: Entry) {
    let udp = Udp::v4();
    let batch = Batch::new(entry.compat(), 2);
    let headers = batch.headers();
    let far = Arena::new(2 * PAGE);
    let at = PAGE - headers.len() / 2;
    far.put(at, &headers);
    let call = Call { msgvec: Some(far.addr(at)), ..Call::new(entry, udp.fd(), &batch) };
    let (made, _) = blocked(call.flags(0), |_| {
        udp.send(0);
        thread::sleep(WHILE);
        far.protect_range(0, PAGE, libc::PROT_NONE);
        let acted = Moment::now();
        udp.send(1);
        acted
    });
    far.protect(libc::PROT_READ | libc::PROT_WRITE);
    assert_eq!(made.ret, 2, "the kernel's answer");
    batch.put_headers(&far.get(at, headers.len()));
    tell(context, &made, &batch, |truth| {
        truth["messages"] = Value::Null;
        truth["missing"] = json!({"messages": "fault"});
    });
}

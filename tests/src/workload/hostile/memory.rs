//! Arrays of headers in memory that is not there, ends, or can't be written.

use serde_json::json;

use crate::workload::Context;
use crate::workload::arena::{Arena, PAGE};
use crate::workload::batch::Batch;
use crate::workload::call::Call;
use crate::workload::entry::Entry;
use crate::workload::hostile::{NOWHERE, deferred, leave_open, tell};
use crate::workload::sockets::Udp;

/// By the native call.
pub fn native(context: &Context) {
    everything(context, Entry::Native);
}

/// By `int $0x80`.
pub fn compat(context: &Context) {
    for entry in [Entry::I386Time32, Entry::I386Time64, Entry::Socketcall] {
        everything(context, entry);
    }
}

fn everything(context: &Context, entry: Entry) {
    nowhere(context, entry);
    at_the_end(context, entry);
    across_the_end(context, entry);
    around_a_guard(context, entry);
    read_only(context, entry);
    counts(context, entry);
    if entry == Entry::Socketcall {
        block_at_the_end(context);
    }
}

/// No memory, or none that may be read.
fn nowhere(context: &Context, entry: Entry) {
    let closed = Arena::new(PAGE);
    closed.protect(libc::PROT_NONE);
    let mut addresses = vec![0, 8, NOWHERE, closed.addr(0), closed.addr(PAGE - 1)];
    if !entry.compat() {
        // Not canonical, the kernel's, and around the end.
        addresses.extend([1 << 63, 0xffff_8000_0000_0000, u64::MAX, u64::MAX - 63]);
    }
    for address in addresses {
        let udp = Udp::v4();
        udp.send_all(1);
        let batch = Batch::new(entry.compat(), 2);
        let call = Call { msgvec: Some(address), ..Call::new(entry, udp.fd(), &batch) };
        let made = call.make();
        assert!(made.ret < 0, "nothing can be received at {address:#x}");
        tell(context, &made, &batch, |_| {});
    }
}

/// Calls with the array elsewhere, and takes what the kernel wrote there.
fn call_at(
    context: &Context,
    entry: Entry,
    place: &Arena,
    at: usize,
    (count, vlen): (usize, u32),
    expected: i64,
) {
    let udp = Udp::v4();
    let batch = Batch::new(entry.compat(), count);
    let headers = batch.headers();
    place.put(at, &headers);
    udp.send_all(count + 2);
    let msgvec = Some(place.addr(at));
    let made = Call { msgvec, vlen, ..Call::new(entry, udp.fd(), &batch) }.make();
    assert_eq!(made.ret, expected, "messages up to where the array can't be read");
    batch.put_headers(&place.get(at, headers.len()));
    tell(context, &made, &batch, |truth| deferred(truth, libc::EFAULT));
}

/// As many headers as there is memory, and more asked for.
fn at_the_end(context: &Context, entry: Entry) {
    let place = Arena::new(2 * PAGE);
    place.protect_from(PAGE, libc::PROT_NONE);
    let size = Batch::new(entry.compat(), 1).headers().len();
    for vlen in [4, 64, 1024, u32::MAX] {
        call_at(context, entry, &place, PAGE - 3 * size, (3, vlen), 3);
    }
}

/// A header whose second half is not there.
fn across_the_end(context: &Context, entry: Entry) {
    let place = Arena::new(2 * PAGE);
    place.protect_from(PAGE, libc::PROT_NONE);
    let size = Batch::new(entry.compat(), 1).headers().len();
    for part in [1, size / 2, size * 3 / 4] {
        call_at(context, entry, &place, PAGE - size - part, (1, 2), 1);
    }
    if entry.compat() {
        return;
    }
    // Only padding is missing, which the kernel does not touch.
    let udp = Udp::v4();
    let batch = Batch::new(false, 2);
    let (at, len) = (PAGE - 2 * size + 1, 2 * size - 1);
    place.put(at, &batch.headers()[..len]);
    udp.send_all(2);
    let call = Call { msgvec: Some(place.addr(at)), ..Call::new(entry, udp.fd(), &batch) };
    let made = call.make();
    assert_eq!(made.ret, 2, "both datagrams were waiting");
    batch.put_headers(&place.get(at, len));
    tell(context, &made, &batch, |truth| {
        truth["messages"].as_array_mut().expect("messages").pop();
        truth["missing"] = json!({"messages[1]": "fault"});
    });
}

/// Memory goes on after a page that may not be read.
fn around_a_guard(context: &Context, entry: Entry) {
    let place = Arena::new(3 * PAGE);
    place.protect_range(PAGE, PAGE, libc::PROT_NONE);
    let size = Batch::new(entry.compat(), 1).headers().len();
    call_at(context, entry, &place, PAGE - 2 * size, (2, 100_000), 2);
}

/// What the kernel writes last can't be written: the data are delivered, and the call
/// fails.
fn read_only(context: &Context, entry: Entry) {
    let place = Arena::new(PAGE);
    let udp = Udp::v4();
    let batch = Batch::new(entry.compat(), 2);
    place.put(0, &batch.headers());
    place.protect(libc::PROT_READ);
    udp.send_all(2);
    let call = Call { msgvec: Some(place.addr(0)), ..Call::new(entry, udp.fd(), &batch) };
    let made = call.make();
    assert_eq!(made.ret, -i64::from(libc::EFAULT), "the kernel's answer");
    assert_eq!(batch.data(0)[0], b'a', "the data were delivered");
    tell(context, &made, &batch, leave_open);
}

/// None and all that an `unsigned int` can say.
fn counts(context: &Context, entry: Entry) {
    for (vlen, ret) in [(0, 0), (u32::MAX, 2), (1 << 31, 2)] {
        let udp = Udp::v4();
        udp.send_all(2);
        let batch = Batch::new(entry.compat(), 3);
        let made = Call::new(entry, udp.fd(), &batch).vlen(vlen).make();
        assert_eq!(made.ret, ret, "the kernel's answer");
        tell(context, &made, &batch, |_| {});
    }
}

/// `socketcall`'s block ends too early: none of the arguments is known.
fn block_at_the_end(context: &Context) {
    let place = Arena::new(2 * PAGE);
    place.protect_from(PAGE, libc::PROT_NONE);
    for words in [1, 3, 4] {
        let udp = Udp::v4();
        udp.send_all(1);
        let batch = Batch::new(true, 2);
        let at = PAGE - 4 * words;
        let args = [udp.fd() as u64, batch.msgvec(), 2, libc::MSG_DONTWAIT as u64];
        args.iter()
            .take(words)
            .enumerate()
            .for_each(|(i, arg)| place.put_word(at + 4 * i, 4, *arg));
        let made = Call::new(Entry::Socketcall, udp.fd(), &batch).make_at(place.addr(at));
        assert_eq!(made.ret, -i64::from(libc::EFAULT), "{words} of five words");
        tell(context, &made, &batch, |truth| {
            let mut missing = json!({"socket": "fault"});
            for arg in ["sockfd", "msgvec", "vlen", "flags", "timeout"] {
                truth["args"][arg] = json!({"value": null});
                missing[format!("args.{arg}")] = json!("fault");
            }
            truth["socket"] = serde_json::Value::Null;
            truth["missing"] = missing;
        });
    }
}

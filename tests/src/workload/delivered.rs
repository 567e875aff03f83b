//! Calls that return EFAULT: after messages were received, or before.

use serde_json::{Value, json};

use super::Context;
use super::arena::{Arena, PAGE};
use super::batch::{Batch, DATA_LEN};
use super::call::{Call, Made};
use super::entry::Entry;
use super::sockets::Udp;
use super::truth::{absent, one_of};

/// A timeout in a page that can be read and not written, so that the kernel's last step
/// fails: the writing back of what remains.
pub struct Fixed(Arena);

impl Fixed {
    /// Three seconds and 250 ns, in words of so many bytes.
    pub fn new(word: usize) -> Self {
        let arena = Arena::new(PAGE);
        arena.put_word(0, word, 3);
        arena.put_word(word, word, 250);
        arena.protect(libc::PROT_READ);
        Self(arena)
    }

    /// A call with it.
    pub fn call<'a>(&self, call: Call<'a>) -> Call<'a> {
        Call { timeout_at: Some(self.0.addr(0)), ..call.timeout(3, 250) }
    }
}

fn failed(made: &Made) {
    assert_eq!(made.ret, -i64::from(libc::EFAULT), "the kernel's answer");
}

/// The truth about a call that received `count` messages, was done with all of them, and
/// returned EFAULT, as it looks where that is known.
fn told(context: &Context, made: &Made, count: usize) -> Value {
    let mut truth = told_without(context, made, count);
    truth["messages"] = made.messages(count.min(context.options.messages));
    if count > context.options.messages {
        truth["truncated"] = json!({"messages": count - context.options.messages});
    }
    truth
}

/// The same where the kernel was not done with any.
fn told_without(context: &Context, made: &Made, count: usize) -> Value {
    let mut truth = made.truth(context.options.messages);
    truth["delivered"] = json!(count);
    truth["findings"].as_array_mut().expect("a list").insert(0, json!("delivered_then_efault"));
    truth
}

/// The truth where nothing shows it, and `$with` these sources what is.
fn told_with(context: &Context, made: &Made, sources: &[&str], known: &Value) -> Value {
    let mut truth = made.truth(context.options.messages);
    truth["delivered"] = absent();
    truth["$with"] = with(sources, known);
    truth
}

/// What each of these sources makes of what differs.
fn with(sources: &[&str], known: &Value) -> Value {
    let fields = ["delivered", "messages", "truncated", "findings"];
    let all: Value =
        fields.map(|field| (field.to_owned(), known[field].clone())).into_iter().collect();
    sources.iter().map(|source| ((*source).to_owned(), json!({"$all": all}))).collect()
}

/// Messages that were received all the same.
pub fn delivered(context: &Context) {
    for (entry, vlen, waiting) in entries(context, &[(5, 3), (1, 1), (100, 70)]) {
        let udp = Udp::v4();
        let batch = Batch::new(entry.compat(), vlen);
        let fixed = Fixed::new(entry.timeout_word());
        udp.send_all(waiting);
        let made = fixed.call(Call::new(entry, udp.fd(), &batch)).make();
        failed(&made);
        let known = told(context, &made, waiting);
        udp.check(&known);
        // By headers alone no more can be told than are kept of them.
        let mut truth = told(context, &made, waiting.min(context.options.messages));
        truth["$with"] = with(&["timeout", "lengths"], &known);
        context.recorder.record(&truth);
    }
    let udp = Udp::v4();
    let batch = Batch::new(false, 3);
    let fixed = Fixed::new(8);

    // Headers that look afterwards as they did before: it takes the kernel's own count.
    udp.send_all(2);
    let first = Call::new(Entry::Native, udp.fd(), &batch).make();
    assert_eq!(first.ret, 2, "both were waiting");
    context.tell(&first);
    udp.send_all(2);
    let made = fixed.call(Call::new(Entry::Native, udp.fd(), &batch)).make();
    failed(&made);
    let known = told(context, &made, 2);
    context.recorder.record(&told_with(context, &made, &["timeout", "lengths"], &known));

    // A name that can't be written once its message is there: the kernel is not done with
    // it, and says nothing of it.
    let closed = Arena::new(PAGE);
    closed.protect(libc::PROT_NONE);
    for timeout in [None, Some((3, 250))] {
        let batch = Batch::new(false, 3);
        batch.set_name(0, closed.addr(0), 128);
        udp.send_all(2);
        let made = Call { timeout, ..Call::new(Entry::Native, udp.fd(), &batch) }.make();
        failed(&made);
        assert_eq!(batch.data(0)[0], b'a', "the first message was delivered");
        let known = told_without(context, &made, 1);
        let mut truth = told_with(context, &made, &["lengths"], &known);
        if timeout.is_some() {
            // Some kernels write the name's length before the name: the header tells too.
            truth["delivered"] = one_of(&[absent(), json!(1)]);
            truth["findings"] = one_of(&[json!([]), known["findings"].clone()]);
        }
        context.recorder.record(&truth);
        // The other one.
        let batch = Batch::new(false, 3);
        let made = Call::new(Entry::Native, udp.fd(), &batch).make();
        assert_eq!(made.ret, 1, "it is still there");
        context.tell(&made);
    }
}

/// Nothing was received, whatever the headers say: garbage where the kernel writes.
pub fn undelivered(context: &Context) {
    for (entry, vlen, waiting) in entries(context, &[(5, 3)]) {
        let udp = Udp::v4();
        let closed = Arena::new(PAGE);
        closed.protect(libc::PROT_NONE);
        let batch = || {
            let batch = Batch::new(entry.compat(), vlen);
            for i in 0..vlen {
                batch.set_len(i, 1 + i as u32);
                batch.set_flags(i, libc::MSG_TRUNC as u32);
            }
            batch
        };
        let tell = |made: Made| {
            failed(&made);
            let mut truth = made.truth(context.options.messages);
            truth["delivered"] = absent();
            if made.timeout_is_closed() {
                truth["args"]["timeout"]["requested"] = Value::Null;
                truth["missing"] = json!({"args.timeout.requested": "fault"});
            }
            context.recorder.record(&truth);
        };
        udp.send_all(waiting);
        let plain = batch();
        let call = Call::new(entry, udp.fd(), &plain);
        tell(Call { timeout_at: Some(closed.addr(0)), ..call }.make());
        tell(Call { msgvec: Some(closed.addr(0)), ..call }.timeout(3, 250).make());
        let iovecs = batch();
        iovecs.set_iov(0, closed.addr(0), 1);
        tell(Call::new(entry, udp.fd(), &iovecs).timeout(3, 250).make());
        // The datagram is lost, and not delivered.
        let buffers = batch();
        buffers.set_buffer(0, closed.addr(0), DATA_LEN);
        tell(Call::new(entry, udp.fd(), &buffers).timeout(3, 250).make());
        // Failing otherwise after something was received is no EFAULT.
        let rest = Call::new(entry, udp.fd(), &plain).timeout(3, 250).make();
        assert_eq!(rest.ret, waiting as i64 - 1, "the others are still there");
        context.tell(&rest);
    }
}

/// Each of the cases by each way into the kernel: the native call, or `int $0x80`.
fn entries(context: &Context, cases: &[(usize, usize)]) -> Vec<(Entry, usize, usize)> {
    let entries: &[Entry] = if context.options.scenario.ends_with("-compat") {
        &[Entry::I386Time32, Entry::I386Time64, Entry::Socketcall]
    } else {
        &[Entry::Native]
    };
    let of =
        |entry: &Entry| cases.iter().map(|(vlen, waiting)| (*entry, *vlen, *waiting)).collect();
    entries.iter().flat_map(|entry| -> Vec<_> { of(entry) }).collect()
}

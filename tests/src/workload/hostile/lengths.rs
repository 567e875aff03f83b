//! Lengths that are none, negative to those who take them for signed, or longer than the
//! memory behind them.

use serde_json::{Value, json};

use crate::workload::Context;
use crate::workload::arena::{Arena, PAGE};
use crate::workload::batch::Batch;
use crate::workload::call::Call;
use crate::workload::entry::Entry;
use crate::workload::hostile::{NOWHERE, delivered, leave_open, tell};
use crate::workload::sockets::{self, Udp};
use crate::workload::truth::{hex, interval};

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

/// Where a case is tried: a page before one that may not be touched.
struct Scene {
    entry: Entry,
    place: Arena,
    word: usize,
}

impl Scene {
    /// The largest number of a field, and the first that is negative.
    fn extremes(&self) -> [u64; 2] {
        if self.word == 4 { [u32::MAX.into(), 1 << 31] } else { [u64::MAX, 1 << 63] }
    }

    /// Tries a batch of two messages, the first of which is as `set` says, with two
    /// datagrams waiting.
    fn try_it(&self, context: &Context, set: impl Fn(&Batch), fix: impl Fn(&mut Value)) -> i64 {
        let udp = Udp::v4();
        sockets::set_option(udp.fd(), libc::SO_TIMESTAMP, 1).expect("SO_TIMESTAMP");
        let batch = Batch::new(self.entry.compat(), 2);
        (0..2).for_each(|i| batch.set_control(i, 64));
        set(&batch);
        udp.send_all(2);
        let made = Call::new(self.entry, udp.fd(), &batch).make();
        tell(context, &made, &batch, |truth| {
            for message in truth["messages"].as_array_mut().into_iter().flatten() {
                if message["control"]["len_out"] != 0 {
                    message["control"]["items"] = json!([timestamp()]);
                }
            }
            fix(truth);
        });
        made.ret
    }
}

/// A timestamp as the kernel made it.
pub fn timestamp() -> Value {
    let (sec, usec) = (interval(1, i64::from(u32::MAX)), interval(0, 999_999));
    json!({"level": "SOL_SOCKET", "type": "SO_TIMESTAMP", "sec": sec, "usec": usec})
}

fn everything(context: &Context, entry: Entry) {
    let place = Arena::new(2 * PAGE);
    place.protect_from(PAGE, libc::PROT_NONE);
    let scene = Scene { entry, place, word: if entry.compat() { 4 } else { 8 } };
    iovlens(context, &scene);
    iov_lens(context, &scene);
    controllens(context, &scene);
    namelens(context, &scene);
}

const fn failed(errno: i32) -> i64 {
    -(errno as i64)
}

/// Numbers of iovecs.
fn iovlens(context: &Context, scene: &Scene) {
    let Scene { place, word, .. } = scene;
    let ret = scene.try_it(
        context,
        |batch| batch.set_iov(0, batch.iov(0), 0),
        |truth| {
            let message = &mut truth["messages"][0];
            message["iov"] = json!([]);
            message["iovlen"] = json!(0);
        },
    );
    assert_eq!(ret, 2, "a message without buffers");

    // As many as there may be; the list begins with one that is enough.
    let list = |count: usize| {
        let at = PAGE - 2 * word * count;
        (0..count).for_each(|i| {
            let (base, len) = if i == 0 { (place.addr(64), 32) } else { (place.addr(0), 0) };
            place.put_word(at + 2 * word * i, *word, base);
            place.put_word(at + 2 * word * i + word, *word, len);
        });
        place.addr(at)
    };
    let most = list(1024);
    let ret = scene.try_it(
        context,
        |batch| batch.set_iov(0, most, 1024),
        |truth| {
            let message = &mut truth["messages"][0];
            let first = json!({"base": hex(place.addr(64)), "len": 32});
            let other = json!({"base": hex(place.addr(0)), "len": 0});
            let shown: Vec<_> = std::iter::once(first).chain(vec![other; 15]).collect();
            message["iov"] = shown.into();
            message["iovlen"] = json!(1024);
            message["payload"] = json!({"len": 1, "captured": 1, "text": "a"});
            truth["truncated"] = json!({"iov": 1008});
        },
    );
    assert_eq!(ret, 2, "1,024 buffers");
    for count in
        [1025, 0x7fff_ffff, 0x8000_0000, u32::MAX.into()].into_iter().chain(scene.extremes())
    {
        let ret = scene.try_it(context, |batch| batch.set_iov(0, most, count), |_| {});
        assert_eq!(ret, failed(libc::EMSGSIZE), "{count} buffers");
    }
    // Past the page.
    let two = list(2);
    for count in [3, 16, 17, 1024] {
        let ret = scene.try_it(context, |batch| batch.set_iov(0, two, count), |_| {});
        assert_eq!(ret, failed(libc::EFAULT), "two of {count} iovecs");
    }
}

/// Lengths of one buffer.
fn iov_lens(context: &Context, scene: &Scene) {
    for len in scene.extremes() {
        let set = |batch: &Batch| batch.set_buffer(0, batch.buffer(0).0, len as usize);
        let ret = scene.try_it(context, set, |_| {});
        assert_eq!(ret, failed(libc::EINVAL), "a buffer of {len:#x} bytes");
    }
    // Kernels differ in whether they look at memory that no datagram reaches.
    let [_, negative] = scene.extremes();
    let set = |batch: &Batch| batch.set_buffer(0, batch.buffer(0).0, negative as usize - 1);
    let ret = scene.try_it(context, set, |_| {});
    assert!([2, failed(libc::EFAULT)].contains(&ret), "a buffer of {:#x} bytes", negative - 1);
    // The datagram has one byte: it fits before the page that may not be touched.
    let last = scene.place.addr(PAGE - 1);
    let ret = scene.try_it(
        context,
        |batch| batch.set_buffer(0, last, 4096),
        |truth| truth["messages"][0]["payload"] = json!({"len": 1, "captured": 1, "text": "a"}),
    );
    assert_eq!(ret, 2, "a buffer that ends after the datagram");
    let ret = scene.try_it(context, |batch| batch.set_buffer(0, last + 1, 4096), leave_open);
    assert_eq!(ret, failed(libc::EFAULT), "a buffer that can't be written");
}

/// Room for control messages.
fn controllens(context: &Context, scene: &Scene) {
    let own = |batch: &Batch| batch.control_field(0).0;
    for len in [4096, 0x7fff_ffff, 0x8000_0000].into_iter().chain(scene.extremes()) {
        let set = |batch: &Batch| batch.set_control_at(0, own(batch), len as usize);
        assert_eq!(scene.try_it(context, set, |_| {}), 2, "room of {len:#x} bytes");
    }
    // Nowhere, and past the page: the kernel writes none and says so.
    for address in [0, NOWHERE, scene.place.addr(PAGE - 8), scene.place.addr(PAGE)] {
        let set = |batch: &Batch| batch.set_control_at(0, address, 256);
        let ret = scene.try_it(context, set, |truth| {
            assert_eq!(truth["messages"][0]["control"]["len_out"], 0, "{truth}")
        });
        assert_eq!(ret, 2, "room at {address:#x}");
    }
}

/// Room for the source's name.
fn namelens(context: &Context, scene: &Scene) {
    for len in [0, 1, 2] {
        let set = |batch: &Batch| batch.set_namelen(0, len);
        let ret = scene.try_it(context, set, |truth| {
            truth["missing"] = json!({"messages[0].name": "truncated"})
        });
        assert_eq!(ret, 2, "room for {len} bytes of a name");
    }
    for len in [16, 4096, 0x7fff_ffff] {
        let ret = scene.try_it(context, |batch| batch.set_namelen(0, len), |_| {});
        assert_eq!(ret, 2, "room for {len} bytes of a name");
    }
    for len in [1 << 31, u32::MAX] {
        let ret = scene.try_it(context, |batch| batch.set_namelen(0, len), |_| {});
        assert_eq!(ret, failed(libc::EINVAL), "room for {len} bytes of a name");
    }
    for address in [NOWHERE, scene.place.addr(PAGE), scene.place.addr(PAGE - 8)] {
        let ret = scene.try_it(context, |batch| batch.set_name(0, address, 128), delivered);
        assert_eq!(ret, failed(libc::EFAULT), "a name at {address:#x}");
    }
}

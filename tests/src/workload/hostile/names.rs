//! Names of strangers: threads, sockets, programs.

use std::ffi::OsStr;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;

use super::tell;
use crate::workload::batch::Batch;
use crate::workload::call::Call;
use crate::workload::entry::Entry::Native;
use crate::workload::sockets::{self, Folder, Udp, payload};
use crate::workload::{Context, process};

/// What a terminal, a shell, JSON or a reader of UTF-8 may stumble on; at most 15 bytes,
/// so that it can be a thread's name.
pub const ODD: &[&[u8]] = &[
    b"new\nline",
    b"\"quotes'`",
    b"\\u0000\\n\\",
    b"\x1b[2J\x1b[31mred",
    b"\x1b]0;title\x07",
    b"\r\x08\x7f\x01\t",
    b"\xff\xfe\xc3\x28",
    b"\xed\xa0\x80\xf4\x90\x80\x80",
    b"cut \xf0\x9f\x98",
    b"\xc2\x9b31m",
    b"\xe2\x80\xae\xe2\x81\xa6rtl",
    b"{\"a\":1},[",
    b"$(id);`id`|",
    b" ",
];

/// Threads' names, and the empty one.
pub fn comms(context: &Context) {
    let udp = Udp::v4();
    for name in ODD.iter().chain([&&b""[..]]) {
        process::set_comm_bytes(name);
        udp.send_all(1);
        let batch = Batch::new(false, 1);
        let made = Call::new(Native, udp.fd(), &batch).make();
        assert_eq!(made.ret, 1, "it was waiting");
        tell(context, &made, &batch, |_| {});
    }
}

/// Names of local sockets, abstract ones with NULs and paths, of senders and receivers.
pub fn unix(context: &Context) {
    let folder = Folder::new();
    let own = format!("hostile-{}", std::process::id());
    let mut receivers = Vec::new();
    let abstract_names = ODD.iter().map(|odd| [own.as_bytes(), b"\0\0", odd].concat());
    let longest = {
        let mut name = [own.as_bytes(), b"\0"].concat();
        name.resize(107, b'\0');
        name
    };
    for name in abstract_names.chain([longest]) {
        receivers.push(sockets::unix_abstract(&name));
    }
    for odd in ODD.iter().filter(|odd| !odd.contains(&b'/')) {
        receivers.push(sockets::unix_at(&folder.path("").join(OsStr::from_bytes(odd))));
    }
    // Each has a datagram from another one.
    for (i, sender) in receivers.iter().enumerate() {
        let receiver = &receivers[(i + 1) % receivers.len()];
        let to = receiver.local_addr().expect("its own name");
        sender.send_to_addr(&payload(i), &to).expect("a datagram can be sent");
        let batch = Batch::new(false, 2);
        let made = Call::new(Native, receiver.as_raw_fd(), &batch).make();
        assert_eq!(made.ret, 1, "it was waiting");
        tell(context, &made, &batch, |_| {});
    }
}

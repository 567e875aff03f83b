//! Calls that come as near to a finding as can be: one has it, the others lack a single
//! condition.

use std::os::fd::AsRawFd;
use std::time::Duration;

use serde_json::json;

use super::Context;
use super::batch::{Batch, DATA_LEN};
use super::call::Call;
use super::entry::Entry::Native;
use super::sockets::{self, Udp};

/// Calls that may block for good, and calls that have one reason not to.
pub fn risk(context: &Context) {
    let (batch, one) = (Batch::new(false, 2), Batch::new(false, 1));
    let tell = |udp: &Udp, batch: &Batch, flags: i32, timeout: Option<(i64, i64)>, risky: bool| {
        udp.send_all(batch.capacity());
        let call = Call { timeout, ..Call::new(Native, udp.fd(), batch).flags(flags) };
        let made = call.make();
        assert_eq!(made.ret, batch.capacity() as i64, "all datagrams were waiting");
        let truth = context.tell(&made);
        let expected = if risky { json!(["blocks_forever_risk"]) } else { json!([]) };
        assert_eq!(truth["findings"], expected, "{truth}");
    };
    let udp = Udp::v4();
    let timeout = Some((10, 0));
    tell(&udp, &batch, 0, timeout, true);
    tell(&udp, &one, 0, timeout, false);
    tell(&udp, &batch, 0, None, false);
    tell(&udp, &batch, libc::MSG_WAITFORONE, timeout, false);
    tell(&udp, &batch, libc::MSG_DONTWAIT, timeout, false);
    udp.receiver.set_nonblocking(true).expect("O_NONBLOCK");
    tell(&udp, &batch, 0, timeout, false);
    let udp = Udp::v4();
    udp.receiver.set_read_timeout(Some(Duration::from_secs(5))).expect("SO_RCVTIMEO");
    tell(&udp, &batch, 0, timeout, false);
}

/// Datagrams and control messages that just fit, and that just don't.
pub fn fit(context: &Context) {
    let udp = Udp::v4();
    sockets::set_option(udp.receiver.as_raw_fd(), libc::SO_TIMESTAMP, 1).expect("SO_TIMESTAMP");
    // A `struct cmsghdr` and a `struct timeval`.
    const TIMESTAMP: usize = 32;
    let cases = [
        (DATA_LEN, TIMESTAMP, json!([])),
        (DATA_LEN - 1, TIMESTAMP, json!(["payload_truncated"])),
        (DATA_LEN, 1, json!(["control_truncated"])),
        (DATA_LEN - 1, 1, json!(["payload_truncated", "control_truncated"])),
    ];
    for (room, control, expected) in cases {
        let batch = Batch::new(false, 1);
        batch.set_buffer_len(0, room);
        batch.set_control(0, control);
        udp.queue_bytes(&[b'x'; DATA_LEN]);
        let made = Call::new(Native, udp.fd(), &batch).make();
        assert_eq!(made.ret, 1, "it was waiting");
        let truth = context.tell(&made);
        assert_eq!(truth["findings"], expected, "{truth}");
    }
}

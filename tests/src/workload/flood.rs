//! Calls as fast as they come, for tests that count.

use std::thread;

use serde_json::json;

use super::batch::Batch;
use super::call::Call;
use super::entry::{Entry::Native, invoke};
use super::sockets::Udp;
use super::{Context, process};

/// `--count` calls that find nothing, from each of `--threads` threads. The truth
/// is one line of totals.
pub fn flood(context: &Context) {
    let count = context.options.count;
    let threads: Vec<_> = (0..context.options.threads)
        .map(|_| thread::spawn(move || (process::tid(), burst(count))))
        .collect();
    let threads: Vec<_> =
        threads.into_iter().map(|thread| thread.join().expect("a flooding thread")).collect();
    let calls: u64 = threads.iter().map(|(_, calls)| calls).sum();
    let threads: Vec<_> =
        threads.iter().map(|(tid, calls)| json!({"tid": tid, "calls": calls})).collect();
    let pid = process::pid();
    context.recorder.record(&json!({"calls": calls, "pid": pid, "threads": threads}));
}

/// Makes the calls and counts those that ended as they had to.
fn burst(count: u64) -> u64 {
    let udp = Udp::v4();
    let batch = Batch::new(false, 1);
    let call = Call::new(Native, udp.fd(), &batch);
    let args = [udp.fd() as u64, batch.msgvec(), 1, call.flags.into(), 0];
    (0..count).map(|_| u64::from(invoke(Native, args, 0) == -i64::from(libc::EAGAIN))).sum()
}

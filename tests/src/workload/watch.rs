//! Watching a thread from outside: other threads and processes act only once the
//! caller is known to be blocked in its call.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::call::{Call, Inside, Made, Moment};
use super::process;

/// The longest that anything here is waited for.
const LIMIT: Duration = Duration::from_secs(20);

/// Polls until `done` returns something.
pub fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(start.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        thread::sleep(Duration::from_micros(200));
    }
}

/// The state letter of a thread.
pub fn state(pid: i32, tid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/task/{tid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Waits until a thread sleeps in the syscall of this number.
pub fn wait_blocked(pid: i32, tid: i32, nr: i64) -> Moment {
    until(&format!("thread {tid} blocked in syscall {nr}"), || {
        let syscall = fs::read_to_string(format!("/proc/{pid}/task/{tid}/syscall")).ok()?;
        let inside = syscall.split(' ').next()?.parse() == Ok(nr);
        (inside && state(pid, tid) == Some('S')).then(Moment::now)
    })
}

/// Makes a call that blocks. Another thread waits until the caller, whose id it is
/// told, is blocked, and runs `act`, which returns the moment before it did what
/// the call was waiting for.
pub fn blocked<'a>(call: Call<'a>, act: impl FnOnce(i32) -> Moment + Send) -> (Made<'a>, Inside) {
    let (pid, tid, nr) = (process::pid(), process::tid(), call.entry.nr());
    thread::scope(|scope| {
        let helper = scope.spawn(move || {
            let seen = wait_blocked(pid, tid, nr);
            let acted = act(tid);
            Inside { seen, acted }
        });
        let made = call.make();
        (made, helper.join().expect("the helper thread"))
    })
}

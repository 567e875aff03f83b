//! The workload: scenarios that make real `recvmmsg` calls on sockets of their
//! own and write down what they did ([`truth`] says in which words).
//!
//! ```text
//! options ─► scenario ─► call (batch in an arena, entry) ─► truth ─► recorder
//! ```
//! Every scenario is bounded in calls and in time, and nothing leaves loopback.

pub mod arena;
pub mod batch;
pub mod blocking;
pub mod call;
pub mod compat;
pub mod conclusions;
pub mod delivered;
mod describe;
pub mod detail;
pub mod entry;
pub mod errors;
pub mod family;
pub mod flood;
pub mod hostile;
pub mod kinds;
mod namespaces;
pub mod options;
pub mod plug;
pub mod process;
pub mod races;
pub mod received;
pub mod relay;
pub mod signals;
pub mod sockets;
pub mod stuck;
pub mod truth;
pub mod varied;
pub mod watch;

use std::io::BufRead;
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;

use call::Made;
use options::Options;
use serde_json::Value;
use truth::Recorder;

/// What a scenario works with.
pub struct Context {
    /// What was asked for.
    pub options: Options,
    /// Where the truth goes.
    pub recorder: Recorder,
}

impl Context {
    /// Writes down a call and returns what was written.
    pub fn tell(&self, made: &Made) -> Value {
        let truth = made.truth(self.options.messages);
        self.recorder.record(&truth);
        truth
    }
}

/// A scenario's name, what it does, and how.
type Scenario = (&'static str, &'static str, fn(&Context));

/// Every scenario.
const SCENARIOS: &[Scenario] = &[
    ("udp4", "datagrams over IPv4, --count calls of --vlen each", received::udp4),
    ("udp6", "datagrams over IPv6", received::udp6),
    ("unix", "AF_UNIX senders with paths, abstract names and no name", received::unix),
    ("netlink", "a dump of links, and multicast between two sockets of ours", received::netlink),
    ("kinds", "one call on sockets of every kind", kinds::kinds),
    ("vlen", "a full batch of --vlen and a half-full one", received::vlen),
    ("null-name", "messages without a name buffer", received::null_name),
    ("short-name", "name buffers shorter than the names", received::short_name),
    ("cut", "datagrams longer than their buffers", received::cut),
    ("control", "control messages in buffers of several sizes", received::control),
    ("partial", "a batch whose second message can't be received", received::partial),
    ("detail-control", "every kind of control message of UDP", detail::control::native),
    ("detail-control-compat", "the same by int $0x80", detail::control::compat),
    ("detail-unix", "descriptors and credentials", detail::unix::native),
    ("detail-unix-compat", "the same by int $0x80", detail::unix::compat),
    ("detail-errors", "the error queue", detail::errors::native),
    ("detail-errors-compat", "the same by int $0x80", detail::errors::compat),
    ("detail-buffers", "iovecs and what lies in their buffers", detail::buffers::native),
    ("detail-buffers-compat", "the same by int $0x80", detail::buffers::compat),
    ("eagain", "--count calls on an empty socket", errors::eagain),
    ("ebadf", "descriptors that are none", errors::ebadf),
    ("enotsock", "a descriptor that is no socket", errors::enotsock),
    ("efault", "unreadable headers, iovecs, buffers and timeouts", errors::efault),
    ("einval", "timeouts that are none", errors::einval),
    ("vlen0", "no messages asked for", errors::vlen0),
    ("unknown-flags", "flag bits without a name", errors::unknown_flags),
    ("high-bits", "bits set where the kernel does not look", errors::high_bits),
    ("cold", "headers and timeout in pages that are not present", errors::cold),
    ("edge", "headers and names that end where memory does", errors::edge),
    ("blocking", "a blocking call with a timeout, served by another thread", blocking::served),
    ("risk", "calls that may block for good, and that nearly may", conclusions::risk),
    ("fit", "what just fits its buffers and what does not", conclusions::fit),
    ("races", "memory that changes and changes back while calls block", races::unseen),
    ("races-compat", "the same by int $0x80", races::unseen),
    ("no-races", "changes where the kernel does not look, and none", races::seen),
    ("no-races-compat", "the same by int $0x80", races::seen),
    ("delivered", "EFAULT after messages were received", delivered::delivered),
    ("delivered-compat", "the same by int $0x80", delivered::delivered),
    ("undelivered", "EFAULT before any was", delivered::undelivered),
    ("undelivered-compat", "the same by int $0x80", delivered::undelivered),
    ("swapped", "a header that changes while the call blocks", blocking::swapped),
    ("no-timeout", "a blocking call without a timeout", blocking::no_timeout),
    ("expired", "a timeout that passes before the first datagram", blocking::expired),
    ("waitforone", "MSG_WAITFORONE", blocking::waitforone),
    ("blocked", "prints `ready`, then is served after a line on stdin", blocking::announced),
    ("eintr", "interrupted by a handler", signals::eintr),
    ("eintr-retry", "the same call again at once after EINTR", signals::retry),
    ("eintr-rcvtimeo", "interrupted with SO_RCVTIMEO set", signals::rcvtimeo),
    ("restarted", "interrupted and restarted by the kernel", signals::restarted),
    ("restarted-time32", "the same by int $0x80, 337", signals::restarted_time32),
    ("restarted-time64", "the same by int $0x80, 417", signals::restarted_time64),
    ("restarted-socketcall", "the same by int $0x80, 102", signals::restarted_socketcall),
    ("nested", "a call within the handler that interrupts a restarted call", signals::nested),
    ("stopped", "stopped and continued while it blocks", signals::stopped),
    ("threads", "--count calls from each of --threads named threads", family::threads),
    ("mixed", "--count batches of many sizes from each of --threads", family::mixed),
    ("crowd", "--threads threads that block at the same time", family::crowd),
    ("children", "fork, vfork and exec, two generations", family::children),
    ("two-calls", "prints `called` between them, and waits for a line", namespaces::two_calls),
    ("pid-namespaces", "the first processes of new pid namespaces", namespaces::pid_namespaces),
    ("reused-pid", "three processes that have the same pid", namespaces::reused_pid),
    (
        "reused-thread",
        "a thread's id in another process of the same pid",
        namespaces::reused_thread,
    ),
    ("exit-blocked", "the process ends while a thread blocks", family::exit_blocked),
    ("still-blocked", "--threads threads block; ends after a line on stdin", stuck::still_blocked),
    ("short-lived", "--count children end while --threads threads block", stuck::short_lived),
    ("bring-back", "takes CPU 1 online at the end of stdin", plug::bring_back),
    ("flood", "--count calls from each of --threads, totals only", flood::flood),
    ("relay", "--count calls of --threads in turns, each on a CPU of its own", relay::relay),
    ("time32", "int $0x80, 337", compat::time32),
    ("time64", "int $0x80, 417", compat::time64),
    ("socketcall", "int $0x80, 102 call 19", compat::socketcall),
    ("socketcall-fault", "int $0x80, 102 call 19 without its arguments", compat::socketcall_fault),
    ("socketcall-changed", "the same, its arguments changed while it blocks", varied::changed),
    ("varied", "calls and interruptions of every kind from one thread", varied::native),
    ("varied-compat", "the same by int $0x80", varied::compat),
    ("x32", "a number with bit 30 set", compat::x32),
    ("confusion", "calls whose numbers are recvmmsg's under another ABI", compat::confusion),
    (
        "hostile-memory",
        "headers where memory is not, ends, or can't be written",
        hostile::memory::native,
    ),
    ("hostile-memory-compat", "the same by int $0x80", hostile::memory::compat),
    (
        "hostile-lengths",
        "lengths that are none, or negative, or too long",
        hostile::lengths::native,
    ),
    ("hostile-lengths-compat", "the same by int $0x80", hostile::lengths::compat),
    ("hostile-lies", "what the kernel wrote is overwritten in the call", hostile::lies::native),
    ("hostile-lies-compat", "the same by int $0x80", hostile::lies::compat),
    (
        "hostile-vanished",
        "memory that is taken away while the call blocks",
        hostile::vanished::native,
    ),
    ("hostile-vanished-compat", "the same by int $0x80", hostile::vanished::compat),
    ("hostile-comms", "threads with odd names", hostile::names::comms),
    ("hostile-unix", "local sockets with odd names", hostile::names::unix),
    ("hostile-race", "a thread rewrites everything, --count calls", hostile::race::native),
    ("hostile-race-compat", "the same by int $0x80", hostile::race::compat),
    ("probe-int80", "exits with 0 where int $0x80 works", compat::probe),
];

/// Their names.
pub fn scenarios() -> impl Iterator<Item = &'static str> {
    SCENARIOS.iter().map(|(name, ..)| *name)
}

/// The scenarios, for a person.
pub fn usage() -> String {
    let mut text = "usage: workload SCENARIO [--truth FILE] [--messages N] [--count N] \
                    [--threads N] [--vlen N] [--wait-go] [--uid N] [--cpu N] [--comm NAME] \
                    [--status N] [--plain-registers]\n"
        .to_owned();
    for (name, about, _) in SCENARIOS {
        text += &format!("  {name:16} {about}\n");
    }
    text
}

/// Runs one scenario. Whatever thread or child fails ends its process at once, since
/// others may be blocked for good.
pub fn run(options: Options) -> ExitCode {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        report(info);
        // SAFETY: ends the process; nothing of it is used any more.
        unsafe { libc::_exit(101) };
    }));
    let Some((_, _, scenario)) = SCENARIOS.iter().find(|(name, ..)| *name == options.scenario)
    else {
        eprintln!("workload: no scenario {}\n{}", options.scenario, usage());
        return ExitCode::from(2);
    };
    let recorder = Recorder::new(options.truth.as_deref());
    if let Some(cpu) = options.cpu {
        process::stay_on(cpu);
    }
    if let Some(uid) = options.uid {
        process::become_user(uid);
    }
    if let Some(comm) = &options.comm {
        process::set_comm(comm);
    }
    entry::PLAIN_REGISTERS.store(options.plain_registers, Relaxed);
    if options.wait_go {
        wait_line();
    }
    let status = options.status;
    scenario(&Context { options, recorder });
    ExitCode::from(status)
}

/// Waits for a line on stdin; its end means that nobody is there to go on for.
fn wait_line() {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line).expect("a line on stdin");
    assert_ne!(read, 0, "stdin ended before the line that was waited for");
}

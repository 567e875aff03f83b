//! Accounts that add up: what a workload made is what was emitted, filtered, lost or
//! left unfinished, in total and by CPU.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tests::cpus;
use tests::skip::{require_root_bpf, skip};
use tests::stream::{Stream, count};
use tests::tools::is_slow;
use tests::tracer::{Attached, Waiting, around};
use tests::workload::plug::ONLINE;

use crate::WORKLOAD;

/// What the end record says of a CPU.
fn on_cpu(stream: &Stream, cpu: usize) -> &Value {
    let cpus = stream.end()["by_cpu"].as_array().expect("a list of CPUs");
    let row = cpus.iter().find(|row| row["cpu"] == cpu);
    row.unwrap_or_else(|| panic!("nothing of CPU {cpu}: {}", stream.end()))
}

fn calls(truth: &[Value]) -> u64 {
    truth.iter().map(|total| count(total, "calls")).sum()
}

/// How many calls a thread makes.
fn flood() -> u64 {
    if is_slow() { 5_000 } else { 20_000 }
}

/// Whether there are two CPUs to tell apart; a named skip where not.
fn two_cpus(test: &str) -> bool {
    let two = std::thread::available_parallelism().map_or(1, usize::from) >= 2;
    if !two {
        skip(module_path!(), &format!("{test}: this machine has one CPU"));
    }
    two
}

/// Each CPU's calls are accounted for where they were made.
#[test]
fn by_the_cpu_that_calls_were_on() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    if !two_cpus("by_the_cpu_that_calls_were_on") {
        return;
    }
    let _stay = cpus::stay();
    let cpus = ["0", "1"];
    let counts = [flood(), flood() / 2];
    let workloads = [0, 1].map(|i| {
        let count = counts[i].to_string();
        Waiting::start(WORKLOAD, &["flood", "--count", &count, "--cpu", cpus[i]])
    });
    let pids = workloads.each_ref().map(Waiting::pid).join(",");
    let attached = Attached::start(&["--buffer", "16K", "--pid", &pids]);
    let made = workloads.map(|workload| calls(&workload.go()));
    let (stream, _) = attached.stop();
    assert_eq!(made, counts, "as many as were asked for");
    for (cpu, made) in made.into_iter().enumerate() {
        // What was filtered are others' calls.
        let row = on_cpu(&stream, cpu);
        assert_eq!(count(row, "seen") - count(row, "filtered"), made, "{}", stream.end());
    }
    let accounted = stream.total("emitted") + stream.lost();
    assert_eq!(accounted, counts.iter().sum::<u64>(), "{}", stream.end());
}

/// The calls of a quiet process.
const QUIET: u64 = 5;

/// A process that is about to flood on CPU 0, and a quiet one.
fn noise_and_quiet(noise: &str, quiet_cpu: &str) -> [Waiting; 2] {
    let scenario = |count: u64, cpu: &str, comm: &str| {
        let count = count.to_string();
        Waiting::start(WORKLOAD, &["flood", "--count", &count, "--cpu", cpu, "--comm", comm])
    };
    [scenario(flood(), "0", noise), scenario(QUIET, quiet_cpu, "quiet")]
}

/// Lets both call while nothing is drained; what came of it, and how many calls of the quiet
/// one are shown.
fn hidden_in(attached: Attached, [noise, quiet]: [Waiting; 2]) -> (Stream, u64) {
    attached.tracer.signal(libc::SIGSTOP);
    let noise = calls(&noise.go());
    let pid: u64 = quiet.pid().parse().expect("a number");
    assert_eq!((noise, calls(&quiet.go())), (flood(), QUIET));
    attached.tracer.signal(libc::SIGCONT);
    let (stream, _) = attached.stop();
    let shown = stream.events.iter().filter(|event| event["process"]["pid"] == pid).count();
    (stream, shown as u64)
}

/// Who floods to hide a call of another process: the loss is told, where it was, and
/// calls on other CPUs are all there.
#[test]
fn a_flood_hides_no_call_on_another_cpu() {
    if !require_root_bpf(module_path!()) || !two_cpus("a_flood_hides_no_call_on_another_cpu") {
        return;
    }
    let _stay = cpus::stay();
    let both = noise_and_quiet("noise", "1");
    let pids = both.each_ref().map(Waiting::pid).join(",");
    let attached = Attached::start(&["--rings", "2", "--buffer", "16K", "--pid", &pids]);
    let (stream, shown) = hidden_in(attached, both);
    assert_eq!(shown, QUIET, "{}", stream.end());
    assert!(stream.lost() > 0, "{}", stream.end());
    assert_eq!(on_cpu(&stream, 0)["lost"]["ring_full"], stream.lost(), "{}", stream.end());
}

/// On the same CPU a call can be lost with the flood, which is told; a filter that leaves
/// the flood out takes it from the ring.
#[test]
fn a_flood_that_is_left_out_hides_no_call() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    let _stay = cpus::stay();
    for (filter, hidden) in [(&["din", "quiet"][..], true), (&["!din"], false)] {
        let both = noise_and_quiet("din", "0");
        let pids = both.each_ref().map(Waiting::pid).join(",");
        let names = filter.iter().flat_map(|name| ["--comm", name]);
        let own = ["--rings", "1", "--buffer", "16K", "--pid", &pids];
        let args: Vec<_> = own.into_iter().chain(names).collect();
        let (stream, shown) = hidden_in(Attached::start(&args), both);
        let lost = stream.lost();
        let wanted = if hidden { (0, true) } else { (QUIET, false) };
        assert_eq!((shown, lost > 0), wanted, "{filter:?}");
        if hidden {
            let accounted = stream.total("emitted") + lost;
            assert_eq!(accounted, flood() + QUIET, "{}", stream.end());
        }
    }
}

/// A tracer that is stopped loses what its ring has no room for, and no more.
#[test]
fn a_tracer_that_is_stopped_and_continued() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    let made = flood();
    let waiting = Waiting::start(WORKLOAD, &["flood", "--count", &made.to_string()]);
    let attached = Attached::start(&["--buffer", "256K", "--pid", &waiting.pid()]);
    attached.tracer.signal(libc::SIGSTOP);
    let truth = waiting.go();
    attached.tracer.signal(libc::SIGCONT);
    let (stream, _) = attached.stop();
    let end = stream.end();
    assert_eq!(calls(&truth), made);
    assert_eq!(stream.total("emitted") + stream.lost(), made, "{end}");
    assert_eq!(end["lost"]["ring_full"], stream.lost(), "the ring was full: {end}");
    // What fits into the ring is there.
    assert!(stream.total("emitted") > 100, "{end}");
}

/// Thousands of calls are under way when the tracer ends.
#[test]
fn threads_that_block_when_the_tracer_ends() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    let threads = if is_slow() { 200_u64 } else { 3000 };
    let scenario = ["still-blocked", "--threads", &threads.to_string()];
    let mut waiting = Waiting::start(WORKLOAD, &scenario);
    let attached = Attached::start(&["--detail", "call", "--pid", &waiting.pid()]);
    waiting.workload.say("go");
    waiting.workload.stdout.wait_for("all of them blocked", |line| line == "ready\n");
    let (stream, _) = attached.stop();
    assert_eq!(stream.total("unfinished"), threads, "{}", stream.end());
    let ended = stream.total("emitted") + stream.lost();
    assert_eq!(ended, 0, "no call has ended: {}", stream.end());
    waiting.go();
}

/// Threads that end in their call: events without a return value, or unfinished.
#[test]
fn threads_that_end_while_they_block() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    let (children, threads) = if is_slow() { ("3", "40") } else { ("20", "150") };
    let scenario = ["short-lived", "--count", children, "--threads", threads];
    let traced = around(WORKLOAD, &["--detail", "call"], &scenario);
    traced.assert_fine();
    let end = traced.stream.end();
    let ended = traced.stream.total("emitted") + traced.stream.lost();
    assert_eq!(ended + traced.stream.total("unfinished"), calls(&traced.truth), "{end}");
    for event in &traced.stream.events {
        assert!(event["ret"].is_null(), "no such call returns: {event}");
    }
}

/// A CPU that is offline, and comes back online whatever becomes of this process.
struct Offline {
    /// Brings it back at the end of its stdin, however that comes about.
    restore: Child,
}

impl Offline {
    /// Takes CPU 1; an error says why it can't be taken.
    fn take() -> Result<Self, String> {
        let fail = |error: std::io::Error| format!("{ONLINE}: {error}");
        let online = std::fs::read_to_string(ONLINE).map_err(fail)?;
        if online.trim() != "1" {
            return Err(format!("{ONLINE} says {online:?}"));
        }
        let mut command = Command::new(WORKLOAD);
        // Who ends the group of this process does not end it.
        command.arg("bring-back").stdin(Stdio::piped()).process_group(0);
        let restore = command.spawn().expect("the workload can be started");
        let offline = Self { restore };
        std::fs::write(ONLINE, "0").map_err(fail)?;
        Ok(offline)
    }
}

impl Drop for Offline {
    fn drop(&mut self) {
        drop(self.restore.stdin.take());
        let status = self.restore.wait();
        let state = std::fs::read_to_string(ONLINE);
        let online = state.as_ref().is_ok_and(|state| state.trim() == "1");
        if !online && !std::thread::panicking() {
            panic!("{ONLINE} says {state:?} after {status:?}");
        }
    }
}

/// Calls on a CPU that goes away are accounted for, and so are those after it is back.
#[test]
fn a_cpu_that_is_unplugged() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    if !two_cpus("a_cpu_that_is_unplugged") {
        return;
    }
    let comm = "unplugging";
    let flooding = |cpu: &str, count: u64| {
        let (count, cpu) = (count.to_string(), ["--cpu", cpu]);
        let scenario = ["flood", "--comm", comm, "--threads", "2", "--count", &count];
        Waiting::start(WORKLOAD, &[&scenario[..], &cpu].concat())
    };
    let mut leaves = flooding("1", 3 * flood());
    let attached = Attached::start(&["--buffer", "64K", "--comm", comm]);
    // Those on the CPU are moved to another one in the middle of their calls.
    leaves.workload.say("go");
    let alone = cpus::change();
    let offline = Offline::take();
    let mut truth = flooding("0", flood()).go();
    truth.extend(leaves.finish());
    let skipped = offline.map(drop).err();
    drop(alone);
    truth.extend(flooding("1", flood()).go());
    let (stream, _) = attached.stop();
    let end = stream.end();
    assert_eq!(stream.total("emitted") + stream.lost(), calls(&truth), "{end}");
    assert_eq!(stream.total("unfinished"), 0, "{end}");
    let on_the_cpu = count(on_cpu(&stream, 1), "seen");
    assert!(on_the_cpu >= calls(&truth[2..]), "those after it is back: {end}");
    if let Some(reason) = skipped {
        skip(module_path!(), &format!("a_cpu_that_is_unplugged: {reason}"));
    }
}

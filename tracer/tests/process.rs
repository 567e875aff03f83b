//! What is looked up of callers, with real processes: living, ended, and of a pid that
//! was used again.

use std::{
    fs,
    io::ErrorKind,
    path::Path,
    process::{Child, Command},
    thread::sleep,
    time::Duration,
};

use serde_json::Value;
use tracer::{
    decode::{Clock, decode},
    encode::json,
    event::Event,
    process::{Fact, Processes},
    record::{self, RecordError},
};
use tracer_common::{
    abi::Abi,
    record::{
        Call, OwnIds, RecordHeader, RecordKind, SectionHeader, SectionKind, Task, VERSION, flags,
        unknown,
    },
    registry::EVENTS,
};
use zerocopy::{FromZeros, IntoBytes};

const TICK_NS: u64 = 10_000_000;

/// A process that waits, killed at the end.
struct Waiting(Child);

impl Waiting {
    fn start(program: &Path) -> Self {
        loop {
            match Command::new(program).arg("60").spawn() {
                // Between a fork and an exec of another test's the program that was just
                // written is still open for writing.
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                    sleep(Duration::from_millis(1));
                }
                started => return Self(started.expect("sleep")),
            }
        }
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    /// CLOCK_BOOTTIME when it started, ns, as far as /proc tells.
    fn start_ns(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        fields.split(' ').nth(19).unwrap().parse::<u64>().unwrap() * TICK_NS
    }

    fn exe(&self) -> String {
        let exe = fs::read_link(format!("/proc/{}/exe", self.pid())).unwrap();
        exe.to_str().unwrap().to_owned()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program that waits, and another one that does.
fn programs() -> (tempfile::TempDir, [std::path::PathBuf; 2]) {
    let folder = tempfile::TempDir::new().unwrap();
    let programs = ["one", "other"].map(|name| {
        let path = folder.path().join(name);
        fs::copy("/bin/sleep", &path).unwrap();
        path
    });
    (folder, programs)
}

fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec * 1_000_000_000 + now.tv_nsec).unwrap()
}

/// A record of a call that just ended.
fn call(pid: u32, start: u64, exec_id: u32) -> Call {
    let section = |kind: SectionKind, len: usize| SectionHeader {
        kind: kind as u16,
        version: 1,
        len: u32::try_from(len).unwrap(),
        ..SectionHeader::default()
    };
    let header = RecordHeader {
        version: VERSION,
        kind: RecordKind::Call as u16,
        len: u32::try_from(size_of::<Call>()).unwrap(),
        event: EVENTS[0].id.0,
        abi: Abi::X86_64 as u8,
        flags: flags::INITIAL_PID_NS,
        exit_ns: monotonic_ns(),
        ret: -11,
        ..RecordHeader::new_zeroed()
    };
    Call {
        header,
        task_section: section(SectionKind::Task, size_of::<Task>()),
        task: Task {
            pid,
            tid: pid,
            start_boottime_ns: start,
            exec_id,
            cgroup_id: 1,
            ..Task::default()
        },
        requested_section: section(SectionKind::TimeoutRequested, 16),
        remaining_section: section(SectionKind::TimeoutRemaining, 16),
        ..Call::new_zeroed()
    }
}

/// The event that a call becomes.
fn completed(processes: &mut Processes, call: &Call) -> Event {
    let record = record::parse(call.as_bytes()).unwrap();
    let mut event = decode(&record, &Clock::default());
    processes.complete(&record, &mut event);
    event
}

/// Its executable, or why it has none.
fn exe(processes: &mut Processes, call: &Call) -> Result<String, Value> {
    let event = completed(processes, call);
    event.process.exe.lossy().map(|exe| exe.into_owned()).ok_or_else(|| {
        serde_json::to_value(event.missing.get("process.exe").expect("a reason")).unwrap()
    })
}

fn gone<T>() -> Result<T, Value> {
    Err(Value::from("gone"))
}

#[test]
fn a_process_is_known_by_its_start() {
    let (_folder, [program, _]) = programs();
    let waiting = Waiting::start(&program);
    let (pid, start, path) = (waiting.pid(), waiting.start_ns(), waiting.exe());
    let mut processes = Processes::live();
    for other in [start - TICK_NS, start + TICK_NS, 0] {
        assert_eq!(exe(&mut processes, &call(pid, other, 1)), gone(), "{other} for {start}");
    }
    // /proc shows no more of it than ticks.
    assert_eq!(exe(&mut processes, &call(pid, start + 9_999_999, 1)), Ok(path.clone()));
    drop(waiting);
    // What was known of it stays known, and nothing becomes known.
    assert_eq!(exe(&mut processes, &call(pid, start + 9_999_999, 1)), Ok(path));
    assert_eq!(exe(&mut processes, &call(pid, start, 1)), gone());
}

/// Gives a pid that is free to a process; None where that takes more than we may do.
fn with_pid(pid: u32, program: &Path) -> Option<Waiting> {
    for _ in 0..200 {
        fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).ok()?;
        let waiting = Waiting::start(program);
        if waiting.pid() == pid {
            return Some(waiting);
        }
    }
    panic!("others were always faster");
}

#[test]
fn a_pid_that_is_used_again_is_another_process() {
    let (_folder, [program, other_program]) = programs();
    let first = Waiting::start(&program);
    let (pid, start, path) = (first.pid(), first.start_ns(), first.exe());
    let mut processes = Processes::live();
    let mut without_start = Processes::live();
    let unknown_start = || {
        let mut call = call(pid, 0, 0);
        call.task.unknown = unknown::START | unknown::EXEC_ID;
        call
    };
    sleep(Duration::from_millis(25));
    assert_eq!(exe(&mut processes, &call(pid, start, 1)), Ok(path.clone()));
    let early = unknown_start();
    assert_eq!(exe(&mut without_start, &early), Ok(path.clone()));
    let late = unknown_start();
    drop(first);
    // The second one must not start in the same tick.
    sleep(Duration::from_millis(25));
    let Some(second) = with_pid(pid, &other_program) else {
        return eprintln!("skipped: pids can't be chosen here (root, CONFIG_CHECKPOINT_RESTORE)");
    };
    let (other_start, other_path) = (second.start_ns(), second.exe());
    assert_ne!(path, other_path);
    // Known, and not known: never the other one's.
    assert_eq!(exe(&mut processes, &call(pid, start, 1)), Ok(path));
    assert_eq!(exe(&mut processes, &call(pid, start, 2)), gone());
    assert_eq!(exe(&mut Processes::live(), &call(pid, start, 1)), gone());
    assert_eq!(exe(&mut processes, &call(pid, other_start, 1)), Ok(other_path.clone()));
    // By the pid alone: calls that ended before the second process began are not its own,
    // and those of the tick in which it began may be either's.
    for call in [&early, &late] {
        assert_eq!(exe(&mut Processes::live(), call), gone());
    }
    assert_eq!(exe(&mut without_start, &late), gone());
    sleep(Duration::from_millis(25));
    assert_eq!(exe(&mut without_start, &unknown_start()), Ok(other_path));
}

/// Without a start, what was looked up holds for calls until then, and no longer.
#[test]
fn a_pid_alone_is_looked_at_again() {
    let (_folder, [program, _]) = programs();
    let waiting = Waiting::start(&program);
    let (pid, path) = (waiting.pid(), waiting.exe());
    let mut processes = Processes::live();
    let unknown_start = || {
        let mut call = call(pid, 0, 0);
        call.task.unknown = unknown::START | unknown::EXEC_ID;
        call
    };
    sleep(Duration::from_millis(25));
    let first = unknown_start();
    let second = unknown_start();
    assert_eq!(exe(&mut processes, &first), Ok(path.clone()));
    drop(waiting);
    let third = unknown_start();
    assert_eq!(exe(&mut processes, &second), Ok(path));
    assert_eq!(exe(&mut processes, &third), gone());
}

/// A replay that is given the facts makes the same events, without looking anywhere.
#[test]
fn facts_make_the_same_events() {
    let (_folder, [program, _]) = programs();
    let waiting = Waiting::start(&program);
    let (pid, start) = (waiting.pid(), waiting.start_ns());
    let mut calls = vec![call(pid, start, 1), call(pid, start + TICK_NS, 1), call(pid, start, 1)];
    calls[2].task.cgroup_id = u64::MAX;
    calls.push(call(pid, 1, 0));
    calls[3].task.cgroup_id = u64::MAX;
    let line = |processes: &mut Processes, call: &Call| {
        let mut line = Vec::new();
        json::line(&completed(processes, call), &mut line).unwrap();
        String::from_utf8(line).unwrap()
    };
    let mut live = Processes::live();
    live.keep_facts();
    let live: Vec<(String, String)> = calls
        .iter()
        .map(|call| {
            let line = line(&mut live, call);
            (line, serde_json::to_string(&live.take_facts()).unwrap())
        })
        .collect();
    drop(waiting);
    let mut replay = Processes::default();
    for (call, (expected, facts)) in calls.iter().zip(&live) {
        let facts: Vec<Fact> = serde_json::from_str(facts).unwrap();
        facts.into_iter().for_each(|fact| replay.preload(fact));
        assert_eq!(&line(&mut replay, call), expected);
    }
    assert!(live[0].0.contains("/one\""), "{}", live[0].0);
    assert!(live[1].0.contains("\"process.exe\":\"gone\""), "{}", live[1].0);
    // Without them it knows what the record says.
    let nothing = line(&mut Processes::default(), &calls[0]);
    assert!(nothing.contains("\"process.exe\":\"not_captured\""), "{nothing}");
    assert!(nothing.contains("\"cgroup\":{\"id\":1,\"path\":\"/\"}"), "{nothing}");
}

/// Bytes of a path need not be text.
#[test]
fn a_cgroup_with_any_name() {
    let mut processes = Processes::default();
    let path = b"/docker/\xff \"\n".to_vec();
    let path = tracer::process::CgroupPath { path, whole: true };
    processes.preload(Fact::Hierarchies { v1: false });
    processes.preload(Fact::Cgroup { id: 7, path: Ok(path) });
    let mut of_it = call(1, 1, 1);
    of_it.task.cgroup_id = 7;
    let mut line = Vec::new();
    json::line(&completed(&mut processes, &of_it), &mut line).unwrap();
    let event: Value = serde_json::from_slice(&line).unwrap();
    let cgroup = &event["process"]["cgroup"];
    assert_eq!(cgroup["path"], "/docker/\u{fffd} \"\n");
    assert_eq!(cgroup["path_hex"], "2f646f636b65722fff20220a");
    assert_eq!(event["process"]["container"], Value::Null);
    assert!(event["missing"].get("process.container").is_none(), "{event}");
    // Where a cgroup namespace hides what lies above, there may be a container.
    let part = tracer::process::CgroupPath { path: b"/".to_vec(), whole: false };
    processes.preload(Fact::Cgroup { id: 8, path: Ok(part) });
    of_it.task.cgroup_id = 8;
    let event = completed(&mut processes, &of_it);
    assert!(event.missing.contains_key("process.container"), "{:?}", event.missing);
}

/// The event of a call whose record goes on with these sections.
fn with_sections(call: &Call, sections: &[(SectionHeader, &[u8])]) -> Result<Event, RecordError> {
    let mut bytes = call.as_bytes().to_vec();
    for (header, body) in sections {
        bytes.extend(header.as_bytes());
        bytes.extend(*body);
    }
    let len = u32::try_from(bytes.len()).unwrap();
    bytes[4..8].copy_from_slice(&len.to_le_bytes());
    record::parse(&bytes).map(|record| decode(&record, &Clock::default()))
}

#[test]
fn ids_in_its_own_pid_namespace() {
    let ids = |call: &Call, sections: &[(SectionHeader, &[u8])]| {
        with_sections(call, sections).map(|event| {
            let missing = ["process.ns_pid", "process.ns_tid"].map(|path| event.missing.get(path));
            let reasons = missing.map(|reason| reason.map(|reason| format!("{reason:?}")));
            ((event.process.ns_pid, event.process.ns_tid), reasons)
        })
    };
    let section = |len| SectionHeader {
        kind: SectionKind::OwnIds as u16,
        status: 1,
        version: 1,
        len,
        full: len,
        count: 1,
    };
    let own = OwnIds { pid: 1, tid: 7 };
    let body = own.as_bytes();
    let mut call = call(4_000_000, 1, 1);
    let both = (Some(4_000_000), Some(4_000_000));
    assert_eq!(ids(&call, &[]), Ok((both, [None, None])), "by the flag");
    assert_eq!(ids(&call, &[(section(8), body)]), Err(RecordError::Inconsistent("ids")));
    call.header.flags = 0;
    assert_eq!(ids(&call, &[(section(8), body)]), Ok(((Some(1), Some(7)), [None, None])));
    let twice = [(section(8), body), (section(8), body)];
    assert_eq!(ids(&call, &twice), Err(RecordError::Inconsistent("repeated")));
    let short = ids(&call, &[(section(4), body)]);
    assert!(matches!(short, Err(RecordError::Short { what: "ids", .. })), "{short:?}");
    let newer = (SectionHeader { version: 2, ..section(8) }, body);
    assert!(matches!(ids(&call, &[newer]), Err(RecordError::Version { what: "section", .. })));
    // An earlier tracer's, and one of a kernel without BTF.
    let reasons = |reason: &str| [Some(reason.to_owned()), Some(reason.to_owned())];
    assert_eq!(ids(&call, &[]), Ok(((None, None), reasons("NotCaptured"))));
    call.task.unknown = unknown::PID_NS;
    assert_eq!(ids(&call, &[]), Ok(((None, None), reasons("UnsupportedKernel"))));
}

//! Programs that nobody here wrote: the example of the recvmmsg(2) manual page, and
//! chronyd serving chronyc.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::child::{self, Running};
use tests::compare::assert_matches;
use tests::skip::{require_root_bpf, skip};
use tests::stream::Stream;
use tests::tracer::{self, Attached};
use tests::{tools, workload::watch};

/// The page's example program, from the installed page.
fn example() -> Result<String, String> {
    let page = "/usr/share/man/man2/recvmmsg.2";
    let packed = format!("{page}.gz");
    let text = if Path::new(&packed).is_file() {
        let gzip = tools::find("gzip").ok_or("no gzip")?;
        child::run(gzip, &["-dc", &packed]).expect_code(0).stdout.clone()
    } else {
        fs::read_to_string(page).map_err(|_| "no page recvmmsg(2) (manpages-dev)".to_owned())?
    };
    // The program is the last example between .EX and .EE that has a main.
    let program = text
        .split("\n.EX\n")
        .skip(1)
        .filter_map(|part| part.split("\n.EE").next())
        .filter(|part| part.contains("main("))
        .last()
        .ok_or("the page has no example program")?;
    let lines = program.lines().filter(|line| !line.starts_with(".\\\""));
    let mut source = String::new();
    for line in lines {
        let line = line.replace("\\-", "-").replace("\\(aq", "'").replace("\\(dq", "\"");
        source += &line.replace("\\&", "").replace("\\e", "\\").replace("\\(rs", "\\");
        source.push('\n');
    }
    Ok(source)
}

/// Compiles it; None, with a named skip, where that can't be done here.
fn compiled(folder: &Path) -> Option<PathBuf> {
    let group = "real_programs manual_page";
    if !require_root_bpf(group) {
        return None;
    }
    let source = match example() {
        Ok(source) => source,
        Err(reason) => {
            skip(group, &reason);
            return None;
        }
    };
    let (file, program) = (folder.join("recvmmsg.c"), folder.join("example"));
    fs::write(&file, source).expect("our own folder");
    match tools::compile(&file, &program, &[]) {
        Ok(()) => Some(program),
        Err(error) if tools::find("cc").is_none() => {
            skip(group, &error);
            None
        }
        Err(error) => panic!("the page's program: {error}"),
    }
}

/// Feeds the example, which listens on port 1234, until it ends: its timeout is a
/// second, and it looks at it after each datagram only.
fn feed(pid: u32, sender: &UdpSocket) {
    watch::wait_blocked(pid as i32, pid as i32, libc::SYS_recvmmsg);
    for i in 0..3 {
        sender.send_to(format!("datagram {i}\n").as_bytes(), "127.0.0.1:1234").expect("loopback");
    }
    std::thread::sleep(Duration::from_millis(1100));
    sender.send_to(b"the last one\n", "127.0.0.1:1234").expect("loopback");
}

/// The first child of a process.
fn child_of(pid: u32) -> u32 {
    watch::until("a child", || {
        let path = format!("/proc/{pid}/task/{pid}/children");
        let children = fs::read_to_string(path).ok()?;
        children.split_whitespace().next()?.parse().ok()
    })
}

#[test]
fn the_manual_pages_example() {
    let folder = TempDir::new().expect("a temporary folder");
    let Some(program) = compiled(folder.path()) else { return };
    let out = folder.path().join("events");
    let write = format!("file:{}", out.display());
    let program_text = program.to_str().expect("a path in UTF-8");
    let sender = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let mut command = tracer::command(&["-o", "json", "-w", &write, "--", program_text]);
    // The example prints; the tracer's own stdout is the example's.
    command.env("LC_ALL", "C");
    let running = Running::start(command);
    let traced = traced_child(&running, &program);
    feed(traced, &sender);
    let finished = running.finish();
    finished.expect_code(0);
    assert!(finished.stdout.contains("4 messages received"), "{finished:#?}");

    let stream = Stream::parse(&fs::read_to_string(&out).expect("events"));
    stream.check();
    assert_eq!(stream.events.len(), 1, "one call: {:#?}", stream.events);
    let port = sender.local_addr().expect("our own address").port();
    let message = |len: usize| {
        json!({"len": len, "name": null, "namelen": {"in": 0, "out": 0},
               "flags": {"value": 0, "names": []}, "control": {"len_in": 0, "len_out": 0}})
    };
    assert_ne!(port, 0, "the sender has a port, and the example does not ask for it");
    let truth = json!({
        "event": "recvmmsg",
        "syscall": {"name": "recvmmsg", "nr": libc::SYS_recvmmsg},
        "process": {"pid": traced, "tid": traced, "comm": "example", "exe": program_text},
        "args": {
            "vlen": {"value": 10},
            "flags": {"value": 0, "names": []},
            "timeout": {"requested": {"sec": 1, "nsec": 0}, "remaining": {"sec": 0, "nsec": 0}},
        },
        "ret": 4,
        "error": null,
        "latency_ns": {"min": 1_100_000_000_i64, "max": 60_000_000_000_i64},
        "messages": [message(11), message(11), message(11), message(13)],
        "truncated": null,
        "missing": {},
    });
    assert_matches(&truth, &stream.events[0]);
}

/// The process under the tracer that runs a program.
fn traced_child(tracer: &Running, program: &Path) -> u32 {
    let pid = tracer.id();
    watch::until("the traced program", || {
        let child = child_of(pid);
        let exe = fs::read_link(format!("/proc/{child}/exe")).ok()?;
        (exe == program).then_some(child)
    })
}

/// chronyd with a configuration of its own: no other server, no clock touched.
struct Chronyd {
    daemon: Running,
    folder: TempDir,
}

impl Chronyd {
    const COMMAND_PORT: &str = "11323";

    fn start(chronyd: &Path, prefix: &[&str]) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.path(), open).expect("our own folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        let config = format!(
            "local stratum 10\nport 11123\ncmdport {}\nbindaddress 127.0.0.1\n\
             bindcmdaddress 127.0.0.1\nallow 127.0.0.1\ncmdallow 127.0.0.1\nuser root\n\
             bindcmdaddress /\npidfile {}\ndriftfile {}\n",
            Self::COMMAND_PORT,
            at("pid"),
            at("drift"),
        );
        fs::write(folder.path().join("conf"), config).expect("our own folder");
        let conf = at("conf");
        let chronyd = chronyd.to_str().expect("a path in UTF-8");
        let words = [prefix, &[chronyd, "-d", "-x", "-f", &conf]].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        let mut daemon = Running::start(command);
        daemon.stderr.wait_for("chronyd's start", |line| line.contains("starting"));
        Self { daemon, folder }
    }

    /// Asks for its state, again until it listens.
    fn ask(chronyc: &Path) {
        let start = Instant::now();
        loop {
            let args = ["-h", "127.0.0.1", "-p", Self::COMMAND_PORT, "-n", "tracking"];
            let finished = child::run(chronyc, &args);
            if finished.status.success() {
                assert!(finished.stdout.contains("Stratum"), "{finished:#?}");
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "chronyd is silent: {finished:#?}");
        }
    }

    fn stop(self) {
        let Self { daemon, folder } = self;
        daemon.signal(libc::SIGTERM);
        daemon.finish();
        drop(folder);
    }
}

/// What holds of each of chronyd's calls.
fn check_chronyd(event: &Value) {
    let truth = json!({
        "event": "recvmmsg",
        "syscall": {"name": "recvmmsg", "nr": libc::SYS_recvmmsg},
        "process": {"comm": "chronyd"},
        "args": {"timeout": {"value": null}},
        "latency_ns": {"min": 1, "max": 100_000_000},
        "missing": {},
    });
    assert_matches(&truth, event);
    for message in event["messages"].as_array().into_iter().flatten() {
        let truth = json!({
            "len": {"min": 1, "max": 2048},
            "name": {"family": "AF_INET", "ip": "127.0.0.1", "port": {"min": 1, "max": 65535}},
            "namelen": {"in": {"min": 16, "max": 128}, "out": 16},
            "control": {"len_in": {"min": 16, "max": 4096}, "len_out": {"min": 0, "max": 4096}},
        });
        assert_matches(&truth, message);
    }
}

#[test]
fn chronyd_serving_chronyc() {
    let group = "real_programs chronyd";
    if !require_root_bpf(group) {
        return;
    }
    let (Some(chronyd), Some(chronyc)) = (tools::find("chronyd"), tools::find("chronyc")) else {
        return skip(group, "no chronyd and chronyc (chrony)");
    };
    let attached = Attached::start(&["--exe", chronyd.to_str().expect("a path in UTF-8")]);
    let daemon = Chronyd::start(&chronyd, &[]);
    (0..3).for_each(|_| Chronyd::ask(&chronyc));
    let pid = daemon.daemon.id();
    daemon.stop();
    let (stream, _) = attached.stop();
    assert_eq!(stream.lost(), 0, "{}", stream.end());
    let calls: Vec<_> =
        stream.events.iter().filter(|event| event["process"]["pid"] == pid).collect();
    calls.iter().for_each(|call| check_chronyd(call));
    let received: i64 =
        calls.iter().filter_map(|call| call["ret"].as_i64()).filter(|r| *r > 0).sum();
    assert!(received >= 3, "three requests at least: {calls:#?}");

    let Some(strace) = tools::find("strace") else {
        return skip("real_programs chronyd_and_strace", "no strace");
    };
    compare_with_strace(&strace, &chronyd, &chronyc);
}

/// A call as strace and we both tell it: vlen, flags, return value, lengths.
type Told = (Option<i64>, String, Option<i64>, Vec<i64>);

/// The same run by strace: vlen, flags, return values and lengths of every call, in
/// the same order.
fn compare_with_strace(strace: &Path, chronyd: &Path, chronyc: &Path) {
    let attached = Attached::start(&["--exe", chronyd.to_str().expect("a path in UTF-8")]);
    let folder = TempDir::new().expect("a temporary folder");
    let log = folder.path().join("strace");
    let log_text = log.to_str().expect("a path in UTF-8");
    let strace = strace.to_str().expect("a path in UTF-8");
    let prefix = [strace, "-e", "trace=recvmmsg", "-o", log_text, "--"];
    let daemon = Chronyd::start(chronyd, &prefix);
    (0..3).for_each(|_| Chronyd::ask(chronyc));
    // strace passes a SIGTERM on to nobody: it lets its program go. Ours is asked.
    let pid = fs::read_to_string(daemon.folder.path().join("pid")).expect("chronyd's pid");
    let pid: i32 = pid.trim().parse().expect("a pid");
    // SAFETY: integers only; the process is the one that we started through strace.
    unsafe { libc::kill(pid, libc::SIGTERM) };
    daemon.daemon.finish();
    let (stream, _) = attached.stop();

    let log = fs::read_to_string(&log).expect("strace's log");
    let theirs: Vec<_> = log.lines().filter_map(strace_call).collect();
    let ours: Vec<Told> = stream
        .events
        .iter()
        .filter(|event| event["process"]["pid"] == pid)
        .map(|event| {
            let empty = Vec::new();
            let messages = event["messages"].as_array().unwrap_or(&empty);
            let lens = messages.iter().map(|m| m["len"].as_i64().expect("a length")).collect();
            let names = event["args"]["flags"]["names"].as_array().expect("names");
            let names: Vec<_> = names.iter().filter_map(Value::as_str).collect();
            let flags = if names.is_empty() { "0".to_owned() } else { names.join("|") };
            (event["args"]["vlen"]["value"].as_i64(), flags, event["ret"].as_i64(), lens)
        })
        .collect();
    assert!(!theirs.is_empty(), "strace saw calls: {log}");
    assert_eq!(ours, theirs, "ours (left) and strace's (right): {log}");
}

/// A call in strace's log.
fn strace_call(line: &str) -> Option<Told> {
    let line = line.strip_prefix("recvmmsg(")?;
    let number = |text: &str| {
        let digits = text.trim_start().split(|c: char| !c.is_ascii_digit() && c != '-').next();
        digits.and_then(|digits| digits.parse::<i64>().ok())
    };
    let (call, result) = line.rsplit_once(" = ")?;
    let ret = match number(result)? {
        -1 if result.contains("EAGAIN") => -11,
        ret => ret,
    };
    let lens = call.split("msg_len=").skip(1).filter_map(number).collect();
    // …, vlen, flags, timeout)
    let mut last = call.rsplit(", ");
    let (_timeout, flags, vlen) = (last.next(), last.next()?, last.next()?);
    Some((number(vlen), flags.to_owned(), Some(ret), lens))
}

//! A program that nobody here wrote: the example of the recvmmsg(2) manual page.

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tests::child::{self, Running};
use tests::compare::assert_matches;
use tests::skip::{require_root_bpf, skip};
use tests::stream::Stream;
use tests::workload::watch;
use tests::{tools, tracer};

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
    let group = "manual_page";
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

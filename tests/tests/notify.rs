//! What the service manager is told: when it is attached, how it goes, that it is alive.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tests::child::Running;
use tests::manager::Manager;
use tests::skip::require_root_bpf;
use tests::tracer::{self, Waiting};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

/// The tracer as systemd starts it.
fn started(name: &str, watchdog: Duration) -> Running {
    let options = ["--confine", "on", "-w", "file:/dev/null"];
    // The watchdog is for one process, which the shell becomes.
    let mut command = Command::new("sh");
    command.args(["-c", "WATCHDOG_PID=$$ exec \"$0\" \"$@\""]).arg(tracer::binary());
    command.args(options).env("NOTIFY_SOCKET", name);
    command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
    Running::start(command)
}

#[test]
fn a_manager_is_told_how_it_goes() {
    if !require_root_bpf("notify") {
        return;
    }
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("notify");
    let mut manager = Manager::at(&path);
    let mut tracer = started(path.to_str().expect("UTF-8"), Duration::from_millis(600));
    manager.wait_for("READY=1\nSTATUS=attached by ");
    tracer.stderr.wait_for("attached", |line| line.starts_with("tracer: attached"));
    Waiting::start(WORKLOAD, &["flood", "--count", "3000"]).go();

    // Twice in the time that it may stay away, at least.
    let fed = manager.count("WATCHDOG=1");
    manager.listen(Duration::from_secs(3));
    let fed = manager.count("WATCHDOG=1") - fed;
    assert!((5..=15).contains(&fed), "{fed} times in 3 s: {:?}", manager.heard);
    // The first one may be of before the calls.
    let seen = |text: &str| {
        let number = text.split("calls/s; seen ").nth(1)?.split(',').next()?;
        number.parse::<u64>().ok()
    };
    let start = Instant::now();
    let status = loop {
        let told = manager.heard.iter().find(|text| seen(text).is_some_and(|n| n >= 3000));
        if let Some(told) = told {
            break told.clone();
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", manager.heard);
        manager.listen(Duration::from_millis(100));
    };
    assert!(status.contains("lost 0"), "{status}");

    // The main loop does not come round: nobody says that it does.
    tracer.signal(libc::SIGSTOP);
    manager.listen(Duration::from_millis(200));
    let fed = manager.count("WATCHDOG=1");
    manager.listen(Duration::from_secs(1));
    assert_eq!(manager.count("WATCHDOG=1"), fed);
    tracer.signal(libc::SIGCONT);

    tracer.signal(libc::SIGHUP);
    manager.wait_for("RELOADING=1\nMONOTONIC_USEC=");
    manager.wait_for("READY=1");
    tracer.signal(libc::SIGTERM);
    manager.wait_for("STOPPING=1");
    tracer.finish().expect_code(0);
}

/// Its socket may be without a place in the file system, and the manager slow or gone.
#[test]
fn a_manager_that_goes_away_stops_nothing() {
    if !require_root_bpf("notify") {
        return;
    }
    let name = format!("tracer-test-{}", std::process::id());
    let mut manager = Manager::named(&name);
    let tracer = started(&format!("@{name}"), Duration::from_millis(200));
    manager.wait_for("READY=1");
    manager.wait_for("WATCHDOG=1");
    drop(manager);
    thread::sleep(Duration::from_millis(500));
    tracer.signal(libc::SIGINT);
    let finished = tracer.finish();
    finished.expect_code(0);
    let said = finished.stderr.matches("cannot tell systemd").count();
    assert_eq!(said, 1, "once: {}", finished.stderr);
}

//! `--metrics`, as Prometheus and those who watch services see it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::far::{ended, free_port};
use tests::skip::{require_root_bpf, skip};
use tests::stream::count;
use tests::tools::Daemon;
use tests::tracer::{Attached, Waiting};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");
const CALLS: u64 = 5_000;
const SERVICE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tracer/service");

fn get(port: u16, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).expect("tracer");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
    (status.expect("a status"), body.to_owned())
}

/// The samples by name and labels, as they stand there.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a value");
        (name.to_owned(), value.parse().expect("a number"))
    };
    lines.map(sample).collect()
}

/// Counts of a counter that is kept by the kernel, once so many have come.
fn settled(port: u16, name: &str, value: f64) -> String {
    let start = Instant::now();
    loop {
        let (status, text) = get(port, "/metrics");
        assert_eq!(status, 200, "{text}");
        if samples(&text).get(name) == Some(&value) {
            return text;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "no {name} {value} in {text}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn promtool() -> Option<Daemon> {
    let found = Daemon::find("prometheus", "promtool");
    if found.is_none() {
        skip("metrics promtool", "no promtool: Debian's package prometheus has it");
    }
    found
}

/// What promtool says, and that it is content.
fn checked(promtool: &Daemon, args: &[&str], input: &str) {
    let mut command = promtool.command(&[]);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("room");
    drop(stdin);
    let output = child.wait_with_output().expect("promtool");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}\n{input}", String::from_utf8_lossy(&said));
}

/// What the workload did is told by name and result, and promtool finds nothing to complain
/// of in it; a destination that fails makes the tracer unready.
#[test]
fn what_happened_is_told() {
    if !require_root_bpf("metrics") {
        return;
    }
    let port = free_port();
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let file = format!("file:{}", folder.path().join("events.json").display());
    let waiting = Waiting::start(WORKLOAD, &["flood", "--count", &CALLS.to_string()]);
    let address = format!("127.0.0.1:{port}");
    let options = ["-w", &file, "--pid", &waiting.pid(), "--metrics", &address, "-w", "-"];
    let attached = Attached::start(&options);
    assert_eq!(get(port, "/readyz"), (200, "ok\n".to_owned()), "attached");
    let truth = waiting.go();
    assert_eq!(count(&truth[0], "calls"), CALLS);
    let events = "tracer_events_total{event=\"recvmmsg\",result=\"EAGAIN\"}";
    let text = settled(port, events, CALLS as f64);
    let samples = samples(&text);
    let value = |name: &str| samples.get(name).unwrap_or_else(|| panic!("no {name} in {text}"));
    assert_eq!(
        *value(&format!("tracer_sink_events_total{{destination=\"{}\"}}", &file[5..])),
        CALLS as f64
    );
    assert_eq!(*value("tracer_sink_up{destination=\"standard output\"}"), 1.0);
    assert_eq!(*value("tracer_calls_lost_total{cause=\"ring_full\"}"), 0.0);
    assert!(*value("tracer_calls_seen_total") >= CALLS as f64, "{text}");
    assert!(*value("process_resident_memory_bytes") > 1e6 && *value("process_open_fds") > 5.0);
    let age = *value("process_start_time_seconds");
    let now = jiff_now();
    assert!((now - age).abs() < 600.0, "started at {age}, now {now}");
    if let Some(promtool) = promtool() {
        checked(&promtool, &["check", "metrics"], &text);
    }
    ended(attached, 0);
}

fn jiff_now() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("after 1970").as_secs_f64()
}

/// The kernel's own count of its programs' runs and time, while it keeps one.
#[test]
fn program_run_time_is_told_while_it_is_counted() {
    const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";
    if !require_root_bpf("metrics") {
        return;
    }
    let before = fs::read_to_string(SWITCH).expect("a sysctl");
    if fs::write(SWITCH, "1").is_err() {
        return skip("metrics program_run_time", "kernel.bpf_stats_enabled can't be set");
    }
    let port = free_port();
    let waiting = Waiting::start(WORKLOAD, &["flood", "--count", "5000"]);
    let attached = Attached::start(&["--pid", &waiting.pid(), "--metrics", &port.to_string()]);
    waiting.go();
    let events = "tracer_events_total{event=\"recvmmsg\",result=\"EAGAIN\"}";
    let text = settled(port, events, 5000.0);
    fs::write(SWITCH, before.trim()).expect("as it was");
    let samples = samples(&text);
    let sum = |name: &str| -> f64 {
        samples.iter().filter(|(own, _)| own.starts_with(name)).map(|(_, value)| value).sum()
    };
    let (runs, seconds) =
        (sum("tracer_program_runs_total"), sum("tracer_program_run_seconds_total"));
    assert!(runs >= 10_000.0, "both ends of each call: {text}");
    assert!(seconds > 0.0 && seconds / runs < 1e-3, "{seconds} s in {runs} runs");
    ended(attached, 0);
}

/// A destination that has failed is told, and whoever asks whether the tracer is ready.
#[test]
fn a_failed_destination_is_told() {
    if !require_root_bpf("metrics") {
        return;
    }
    let port = free_port();
    let waiting = Waiting::start(WORKLOAD, &["flood", "--count", "2000"]);
    let metrics = port.to_string();
    let own = ["--pid", &waiting.pid(), "--metrics", &metrics];
    let attached = Attached::start(&[&["-w", "file:/dev/full", "-w", "-"][..], &own].concat());
    waiting.go();
    settled(port, "tracer_sink_up{destination=\"/dev/full\"}", 0.0);
    let (status, says) = get(port, "/readyz");
    assert!(status == 503 && says.contains("/dev/full has failed"), "{says}");
    assert_eq!(get(port, "/healthz").0, 200, "it lives");
    let said = ended(attached, 5);
    assert!(said.contains("other destinations go on"), "{said}");
}

/// A taken port is named, before anything is attached.
#[test]
fn a_port_that_is_taken_is_named() {
    if !require_root_bpf("metrics") {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let finished = tests::tracer::run(&["--metrics", &address]);
    finished.expect_code(1);
    assert!(finished.stderr.contains(&format!("cannot listen on {address}")), "{finished:?}");
}

/// Every metric that a rule or a panel asks for is one that the documentation lists, which
/// the tests above have seen.
#[test]
fn rules_and_dashboard_ask_for_what_there_is() {
    let read = |path: PathBuf| {
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let documented = read(Path::new(SERVICE).join("../docs/METRICS.md"));
    let rules = read(Path::new(SERVICE).join("alerts.yml"));
    let dashboard: Value =
        serde_json::from_str(&read(Path::new(SERVICE).join("grafana-dashboard.json")))
            .expect("JSON");
    let mut asked: Vec<String> = Vec::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().expect("targets") {
            asked.push(target["expr"].as_str().expect("an expression").to_owned());
        }
    }
    assert!(asked.len() > 12, "{asked:?}");
    let expressions = rules.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
    asked.extend(expressions.map(str::to_owned));
    let is_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let names = asked.iter().flat_map(|expr| expr.split(|char| !is_name(char)));
    let names: Vec<_> =
        names.filter(|name| name.starts_with("tracer_") || name.starts_with("process_")).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(documented.contains(&format!("`{name}`")), "{name} is not in METRICS.md");
    }
    let Some(promtool) = promtool() else { return };
    let path = |name: &str| Path::new(SERVICE).join(name).display().to_string();
    checked(&promtool, &["check", "rules", &path("alerts.yml")], "");
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let cases = folder.path().join("cases.yml");
    let text = include_str!("metrics/alerts.test.yml").replace("ALERTS", &path("alerts.yml"));
    fs::write(&cases, text).expect("our own folder");
    checked(&promtool, &["test", "rules", &cases.display().to_string()], "");
    // As one rule each, for promtool to parse.
    let mut wrapped = String::from("groups:\n- name: panels\n  rules:\n");
    for (i, expr) in asked.iter().enumerate() {
        let expr = expr.replace("$__rate_interval", "1m").replace("$instance", ".*");
        wrapped.push_str(&format!("  - record: panel{i}\n    expr: '{expr}'\n"));
    }
    let panels = folder.path().join("panels.yml");
    fs::write(&panels, wrapped).expect("our own folder");
    checked(&promtool, &["check", "rules", &panels.display().to_string()], "");
}

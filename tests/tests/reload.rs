//! SIGHUP with a configuration file: filters and destinations change while calls go on, and
//! what was asked for all the time is complete; what can't be changed is refused as a whole.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tests::child::{Finished, Running};
use tests::far::verify;
use tests::skip::require_root_bpf;
use tests::stream::count;
use tests::tracer::{self, Attached, Waiting};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");
const CALLS: u64 = 30_000;

/// A tracer with a configuration file.
struct Service {
    folder: TempDir,
    attached: Attached,
}

impl Service {
    /// Starts it with that file; `@` is the folder in it.
    fn start(text: &str) -> Option<Self> {
        if !require_root_bpf("reload") {
            return None;
        }
        let folder = TempDir::new().expect("a temporary folder");
        write(&folder, text);
        let config = folder.path().join("tracer.toml").display().to_string();
        let attached = Attached::start(&["--config", &config]);
        Some(Self { folder, attached })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Has another file read, and waits for what is said to it.
    fn reload(&mut self, text: &str) -> String {
        write(&self.folder, text);
        self.hang_up()
    }

    fn hang_up(&mut self) -> String {
        self.attached.tracer.signal(libc::SIGHUP);
        let said = |line: &str| line.starts_with("tracer: reload");
        self.attached.tracer.stderr.wait_for("what became of it", said)
    }

    fn stop(self) -> (TempDir, Finished) {
        self.attached.tracer.signal(libc::SIGINT);
        (self.folder, self.attached.tracer.finish())
    }
}

fn write(folder: &TempDir, text: &str) {
    let path = folder.path().join("tracer.toml");
    fs::write(&path, text.replace('@', &folder.path().display().to_string())).expect("our folder");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("our file");
}

fn flood(calls: u64) -> Waiting {
    Waiting::start(WORKLOAD, &["flood", "--count", &calls.to_string()])
}

/// Events of a process in a file, and all of them.
fn events_of(path: &PathBuf, pid: &str) -> (u64, u64) {
    let text = fs::read_to_string(path).expect("lines");
    let all = text.lines().filter(|line| line.contains("tracer.event/1"));
    let own = format!("\"pid\":{pid},");
    let of = all.clone().filter(|line| line.contains(&own)).count();
    (of as u64, all.count() as u64)
}

/// Whether a stream is complete at the far end.
fn complete(path: &PathBuf) -> Value {
    let (report, code) = verify(&[path]);
    assert_eq!((code, &report["complete"]), (Some(0), &Value::Bool(true)), "{report}");
    report["runs"][0].clone()
}

const COMMON: &str = "detail = 'call'\nbuffer = '256M'\nqueue = '1G'\n";

/// Two processes flood, and the filters change between both and one of them: of that one
/// nothing is missing, and every call of the other one was either shown or filtered.
fn filters_change_under_a_flood(filter_in: &str) {
    let (one, two) = (flood(CALLS), flood(CALLS));
    let (first, second) = (one.pid(), two.pid());
    let common = format!("{COMMON}filter-in = '{filter_in}'\nwrite = 'file:@/events'\n");
    let both = format!("{common}pid = [{first}, {second}]\n");
    let alone = format!("{common}pid = {first}\nfilter = 'process.tid > 0 && cpu >= 0'\n");
    let Some(mut service) = Service::start(&both) else { return };
    let calling = [one, two].map(|waiting| thread::spawn(move || waiting.go()));
    let mut taken = 0;
    while !calling.iter().all(thread::JoinHandle::is_finished) || taken < 4 {
        for text in [&alone, &both] {
            let said = service.reload(text);
            assert!(said.contains("reloaded: other filters: "), "{said}");
            taken += 1;
        }
    }
    for calling in calling {
        assert_eq!(count(&calling.join().expect("a workload")[0], "calls"), CALLS);
    }
    let path = service.path("events");
    let (_folder, finished) = service.stop();
    finished.expect_code(0);
    let run = complete(&path);
    let (of_first, all) = events_of(&path, &first);
    assert_eq!(of_first, CALLS, "{taken} reloads: {}", finished.stderr);
    assert_eq!(count(&run, "events"), all);
    let text = fs::read_to_string(&path).expect("lines");
    let end: Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    assert_eq!((&end["kind"], count(&end, "emitted")), (&"end".into(), all), "{end}");
    if filter_in == "kernel" {
        // Of all other processes the programs know as well: these two are all that is asked for.
        assert!(count(&end, "filtered") >= 2 * CALLS - all, "{end}");
    }
    let reloads = text.lines().filter(|line| line.contains("\"kind\":\"reload\"")).count();
    assert_eq!(reloads, taken, "each is told in the stream");
}

#[test]
fn filters_of_the_kernel_are_narrowed_and_widened_again() {
    filters_change_under_a_flood("kernel");
}

#[test]
fn filters_of_the_daemon_change() {
    filters_change_under_a_flood("daemon");
}

/// Destinations come and go under a flood: the one that stays misses nothing, and each other
/// one has all from its start to its end, and says so.
#[test]
fn destinations_come_and_go() {
    let waiting = flood(3 * CALLS);
    let pid = waiting.pid();
    let one = format!("{COMMON}pid = {pid}\nwrite = ['file:@/stays']\n");
    let two = format!("{COMMON}pid = {pid}\nwrite = ['ecs=file:@/new', 'file:@/stays']\n");
    let Some(mut service) = Service::start(&one) else { return };
    let calling = thread::spawn(move || waiting.go());
    let mut rounds = 0;
    while !calling.is_finished() || rounds < 3 {
        let said = service.reload(&two);
        assert!(said.contains("reloaded: writes to ") && said.contains("/new from here on"));
        thread::sleep(Duration::from_millis(30));
        let said = service.reload(&one);
        assert!(said.contains("reloaded: no longer writes to "), "{said}");
        rounds += 1;
    }
    // Here the new one, which is the first, is there at the end.
    service.reload(&two);
    assert_eq!(count(&calling.join().expect("the workload")[0], "calls"), 3 * CALLS);
    let (stays, new) = (service.path("stays"), service.path("new"));
    let (_folder, finished) = service.stop();
    finished.expect_code(0);
    assert!(!finished.stderr.contains("does not add up"), "{}", finished.stderr);
    assert_eq!(count(&complete(&stays), "events"), 3 * CALLS, "{}", finished.stderr);
    let run = complete(&new);
    assert!(count(&run, "events") > 0, "{rounds} rounds: {run}");
    let text = fs::read_to_string(&new).expect("lines");
    let starts = text.lines().filter(|line| line.contains("tracer:start")).count();
    let starts = starts.max(text.matches("\"start\"").count());
    assert!(starts > rounds, "{starts} starts in {rounds} rounds");
}

/// Whatever is wrong, nothing changes: not the part that would have been fine either.
#[test]
fn what_is_wrong_changes_nothing() {
    let waiting = flood(CALLS);
    let pid = waiting.pid();
    let fine = format!("{COMMON}pid = {pid}\nwrite = 'file:@/events'\n");
    let Some(mut service) = Service::start(&fine) else { return };
    let calling = thread::spawn(move || waiting.go());
    let other = "write = ['file:@/events', 'file:@/other']\n";
    for (text, why) in [
        (format!("{COMMON}pid = {pid}\n{other}uid = ["), "tracer.toml:6"),
        (format!("{COMMON}pid = {pid}\n{other}uuid = 1"), "did you mean uid?"),
        (format!("{COMMON}pid = {pid}\n{other}hook = 'kprobe'"), "hook can't be changed while"),
        (format!("{COMMON}pid = {pid}\n{other}rings = 1"), "rings can't be changed while tracing"),
        (format!("{COMMON}{other}"), "pid: the kernel's filters are those of the start"),
        (format!("{COMMON}pid = 1\n{other}"), "pid: the kernel's filters are those of the start"),
        (format!("{COMMON}pid = {pid}\nspool = '@/s'\n{other}"), "spool can't be changed"),
        (
            format!("{COMMON}pid = {pid}\nwrite = ['file:@/other', 'file:@/none/x']\n"),
            "cannot write to ",
        ),
        (
            format!("{COMMON}pid = {pid}\nwrite = ['file:@/other', 'tcp:127.0.0.1:9']\n"),
            "127.0.0.1:9 is out of reach",
        ),
    ] {
        let said = service.reload(&text);
        assert!(said.contains("reload refused, all goes on as before: "), "{text}: {said}");
        assert!(said.contains(why), "{text}: {said}");
    }
    fs::set_permissions(service.path("tracer.toml"), Permissions::from_mode(0o666)).expect("ours");
    assert!(service.hang_up().contains("others than its owner may write it"));
    fs::remove_file(service.path("tracer.toml")).expect("our file");
    assert!(service.hang_up().contains("cannot be read"));
    assert!(service.reload(&fine).contains("reloaded: nothing has changed"));
    assert_eq!(count(&calling.join().expect("the workload")[0], "calls"), CALLS);
    let path = service.path("events");
    let (_folder, finished) = service.stop();
    finished.expect_code(0);
    assert_eq!(count(&complete(&path), "events"), CALLS);
    let text = fs::read_to_string(&path).expect("lines");
    assert!(!text.contains("\"kind\":\"reload\""), "nothing is told where nothing changed");
}

/// SIGHUP twenty times without waiting, under load: files are opened anew, and no line is
/// missing or torn.
#[test]
fn twenty_signals_at_once() {
    let waiting = flood(CALLS);
    let text = |more| format!("{COMMON}pid = {}\nwrite = ['file:@/events'{more}]\n", waiting.pid());
    let (without, with) = (text(""), text(", 'file:@/other'"));
    let Some(mut service) = Service::start(&without) else { return };
    let calling = thread::spawn(move || waiting.go());
    for round in 0..20 {
        write(&service.folder, if round % 2 == 0 { &with } else { &without });
        service.attached.tracer.signal(libc::SIGHUP);
        thread::sleep(Duration::from_millis(round));
    }
    calling.join().expect("the workload");
    // What was asked for last is what there is in the end.
    let start = Instant::now();
    while !service.reload(&without).contains("nothing has changed") {
        assert!(start.elapsed() < Duration::from_secs(20), "it settles");
    }
    let path = service.path("events");
    let (_folder, finished) = service.stop();
    finished.expect_code(0);
    assert_eq!(count(&complete(&path), "events"), CALLS, "{}", finished.stderr);
}

/// A destination that is stuck when it is taken out keeps nobody waiting, and neither does
/// one that can't be opened yet.
#[test]
fn what_is_stuck_keeps_nobody_waiting() {
    let waiting = flood(CALLS);
    let (pid, folder) = (waiting.pid(), TempDir::new().expect("a temporary folder"));
    let socket = folder.path().join("socket");
    // Connections are made, and nobody reads from them.
    let _listener = UnixListener::bind(&socket).expect("our own folder");
    let one = format!("{COMMON}pid = {pid}\nwrite = ['file:@/events']\n");
    let two = one.replace("]\n", &format!(", 'unix:{}']\n", socket.display()));
    let Some(mut service) = Service::start(&two) else { return };
    assert_eq!(count(&waiting.go()[0], "calls"), CALLS);
    let start = Instant::now();
    assert!(service.reload(&one).contains("no longer writes to "));
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    // Nobody reads from it, so that opening it would wait.
    let fifo = service.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("coreutils").success());
    write(&service.folder, &one.replace("]\n", ", 'file:@/fifo']\n"));
    service.attached.tracer.signal(libc::SIGHUP);
    let path = service.path("events");
    let start = Instant::now();
    service.attached.tracer.signal(libc::SIGUSR1);
    let summary = |line: &str| line.contains("tracer: seen ");
    service.attached.tracer.stderr.wait_for("a summary", summary);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    let (_folder, finished) = service.stop();
    // What was not written to the socket is lost, which the status tells.
    finished.expect_code(5);
    assert!(finished.stderr.contains("it was taken out, with "), "{}", finished.stderr);
    assert_eq!(count(&complete(&path), "events"), CALLS);
}

/// What a tracer with rights is given by others is refused from the start.
#[test]
fn a_file_that_others_can_write_is_refused() {
    let folder = TempDir::new().expect("a temporary folder");
    write(&folder, "count = 1");
    let path = folder.path().join("tracer.toml");
    let config = path.display().to_string();
    let check = || Running::start(tracer::command(&["config", "check", &config])).finish();
    let finished = check();
    finished.expect_code(0);
    assert!(finished.stdout.starts_with("count = \"1\"  # "), "{}", finished.stdout);
    fs::set_permissions(&path, Permissions::from_mode(0o666)).expect("our file");
    if fs::metadata(&path).expect("our file").uid() == 0 {
        for args in [&["config", "check", &config][..], &["--config", &config]] {
            let finished = tracer::run(args);
            finished.expect_code(2);
            assert!(finished.stderr.contains("chmod go-w"), "{}", finished.stderr);
        }
    }
}

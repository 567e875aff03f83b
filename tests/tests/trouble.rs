//! What goes wrong around files while the tracer writes them: folders that are moved or take
//! no more files, clocks that are stepped, disks that fill, readers that stall.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tests::child::Running;
use tests::far::{complete, ended, pieces, size, verify, wait_until};
use tests::skip::{require_root_bpf, skip};
use tests::stream::count;
use tests::tracer::{self, Attached, Waiting};
use tests::{clock, hook, tools};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");
const CALLS: u64 = 30_000;
/// Of one workload.
const PART: u64 = CALLS / 2;

/// A tracer of two workloads that wait to flood it.
struct Flood {
    attached: Attached,
    waiting: [Waiting; 2],
}

impl Flood {
    /// With these options, and variables of the environment.
    fn start(options: &[&str], variables: &[(&str, &Path)]) -> Self {
        let count = PART.to_string();
        let waiting = [(); 2].map(|()| Waiting::start(WORKLOAD, &["flood", "--count", &count]));
        let own = ["--detail", "call", "--buffer", "64M", "--queue", "128M", "-o", "json"];
        let mut command = tracer::command(&hook::options());
        command.args(own).args(options);
        waiting.iter().for_each(|waiting| {
            command.args(["--pid", &waiting.pid()]);
        });
        command.envs(variables.iter().copied());
        let mut attached = Attached { tracer: Running::start(command) };
        attached.wait_attached();
        Self { attached, waiting }
    }

    /// Does something between the two, and after them; returns what the tracer said.
    fn go(self, between: impl FnOnce(), after: impl FnOnce()) -> String {
        let Self { attached, waiting: [first, second] } = self;
        assert_eq!(count(&first.go()[0], "calls"), PART);
        between();
        assert_eq!(count(&second.go()[0], "calls"), PART);
        after();
        ended(attached, 0)
    }
}

/// Every call is in these files, once.
fn assert_complete(files: &[PathBuf]) {
    let run = complete(files, CALLS);
    assert_eq!(count(&run, "duplicates"), 0, "{run}");
}

/// Lines go on into the file that was open where its folder is gone from under it.
#[test]
fn a_folder_that_is_moved_away() {
    if !require_root_bpf("trouble") {
        return;
    }
    let folder = TempDir::new().expect("a temporary folder");
    let [here, there] = ["here", "there"].map(|name| folder.path().join(name));
    fs::create_dir(&here).expect("our own folder");
    let write = format!("file:{}?size=2M", here.join("events.json").display());
    let flood = Flood::start(&["-w", &write], &[]);
    let said = flood.go(|| fs::rename(&here, &there).expect("our own folder"), || {});
    assert!(said.contains("go on in the one there is"), "{said}");
    assert!(!here.exists(), "nobody made it anew");
    let files = pieces(&there);
    assert!(files.iter().any(|file| size(file) > 8 << 20), "one went on: {files:?}");
    assert_complete(&files);
}

/// Changes a folder's flags; whether it did.
fn chattr(change: &str, folder: &Path) -> bool {
    let Some(chattr) = tools::find("chattr") else { return false };
    let output = Command::new(chattr).arg(change).arg(folder).output();
    output.is_ok_and(|output| output.status.success())
}

/// A folder that can be removed at the end, whatever has failed.
struct Mutable<'a>(&'a Path);

impl Drop for Mutable<'_> {
    fn drop(&mut self) {
        chattr("-i", self.0);
    }
}

/// A folder that takes no other files: lines go on into the one there is, and files are set
/// aside again once it does.
#[test]
fn a_folder_that_takes_no_files_for_a_while() {
    if !require_root_bpf("trouble") {
        return;
    }
    let folder = TempDir::new().expect("a temporary folder");
    if !chattr("+i", folder.path()) {
        let group = "trouble a_folder_that_takes_no_files_for_a_while";
        return skip(group, "no immutable folders here (chattr +i)");
    }
    assert!(chattr("-i", folder.path()), "what was made immutable is made mutable");
    let _mutable = Mutable(folder.path());
    let path = folder.path().join("events.json");
    let write = format!("file:{}?size=2M", path.display());
    let flood = Flood::start(&["-w", &write], &[]);
    let immutable = || assert!(chattr("+i", folder.path()), "it worked before");
    let mutable = || {
        // It goes on into a file that is longer than it may be, whose name may be new
        // already.
        let long = |file: &PathBuf| size(file) > 8 << 20;
        wait_until("lines go on", || pieces(folder.path()).iter().any(long));
        assert!(chattr("-i", folder.path()), "it worked before");
    };
    let said = flood.go(immutable, mutable);
    assert!(said.contains("cannot begin another"), "{said}");
    let files = pieces(folder.path());
    assert!(files.iter().any(|file| size(file) > 8 << 20), "one went on: {files:?}");
    assert_complete(&files);
    // The next one sets files aside.
    Flood::start(&["-w", &write], &[]).go(|| {}, || {});
    assert!(size(&path) <= 2 << 20, "files of their size again");
    let [before, after] = [files.len(), pieces(folder.path()).len()];
    assert!(after - before > 5, "{before} {after}");
}

/// Files that are set aside have names of their own, and miss nothing.
#[test]
fn a_clock_that_is_stepped() {
    if !require_root_bpf("trouble") {
        return;
    }
    let folder = TempDir::new().expect("a temporary folder");
    let logs = folder.path().join("logs");
    let library = match clock::stepped(folder.path()) {
        Ok(library) => library,
        Err(error) => return skip("trouble a_clock_that_is_stepped", &error),
    };
    fs::create_dir(&logs).expect("our own folder");
    let path = logs.join("events.json");
    let write = format!("file:{}?size=200K&every=1s", path.display());
    let flood = Flood::start(&["-w", &write], &[("LD_PRELOAD", &library)]);
    flood.go(|| {}, || {});
    let files = pieces(&logs);
    assert!(files.len() > 50, "{files:?}");
    assert_complete(&files);
    // In the order of names they are not in that of their lines: the clock was stepped.
    let firsts: BTreeMap<_, _> =
        files.iter().filter(|file| **file != path).map(|file| (file, first(file))).collect();
    assert!(!firsts.values().is_sorted(), "{firsts:?}");
}

/// The number of the first line.
fn first(file: &Path) -> u64 {
    let text = fs::read_to_string(file).expect("what was set aside");
    let line = text.lines().next().expect("a line");
    count(&serde_json::from_str(line).expect("JSON"), "seq")
}

/// A pipe that nobody reads for a while: what was dropped meanwhile is declared, and is what
/// is missing.
#[test]
fn a_reader_that_stalls() {
    if !require_root_bpf("trouble") {
        return;
    }
    let waiting = Waiting::start(WORKLOAD, &["flood", "--count", &CALLS.to_string()]);
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let own = ["--detail", "call", "--buffer", "64M", "--queue", "1M", "-o", "json", "-w", "-"];
    let mut command = tracer::command(&hook::options());
    command.args(own).args(["--pid", &waiting.pid()]);
    let mut tracer = Running::start_into(command, writer);
    tracer.stderr.wait_for("`attached`", |line| line.starts_with("tracer: attached"));
    assert_eq!(count(&waiting.go()[0], "calls"), CALLS);
    let start = Instant::now();
    while !tracer.stderr.text().contains("queue_full") {
        assert!(start.elapsed() < Duration::from_secs(20), "the queue is full");
        tracer.signal(libc::SIGUSR1);
        let _ = tracer.stderr.next(Instant::now() + Duration::from_millis(100));
    }
    let reading = thread::spawn(move || {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        std::io::copy(&mut reader, &mut file).expect("lines");
        file
    });
    tracer.signal(libc::SIGINT);
    tracer.finish().expect_code(0);
    let file = reading.join().expect("the reader");
    let (report, code) = verify(&[file.path()]);
    let run = &report["runs"][0];
    let lost = count(&run["lost"], "total");
    assert!(lost > 0 && count(&run["lost"], "queue_full") == lost, "{report}");
    assert_eq!([count(run, "missing"), count(run, "events")], [lost, CALLS - lost], "{report}");
    assert_eq!((code, count(run, "undeclared"), count(&report, "torn")), (Some(1), 0, 0));
}

/// A small disk that fills up with files that were set aside, compressed or not yet: what is
/// on it is whole lines, as many as the tracer says.
#[test]
fn a_disk_that_fills_with_files_set_aside() {
    let group = "trouble a_disk_that_fills_with_files_set_aside";
    if !require_root_bpf(group) {
        return;
    }
    let Some(unshare) = tools::find("unshare") else {
        return skip(group, "no unshare (util-linux)");
    };
    let folder = TempDir::new().expect("a temporary folder");
    let [small, copy] = ["small", "copy"].map(|name| folder.path().join(name));
    for folder in [&small, &copy] {
        fs::create_dir(folder).expect("our own folder");
    }
    let waiting = Waiting::start(WORKLOAD, &["flood", "--count", &CALLS.to_string()]);
    // The disk is there for the script alone, which copies what is on it in the end.
    let script = format!(
        "mount -t tmpfs -o size=1m tmpfs {small} || exit 99
         {tracer} {options} -o json --detail call --buffer 64M --pid {pid} \
             -w 'file:{small}/events?size=200K&compress=gzip' -w file:/dev/null &
         echo pid $! >&2; wait $!; status=$?
         cp {small}/* {copy}; exit $status",
        small = small.display(),
        copy = copy.display(),
        tracer = tracer::binary().display(),
        options = hook::options().join(" "),
        pid = waiting.pid(),
    );
    let mut command = Command::new(unshare);
    command.args(["--mount", "sh", "-c", &script]);
    let mut shell = Running::start(command);
    let mut pid = None;
    shell.stderr.wait_for("attached, or no mount", |line| {
        pid = pid.or(line.strip_prefix("pid ").and_then(|pid| pid.trim().parse::<i32>().ok()));
        line.starts_with("tracer: attached") || line.contains("mount")
    });
    let Some(pid) = pid else { return skip(group, "no tmpfs can be mounted") };
    assert_eq!(count(&waiting.go()[0], "calls"), CALLS);
    // SAFETY: integers only; the shell waits for the process, which the other destination
    // keeps at work.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGINT) }, 0);
    let finished = shell.finish();
    finished.expect_code(5);
    assert!(finished.stderr.contains("No space left"), "{finished:#?}");
    // It may end while one is being compressed, which is there as it was, too.
    let mut files = pieces(&copy);
    files.retain(|file| !file.to_string_lossy().ends_with(".part"));
    assert!(files.len() > 3, "{files:?}");
    let (report, code) = verify(&files);
    let run = &report["runs"][0];
    let wrong = [count(&report, "torn"), count(&report, "foreign"), count(run, "duplicates")];
    assert_eq!((code, wrong), (Some(1), [0; 3]), "{report}");
    // `lost 29034 (sink 29034)`: what is not there is counted.
    let told = format!("lost {0} (sink {0})", CALLS - count(run, "events"));
    assert!(finished.stderr.contains(&told), "{told}: {}", finished.stderr);
}

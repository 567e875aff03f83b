//! The spool: what a destination that is away does not take outlasts the tracer.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{self, JoinHandle};

use serde_json::Value;
use tests::far::{self, ended, verify, wait_until};
use tests::skip::{require_root_bpf, skip};
use tests::stream::count;
use tests::tracer::{Attached, Waiting};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");
const CALLS: u64 = 30_000;

/// A receiver's place, and a spool.
struct Place {
    folder: tempfile::TempDir,
    spool: PathBuf,
}

impl Place {
    /// None, with a skip, where nothing can be attached.
    fn new() -> Option<Self> {
        require_root_bpf("spool").then(|| {
            let folder = tempfile::TempDir::new().expect("a temporary folder");
            let spool = folder.path().join("spool");
            Self { folder, spool }
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn options(&self, more: &[&str]) -> Vec<String> {
        let write = format!("unix:{}", self.path("socket").display());
        let spool = self.spool.display().to_string();
        ["-w", &write, "--spool", &spool]
            .iter()
            .chain(more)
            .map(|&option| option.to_owned())
            .collect()
    }

    /// A tracer of a workload that is about to call so often.
    fn tracer(&self, calls: u64, more: &[&str]) -> (Attached, Waiting) {
        let options = self.options(more);
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        far::flood(WORKLOAD, calls, &options)
    }

    /// Traces so many calls, to the end; what it says.
    fn flood(&self, calls: u64, more: &[&str]) -> String {
        let (attached, waiting) = self.tracer(calls, more);
        assert_eq!(count(&waiting.go()[0], "calls"), calls);
        ended(attached, 0)
    }

    /// A receiver that takes one connection's lines, into the file of that name.
    fn receiver(&self, name: &str) -> (PathBuf, JoinHandle<()>) {
        let received = self.path(name);
        let mut to = File::create(&received).expect("our own folder");
        let listener = UnixListener::bind(self.path("socket")).expect("our own folder");
        let take = move || {
            let mut from = BufReader::new(listener.accept().expect("the tracer").0);
            std::io::copy(&mut from, &mut to).expect("lines");
        };
        (received, thread::spawn(take))
    }
}

/// A small disk in memory.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mounted(path: &'a Path) -> Option<Self> {
        fs::create_dir(path).expect("our own folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs"]).arg(path);
        mount.status().is_ok_and(|status| status.success()).then_some(Self(path))
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

/// Bytes of the segments of a spool.
fn kept(spool: &Path) -> u64 {
    let folders = fs::read_dir(spool).into_iter().flatten().flatten();
    let files = folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten());
    let files = files.flatten().map(|file| file.path());
    let segments = files.filter(|file| file.extension().is_some_and(|end| end == "segment"));
    segments.filter_map(|segment| segment.metadata().ok()).map(|metadata| metadata.len()).sum()
}

fn events_by_run(report: &Value) -> Vec<u64> {
    let runs = report["runs"].as_array().expect("runs");
    runs.iter().map(|run| count(run, "events")).collect()
}

/// Nobody is there while the first run lasts: the second one delivers its lines first, then
/// its own, and nothing is left.
#[test]
fn what_one_run_could_not_deliver_the_next_one_does() {
    let Some(place) = Place::new() else { return };
    let said = place.flood(CALLS, &[]);
    assert!(said.contains("lines stay in the spool"), "{said}");
    assert!(kept(&place.spool) > 1 << 20, "{}", kept(&place.spool));
    let (received, receiver) = place.receiver("received");
    let said = place.flood(CALLS, &[]);
    assert!(said.contains("of earlier runs are in the spool"), "{said}");
    receiver.join().expect("the receiver");
    let (report, code) = verify(&[&received]);
    assert_eq!((code, events_by_run(&report)), (Some(0), vec![CALLS, CALLS]), "{report}");
    let mut lines = BufReader::new(File::open(&received).expect("the file")).lines();
    let first = lines.next().expect("a line").expect("text");
    let first: Value = serde_json::from_str(&first).expect("JSON");
    assert_eq!((&first["kind"], &first["seq"]), (&"start".into(), &1.into()), "in order");
    assert_eq!(kept(&place.spool), 0, "all is delivered");
}

/// A tracer that is killed loses what it had in memory; what had reached the spool is
/// delivered by the next one, in whole lines without a gap.
#[test]
fn a_killed_tracer_leaves_its_spool() {
    let Some(place) = Place::new() else { return };
    let (attached, waiting) = place.tracer(40 * CALLS, &[]);
    let calling = thread::spawn(move || waiting.go());
    wait_until("events come", || kept(&place.spool) >= 4 << 20);
    attached.tracer.signal(libc::SIGKILL);
    let _ = attached.tracer.finish();
    calling.join().expect("the workload");
    let (received, receiver) = place.receiver("received");
    place.flood(CALLS, &[]);
    receiver.join().expect("the receiver");
    let (report, code) = verify(&[&received]);
    assert_eq!((code, count(&report, "torn")), (Some(1), 0), "{report}");
    let runs = report["runs"].as_array().expect("runs");
    let killed = runs.iter().find(|run| run["has_end"] == false).expect("the one killed");
    assert_eq!(
        (count(killed, "gap_count"), count(killed, "events") > 3_000),
        (0, true),
        "{report}"
    );
    let other = runs.iter().find(|run| run["has_end"] == true).expect("the other one");
    assert_eq!((count(other, "events"), &other["complete"]), (CALLS, &true.into()), "{report}");
}

/// Once the spool and the queue are full, what finds no room is counted, and `verify` finds
/// at the far end that no more than that is missing.
#[test]
fn a_full_spool_loses_what_it_says() {
    let Some(place) = Place::new() else { return };
    let small = ["--spool-size", "16M", "--queue", "8M"];
    let (mut attached, waiting) = place.tracer(3 * CALLS, &small);
    waiting.go();
    let full = |line: &str| line.contains("the spool is full");
    attached.tracer.stderr.wait_for("a full spool", full);
    let (received, receiver) = place.receiver("received");
    let room = |line: &str| line.contains("the spool has room again");
    attached.tracer.stderr.wait_for("room", room);
    ended(attached, 0);
    receiver.join().expect("the receiver");
    let (report, code) = verify(&[&received]);
    let run = &report["runs"][0];
    let (events, missing) = (count(run, "events"), count(run, "missing"));
    assert_eq!((code, count(run, "undeclared")), (Some(1), 0), "{report}");
    assert_eq!(events + missing, 3 * CALLS, "{report}");
    assert!(missing > 0 && events > CALLS / 3, "{report}");
}

/// A disk that is full before the spool is: the same.
#[test]
fn a_full_disk_is_a_full_spool() {
    let Some(mut place) = Place::new() else { return };
    place.spool = place.path("disk");
    let Some(disk) = Disk::mounted(&place.spool) else {
        return skip("spool a_full_disk_is_a_full_spool", "no tmpfs can be mounted");
    };
    let (mut attached, waiting) = place.tracer(2 * CALLS, &["--queue", "8M"]);
    waiting.go();
    let full = |line: &str| line.contains("the spool is full");
    attached.tracer.stderr.wait_for("a full disk", full);
    let (received, receiver) = place.receiver("received");
    attached.tracer.stderr.wait_for("room", |line| line.contains("the spool has room again"));
    ended(attached, 0);
    receiver.join().expect("the receiver");
    drop(disk);
    let (report, _) = verify(&[&received]);
    let run = &report["runs"][0];
    assert_eq!(count(run, "undeclared"), 0, "{report}");
    assert_eq!(count(run, "events") + count(run, "missing"), 2 * CALLS, "{report}");
    assert!(count(run, "missing") > 0, "{report}");
}

/// A spool that another tracer has, or that strangers can write to, is refused by name.
#[test]
fn a_spool_that_is_not_ours_alone_is_refused() {
    let Some(place) = Place::new() else { return };
    let (attached, waiting) = place.tracer(1, &[]);
    let options = place.options(&[]);
    let finished = tests::tracer::run(&options);
    finished.expect_code(1);
    assert!(finished.stderr.contains("another tracer or destination uses it"), "{finished:?}");
    waiting.go();
    ended(attached, 0);
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&place.spool, fs::Permissions::from_mode(0o777)).expect("our own");
    let finished = tests::tracer::run(&options);
    finished.expect_code(1);
    assert!(finished.stderr.contains("others may write to it (mode 0777)"), "{finished:?}");
}

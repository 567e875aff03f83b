//! Cgroups and containers: a tree of real cgroups, named as runtimes name theirs.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tests::cgroup::Cgroup;
use tests::child::Running;
use tests::confine::{Change, confine};
use tests::skip::{require_root_bpf, skip};
use tests::tracer::{self, Attached, Waiting};

use crate::WORKLOAD;

const A: &str = "8c1a9e2f0b7d4e56a3c8f1029b6d7e4c5f8a0b1c2d3e4f5061728394a5b6c7d8";
const B: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const POD: &str = "podd3f1c2a4-5b6e-4f70-8a91-b2c3d4e5f607";

/// The tree; None where there can be none.
fn tree(test: &str) -> Option<Cgroup> {
    if !require_root_bpf(test) {
        return None;
    }
    Cgroup::new("containers").map_err(|error| skip(test, &error)).ok()
}

/// A workload that waits in a cgroup, before each of two calls.
fn waiting_in(folder: &Path) -> Waiting {
    let waiting = Waiting::start(WORKLOAD, &["two-calls"]);
    Cgroup::enter(folder, &waiting.pid());
    waiting
}

fn attached(waiting: &[&Waiting], more: &[&str]) -> Attached {
    let pids: Vec<_> = waiting.iter().map(|waiting| waiting.pid()).collect();
    Attached::start(&[&["--pid", &pids.join(",")], more].concat())
}

/// Where the runtimes put their containers, and what is none.
fn layouts() -> Vec<(String, Value)> {
    let of = |id: &str, runtime: &str| json!({"id": id, "runtime": runtime});
    vec![
        (format!("/docker/{A}"), of(A, "docker")),
        (format!("/system.slice/docker-{A}.scope"), of(A, "docker")),
        (format!("/kubepods.slice/cri-containerd-{A}.scope"), of(A, "containerd")),
        (format!("/kubepods-{POD}.slice:cri-containerd:{A}"), of(A, "containerd")),
        (format!("/kubepods/burstable/{POD}/{A}"), json!({"id": A, "runtime": null})),
        (format!("/kubepods.slice/crio-{A}.scope"), of(A, "cri-o")),
        (format!("/machine.slice/libpod-{A}.scope/container"), of(A, "podman")),
        (format!("/user.slice/libpod-payload-{A}"), of(A, "podman")),
        (format!("/machine.slice/libpod-conmon-{A}.scope"), Value::Null),
        ("/machine.slice/systemd-nspawn@box.service/payload".into(), of("box", "systemd-nspawn")),
        ("/machine.slice/machine-my\\x2dbox.scope/payload".into(), of("my-box", "systemd-nspawn")),
        ("/machine.slice/machine-my\\x2dbox.scope/supervisor".into(), Value::Null),
        (format!("/docker/{A}/docker/{B}"), of(B, "docker")),
        (format!("/docker/{A}/machine.slice/libpod-conmon-{B}.scope"), of(A, "docker")),
        ("/system.slice/chrony.service".into(), Value::Null),
        ("/a cgroup (deleted)".into(), Value::Null),
    ]
}

#[test]
fn every_layout() {
    let Some(tree) = tree(concat!(module_path!(), "::every_layout")) else { return };
    let layouts = layouts();
    let waiting: Vec<_> = layouts.iter().map(|(path, _)| waiting_in(&tree.make(path))).collect();
    let attached = attached(&waiting.iter().collect::<Vec<_>>(), &[]);
    let mut truth = Vec::new();
    for ((path, container), mut waiting) in layouts.iter().zip(waiting) {
        waiting.call_once();
        let mut calls = waiting.go();
        assert_eq!(calls.len(), 2, "{path}");
        for call in &mut calls {
            assert_eq!(call["process"]["cgroup"]["path"], format!("{}{path}", tree.path()));
            call["process"]["container"] = container.clone();
            if container.is_object() && container["runtime"].is_null() {
                call["missing"]["process.container.runtime"] = json!("not_captured");
            }
        }
        truth.extend(calls);
    }
    let (stream, _) = attached.stop();
    stream.assert_exactly(&truth);
}

/// Moves a workload that has waited, lets it go and sees it end, all while the tracer is
/// stopped.
struct Unseen {
    tree: Cgroup,
    folder: PathBuf,
    attached: Attached,
    truth: Vec<Value>,
}

impl Unseen {
    fn make(test: &str) -> Option<Self> {
        let tree = tree(test)?;
        let folder = tree.make(&format!("/docker/{A}"));
        let mut waiting = waiting_in(&folder);
        let attached = attached(&[&waiting], &[]);
        attached.tracer.signal(libc::SIGSTOP);
        waiting.call_once();
        let truth = waiting.go();
        Some(Self { tree, folder, attached, truth })
    }

    fn assert_exactly(mut self, change: impl Fn(&mut Value)) {
        self.attached.tracer.signal(libc::SIGCONT);
        let (stream, _) = self.attached.stop();
        self.truth.iter_mut().for_each(change);
        stream.assert_exactly(&self.truth);
        drop(self.tree);
    }
}

/// The cgroup is still there, and tells.
#[test]
fn a_process_that_ends_before_the_tracer_looks() {
    let test = concat!(module_path!(), "::a_process_that_ends_before_the_tracer_looks");
    let Some(unseen) = Unseen::make(test) else { return };
    unseen.assert_exactly(|call| {
        call["process"]["container"] = json!({"id": A, "runtime": "docker"});
    });
}

/// Its id is all that is left.
#[test]
fn a_cgroup_that_is_removed_before_the_tracer_looks() {
    let test = concat!(module_path!(), "::a_cgroup_that_is_removed_before_the_tracer_looks");
    let Some(unseen) = Unseen::make(test) else { return };
    Cgroup::remove(&unseen.folder);
    unseen.assert_exactly(|call| {
        call["process"]["cgroup"]["path"] = Value::Null;
        call["process"]["container"] = Value::Null;
        for field in ["cgroup.path", "container"] {
            call["missing"][format!("process.{field}")] = json!("gone");
        }
    });
}

/// A process that was moved on is shown where it was.
#[test]
fn a_process_that_changes_its_cgroup() {
    let Some(tree) = tree(concat!(module_path!(), "::a_process_that_changes_its_cgroup")) else {
        return;
    };
    let first = tree.make("/first");
    let second = tree.make(&format!("/docker/{A}"));
    let mut waiting = waiting_in(&first);
    let attached = attached(&[&waiting], &[]);
    attached.tracer.signal(libc::SIGSTOP);
    waiting.call_once();
    Cgroup::enter(&second, &waiting.pid());
    let mut truth = waiting.go();
    attached.tracer.signal(libc::SIGCONT);
    let (stream, _) = attached.stop();
    let [one, two] = &mut truth[..] else { panic!("two calls: {truth:?}") };
    assert_eq!(one["process"]["cgroup"]["path"], format!("{}/first", tree.path()));
    two["process"]["container"] = json!({"id": A, "runtime": "docker"});
    stream.assert_exactly(&truth);
}

/// Whose calls `--container` passes, live and of a recording.
#[test]
fn of_one_container() {
    let Some(tree) = tree(concat!(module_path!(), "::of_one_container")) else { return };
    let paths = [
        format!("/docker/{A}"),
        format!("/docker/{B}"),
        "/machine.slice/machine-my\\x2dbox.scope/payload".to_owned(),
        "/system.slice/chrony.service".to_owned(),
    ];
    let folders: Vec<_> = paths.iter().map(|path| tree.make(path)).collect();
    let not_a = format!("!{A}");
    for (options, wanted) in [
        (&["--container", A][..], &[true, false, false, false][..]),
        (&["--container", &A[..12]], &[true, false, false, false]),
        (&["--container", &A[..11]], &[false, false, false, false]),
        (&["--container", "my-box"], &[false, false, true, false]),
        (&["--container", "my"], &[false, false, false, false]),
        (&["--container", "my-box", "--container", B], &[false, true, true, false]),
        (&["--container", &not_a], &[false, true, true, true]),
        (&["--filter", "process.container == null"], &[false, false, false, true]),
        (&["--filter", "process.container.runtime == 'docker'"], &[true, true, false, false]),
        (&["--filter", "process.cgroup.path ~ '*/docker/*'"], &[true, true, false, false]),
    ] {
        let mut waiting: Vec<_> = folders.iter().map(|folder| waiting_in(folder)).collect();
        let attached = attached(&waiting.iter().collect::<Vec<_>>(), options);
        for waiting in &mut waiting {
            waiting.call_once();
        }
        // While they are all still there: what may be unknown passes.
        let (stream, _) = attached.stop();
        let mut truth = Vec::new();
        for (waiting, wanted) in waiting.into_iter().zip(wanted) {
            let calls = waiting.go();
            assert_eq!(calls.len(), 2, "{calls:?}");
            truth.extend(calls.into_iter().take(usize::from(*wanted)));
        }
        let pids = |calls: &[Value]| -> Vec<_> {
            calls.iter().map(|call| call["process"]["pid"].clone()).collect()
        };
        assert_eq!(pids(&truth), pids(&stream.events), "{options:?}");
    }
}

/// What the tracer says of a process in a container that it sees alive, and of one that
/// has ended by then, when these changes were made to its machine.
fn confined(test: &str, changes: &[Change<'_>]) -> Option<(String, [Value; 2])> {
    let tree = tree(test)?;
    let path = format!("/docker/{A}");
    let folder = tree.make(&path);
    let (mut alive, mut ended) = (waiting_in(&folder), waiting_in(&folder));
    let (first, second) = (alive.pid(), ended.pid());
    let pids = format!("{first},{second}");
    let mut command = tracer::command(&["--pid", &pids, "-o", "json"]);
    confine(&mut command, changes);
    let mut attached = Attached { tracer: Running::start(command) };
    attached.wait_attached();
    let of = |pid: String| {
        let pid: u32 = pid.parse().expect("a number");
        move |event: &Value| event["process"]["pid"] == pid
    };
    // The other one first: what is known of a cgroup is known of all that are in it.
    attached.tracer.signal(libc::SIGSTOP);
    ended.call_once();
    ended.go();
    attached.tracer.signal(libc::SIGCONT);
    let ended = attached.wait_event("the call of the ended process", of(second));
    alive.call_once();
    let seen = attached.wait_event("the call of the living process", of(first));
    alive.go();
    attached.stop();
    Some((format!("{}{path}", tree.path()), [seen, ended]))
}

/// Paths are then looked up by way of processes that are still there.
#[test]
fn without_the_capability_to_open_a_cgroup_by_its_id() {
    const CAP_DAC_READ_SEARCH: u64 = 2;
    // From Linux 6.11 on this one would do instead.
    const CAP_SYS_ADMIN: u64 = 21;
    let changes = [Change::Incapable(CAP_DAC_READ_SEARCH), Change::Incapable(CAP_SYS_ADMIN)];
    let test = concat!(module_path!(), "::without_the_capability_to_open_a_cgroup_by_its_id");
    let Some((path, [alive, ended])) = confined(test, &changes) else { return };
    assert_eq!(alive["process"]["cgroup"]["path"], path, "{alive}");
    assert_eq!(alive["process"]["container"], json!({"id": A, "runtime": "docker"}), "{alive}");
    assert_eq!(ended["missing"]["process.cgroup.path"], "gone", "{ended}");
    assert_eq!(ended["missing"]["process.container"], "gone", "{ended}");
}

/// Nothing then tells whether a process is still in the cgroup that it was in.
#[test]
fn without_the_hierarchy() {
    let test = concat!(module_path!(), "::without_the_hierarchy");
    let Ok(point) = Cgroup::mount() else { return skip(test, "no hierarchy that could go") };
    let changes = [Change::Unmounted(point.to_str().expect("a path in UTF-8"))];
    let Some((_, events)) = confined(test, &changes) else { return };
    for event in events {
        assert!(event["process"]["cgroup"]["id"].as_u64().is_some_and(|id| id > 1), "{event}");
        assert_eq!(event["missing"]["process.cgroup.path"], "not_captured", "{event}");
        let container = event["missing"]["process.container"].as_str();
        assert!(matches!(container, Some("not_captured" | "gone")), "{event}");
    }
}

/// As in a container that sees all processes: paths begin at its own cgroup, as in /proc.
#[test]
fn in_a_cgroup_namespace() {
    let test = concat!(module_path!(), "::in_a_cgroup_namespace");
    let Some(tree) = tree(test) else { return };
    let point = Cgroup::mount().expect("the tree's hierarchy");
    let own = tree.make("/own");
    let cases = [
        (format!("/docker/{A}"), format!("/../docker/{A}"), Some(A)),
        ("/other".to_owned(), "/../other".to_owned(), None),
        (format!("/own/docker/{B}"), format!("/docker/{B}"), Some(B)),
        ("/own/plain".to_owned(), "/plain".to_owned(), None),
    ];
    let mut waiting: Vec<_> =
        cases.iter().map(|(folder, ..)| waiting_in(&tree.make(folder))).collect();
    let pids: Vec<_> = waiting.iter().map(Waiting::pid).collect();
    let mut command = tracer::command(&["--pid", &pids.join(","), "-o", "json"]);
    let point = point.to_str().expect("a path in UTF-8");
    confine(&mut command, &[Change::CgroupNamespace(&own, point)]);
    let mut attached = Attached { tracer: Running::start(command) };
    attached.wait_attached();
    for waiting in &mut waiting {
        waiting.call_once();
    }
    let (stream, _) = attached.stop();
    assert_eq!(stream.events.len(), cases.len(), "{:?}", stream.events);
    for ((_, path, container), event) in cases.iter().zip(&stream.events) {
        let process = &event["process"];
        assert_eq!(&process["cgroup"]["path"], path, "{event}");
        assert_eq!(process["container"]["id"].as_str(), *container, "{event}");
        // Its own namespace may be a container's.
        let missing = event["missing"].get("process.container");
        assert_eq!(missing.is_some(), container.is_none(), "{event}");
    }
    for waiting in waiting {
        waiting.go();
    }
}

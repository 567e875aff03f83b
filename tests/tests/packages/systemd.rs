//! The package under systemd itself, as it is installed, started, used, upgraded and removed
//! by an administrator. What only systemd can make of the unit is held against the kernel.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::Value;
use tests::far::{named, verify};
use tests::status::Status;
use tests::stream::count;

use super::machine::{Machine, wait};
use super::root::{Root, said};
use super::{CALLS, GROUP, WORKLOAD, debian};

const SERVICE: &str = "tracer.service";
const OWN: &str = "etc/tracer/conf.d/own.toml";
/// For this user's calls alone: the kernel is shared with others, who may make more of them
/// than anybody can take.
const WHOSE: [&str; 2] = ["etc/tracer/conf.d/a.toml", "uid = [54321]\n"];
const LOGS: &str = "var/log/private/tracer";
const DAC_READ_SEARCH: u64 = 1 << 2;
const LOADING: u64 = DAC_READ_SEARCH | 1 << 38 | 1 << 39;
/// The most that the unit may score; lower is better.
const MOST: &str = "--threshold=26";
/// What systemd writes for itself.
const SYSTEMDS: [&str; 4] =
    ["var/log/journal", "var/log/wtmp", "var/lib/systemd", "var/lib/logrotate"];

/// The kernel's configuration as a distribution has it, where this kernel tells; and what is
/// none of the service's business.
const FILES: &str = "[ ! -e /proc/config.gz ] || zcat /proc/config.gz >/boot/config-$(uname -r)
    touch /boot/other /dev/other /root/other /var/tmp/other";

/// What works in the machine, and not under the unit.
const SHUT: [&str; 10] = [
    "touch /usr/x && rm /usr/x",
    "touch /etc/tracer/x && rm /etc/tracer/x",
    "mkdir /sys/fs/cgroup/x && rmdir /sys/fs/cgroup/x",
    "grep . /etc/shadow",
    "grep -q . /proc/kallsyms",
    "ls /boot/other",
    "ls /dev/other",
    "ls /root/other",
    "ls /var/tmp/other",
    "[ $(readlink /proc/self/ns/net) = $(readlink /proc/1/ns/net) ]",
];

/// A service that is traced, and whose cgroup is there for a while yet.
const LOAD: &str = "[Service]\nType=oneshot\n\
    ExecStart=setpriv --reuid 54321 --regid 54321 --clear-groups \
    /opt/workload flood --count 3000 --truth /opt/truth\nExecStart=sleep 0.5\n";

#[test]
fn the_service_lives_and_goes_under_systemd() {
    let Some(root) = debian() else { return };
    root.lend(WORKLOAD, "opt/workload");
    fs::write(root.path("etc/systemd/system/load.service"), LOAD).expect("room");
    let truth = root.path("opt/truth");
    fs::write(&truth, "").expect("room");
    fs::set_permissions(&truth, fs::Permissions::from_mode(0o666)).expect("our own");
    let Some(machine) = Machine::boot(GROUP, &root) else { return };
    machine.run(&["sh", "-c", FILES]);
    let before = root.listing();
    let installed = Installed { root: &root, machine };
    installed.install();
    installed.is_confined();
    installed.hides_no_hook();
    installed.traces_and_reloads();
    installed.is_watched();
    installed.does_not_insist();
    installed.sets_files_aside();
    installed.is_upgraded();
    installed.machine.off();
    whole(&root);
    let machine = Machine::boot(GROUP, &root).expect("there was one");
    goes(&machine, &root);
    machine.off();
    fs::write(truth, "").expect("room");
    root.assert_clean_of("tracer", &before, &SYSTEMDS);
}

/// The package in a machine that runs.
struct Installed<'a> {
    root: &'a Root,
    machine: Machine,
}

impl Installed<'_> {
    /// Installed is not started; enabled, it is ready at once.
    fn install(&self) {
        let machine = &self.machine;
        machine.run(&["dpkg", "--install", "/opt/tracer.deb"]);
        assert_eq!(machine.property(SERVICE, "ActiveState"), "inactive");
        assert_eq!(machine.property(SERVICE, "UnitFileState"), "disabled");
        fs::write(self.root.path(WHOSE[0]), WHOSE[1]).expect("its folder");
        machine.run(&["systemctl", "enable", "--now", SERVICE]);
        self.is_active();
        assert_eq!(machine.property(SERVICE, "Type"), "notify");
        let status = machine.property(SERVICE, "StatusText");
        assert!(status.starts_with("attached by "), "told with READY=1: {status}");
        assert_eq!(machine.property(SERVICE, "NRestarts"), "0");
    }

    fn is_active(&self) {
        let state = self.machine.property(SERVICE, "ActiveState");
        assert_eq!(state, "active", "{}", self.machine.journal(SERVICE));
    }

    /// The one process of the service.
    fn process(&self) -> u32 {
        let processes = self.machine.processes(&format!("system.slice/{SERVICE}"));
        assert_eq!(processes.len(), 1, "{processes:?}");
        processes[0]
    }

    /// Every thread has the rights of the unit, less what the tracer gives up.
    fn is_confined(&self) {
        let user = self.machine.property(SERVICE, "UID");
        let number: u32 = user.parse().expect("a number");
        assert!((61_184..=65_519).contains(&number), "DynamicUser= takes others: {user}");
        for status in Status::of_threads(self.process()) {
            assert_eq!((status.field("Uid"), status.field("Gid")), (&*user, &*user));
            let (privileges, seccomp) = (status.field("NoNewPrivs"), status.field("Seccomp"));
            assert_eq!((privileges, seccomp), ("1", "2"), "{status:?}");
            let held = (status.set("CapPrm"), status.set("CapEff"));
            assert_eq!(held, (DAC_READ_SEARCH, DAC_READ_SEARCH));
            assert_eq!((status.set("CapInh"), status.set("CapAmb")), (0, 0), "{status:?}");
            assert_eq!(status.set("CapBnd") & !LOADING, 0, "{status:?}");
        }
        self.sees_what_it_may();
        self.machine.run(&["systemd-analyze", "security", MOST, SERVICE]);
    }

    /// Its view of the machine, tried by root in it.
    fn sees_what_it_may(&self) {
        let process = self.machine.property(SERVICE, "MainPID");
        let view = ["nsenter", "--mount", "--net", "--target", &process, "--"];
        let shell = ["sh", "-c"];
        let own = "touch /var/log/tracer/x /var/lib/tracer/x /run/tracer/x && rm /var/*/tracer/x";
        self.machine.run(&[&view[..], &shell, &[own]].concat());
        for script in SHUT {
            self.machine.run(&[&shell[..], &[script]].concat());
            let within = self.machine.output(&[&view[..], &shell, &[script]].concat());
            assert!(!within.status.success(), "{script}: {}", said(&within));
        }
    }

    /// The hook and its reason are those of a tracer that nothing is hidden from.
    fn hides_no_hook(&self) {
        let bare = self.machine.output(&["tracer", "--duration", "1ms", "--output", "json"]);
        let hook = |said: &str| {
            let (before, after) = said.split_once("tracer: attached: hook ").expect("its hook");
            let why = before.lines().find(|line| line.starts_with("tracer: hook "));
            (after.split(' ').next().map(str::to_owned), why.map(str::to_owned))
        };
        let (bare, unit) = (said(&bare), self.machine.journal(SERVICE));
        assert_eq!(hook(&unit), hook(&bare), "under the unit, and without it");
    }

    /// Runs the service that is traced; which process it was there.
    fn load(&self) -> u64 {
        self.machine.run(&["systemctl", "start", "load.service"]);
        let truth = fs::read_to_string(self.root.path("opt/truth")).expect("its truth");
        let last = truth.lines().last().expect("a line of each run");
        let truth: Value = serde_json::from_str(last).expect("JSON");
        assert_eq!(count(&truth, "calls"), CALLS);
        count(&truth, "pid")
    }

    /// Writes settings and has them read, which systemd calls a success or not.
    fn reload(&self, settings: &str, right: bool) {
        fs::write(self.root.path(OWN), settings).expect("its folder");
        let output = self.machine.output(&["systemctl", "reload", SERVICE]);
        assert_eq!(output.status.success(), right, "{}", self.machine.journal(SERVICE));
    }

    /// Waits until the journal has said so that often.
    fn hears(&self, what: &str, times: usize) {
        wait(what, || self.machine.journal(SERVICE).matches(what).count() == times);
    }

    /// By the settings that the package brought, and by others while it runs.
    fn traces_and_reloads(&self) {
        let process = self.process();
        let first = self.load();
        self.reload("comm = [\"!workload\"]\n", true);
        self.hears("tracer: reloaded: other filters: comm", 1);
        let second = self.load();
        self.reload("comm = [\"workload\"]\nno-such-key = 1\n", false);
        assert_eq!(self.machine.property(SERVICE, "ReloadResult"), "exit-code");
        assert!(self.machine.journal(SERVICE).contains("no-such-key: no such key"));
        self.reload("comm = [\"!workload\"]\nhook = \"kprobe\"\n", true);
        self.hears("tracer: reload refused, all goes on as before: hook can't be changed", 1);
        let third = self.load();
        self.reload("", true);
        self.hears("tracer: reloaded: other filters: comm", 2);
        let fourth = self.load();
        self.tells_how_it_goes();
        assert_eq!(self.process(), process, "it went on all the time");
        self.stops_whole();
        let calls = [first, second, third, fourth].map(|pid| self.calls_of(pid).len() as u64);
        assert_eq!(calls, [CALLS, 0, 0, CALLS]);
        let cgroup = |event: &Value| event["process"]["cgroup"]["path"].clone();
        let cgroup = self.calls_of(first).last().map(cgroup);
        assert_eq!(cgroup, Some("/system.slice/load.service".into()));
    }

    /// Events of a process of the machine in the file that is written to.
    fn calls_of(&self, pid: u64) -> Vec<Value> {
        let path = self.root.path(LOGS).join("events.json");
        let text = fs::read_to_string(path).expect("where the settings say");
        let events = text.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        let namespace = self.machine.pid_namespace();
        let is_its = |event: &Value| {
            event["process"]["ns_pid"] == pid && event["process"]["ns"]["pid"] == namespace
        };
        events.filter(is_its).collect()
    }

    /// In `systemctl status`.
    fn tells_how_it_goes(&self) {
        let status = || self.machine.property(SERVICE, "StatusText");
        wait("a rate", || status().contains(" calls/s; "));
        assert!(status().contains(", lost "), "{}", status());
    }

    /// Stopped, it ends as it should, and the file is whole.
    fn stops_whole(&self) {
        self.machine.run(&["systemctl", "stop", SERVICE]);
        assert_eq!(self.machine.property(SERVICE, "Result"), "success");
        assert_eq!(self.machine.property(SERVICE, "ExecMainStatus"), "0");
        assert!(!self.machine.folder(&format!("system.slice/{SERVICE}")).exists());
        whole(self.root);
        let said = self.machine.journal(SERVICE);
        assert!(!said.contains("warning"), "{said}");
    }

    /// It goes on for longer than the watchdog's time; held up, it is started again.
    fn is_watched(&self) {
        let machine = &self.machine;
        let folder = self.root.path("etc/systemd/system/tracer.service.d");
        fs::create_dir(&folder).expect("room");
        fs::write(folder.join("sooner.conf"), "[Service]\nWatchdogSec=2\n").expect("room");
        machine.run(&["systemctl", "daemon-reload"]);
        machine.run(&["systemctl", "start", SERVICE]);
        let fed = || -> u64 {
            let time = machine.property(SERVICE, "WatchdogTimestampMonotonic");
            time.parse().expect("microseconds")
        };
        let (process, start) = (self.process(), fed());
        wait("twice its time", || fed() > start + 4_000_000);
        assert_eq!((self.process(), &*machine.property(SERVICE, "NRestarts")), (process, "0"));
        machine.run(&["systemctl", "kill", "--signal=STOP", SERVICE]);
        wait("it is started again", || {
            machine.property(SERVICE, "NRestarts") == "1"
                && machine.property(SERVICE, "ActiveState") == "active"
        });
        assert!(machine.journal(SERVICE).contains("Watchdog timeout"));
        assert_ne!(self.process(), process);
        // What it was about to write is gone with it.
        machine.run(&["systemctl", "stop", SERVICE]);
        for file in logs(self.root) {
            fs::remove_file(file).expect("our own");
        }
    }

    /// With settings that are wrong it is not started again and again.
    fn does_not_insist(&self) {
        fs::write(self.root.path(OWN), "no-such-key = 1\n").expect("its folder");
        let start = self.machine.output(&["systemctl", "start", SERVICE]);
        assert!(!start.status.success(), "it is wrong");
        let is = ["ActiveState", "ExecMainStatus", "NRestarts"];
        let is = is.map(|name| self.machine.property(SERVICE, name));
        assert_eq!(is, ["failed", "2", "0"]);
        // Nor do the starts that are still to come count with those that were.
        self.machine.run(&["systemctl", "reset-failed", SERVICE]);
    }

    /// By itself, and by logrotate as the package's example has it.
    fn sets_files_aside(&self) {
        let has = |name: &str| self.root.path(LOGS).join(name).exists();
        let start = |size: &str| {
            let to = format!("write = [\"file:/var/log/tracer/events.json{size}\"]\n");
            fs::write(self.root.path(OWN), to).expect("its folder");
            self.machine.run(&["systemctl", "restart", SERVICE]);
        };
        start("?size=512K&compress=zstd");
        self.load();
        wait("a file is set aside", || {
            logs(self.root).iter().any(|file| file.extension().is_some_and(|it| it == "zst"))
        });
        start("");
        self.load();
        let recipe = "/usr/share/doc/tracer/examples/logrotate";
        self.machine.run(&["logrotate", "--force", recipe]);
        assert!(has("events.json.1"));
        wait("the next file", || has("events.json"));
        self.load();
    }

    /// Its program is another one then, and the settings that were changed stay.
    fn is_upgraded(&self) {
        let process = self.process();
        self.machine.run(&["dpkg", "--install", "/opt/tracer.deb"]);
        self.is_active();
        assert_ne!(self.process(), process, "started again");
        assert!(self.root.path(OWN).exists());
    }
}

/// All files that it wrote.
fn logs(root: &Root) -> Vec<PathBuf> {
    named(&root.path(LOGS), "events.json")
}

/// From a start to an end record, again and again, nothing is missing.
fn whole(root: &Root) {
    let (report, code) = verify(&logs(root));
    assert_eq!((&report["complete"], code), (&Value::Bool(true), Some(0)), "{report}");
    assert!(count(&report["runs"][0], "events") >= CALLS, "{report}");
}

/// Enabled, it is there after a start of the machine; removed, it is not.
fn goes(machine: &Machine, root: &Root) {
    assert_eq!(machine.property(SERVICE, "ActiveState"), "active");
    machine.run(&["dpkg", "--remove", "tracer"]);
    assert_eq!(machine.property(SERVICE, "LoadState"), "not-found");
    assert_eq!(machine.property(SERVICE, "ActiveState"), "inactive");
    assert!(root.path(OWN).exists() && !logs(root).is_empty(), "what may be wanted again");
    machine.run(&["dpkg", "--purge", "tracer"]);
    let search =
        "find /run /tmp /var/tmp /sys/fs/cgroup /etc /usr /var/lib/systemd -name '*tracer*'";
    assert_eq!(machine.run(&["sh", "-c", search]), "");
    assert_eq!(machine.run(&["systemctl", "list-units", "--all", "--no-legend", "tracer*"]), "");
}

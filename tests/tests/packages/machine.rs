//! A machine of its own in a root: systemd as the first process of namespaces for processes,
//! mounts, cgroups, names and the network, in a cgroup that is all of its hierarchy. The kernel
//! is shared, so that a tracer in it sees every process, by the numbers of the outside.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use tests::cgroup::Cgroup;
use tests::child::Running;
use tests::far::wait_between;
use tests::skip::skip;
use tests::tools;

use super::root::{Root, said};

const START: &str = include_str!("machine.sh");
/// It does not outlive the thread that starts it.
const ALONE: [&str; 3] = ["--pdeathsig", "KILL", "unshare"];
const NAMESPACES: [&str; 6] = ["--mount", "--pid", "--cgroup", "--uts", "--ipc", "--net"];
/// In seconds; no command in it takes longer.
const LIMIT: &str = "60";

/// Waits for what takes a command to find out.
pub fn wait(what: &str, done: impl FnMut() -> bool) {
    wait_between(Duration::from_millis(50), what, done);
}

pub struct Machine {
    // Ended before its cgroup is removed.
    init: Option<Running>,
    cgroup: Cgroup,
}

impl Machine {
    /// Starts it and waits until all of it has been started; None, with a skip, where there
    /// can be none.
    pub fn boot(group: &str, root: &Root) -> Option<Self> {
        match Self::lacks() {
            Err(reason) => {
                skip(group, &format!("systemd can't be run: {reason}"));
                None
            }
            Ok(cgroup) => Some(Self::boot_in(cgroup, root)),
        }
    }

    /// A cgroup for it, or what it would lack.
    fn lacks() -> Result<Cgroup, String> {
        for program in ["setpriv", "unshare", "nsenter"] {
            tools::find(program).ok_or(format!("no {program}"))?;
        }
        let output = Command::new("unshare").args(NAMESPACES).args(["--fork", "true"]).output();
        let output = output.map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(said(&output));
        }
        Cgroup::new("systemd")
    }

    fn boot_in(cgroup: Cgroup, root: &Root) -> Self {
        let mut command = Command::new("sh");
        // The cgroup that it is in becomes the root of its namespace's.
        command.args(["-c", r#"echo $$ >"$0/cgroup.procs"; exec setpriv "$@""#]);
        command.arg(cgroup.folder()).args(ALONE).args(NAMESPACES);
        command.args(["--fork", "--kill-child", "sh", "-c", START, "machine"]).arg(root.folder());
        let mut machine = Self { init: Some(Running::start(command)), cgroup };
        machine.started();
        machine
    }

    /// Waits until all is started, as long as it runs.
    fn started(&mut self) {
        let mut state = String::new();
        wait("all is started", || {
            let init = self.init.as_mut().expect("only `off` takes it");
            let said = init.said();
            assert!(!init.has_ended(), "it ended, and said:\n{said}");
            if self.first().is_some() {
                let output = self.output(&["systemctl", "is-system-running"]);
                state = String::from_utf8(output.stdout).expect("text");
            }
            !["", "initializing", "starting", "offline", "unknown"].contains(&state.trim())
        });
        let failed = self.run(&["systemctl", "list-units", "--failed"]);
        assert_eq!(state.trim(), "running", "{failed}");
    }

    /// Its first process, as the outside numbers it.
    fn first(&self) -> Option<u32> {
        self.processes("init.scope").first().copied()
    }

    /// The number of its pid namespace.
    pub fn pid_namespace(&self) -> u64 {
        let first = self.first().expect("it runs");
        fs::metadata(format!("/proc/{first}/ns/pid")).expect("/proc").ino()
    }

    /// The processes of a unit, as the outside numbers them.
    pub fn processes(&self, unit: &str) -> Vec<u32> {
        let text = fs::read_to_string(self.folder(unit).join("cgroup.procs")).unwrap_or_default();
        text.lines().map(|line| line.parse().expect("a number")).collect()
    }

    /// A unit's cgroup.
    pub fn folder(&self, unit: &str) -> PathBuf {
        self.cgroup.folder().join(unit)
    }

    /// What a command in it gives, as root, whether it fails or not.
    pub fn output<S: AsRef<OsStr>>(&self, args: &[S]) -> Output {
        let first = self.first().expect("it runs").to_string();
        let mut command = Command::new("timeout");
        command.args([LIMIT, "nsenter", "--target", &first, "--all", "--"]).args(args);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("LC_ALL", "C.UTF-8").env("DEBIAN_FRONTEND", "noninteractive");
        command.env("SYSTEMD_PAGER", "").env("SYSTEMD_COLORS", "0");
        command.output().expect("timeout(1)")
    }

    /// What a command in it prints; panics where it fails.
    pub fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> String {
        let output = self.output(args);
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).expect("text")
    }

    /// A property of a unit.
    pub fn property(&self, unit: &str, name: &str) -> String {
        let value = self.run(&["systemctl", "show", "--value", "--property", name, unit]);
        value.trim_end().to_owned()
    }

    /// What the journal has of a unit.
    pub fn journal(&self, unit: &str) -> String {
        self.run(&["journalctl", "--sync"]);
        self.run(&["journalctl", "--output=cat", "--unit", unit])
    }

    /// Turns it off as its owner would.
    pub fn off(mut self) {
        // Who asks may be ended with all others before the answer.
        self.output(&["systemctl", "poweroff"]);
        self.init.take().expect("only this takes it").finish();
        assert!(self.is_empty(), "processes are left");
    }

    /// Whether no process is in its cgroup or below.
    fn is_empty(&self) -> bool {
        let events = fs::read_to_string(self.folder("cgroup.events")).unwrap_or_default();
        !events.lines().any(|line| line == "populated 1")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // With its first process all others end.
        drop(self.init.take());
        let start = Instant::now();
        while !self.is_empty() && start.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

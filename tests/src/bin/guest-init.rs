//! The first process of a guest: makes the system usable, runs the suites that its
//! plan names, says on the channel of results how they ended, and powers off.
//!
//! `cargo xtask test --guest` writes the plan and reads the results. What suites print
//! goes to the channel as it is; lines of ours begin with `@guest`:
//!
//! | line | when |
//! |---|---|
//! | `@guest up RELEASE SECONDS` | everything is mounted |
//! | `@guest suite NAME` | a suite starts |
//! | `@guest ended NAME HOW` | `exit N`, `signal N`, `deadline SECONDS` or `error TEXT` |
//! | `@guest skip LINE` | a line of the file that `TRACER_SKIPS` names |
//! | `@guest tainted N` | the kernel's own opinion of its state |
//! | `@guest done` | the last line |

use std::{
    ffi::CString,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::process::ExitStatusExt as _,
    },
    path::Path,
    process::{Command, ExitStatus},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{RecvTimeoutError, channel},
    },
    thread,
    time::Duration,
};

const PLAN: &str = "/guest/plan";
const SKIPS: &str = "/tmp/skips";

/// Kind, place and options of each file system.
const MOUNTS: &[(&str, &str, &str)] = &[
    ("proc", "/proc", ""),
    ("sysfs", "/sys", ""),
    ("devtmpfs", "/dev", ""),
    ("tracefs", "/sys/kernel/tracing", ""),
    ("debugfs", "/sys/kernel/debug", ""),
    ("bpf", "/sys/fs/bpf", ""),
    ("cgroup2", "/sys/fs/cgroup", ""),
    ("tmpfs", "/tmp", "mode=1777"),
];

/// What to run, one item on each line of the plan.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    /// `results DEVICE`
    results: String,
    /// `deadline SECONDS`, for each suite.
    deadline: Duration,
    /// `env NAME=VALUE`
    env: Vec<(String, String)>,
    /// `suite NAME ARGS…`, in the folder `/suites`.
    suites: Vec<(String, Vec<String>)>,
}

impl Plan {
    fn parse(text: &str) -> Result<Self, String> {
        let mut plan = Self::default();
        for line in text.lines() {
            let (item, rest) = line.split_once(' ').unwrap_or((line, ""));
            let bad = || format!("{PLAN}: {line}");
            match item {
                "results" => plan.results = rest.to_owned(),
                "deadline" => plan.deadline = Duration::from_secs(rest.parse().map_err(|_| bad())?),
                "env" => {
                    let (name, value) = rest.split_once('=').ok_or_else(bad)?;
                    plan.env.push((name.to_owned(), value.to_owned()));
                }
                "suite" => {
                    let mut words = rest.split(' ').map(str::to_owned);
                    let name = words.next().filter(|name| !name.is_empty()).ok_or_else(bad)?;
                    plan.suites.push((name, words.collect()));
                }
                _ => return Err(bad()),
            }
        }
        Ok(plan)
    }
}

fn main() {
    if std::process::id() != 1 {
        eprintln!("guest-init: the first process of a guest, and of no other use");
        std::process::exit(2);
    }
    if let Err(error) = serve() {
        // The console: the end marker is missing, so its tail is shown.
        eprintln!("guest-init: {error}");
    }
    power_off();
}

fn serve() -> Result<(), String> {
    for (kind, place, options) in MOUNTS {
        mount(kind, place, options).map_err(|error| format!("mount {kind} {place}: {error}"))?;
    }
    loopback_up().map_err(|error| format!("lo: {error}"))?;
    let plan = fs::read_to_string(PLAN).map_err(|error| format!("{PLAN}: {error}"))?;
    let plan = Plan::parse(&plan)?;
    let mut results = OpenOptions::new()
        .write(true)
        .open(&plan.results)
        .map_err(|error| format!("{}: {error}", plan.results))?;
    run_all(&plan, &mut results).map_err(|error| format!("{}: {error}", plan.results))
}

fn run_all(plan: &Plan, results: &mut File) -> io::Result<()> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let uptime = uptime.split(' ').next().unwrap_or("?");
    writeln!(results, "@guest up {} {uptime}", release.trim())?;
    for (name, args) in &plan.suites {
        writeln!(results, "@guest suite {name}")?;
        let how = run(plan, name, args, results).unwrap_or_else(|error| format!("error {error}"));
        // A suite that was killed may have left half a line.
        writeln!(results, "\n@guest ended {name} {how}")?;
    }
    for line in fs::read_to_string(SKIPS).unwrap_or_default().lines() {
        writeln!(results, "@guest skip {line}")?;
    }
    let tainted = fs::read_to_string("/proc/sys/kernel/tainted").unwrap_or_default();
    writeln!(results, "@guest tainted {}", tainted.trim())?;
    writeln!(results, "@guest done")?;
    // SAFETY: an open descriptor; waits until the device has sent everything.
    unsafe { libc::tcdrain(results.as_raw_fd()) };
    Ok(())
}

/// Runs a suite to its end, or kills everything at its deadline.
fn run(plan: &Plan, name: &str, args: &[String], results: &File) -> io::Result<String> {
    let child = Command::new(Path::new("/suites").join(name))
        .args(args)
        .current_dir("/")
        .env("PATH", "/bin")
        .env("TRACER_SKIPS", SKIPS)
        .envs(plan.env.iter().map(|(name, value)| (name, value)))
        .stdout(results.try_clone()?)
        .stderr(results.try_clone()?)
        .spawn()?;
    let deadline = plan.deadline;
    let late = Arc::new(AtomicBool::new(false));
    let (ended, end) = channel::<()>();
    let watchdog = thread::spawn({
        let late = Arc::clone(&late);
        move || {
            if end.recv_timeout(deadline) == Err(RecvTimeoutError::Timeout) {
                late.store(true, Ordering::SeqCst);
                kill_all();
            }
        }
    });
    let status = reap_until(child.id());
    drop(ended);
    let _ = watchdog.join();
    // Nothing of a suite lives on beside the next one.
    kill_all();
    let status = status?;
    Ok(match (late.load(Ordering::SeqCst), status.code(), status.signal()) {
        (true, ..) => format!("deadline {}", deadline.as_secs()),
        (false, Some(code), _) => format!("exit {code}"),
        (false, None, Some(signal)) => format!("signal {signal}"),
        (false, None, None) => format!("error {status}"),
    })
}

/// Waits for whatever ends, orphans too, until it is `child`.
fn reap_until(child: u32) -> io::Result<ExitStatus> {
    loop {
        let mut status = 0;
        // SAFETY: a status of our own to write to.
        let pid = unsafe { libc::wait(&mut status) };
        match u32::try_from(pid) {
            Ok(pid) if pid == child => return Ok(ExitStatus::from_raw(status)),
            Ok(_) => {}
            Err(_) => return Err(io::Error::last_os_error()),
        }
    }
}

/// Kills every process but this one.
fn kill_all() {
    // SAFETY: integers only. From the first process, -1 is everybody else.
    unsafe { libc::kill(-1, libc::SIGKILL) };
}

fn mount(kind: &str, place: &str, options: &str) -> io::Result<()> {
    // Kernels that lack a file system also lack its folder in /sys.
    fs::create_dir_all(place)?;
    let [kind, place, options] = [kind, place, options].map(CString::new);
    let (kind, place, options) = (kind?, place?, options?);
    // SAFETY: strings that live through the call.
    let result = unsafe {
        libc::mount(kind.as_ptr(), place.as_ptr(), kind.as_ptr(), 0, options.as_ptr().cast())
    };
    // The kernel may have mounted devtmpfs by itself.
    if result == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EBUSY) {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}

fn loopback_up() -> io::Result<()> {
    // SAFETY: integers only.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that was just opened and is nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: integers and arrays of them, for which zeros are values.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an ifreq, which lives through the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &request) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn power_off() {
    // SAFETY: integers only; there is nothing on disk to lose.
    unsafe { libc::reboot(libc::LINUX_REBOOT_CMD_POWER_OFF) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan() {
        let plan = "results /dev/ttyS1\ndeadline 90\nenv A=b=c\nsuite one\nsuite two --skip x\n";
        let plan = Plan::parse(plan).expect("a plan");
        assert_eq!(plan.results, "/dev/ttyS1");
        assert_eq!(plan.deadline, Duration::from_secs(90));
        assert_eq!(plan.env, [("A".to_owned(), "b=c".to_owned())]);
        let two = vec!["--skip".to_owned(), "x".to_owned()];
        assert_eq!(plan.suites, [("one".to_owned(), vec![]), ("two".to_owned(), two)]);
    }

    #[test]
    fn a_plan_with_a_slip() {
        for line in ["suit x", "deadline soon", "env A", "suite ", ""] {
            let error = Plan::parse(&format!("{line}\n")).expect_err(line);
            assert_eq!(error, format!("{PLAN}: {line}"));
        }
    }
}

//! `cargo xtask soak MINUTES`: the tracer as a service under mixed load, for long.
//!
//! Workloads call without a pause, short-lived processes and callers by 32-bit numbers among
//! them; the configuration is read again and the receiver restarted now and then. What the
//! tracer says of itself (`--metrics`) is sampled, and in the end held against what its
//! receiver got.

mod load;
mod receiver;
mod report;
mod sample;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use self::{load::Load, receiver::Receiver, report::Report, sample::Sampler};
use crate::{cargo, privilege::Privilege, run, workspace::Workspace};

/// Between two samples.
const SAMPLE: Duration = Duration::from_secs(5);
/// Between two reloads of the configuration.
const RELOAD: Duration = Duration::from_secs(30);
/// Between two restarts of the receiver.
const RESTART: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub struct Options {
    /// How long.
    #[arg(value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    minutes: u64,
    /// Where the table and the plot go [default: target/soak].
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// The built tracer and workload; set where xtask calls itself as root.
    #[arg(long, hide = true, num_args = 2, value_names = ["TRACER", "WORKLOAD"])]
    programs: Option<Vec<PathBuf>>,
}

pub fn main(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    let Some([tracer, workload]) = options.programs.as_deref() else {
        let privilege = Privilege::find()?;
        let programs = [run::build(workspace, &[])?, build_workload(workspace)?];
        return again_as_root(&privilege, &programs);
    };
    let out = options.out.clone().unwrap_or_else(|| workspace.target_dir().join("soak"));
    fs::create_dir_all(&out).with_context(|| format!("can't make {}", out.display()))?;
    let time = Duration::from_secs(60 * options.minutes);
    let report = soak(tracer, workload, time)?;
    let text = report.markdown();
    fs::write(out.join("soak.md"), &text)?;
    fs::write(out.join("soak.svg"), report.plot()?)?;
    println!("{text}\n{}: soak.md, soak.svg", out.display());
    Ok(if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn build_workload(workspace: &Workspace) -> Result<PathBuf> {
    let args = ["build", "--release", "--locked", "--package", "tests", "--bin", "workload"];
    let built = cargo::build(workspace, &args)?;
    let found = built.into_iter().find(|executable| executable.name == "workload");
    Ok(found.context("cargo built no workload")?.path)
}

/// The same command as root, with what was built as the caller.
fn again_as_root(privilege: &Privilege, programs: &[PathBuf; 2]) -> Result<ExitCode> {
    let own = std::env::current_exe().context("xtask's own path")?;
    let root = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let mut command = privilege.command(own, &[("CARGO_MANIFEST_DIR", root.as_os_str())]);
    command.args(std::env::args_os().skip(1)).arg("--programs").args(programs);
    let status = command.status().context("can't start xtask as root")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The service's configuration; each number has a filter of its own, none of which leaves
/// out any of the workloads' calls.
fn configuration(folder: &Path, port: u16, number: u64) -> String {
    let filter = match number % 3 {
        0 => String::new(),
        1 => "filter = ['process.comm != \"nobody\"']\n".to_owned(),
        _ => "filter = ['args.vlen < 1000000', 'process.pid != 1']\n".to_owned(),
    };
    let folder = folder.display();
    format!(
        "filter-in = \"daemon\"\n{filter}metrics = \"127.0.0.1:{port}\"\n\
         spool = \"{folder}/spool\"\nqueue = \"32M\"\non-full = \"drop\"\n\
         write = [\n    \"json=unix:{folder}/socket\",\n    \
         \"ecs=file:{folder}/events.json?size=32M&keep=4&compress=zstd\",\n]\n"
    )
}

fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("no free port")?;
    Ok(listener.local_addr()?.port())
}

/// Runs it all.
fn soak(tracer: &Path, workload: &Path, time: Duration) -> Result<Report> {
    let folder = TempDir::new().context("no temporary folder")?;
    let port = free_port()?;
    let path = folder.path().join("tracer.toml");
    fs::write(&path, configuration(folder.path(), port, 0))?;
    let mut receiver = Receiver::start(folder.path(), tracer)?;
    let said = folder.path().join("stderr");
    let mut child = Command::new(tracer)
        .arg("--config")
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(&said)?)
        .spawn()
        .context("can't start the tracer")?;
    attached(&mut child, &said)?;
    let stop = Arc::new(AtomicBool::new(false));
    let load = Load::start(workload, folder.path(), &stop)?;
    let mut sampler = Sampler::new(port, child.id());
    let start = Instant::now();
    let (mut reloads, mut reloaded, mut restarted) = (0, start, start);
    while start.elapsed() < time {
        thread::sleep(SAMPLE.min(time.saturating_sub(start.elapsed())));
        sampler.take(start.elapsed(), &receiver)?;
        if let Some(status) = child.try_wait()? {
            bail!("the tracer ended ({status}); it said:\n{}", fs::read_to_string(&said)?);
        }
        if reloaded.elapsed() >= RELOAD {
            reloads += 1;
            reloaded = Instant::now();
            fs::write(&path, configuration(folder.path(), port, reloads))?;
            signal(&child, Signal::HUP)?;
        }
        if restarted.elapsed() >= RESTART {
            restarted = Instant::now();
            receiver.restart()?;
        }
        let seconds = start.elapsed().as_secs();
        eprint!("\rsoak: {} of {} minutes", seconds / 60, time.as_secs() / 60);
        let _ = std::io::stderr().flush();
    }
    eprintln!();
    stop.store(true, Ordering::Relaxed);
    let calls = load.end()?;
    // What they did last is seen by then.
    thread::sleep(2 * SAMPLE);
    sampler.take(start.elapsed(), &receiver)?;
    signal(&child, Signal::INT)?;
    let status = child.wait()?;
    let said = fs::read_to_string(&said)?;
    let verified = receiver.end()?;
    Ok(Report {
        machine: machine(),
        time,
        samples: sampler.samples,
        reloads,
        calls,
        status,
        said,
        verified,
    })
}

fn signal(child: &Child, signal: Signal) -> Result<()> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a process id")?;
    kill_process(pid, signal).context("can't signal the tracer")
}

/// Waits until everything is attached.
fn attached(child: &mut Child, said: &Path) -> Result<()> {
    let start = Instant::now();
    loop {
        let text = fs::read_to_string(said)?;
        if text.contains("tracer: attached") {
            return Ok(());
        }
        if let Some(status) = child.try_wait()? {
            bail!("the tracer ended ({status}); it said:\n{text}");
        }
        if start.elapsed() > Duration::from_secs(30) {
            bail!("the tracer does not attach; it said:\n{text}");
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// CPUs, memory and kernel.
fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let field = |name: &str| {
        let line = info.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let model = field("model name").unwrap_or_else(|| "CPU".to_owned());
    let cpus = thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = read("/proc/meminfo");
    let kib = memory.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy().into_owned();
    format!("{cpus} × {model}, {} GiB, Linux {release}", kib.unwrap_or(0) >> 20)
}

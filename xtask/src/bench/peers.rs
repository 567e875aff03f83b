//! Other tracers around the same workload.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::{
    Suite, cost, cpu,
    report::Row,
    stats::Spread,
    watcher::{Bench, Watcher, interrupt, said_by},
};
use crate::workspace::on_path;

/// Longest time that one may take until it shows a call.
const LIMIT: Duration = Duration::from_secs(30);

/// One line of JSON for each call, with what can be had without reading memory.
const SCRIPT: &str = r#"
tracepoint:syscalls:sys_enter_recvmmsg { @at[tid] = nsecs; @fd[tid] = args->fd; @vlen[tid] = args->vlen; }
tracepoint:syscalls:sys_exit_recvmmsg /@at[tid]/ {
  printf("{\"time\":%lld,\"pid\":%d,\"tid\":%d,\"comm\":\"%s\",\"sockfd\":%d,\"vlen\":%d,\"ret\":%d,\"latency_ns\":%lld}\n",
    nsecs, pid, tid, comm, @fd[tid], @vlen[tid], args->ret, nsecs - @at[tid]);
  delete(@at[tid]); delete(@fd[tid]); delete(@vlen[tid]);
}"#;

/// A tracer.
pub struct Peer {
    /// As it is called in the table.
    pub name: &'static str,
    program: &'static str,
    package: &'static str,
    args: &'static [&'static str],
    /// Whether it starts the workload itself; else it sees the whole machine.
    starts: bool,
}

pub const PEERS: &[Peer] = &[
    Peer {
        name: "strace",
        program: "strace",
        package: "strace",
        args: &["-e", "trace=recvmmsg"],
        starts: true,
    },
    Peer {
        name: "strace --seccomp-bpf -f",
        program: "strace",
        package: "strace",
        args: &["--seccomp-bpf", "-f", "-e", "trace=recvmmsg"],
        starts: true,
    },
    Peer {
        name: "bpftrace, JSON",
        program: "bpftrace",
        package: "bpftrace",
        args: &["-e", SCRIPT],
        starts: false,
    },
    Peer {
        name: "perf trace",
        program: "perf",
        package: "linux-perf",
        args: &["trace", "--all-cpus", "--event", "recvmmsg"],
        starts: false,
    },
];

impl Peer {
    /// Runs the workload under it.
    pub fn around(&self, bench: &Bench, args: &[&str]) -> Result<Value> {
        let out = bench.folder.path().join("peer");
        // What an earlier run said is no sign of life.
        File::create(&out).with_context(|| format!("{}", out.display()))?;
        if self.starts {
            let workload = bench.command(args);
            let mut command = Command::new(self.program);
            command.args(self.args).arg("-o").arg(&out);
            command.arg("--").arg(workload.get_program()).args(workload.get_args());
            return said_by(&mut command);
        }
        let errors = bench.folder.path().join("peer-errors");
        let stderr = File::create(&errors).with_context(|| format!("{}", errors.display()))?;
        let mut command = Command::new(self.program);
        command.args(self.args);
        command.arg("-o").arg(&out).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let mut child = cpu::spawn_on(bench.other, &mut command)
            .with_context(|| format!("can't start {}", self.name))?;
        let said = self
            .attached(&mut child, bench, &out, &errors)
            .and_then(|()| said_by(&mut bench.command(args)));
        interrupt(&mut child, self.name)?;
        said
    }

    /// Waits until it shows a call: it says nothing of when it begins.
    fn attached(&self, child: &mut Child, bench: &Bench, out: &Path, errors: &Path) -> Result<()> {
        let start = Instant::now();
        loop {
            said_by(&mut bench.command(&["eagain", "--millis", "1", "--chunk", "50"]))?;
            let shown = fs::read_to_string(out).unwrap_or_default();
            if shown.contains("recvmmsg") || shown.contains("\"sockfd\"") {
                return Ok(());
            }
            let ended = child.try_wait().context("its end")?;
            if ended.is_some() || start.elapsed() > LIMIT {
                let said = fs::read_to_string(errors).unwrap_or_default();
                bail!("{} shows nothing: {}", self.name, said.trim());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Why it can't be used here.
    fn lacks(&self, bench: &Bench) -> Option<String> {
        if on_path(self.program).is_none() {
            return Some(format!("{} is not installed (Debian's {})", self.program, self.package));
        }
        let tried = bench.run(Watcher::Peer(self), &["eagain", "--millis", "1", "--chunk", "50"]);
        tried.err().map(|error| format!("{error:#}").replace('\n', " "))
    }
}

/// Added per traced call by each, and how much that is of what the tracer adds in the
/// same round.
pub fn measure(suite: &mut Suite) -> Result<()> {
    let section = "EAGAIN under other tracers".to_owned();
    let mut here = Vec::new();
    for peer in PEERS {
        match peer.lacks(&suite.bench) {
            None => here.push(peer),
            Some(reason) => suite.report.skip(peer.name, reason),
        }
    }
    let options: &[&str] = &["--detail", "call"];
    let watchers: Vec<_> = [Watcher::Tracer(options)]
        .into_iter()
        .chain(here.iter().map(|peer| Watcher::Peer(peer)))
        .collect();
    // They are slow: chunks that end in time.
    let measured = cost::pairs(suite, &watchers, &["eagain", "--chunk", "100"], suite.deadline(1))?;
    let names = ["tracer --detail call"].into_iter().chain(here.iter().map(|peer| peer.name));
    let ours: Vec<f64> = measured[0].pairs.0.iter().map(|(bare, watched)| watched - bare).collect();
    for (i, (name, cost::Measured { pairs, failed, .. })) in names.zip(&measured).enumerate() {
        if let Some(error) = failed {
            suite.report.skip(name, format!("{error:#}").replace('\n', " "));
        }
        let Some(value) = pairs.added() else { continue };
        let ratios =
            pairs.0.iter().zip(&ours).map(|((bare, watched), ours)| (watched - bare) / ours);
        let note = match Spread::of(ratios) {
            Some(ratio) if i > 0 => format!(
                "{:.0} times the tracer's ({:.0} … {:.0})",
                ratio.median, ratio.low, ratio.high
            ),
            _ => String::new(),
        };
        let (section, unit, what) = (section.clone(), "ns".to_owned(), name.to_owned());
        suite.report.row(Row { section, what, unit, bare: pairs.bare(), value, note });
    }
    Ok(())
}

//! Workloads that call until they are told to stop, and count what they did.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};

/// Scenarios with their options, and the pause after each run.
const MIX: &[(&[&str], u64)] = &[
    // Many calls at once, then none.
    (&["flood", "--count", "1000", "--threads", "2"], 700),
    // Batches of many sizes, from several threads.
    (&["mixed", "--count", "100", "--threads", "3"], 900),
    // Processes that live for a few calls; threads that block as they end.
    (&["short-lived", "--count", "20", "--threads", "3"], 1500),
    (&["children"], 1300),
    // Calls that block, and end by a timeout or a datagram.
    (&["blocking"], 800),
    // By the numbers of 32-bit callers.
    (&["delivered-compat"], 1100),
    (&["detail-control-compat"], 1200),
    (&["efault"], 1000),
];

/// The threads that start them.
pub struct Load(Vec<JoinHandle<Result<u64>>>);

impl Load {
    /// Starts all of them.
    pub fn start(workload: &Path, folder: &Path, stop: &Arc<AtomicBool>) -> Result<Self> {
        let start = |(number, (args, pause)): (usize, &(&'static [&'static str], u64))| {
            let (workload, stop) = (workload.to_owned(), Arc::clone(stop));
            let truth = folder.join(format!("truth-{number}"));
            let (args, pause) = (*args, Duration::from_millis(*pause));
            thread::Builder::new()
                .name(args[0].to_owned())
                .spawn(move || until(&stop, &workload, args, pause, &truth))
                .context("no thread")
        };
        MIX.iter().enumerate().map(start).collect::<Result<_>>().map(Self)
    }

    /// Waits for their end; how many runs there were.
    pub fn end(self) -> Result<u64> {
        let mut runs = 0;
        for thread in self.0 {
            runs += thread.join().map_err(|_| anyhow!("a workload's thread panicked"))??;
        }
        Ok(runs)
    }
}

fn until(
    stop: &AtomicBool,
    workload: &Path,
    args: &[&str],
    pause: Duration,
    truth: &PathBuf,
) -> Result<u64> {
    let mut runs = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut command = Command::new(workload);
        command.args(args).arg("--truth").arg(truth);
        let output = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .context("can't start a workload")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("workload {} failed ({}): {said}", args.join(" "), output.status);
        }
        let _ = fs::remove_file(truth);
        runs += 1;
        thread::sleep(pause);
    }
    Ok(runs)
}

//! Starting a guest and listening to it.
//!
//! Two serial lines: the kernel's console goes to a file, and results come through a
//! line of their own, into which no kernel message can fall.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};

use super::Arch;
use crate::{setup::beside, workspace::on_path};

/// How the guest's own run ended; what it said is the listener's.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// QEMU ended: the guest powered off, or panicked.
    Stopped,
    /// It was killed after this time.
    Deadline(Duration),
}

/// Runs a guest to its end and hands each line of its results on.
pub fn run(
    arch: &Arch,
    kernel: &Path,
    image: &Path,
    console: &Path,
    deadline: Duration,
    mut line: impl FnMut(&str),
) -> Result<End> {
    let mut command = start(arch.qemu)?;
    command
        .args(arch.machine)
        // One thread for both CPUs. With a thread for each, 6.12 once panicked in an int3
        // while a tracepoint was being enabled, and on 6.1 two CPUs once waited for each
        // other forever. Neither was seen again since; that QEMU 7.2 is the cause, and
        // not the kernel or the tracer, is an inference.
        .args(["-accel", "tcg,thread=single", "-smp", "2", "-m", "1024"])
        .args(["-nodefaults", "-display", "none", "-no-reboot"])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(image)
        .args([
            "-append",
            &format!("console={} panic=-1 oops=panic quiet random.trust_cpu=on", arch.console),
        ])
        .arg("-chardev")
        .arg(format!("file,id=console,path={}", comma_free(console)?))
        .args(["-chardev", "stdio,id=results,signal=off"])
        .args(arch.lines)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    let start = Instant::now();
    let mut qemu = Running(command.spawn().with_context(|| format!("can't start {}", arch.qemu))?);
    let results = qemu.0.stdout.take().ok_or_else(|| anyhow!("{} has no stdout", arch.qemu))?;
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut results = BufReader::new(results);
        loop {
            let mut bytes = Vec::new();
            match results.read_until(b'\n', &mut bytes) {
                Ok(1..) if sender.send(bytes).is_ok() => {}
                _ => return,
            }
        }
    });
    loop {
        match receiver.recv_timeout(deadline.saturating_sub(start.elapsed())) {
            Ok(bytes) => line(&String::from_utf8_lossy(&bytes)),
            Err(RecvTimeoutError::Disconnected) => {
                qemu.0.wait().with_context(|| format!("can't wait for {}", arch.qemu))?;
                return Ok(End::Stopped);
            }
            // Killed by `drop`.
            Err(RecvTimeoutError::Timeout) => return Ok(End::Deadline(deadline)),
        }
    }
}

/// A command that the kernel kills when the calling thread ends, however it ends, where
/// setpriv (util-linux) can ask for that.
fn start(program: &str) -> Result<Command> {
    let program = beside::command(program).ok_or_else(|| anyhow!("{program} is not installed"))?;
    let Some(setpriv) = on_path("setpriv") else { return Ok(program) };
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL"]).arg(program.get_program());
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Ok(command)
}

/// A QEMU of ours, which does not outlive its guest's deadline.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// QEMU's options are lists with commas.
fn comma_free(path: &Path) -> Result<String> {
    let text = path.to_str().ok_or_else(|| anyhow!("{} is not UTF-8", path.display()))?;
    Ok(text.replace(',', ",,"))
}

/// What the console says about a kernel in trouble, or its last lines.
pub fn tail(console: &Path) -> String {
    let bytes = fs::read(console).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let trouble = lines.iter().position(|line| is_trouble(line));
    let from = trouble.unwrap_or_else(|| lines.len().saturating_sub(30));
    lines[from..].iter().take(60).map(|line| format!("    {line}\n")).collect()
}

/// The first line of an oops, a panic or a warning.
fn is_trouble(line: &str) -> bool {
    const SIGNS: &[&str] = &[
        "Kernel panic",
        "BUG: ",
        "Oops",
        "WARNING: ",
        "general protection fault",
        "Internal error",
    ];
    SIGNS.iter().any(|sign| line.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_begins_where_the_trouble_does() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let console = folder.path().join("console");
        let lines: Vec<String> = (0..100).map(|number| format!("[ {number}.0] fine\r\n")).collect();
        fs::write(&console, lines.concat()).expect("a file");
        assert!(tail(&console).starts_with("    [ 70.0] fine\n"));
        let text = lines.concat() + "[ 100.1] BUG: unable to handle\r\n[ 100.2] more\r\n";
        fs::write(&console, text).expect("a file");
        assert_eq!(tail(&console), "    [ 100.1] BUG: unable to handle\n    [ 100.2] more\n");
        assert_eq!(tail(&folder.path().join("none")), "");
    }
}

//! Runs fuzz targets, shows what they found, and keeps what is worth keeping.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use super::{Fuzz, Target};

/// Longest time that one input may take: what is slower counts as a loop.
const TIMEOUT: &str = "-timeout=10";
/// Most memory, in MiB.
const MEMORY: &str = "-rss_limit_mb=1024";
/// Bytes of a find that are printed.
const SHOWN: usize = 2048;

/// What to do with libFuzzer's own lines.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// They go to the terminal.
    Shown,
    /// Only the last one, or all of them where there is a find.
    Last,
}

impl Fuzz {
    /// Runs a target on the kept corpus and on `seeds`, then for so many seconds on what
    /// it makes of them; new inputs go to `work`. Returns the number of finds.
    pub fn run(
        &self,
        target: &Target,
        seconds: u64,
        work: &Path,
        seeds: &Path,
        output: Output,
    ) -> Result<usize> {
        println!("fuzz: {}", target.name);
        let artifacts = self.folder.join("artifacts").join(target.name);
        fs::create_dir_all(&artifacts)
            .with_context(|| format!("can't make {}", artifacts.display()))?;
        let before = finds(&artifacts)?;
        let mut command = self.command(target)?;
        command
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .arg(work);
        for folder in
            [self.corpus(target), seeds.to_owned(), self.folder.join("found").join(target.name)]
        {
            if folder.is_dir() {
                command.arg(folder);
            }
        }
        let (ok, said) = match output {
            Output::Shown => (status(&mut command)?, String::new()),
            Output::Last => {
                let output = command.output().context("can't start the target")?;
                (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
            }
        };
        let found: Vec<_> = finds(&artifacts)?.difference(&before).cloned().collect();
        match said.lines().find(|line| line.starts_with('#') && line.contains("DONE")) {
            Some(last) if ok => println!("fuzz: {}: {}", target.name, last.replace('\t', " ")),
            _ => eprint!("{said}"),
        }
        if ok {
            return Ok(0);
        }
        for find in &found {
            eprintln!("fuzz: {}: {}", target.name, find.display());
            let bytes = fs::read(find).with_context(|| format!("can't read {}", find.display()))?;
            let shown = bytes.get(..SHOWN).unwrap_or(&bytes);
            eprintln!("fuzz: its {} bytes: {}", bytes.len(), shown.escape_ascii());
            eprintln!("fuzz: again: cargo xtask fuzz {} --input {}", target.name, find.display());
        }
        // Without an artifact it ended for another reason, which its own lines tell.
        Ok(found.len().max(1))
    }

    /// Runs a target on one input; whether that did no harm.
    pub fn replay(&self, target: &Target, input: &Path) -> Result<bool> {
        // The target runs in another folder.
        let input = std::path::absolute(input).context("no current folder")?;
        status(self.command(target)?.arg(input))
    }

    /// Makes the kept corpus the fewest inputs that cover all that it and `others` do.
    pub fn keep(&self, target: &Target, others: &[&Path]) -> Result<()> {
        let corpus = self.corpus(target);
        fs::create_dir_all(&corpus).with_context(|| format!("can't make {}", corpus.display()))?;
        let merged = TempDir::new_in(&self.folder).context("no temporary folder")?;
        let mut command = self.command(target)?;
        command.arg(format!("-max_len={}", target.kept_len));
        command.arg("-set_cover_merge=1").arg(merged.path()).arg(&corpus).args(others);
        if !status(command.stderr(Stdio::null()))? {
            bail!("{}: the corpus could not be merged", target.name);
        }
        fs::remove_dir_all(&corpus).with_context(|| format!("{}", corpus.display()))?;
        fs::rename(merged.keep(), &corpus).with_context(|| format!("{}", corpus.display()))?;
        let count = fs::read_dir(&corpus).context("the new corpus")?.count();
        println!("fuzz: {}: {count} inputs kept", target.name);
        Ok(())
    }

    fn command(&self, target: &Target) -> Result<Command> {
        let mut command = Command::new(self.program(target)?);
        command.args([TIMEOUT, MEMORY, &format!("-max_len={}", target.max_len)]);
        command.current_dir(&self.folder);
        Ok(command)
    }
}

fn status(command: &mut Command) -> Result<bool> {
    Ok(command.status().context("can't start the target")?.success())
}

/// What libFuzzer wrote down: crashes, timeouts, inputs that took too much memory. That
/// an input was slow is no find.
fn finds(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("can't read {}", folder.display()))?;
    let mut finds = BTreeSet::new();
    for entry in entries {
        let path = entry.with_context(|| format!("can't read {}", folder.display()))?.path();
        let slow =
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"slow-"));
        if !slow {
            finds.insert(path);
        }
    }
    Ok(finds)
}

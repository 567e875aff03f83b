//! How fast records become lines: a recording played back on one core, with nothing
//! else to do.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};

use super::{
    Suite, cpu,
    report::Row,
    stats::Spread,
    watcher::{Tracer, said_by},
};

/// What is recorded: its name in the table, the tracer's detail, the workload.
const RECORDINGS: &[(&str, &str, &[&str])] = &[
    ("call", "call", &["flood"]),
    ("4 messages, messages", "messages", &["receive", "--messages", "4", "--chunk", "100"]),
    ("4 messages, full", "full", &["receive", "--messages", "4", "--chunk", "100"]),
];
const FORMATS: &[&str] = &["json", "table", "ecs", "ocsf", "tracee"];
/// Fewest seconds that a figure is made of: CPU time is counted in ticks of 10 ms.
const ENOUGH: f64 = 0.3;
/// Bytes of a recording that make beginning to play it cost nothing.
const ENOUGH_BYTES: u64 = 96 << 20;
/// Most times that a workload is run, or that a recording is played for one figure.
const MOST: u32 = 50;

/// Events per second of CPU time, decoded and encoded.
pub fn measure(suite: &mut Suite) -> Result<()> {
    for (name, detail, load) in RECORDINGS {
        let path = suite.bench.folder.path().join("recording");
        let record = path.to_str().context("a path in UTF-8")?;
        let options = ["--detail", detail, "--buffer", "128M", "--record", record];
        let options = [&options, &["--comm", "bench-workload", "--write", "file:/dev/null"][..]];
        let tracer = Tracer::start(&suite.bench, &options.concat(), Stdio::null())?;
        let enough = if suite.quick { ENOUGH_BYTES / 8 } else { ENOUGH_BYTES };
        let made = record_until(suite, &path, load, enough);
        let count = tracer.stop()?.emitted;
        made?;
        if count == 0 {
            bail!("nothing was recorded of {load:?}");
        }
        let size = fs::metadata(&path).context("the recording")?.len() / count;
        for format in FORMATS {
            let mut rates = Vec::new();
            let deadline = suite.deadline(RECORDINGS.len() * FORMATS.len());
            for round in 0..suite.rounds.min(5) {
                if round > 0 && Instant::now() > deadline {
                    break;
                }
                rates.push(rate(suite, record, format, count)?);
            }
            let Some(value) = Spread::of(rates) else { continue };
            suite.report.row(Row {
                section: "decode and encode a recording, one core".to_owned(),
                what: format!("{name}, {format}"),
                unit: "events/s".to_owned(),
                bare: None,
                value,
                note: format!("{count} records of {size} bytes"),
            });
        }
        fs::remove_file(&path).context("the recording")?;
    }
    Ok(())
}

/// Runs the workload until the recording is long enough, however slow the machine is.
fn record_until(suite: &Suite, path: &Path, load: &[&str], enough: u64) -> Result<()> {
    let load = [load, &["--millis", "100"]].concat();
    for _ in 0..MOST {
        said_by(&mut suite.bench.command(&load))?;
        if fs::metadata(path).context("the recording")?.len() >= enough {
            break;
        }
    }
    Ok(())
}

/// Plays a recording until there is enough to count.
fn rate(suite: &Suite, recording: &str, format: &str, count: u64) -> Result<f64> {
    let before = children_seconds()?;
    let mut played = 0;
    loop {
        let mut command = Command::new(&suite.bench.tracer);
        command.args(["replay", recording, "--output", format, "--write", "file:/dev/null"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let status = cpu::spawn_on(suite.bench.cpu, &mut command)
            .and_then(|mut child| child.wait())
            .context("can't start the tracer")?;
        if !status.success() {
            bail!("tracer replay failed ({status})");
        }
        played += 1;
        let spent = children_seconds()? - before;
        if spent >= ENOUGH || played >= MOST {
            return Ok(count as f64 * f64::from(played) / spent.max(0.01));
        }
    }
}

/// CPU time of children that have ended: fields 16 and 17 of proc_pid_stat(5).
fn children_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat").context("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<f64> = after_name
        .split_whitespace()
        .skip(13)
        .take(2)
        .filter_map(|ticks| ticks.parse().ok())
        .collect();
    let [user, system] = fields.as_slice() else { bail!("/proc/self/stat is {stat:?}") };
    Ok((user + system) / 100.0)
}

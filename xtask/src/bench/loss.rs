//! Whether it keeps up: calls as fast as one thread can make them, with the ring of a
//! user who asks for none, into a file, a pipe, and nowhere.

use std::{
    fs,
    io::{self, Read as _},
    process::{ChildStdout, Stdio},
    thread,
};

use anyhow::{Context as _, Result, anyhow};

use super::{
    Suite,
    report::Row,
    stats::Spread,
    watcher::{Tracer, said_by},
};

/// Where to, and for how many seconds: half a minute of a file would fill disks.
const SINKS: &[(&str, u64)] = &[("/dev/null", 30), ("a pipe", 30), ("a file", 5)];
/// Seconds with `--quick`.
const QUICK: u64 = 2;

/// Calls a second and what was lost of them; the daemon's CPU time.
pub fn measure(suite: &mut Suite) -> Result<()> {
    for (sink, seconds) in SINKS {
        let seconds = if suite.quick { QUICK } else { *seconds };
        flood(suite, sink, seconds)?;
    }
    Ok(())
}

fn flood(suite: &mut Suite, sink: &str, seconds: u64) -> Result<()> {
    let file = suite.bench.folder.path().join("flood");
    let write = match sink {
        "/dev/null" => "file:/dev/null".to_owned(),
        "a pipe" => "-".to_owned(),
        _ => format!("file:{}", file.display()),
    };
    let options = ["--detail", "call", "--comm", "bench-workload", "--write", &write];
    let mut tracer = Tracer::start(&suite.bench, &options, Stdio::piped())?;
    let stdout = tracer.stdout()?;
    let reader = thread::spawn(move || drain(stdout));
    let millis = (seconds * 1000).to_string();
    let said = said_by(&mut suite.bench.command(&["flood", "--millis", &millis]));
    let end = tracer.stop()?;
    reader.join().map_err(|_| anyhow!("the reader panicked"))?.context("the tracer's pipe")?;
    if file.exists() {
        fs::remove_file(&file).context("the events")?;
    }
    let said = said?;
    let number = |name: &str| said[name].as_f64().with_context(|| format!("no {name} in {said}"));
    let (calls, took) = (number("calls")?, number("seconds")?);
    let note = match end.lost {
        0 => format!("nothing lost of {} calls", end.emitted),
        lost => format!("{lost} lost of {} calls", end.emitted + lost),
    };
    let mut row = |what: String, unit: &str, value: f64, note: String| {
        let (section, unit) = ("as fast as one thread can call".to_owned(), unit.to_owned());
        if let Some(value) = Spread::of([value]) {
            suite.report.row(Row { section, what, unit, bare: None, value, note });
        }
    };
    row(format!("calls to {sink} for {seconds} s"), "calls/s", calls / took, note);
    if end.emitted > 0 {
        let per_million = end.cpu_seconds / end.emitted as f64 * 1e6;
        row(format!("daemon, per million events to {sink}"), "CPU s", per_million, String::new());
    }
    Ok(())
}

/// Reads as fast as it can, to the end.
fn drain(mut pipe: ChildStdout) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    while pipe.read(&mut buffer)? > 0 {}
    Ok(())
}

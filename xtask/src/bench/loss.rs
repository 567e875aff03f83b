//! Whether it keeps up with one thread, with the ring of a user who asks for none: with calls
//! as fast as it can make them into a file, a pipe, and nowhere, and with half a million a
//! second into files that are set aside.

use std::{
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

struct Flood {
    to: &'static str,
    seconds: u64,
    /// What the tracer writes to; `FOLDER` is one for it alone.
    write: &'static str,
    /// The workload's kind and pace.
    calls: &'static [&'static str],
}

/// Half a minute of one file would fill disks.
const FLOODS: &[Flood] = &[
    Flood { to: "/dev/null", seconds: 30, write: "file:/dev/null", calls: &["flood"] },
    Flood { to: "a pipe", seconds: 30, write: "-", calls: &["flood"] },
    Flood { to: "a file", seconds: 5, write: "file:FOLDER/flood", calls: &["flood"] },
    Flood {
        to: "rotated files",
        seconds: 30,
        write: "file:FOLDER/flood?size=1G&keep=3",
        calls: &["paced", "--rate", "500000"],
    },
];
/// Seconds with `--quick`.
const QUICK: u64 = 2;

/// Calls a second and what was lost of them; the daemon's CPU time.
pub fn measure(suite: &mut Suite) -> Result<()> {
    for it in FLOODS {
        let seconds = if suite.quick { QUICK } else { it.seconds };
        flood(suite, it, seconds)?;
    }
    Ok(())
}

fn flood(suite: &mut Suite, it: &Flood, seconds: u64) -> Result<()> {
    let sink = it.to;
    let folder = tempfile::tempdir_in(suite.bench.folder.path()).context("a folder for events")?;
    let write = it.write.replace("FOLDER", &folder.path().display().to_string());
    let options = ["--detail", "call", "--comm", "bench-workload", "--write", &write];
    let mut tracer = Tracer::start(&suite.bench, &options, Stdio::piped())?;
    let stdout = tracer.stdout()?;
    let reader = thread::spawn(move || drain(stdout));
    let millis = (seconds * 1000).to_string();
    let calls = [it.calls, &["--millis", &millis]].concat();
    let said = said_by(&mut suite.bench.command(&calls));
    let end = tracer.stop()?;
    reader.join().map_err(|_| anyhow!("the reader panicked"))?.context("the tracer's pipe")?;
    folder.close().context("the events")?;
    let said = said?;
    let number = |name: &str| said[name].as_f64().with_context(|| format!("no {name} in {said}"));
    let (calls, took) = (number("calls")?, number("seconds")?);
    let note = match end.lost {
        0 => format!("nothing lost of {} calls", end.emitted),
        lost => format!("{lost} lost of {} calls", end.emitted + lost),
    };
    let mut row = |what: String, unit: &str, value: f64, note: String| {
        let (section, unit) = ("keeping up with one thread".to_owned(), unit.to_owned());
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

//! How old an event is when it comes out of a pipe.

use std::{
    io::Read,
    process::{ChildStdout, Stdio},
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, anyhow, bail};
use jiff::Timestamp;

use super::{
    Suite,
    report::Row,
    stats::{Spread, quantile},
    watcher::{Tracer, said_by},
};

/// Calls a second, and seconds of them.
const RATES: &[(u32, u32)] = &[(1, 8), (100, 3), (10_000, 3)];

/// From the call to the reader, at several rates.
pub fn measure(suite: &mut Suite) -> Result<()> {
    for (rate, seconds) in RATES {
        let seconds = if suite.quick { seconds.div_ceil(3) } else { *seconds };
        let options = ["--comm", "bench-workload", "--health", "off", "--write", "-"];
        let mut tracer = Tracer::start(&suite.bench, &options, Stdio::piped())?;
        let stdout = tracer.stdout()?;
        let reader = thread::spawn(move || ages(stdout));
        let (rate_option, millis) = (rate.to_string(), (seconds * 1000).to_string());
        let load = ["paced", "--rate", &rate_option, "--millis", &millis];
        let said = said_by(&mut suite.bench.command(&load));
        tracer.stop()?;
        let mut ages = reader.join().map_err(|_| anyhow!("the reader panicked"))??;
        let made = said?["calls"].as_u64().context("the workload's calls")?;
        ages.sort_unstable_by(f64::total_cmp);
        let (Some(value), Some(p99), Some(max)) =
            (Spread::of(ages.iter().copied()), quantile(&ages, 0.99), ages.last())
        else {
            bail!("no event of {made} calls at {rate} calls/s");
        };
        suite.report.row(Row {
            section: "from the call to the reader of a pipe".to_owned(),
            what: format!("{rate} calls/s"),
            unit: "ms".to_owned(),
            bare: None,
            value,
            note: format!("p99 {p99:.1} ms, max {max:.1} ms; {} of {made} calls", ages.len()),
        });
    }
    Ok(())
}

/// How old each event is as it comes, in milliseconds.
fn ages(mut pipe: ChildStdout) -> Result<Vec<f64>> {
    // The wall clock may be set meanwhile; the monotonic one goes on from here.
    let (wall, start) = (Timestamp::now(), Instant::now());
    let (mut ages, mut buffer, mut line) = (Vec::new(), vec![0; 1 << 20], Vec::new());
    loop {
        let got = pipe.read(&mut buffer).context("the tracer's pipe")?;
        if got == 0 {
            return Ok(ages);
        }
        let now = wall.as_nanosecond() + i128::try_from(start.elapsed().as_nanos())?;
        for byte in &buffer[..got] {
            if *byte != b'\n' {
                line.push(*byte);
                continue;
            }
            let text = String::from_utf8_lossy(&line);
            let time = text.split_once("\"time\":\"").and_then(|(_, rest)| rest.split_once('"'));
            let (time, _) = time.with_context(|| format!("no time in {text}"))?;
            let time: Timestamp = time.parse().with_context(|| format!("{time} is no time"))?;
            ages.push((now - time.as_nanosecond()) as f64 / 1e6);
            line.clear();
        }
    }
}

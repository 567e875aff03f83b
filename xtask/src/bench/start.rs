//! How long it takes to begin, and how much memory to be there.

use std::process::Stdio;

use anyhow::Result;

use super::{Suite, report::Row, stats::Spread, watcher::Tracer};

/// From exec to attached, and the memory of a tracer that has nothing to do.
pub fn measure(suite: &mut Suite) -> Result<()> {
    let options = ["--comm", "nobody", "--write", "file:/dev/null"];
    let (mut began, mut alone, mut own, mut maps) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..suite.rounds {
        let tracer = Tracer::start_anywhere(&suite.bench, &options, Stdio::null())?;
        began.push(tracer.began.as_secs_f64() * 1e3);
        let memory = tracer.memory()?;
        own.push(memory.own as f64 / 1024.0);
        maps.push(memory.maps as f64 / 1024.0);
        tracer.stop()?;
        let tracer = Tracer::start(&suite.bench, &options, Stdio::null())?;
        alone.push(tracer.began.as_secs_f64() * 1e3);
        tracer.stop()?;
    }
    for (what, unit, values, note) in [
        ("exec to attached", "ms", began, ""),
        ("exec to attached, on one CPU", "ms", alone, ""),
        ("resident beside the ring, idle", "MiB", own, "the program's own file with it"),
        ("ring, as mapped", "MiB", maps, "its data is mapped twice"),
    ] {
        let Some(value) = Spread::of(values) else { continue };
        suite.report.row(Row {
            section: "the daemon".to_owned(),
            what: what.to_owned(),
            unit: unit.to_owned(),
            bare: None,
            value,
            note: note.to_owned(),
        });
    }
    Ok(())
}

//! `tracer replay FILE`

use std::process::ExitCode;

use tracer_common::registry::EVENTS;

use super::{Failure, args, output};
use crate::{
    health::Stream,
    pipeline::Pipeline,
    recording::{Reader, RecordingError},
};

/// Plays a recording through the pipeline.
pub fn run(mut options: args::Replay) -> Result<ExitCode, Failure> {
    if !options.select.cgroup.is_empty() {
        return Err(Failure::Usage(
            "--cgroup names a cgroup of this machine; a recording has the ids of another"
                .to_owned(),
        ));
    }
    let fail =
        |error: RecordingError| Failure::Runtime(format!("{}: {error}", options.file.display()));
    let mut reader = Reader::open(&options.file).map_err(fail)?;
    let outputs = output::open(&options.output)?;
    if options.select.events.is_empty() {
        options.select.events = EVENTS.iter().collect();
    }
    let events: Vec<_> = options.select.events.iter().map(|event| event.name).collect();
    let kernel = reader.header.kernel.clone();
    let stream = Stream { hook: "replay", kernel, events, kernel_copies: None };
    let mut pipeline = Pipeline::new(stream, reader.header.clock, outputs);
    pipeline.filter = output::criteria(&options.select);
    pipeline.events = Some(options.select.events.clone());
    pipeline.health = false;
    pipeline.redact = options.redact;
    let result = loop {
        match reader.next_record() {
            Ok(Some(record)) => pipeline.record(record),
            Ok(None) => break Ok(()),
            Err(error) => break Err(fail(error)),
        }
        if pipeline.has_failed() {
            break Ok(());
        }
    };
    match pipeline.flush() {
        Err(error) if error.is_closed() => return Ok(ExitCode::SUCCESS),
        flushed => flushed?,
    }
    result.map(|()| ExitCode::SUCCESS)
}

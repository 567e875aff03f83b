//! `tracer replay FILE`

use std::{fs::File, io, os::fd::AsFd, path::Path, process::ExitCode};

use super::{
    Failure,
    args::{self, Switch},
    output,
};
use crate::{
    pipeline::Pipeline,
    recording::{Header, Reader, RecordingError},
};

/// Plays a recording through the pipeline.
pub fn run(options: args::Replay) -> Result<ExitCode, Failure> {
    if !options.select.cgroup.is_empty() {
        return Err(Failure::Usage(
            "--cgroup names a cgroup of this machine; a recording has the ids of another"
                .to_owned(),
        ));
    }
    let fail = |error: RecordingError| {
        let name = match options.file.to_str() {
            Some("-") => "standard input".into(),
            _ => options.file.to_string_lossy(),
        };
        Failure::Runtime(format!("{name}: {error}"))
    };
    let mut reader = open(&options.file).and_then(Reader::new).map_err(fail)?;
    log_origin(&reader.header);
    let header = &reader.header;
    let run = header.run.as_ref().map(|run| run.id).unwrap_or_default();
    let outputs = output::open(&options.output, run, None)?;
    let mut stream = header.stream.clone();
    let chosen = &options.select.events;
    stream.events.retain(|name| chosen.is_empty() || chosen.iter().any(|e| e.name == name));
    let mut pipeline = Pipeline::new(stream, header.clock, outputs);
    pipeline.filter = output::criteria(&options.select);
    pipeline.events = (!chosen.is_empty()).then(|| chosen.clone());
    pipeline.health = options.output.health == Switch::On;
    pipeline.redact = options.redact;
    let result = pipeline.play(&mut reader, options.all).map_err(fail);
    pipeline.close();
    match pipeline.flush() {
        Err(error) if error.is_closed() => return Ok(ExitCode::SUCCESS),
        flushed => flushed?,
    }
    if let Some(failure) = pipeline.take_failure() {
        return Err(failure.into());
    }
    result.map(|()| ExitCode::SUCCESS)
}

fn open(path: &Path) -> Result<File, RecordingError> {
    if path == "-" {
        return Ok(io::stdin().as_fd().try_clone_to_owned().map(File::from)?);
    }
    Ok(File::open(path)?)
}

fn log_origin(header: &Header) {
    let (stream, arch) = (&header.stream, &header.arch);
    log::info!("recorded on Linux {} ({arch}) with hook {}", stream.kernel, stream.hook);
    if let Some(run) = &header.run {
        log::info!(
            "recorded by tracer {}, process {} in boot {}",
            run.version,
            run.pid,
            run.boot_id
        );
    }
    if let Some(setup) = &header.setup {
        log::info!("{setup:?}");
    }
}

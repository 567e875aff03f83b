//! Opens the sinks and chooses their encoders.

use std::io::IsTerminal;

use clap::{ColorChoice, ValueEnum, builder::PossibleValue};

use super::{
    Failure,
    args::{self, Format, Select},
    colored,
};
use crate::{
    encode::{Encoder, table::Table},
    event::RunId,
    filter::Criteria,
    pipeline::Output,
    sink::{Destination, Sink, Spool},
};

/// Width of a table that goes to no terminal.
const WIDTH: usize = 120;

/// The destinations, each with its format.
pub fn writes(options: &args::Output) -> Vec<(Format, Destination)> {
    let each = options.write.iter();
    each.map(|write| (write.format.unwrap_or(options.output), write.destination.clone())).collect()
}

/// Opens every destination, for lines of that run.
pub fn open(
    options: &args::Output,
    run: RunId,
    mut spool: Option<&mut Spool>,
) -> Result<Vec<Output>, Failure> {
    writes(options)
        .iter()
        .map(|(format, destination)| {
            open_one((*format, destination), options.color, run, spool.as_deref_mut())
        })
        .collect()
}

/// Opens one.
pub fn open_one(
    (format, destination): (Format, &Destination),
    color: ColorChoice,
    run: RunId,
    spool: Option<&mut Spool>,
) -> Result<Output, Failure> {
    let mut sink = Sink::open(destination, run).map_err(Failure::Sink)?;
    if let Some(spool) = spool {
        // What auto is where no terminal is.
        let name = if format == Format::Auto { Format::Json } else { format };
        let name = name.to_possible_value();
        let name = name.as_ref().map_or("json", PossibleValue::get_name);
        let label = format!("{name}={destination}");
        sink = sink.spooled(spool, &label).map_err(Failure::Sink)?;
    }
    Ok(Output::new(sink, encoder(format, color, destination)))
}

fn encoder(format: Format, color: ColorChoice, destination: &Destination) -> Encoder {
    let stdout = *destination == Destination::Stdout;
    let terminal = stdout && std::io::stdout().is_terminal();
    match format {
        Format::Json => Encoder::Json,
        Format::Ecs => Encoder::Ecs,
        Format::Ocsf => Encoder::Ocsf,
        Format::Tracee => Encoder::Tracee,
        Format::Auto if !terminal => Encoder::Json,
        Format::Auto | Format::Table => {
            let color = match color {
                ColorChoice::Auto => stdout && colored(ColorChoice::Auto),
                choice => colored(choice),
            };
            Encoder::Table(Box::new(Table::new(if terminal { width() } else { WIDTH }, color)))
        }
    }
}

/// The terminal's width.
pub fn width() -> usize {
    rustix::termios::tcgetwinsize(std::io::stdout())
        .ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns > 0)
        .unwrap_or(WIDTH)
}

/// The options as criteria; cgroups, which need this machine, come separately.
pub fn criteria(select: &Select) -> Criteria {
    Criteria {
        pids: select.pid.clone(),
        tids: select.tid.clone(),
        ppids: select.ppid.clone(),
        uids: select.uid.clone(),
        comms: select.comm.clone(),
        exes: select.exe.clone(),
        cgroups: Vec::new(),
        containers: select.container.clone(),
        conditions: select.filter.iter().flat_map(|expression| expression.0.clone()).collect(),
    }
}

//! Opens the sinks and chooses their encoders.

use std::io::IsTerminal;

use super::{
    Failure,
    args::{self, Format, Select},
    colored,
};
use crate::{
    encode::{Encoder, table::Table},
    filter::Criteria,
    pipeline::Output,
    sink::{Destination, Sink},
};

/// Width of a table that goes to no terminal.
const WIDTH: usize = 120;

/// Opens every destination.
pub fn open(options: &args::Output) -> Result<Vec<Output>, Failure> {
    options
        .write
        .iter()
        .map(|destination| {
            let sink = Sink::open(destination).map_err(Failure::Sink)?;
            Ok(Output::new(sink, encoder(options, destination)))
        })
        .collect()
}

fn encoder(options: &args::Output, destination: &Destination) -> Encoder {
    let terminal = *destination == Destination::Stdout && std::io::stdout().is_terminal();
    match options.output {
        Format::Json => Encoder::Json,
        Format::Auto if !terminal => Encoder::Json,
        Format::Auto | Format::Table => {
            let stdout = *destination == Destination::Stdout;
            let color = match options.color {
                clap::ColorChoice::Auto => stdout && colored(clap::ColorChoice::Auto),
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

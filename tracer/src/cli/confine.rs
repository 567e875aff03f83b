//! Gives up, once the programs are attached, what the rest of the run does not take.

use std::path::PathBuf;

use clap::ValueEnum;

use super::{Failure, args::Trace};
use crate::{
    confine::{self, Part, Settings},
    sink::Reach,
    source::Live,
};

/// Whether privileges are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Confine {
    /// As far as the kernel has the means; -v says which
    Auto,
    /// All of it, or the program ends with 3
    On,
    /// No
    Off,
}

/// Gives it up, as `--confine` says, but for reading what is given; what can be reached then,
/// unless it is all.
pub fn apply(options: &Trace, live: &Live, read: Vec<PathBuf>) -> Result<Option<Reach>, Failure> {
    if options.confine == Confine::Off {
        return Ok(None);
    }
    let reach = reach(options).and(Reach { read, ..Reach::default() });
    let settings = Settings {
        reach: reach.clone(),
        command: !options.command.is_empty(),
        looks_up_exe: !live.tells_exe(),
    };
    let outcome = confine::confine(&settings).map_err(|error| {
        let why = format!("cannot give up privileges: {error}; --confine off keeps them");
        Failure::Confine(why)
    })?;
    for (part, left) in &outcome.done {
        log::info!("confined by {}: {left}", part.name());
    }
    for lacking in &outcome.lacking {
        if options.confine == Confine::On {
            let kernel = live.kernel();
            let why = format!("--confine on, but not confined by {lacking}, on Linux {kernel}");
            return Err(Failure::Confine(format!("{why}; auto takes what there is")));
        }
        let level = if lacking.part == Part::Threads { log::Level::Warn } else { log::Level::Info };
        log::log!(level, "not confined by {lacking}");
    }
    Ok(Some(reach))
}

/// What all destinations and the spool reach.
fn reach(options: &Trace) -> Reach {
    let each = options.output.write.iter().map(|write| Reach::of(&write.destination));
    let folders = options.spool.iter().cloned().collect();
    each.fold(Reach { folders, ..Reach::default() }, Reach::and)
}

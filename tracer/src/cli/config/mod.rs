//! Options from files and the environment beside those of the command line.
//!
//! ```text
//! file, conf.d ─┐
//! environment ──┼─► arguments ─► clap ─► options
//! command line ─┘
//! ```
//! A key is a long option's name, and what it says is parsed as that option's: there is no
//! other definition. A value given in a later place replaces all values of an earlier one;
//! flags are over the environment, and that is over files. No file is read that was not
//! asked for.

mod check;
mod file;
mod keys;
#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use clap::{ArgMatches, Command, CommandFactory, FromArgMatches, parser::ValueSource};

use super::args::Cli;
pub use check::check;
pub use file::places;
use keys::{Given, Keys, Layer, brief, variable_of};

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
#[error("{at}: {message}")]
pub struct ConfigError {
    /// The file, line and key, or the variable.
    at: String,
    message: String,
}

impl ConfigError {
    fn new(at: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self { at: at.to_string(), message: message.to_string() }
    }
}

/// Why there are no options.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The command line is wrong, or asks for help: clap says so.
    #[error(transparent)]
    Line(#[from] clap::Error),
    /// Something else is.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl LoadError {
    /// On one line.
    pub fn brief(&self) -> String {
        match self {
            Self::Line(error) => brief(error),
            Self::Config(error) => error.to_string(),
        }
    }
}

/// The options of all places together.
pub struct Loaded {
    /// As the program takes them.
    pub cli: Cli,
    /// As clap has them.
    pub matches: ArgMatches,
    /// The configuration file, if there is one.
    pub file: Option<PathBuf>,
    /// What files and the environment say and nothing overrides.
    layer: Layer,
}

/// Where options come from, also when they are read again.
#[derive(Clone, Debug)]
pub struct Sources {
    line: Vec<OsString>,
}

impl Sources {
    /// A command line, with the program's name.
    pub fn new(line: impl IntoIterator<Item = OsString>) -> Self {
        Self { line: line.into_iter().collect() }
    }

    /// Reads them all.
    ///
    /// # Errors
    /// [`LoadError`]: the first thing that is wrong.
    pub fn load(&self, variable: impl Fn(&str) -> Option<OsString>) -> Result<Loaded, LoadError> {
        // What is wrong is said by the last parse, which has all.
        let first = Cli::command().ignore_errors(true).try_get_matches_from(&self.line);
        let tracing = first.as_ref().is_ok_and(|matches| matches.subcommand_name().is_none());
        let Some(given) = first.ok().filter(|_| tracing) else {
            return Self::parsed(&self.line, None, Layer::new());
        };
        let keys = Keys::new(Cli::command());
        let named = given.try_get_one::<PathBuf>("config").ok().flatten().cloned();
        let named = named.or_else(|| variable(&variable_of("config")).map(PathBuf::from));
        let file = named.filter(|path| !path.as_os_str().is_empty());
        let mut layers = match &file {
            Some(path) => of_files(&keys, path)?,
            None => Layer::new(),
        };
        over(&mut layers, keys.of_environment(variable)?, &keys);
        layers.retain(|key, _| !is_overridden(&keys, key, &given));
        let (program, rest) = self
            .line
            .split_first()
            .map_or((None, &[][..]), |(program, rest)| (Some(program), rest));
        let args = layers.values().flat_map(|given| &given.args).map(OsString::from);
        let line: Vec<_> =
            program.cloned().into_iter().chain(args).chain(rest.iter().cloned()).collect();
        Self::parsed(&line, file, layers)
    }

    fn parsed(line: &[OsString], file: Option<PathBuf>, layer: Layer) -> Result<Loaded, LoadError> {
        let mut command = Cli::command();
        let matches = command.try_get_matches_from_mut(line).and_then(|matches| {
            let cli =
                Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
            Ok((cli, matches))
        });
        match matches {
            Ok((cli, matches)) => Ok(Loaded { cli, matches, file, layer }),
            // Each was fine by itself.
            Err(error) if !layer.is_empty() && error.use_stderr() => {
                let places = layer.values().map(|given| given.at.as_str());
                let places = places.collect::<Vec<_>>().join(", ");
                let message = format!("{} (with what is set at {places})", brief(&error));
                Err(ConfigError::new("options", message).into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// What a file and those beside it say together.
fn of_files(keys: &Keys, path: &Path) -> Result<Layer, ConfigError> {
    let mut layers = Layer::new();
    for text in file::read(path)? {
        over(&mut layers, keys.of_file(&text)?, keys);
    }
    Ok(layers)
}

/// Puts a layer over others: a key replaces what there was, and what excludes it.
fn over(layers: &mut Layer, layer: Layer, keys: &Keys) {
    for (key, given) in &layer {
        if !given.args.is_empty()
            && let Some(arg) = keys.option(key)
        {
            for other in keys.conflicts(arg).filter_map(clap::Arg::get_long) {
                layers.remove(other);
            }
        }
    }
    layers.extend(layer);
}

/// Whether the command line says something else than a key does.
fn is_overridden(keys: &Keys, key: &str, given: &ArgMatches) -> bool {
    let on_line = |arg: &clap::Arg| {
        given.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
    };
    keys.option(key).is_none_or(|arg| on_line(arg) || keys.conflicts(arg).any(on_line))
}

/// The options that are not the same in both, by their names.
pub fn differences(old: &ArgMatches, new: &ArgMatches) -> Vec<String> {
    let command: Command = Cli::command();
    let raw = |matches: &ArgMatches, id: &str| -> Vec<OsString> {
        let values = matches.try_get_raw(id).ok().flatten();
        values.map(|values| values.map(Into::into).collect()).unwrap_or_default()
    };
    let differ = |arg: &&clap::Arg| {
        let id = arg.get_id().as_str();
        match keys::shape(arg) {
            keys::Shape::Count => old.get_count(id) != new.get_count(id),
            keys::Shape::Switch => old.get_flag(id) != new.get_flag(id),
            _ => raw(old, id) != raw(new, id),
        }
    };
    let differing = command.get_arguments().filter(differ);
    differing.map(|arg| arg.get_long().unwrap_or(arg.get_id().as_str()).to_owned()).collect()
}

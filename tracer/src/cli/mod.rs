//! The program: the command line, what it sets in motion, and the exit status.

pub mod args;
mod cgroup;
mod config;
mod confine;
mod diagnostics;
mod notify;
mod output;
mod pace;
mod parse;
#[cfg(feature = "metrics")]
mod publish;
mod reload;
mod replay;
mod session;
mod signals;
mod trace;
mod verify;

use std::{io::Write, path::Path, process::ExitCode};

use clap::CommandFactory;

use crate::{catalog, pipeline::PipelineError, sink::SinkError, source::SourceError};
use args::{Cli, Command, ListFormat, Listing, Record};
use config::{LoadError, Sources};

/// Why the program ends with a status other than 0.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Runtime(String),
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("{0}")]
    Confine(String),
    #[error("{lost} events were lost, more than --max-loss {most}")]
    Loss { lost: u64, most: u64 },
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    #[error(transparent)]
    Sink(SinkError),
}

impl Failure {
    /// The exit status, as the manual page lists them.
    fn status(&self) -> u8 {
        match self {
            Self::Runtime(_) | Self::Sink(_) => 1,
            Self::Usage(_) => 2,
            Self::Source(error) => {
                if error.is_support() {
                    3
                } else {
                    1
                }
            }
            Self::Confine(_) => 3,
            Self::Loss { .. } => 4,
            Self::Pipeline(_) => 5,
        }
    }
}

/// Prints the manual page of the program or of one of its subcommands.
fn man(of: Option<&str>) -> Result<ExitCode, Failure> {
    let mut command = Cli::command();
    // Gives subcommands the names that they have in full.
    command.build();
    let command = match of {
        None => command,
        Some(name) => command.find_subcommand(name).cloned().ok_or_else(|| {
            Failure::Usage(format!("no subcommand `{name}`: see `tracer --help`"))
        })?,
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut text)
        .map_err(|error| Failure::Runtime(error.to_string()))?;
    print(&text)
}

/// Runs the program.
pub fn main() -> ExitCode {
    let sources = Sources::new(std::env::args_os());
    let mut loaded = match sources.load(|name| std::env::var_os(name)) {
        Ok(loaded) => loaded,
        Err(LoadError::Line(error)) => error.exit(),
        Err(LoadError::Config(error)) => return fail(&Failure::Usage(error.to_string())),
    };
    let result = match loaded.cli.command.take() {
        Some(Command::List(listing)) => list(&listing),
        Some(Command::Doctor(listing)) => doctor(&listing),
        Some(Command::Replay(replay)) => {
            diagnostics::init(&replay.output);
            replay::run(*replay)
        }
        Some(Command::Verify(options)) => verify::run(&options),
        Some(Command::Schema { of: Record::Json }) => print_json(&catalog::schema::event()),
        Some(Command::Schema { of: Record::Health }) => print_json(&catalog::schema::health()),
        Some(Command::Schema { of: Record::Ecs }) => print_json(&catalog::schema::ecs()),
        Some(Command::Schema { of: Record::Ocsf }) => print_json(&catalog::schema::ocsf()),
        Some(Command::Schema { of: Record::Tracee }) => print_json(&catalog::schema::tracee()),
        Some(Command::Completions { shell }) => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tracer", &mut text);
            print(&text)
        }
        Some(Command::Man { of }) => man(of.as_deref()),
        Some(Command::Config(args::Config::Check { file })) => check_config(&file),
        None => {
            diagnostics::init(&loaded.cli.trace.output);
            trace::run(loaded, sources)
        }
    };
    result.unwrap_or_else(|failure| fail(&failure))
}

fn fail(failure: &Failure) -> ExitCode {
    diagnostics::say(format_args!("error: {failure}"));
    ExitCode::from(failure.status())
}

fn check_config(file: &Path) -> Result<ExitCode, Failure> {
    let (loaded, text) = config::check(file).map_err(|error| Failure::Usage(error.brief()))?;
    trace::check(&loaded.cli.trace)?;
    print(text.as_bytes())
}

fn list(listing: &Listing) -> Result<ExitCode, Failure> {
    match listing.output {
        ListFormat::Text => print(catalog::list::text(colored(listing.color)).as_bytes()),
        ListFormat::Json => print_json(&catalog::list::json()),
    }
}

fn doctor(listing: &Listing) -> Result<ExitCode, Failure> {
    let report = catalog::doctor::examine();
    match listing.output {
        ListFormat::Text => print(report.text(colored(listing.color)).as_bytes())?,
        ListFormat::Json => print_json(&report)?,
    };
    Ok(if report.ok() { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

/// Whether standard output takes colours.
fn colored(choice: clap::ColorChoice) -> bool {
    match choice {
        clap::ColorChoice::Always => true,
        clap::ColorChoice::Never => false,
        clap::ColorChoice::Auto => {
            anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never
        }
    }
}

fn print_json(value: &impl serde::Serialize) -> Result<ExitCode, Failure> {
    let mut text =
        serde_json::to_vec_pretty(value).map_err(|error| Failure::Runtime(error.to_string()))?;
    text.push(b'\n');
    print(&text)
}

/// Writes to standard output. A reader who has gone away is no failure.
fn print(text: &[u8]) -> Result<ExitCode, Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::Runtime(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

//! The command line's definition: help, completions and the manual page are made
//! from it.

mod values;

#[cfg(feature = "metrics")]
use std::net::SocketAddr;
use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use tracer_common::registry::Event;

use super::{confine::Confine, parse};
use crate::{
    filter::{Pattern, Term, expr::Expression},
    sink::Destination,
};
pub use values::{Detail, FilterIn, Format, Hook, OnFull, Switch};

/// A destination as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Its own format.
    pub format: Option<Format>,
    /// Where to.
    pub destination: Destination,
}

impl Write {
    /// `[FORMAT=]DEST`
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let word = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase());
        let (format, destination) = match text.split_once('=') {
            Some((format, rest)) if !format.is_empty() && word(format) => {
                let known = Format::from_str(format, false);
                let names: Vec<_> =
                    Format::value_variants().iter().filter_map(Format::to_possible_value).collect();
                let names: Vec<_> =
                    names.iter().map(clap::builder::PossibleValue::get_name).collect();
                let wrong =
                    |_| format!("unknown format {format:?}: there are {}", names.join(", "));
                (Some(known.map_err(wrong)?), rest)
            }
            _ => (None, text),
        };
        Ok(Self { format, destination: Destination::parse(destination)? })
    }
}

/// Trace message-receiving syscalls with eBPF: one event per call, with every
/// message, the process, the error and the latency.
#[derive(Debug, Parser)]
#[command(
    name = "tracer",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Without a subcommand, tracer traces until it is interrupted.\n\
        Exit status: 0 fine, 1 runtime failure, 2 usage, 3 missing privilege or kernel support,\n\
        4 more loss than --max-loss, 5 a destination failed; else COMMAND's own."
)]
pub struct Cli {
    /// What to do instead of tracing.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to trace.
    #[command(flatten)]
    pub trace: Trace,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List events, arguments, types, tags and syscall numbers
    List(Listing),
    /// Show what this kernel and these privileges allow
    Doctor(Listing),
    /// Decode a recording made with --record: no privileges needed, any machine
    Replay(Box<Replay>),
    /// Check that no line is missing in what came out at the far end
    Verify(Verify),
    /// Check a configuration file
    #[command(subcommand)]
    Config(Config),
    /// Print the JSON Schema of what is written
    Schema {
        /// The kind of record.
        #[arg(value_name = "RECORD", default_value = "json")]
        of: Record,
    },
    /// Print shell completions
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or that of a subcommand
    Man {
        /// The subcommand.
        #[arg(value_name = "COMMAND")]
        of: Option<String>,
    },
}

/// What can be done with a configuration.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Say what is wrong with a configuration file and those of conf.d beside it, or which
    /// options they make and where each is set
    #[command(after_help = "Exit status: 0 fine, 2 something is wrong with it.")]
    Check {
        /// The file.
        #[arg(value_name = "FILE", default_value = "/etc/tracer/tracer.toml")]
        file: PathBuf,
    },
}

/// Options of `list` and `doctor`.
#[derive(Debug, Args)]
pub struct Listing {
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: ListFormat,
    /// When to use colours
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: clap::ColorChoice,
}

/// Options of `verify`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 complete, 1 something is missing or can't be read, 2 usage."
)]
pub struct Verify {
    /// Lines as any JSON format writes them, in any order, also compressed (gzip, zstd),
    /// in syslog's frames or wrapped by a shipper; - for standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Runs may be without their end, as while the tracer still runs
    #[arg(long)]
    pub open: bool,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: ListFormat,
}

/// Formats of `list`, `doctor` and `verify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Records that have a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Record {
    /// An event of --output json
    Json,
    /// A health record
    Health,
    /// A line of --output ecs
    Ecs,
    /// A line of --output ocsf
    Ocsf,
    /// A line of --output tracee
    Tracee,
}

/// Options of `replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// The recording; - for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What the filters of the live run left out too, as far as it was recorded
    #[arg(long, help_heading = "Selection")]
    pub all: bool,
    /// Show of payload only its length and SHA-256
    #[arg(long, help_heading = "Output")]
    pub redact: bool,
    /// Whose calls.
    #[command(flatten)]
    pub select: Select,
    /// Where to.
    #[command(flatten)]
    pub output: Output,
}

/// Options of tracing.
#[derive(Debug, Args)]
pub struct Trace {
    /// Whose calls.
    #[command(flatten)]
    pub select: Select,
    /// Where filters are decided
    #[arg(long, value_name = "WHERE", default_value = "kernel", help_heading = "Selection")]
    pub filter_in: FilterIn,
    /// Trace children too; on by itself with COMMAND
    #[arg(short, long, requires = "pid", help_heading = "Selection")]
    pub follow: bool,
    /// How much.
    #[command(flatten)]
    pub capture: Capture,
    /// Where to.
    #[command(flatten)]
    pub output: Output,
    /// Bytes that wait for each destination at most, while it is slow
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = parse::queue,
          help_heading = "Output")]
    pub queue: usize,
    /// What becomes of events while a destination's queue is full
    #[arg(long, value_name = "WHAT", default_value = "drop", help_heading = "Output")]
    pub on_full: OnFull,
    /// Folder to keep events in for destinations that are away, also over a restart
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub spool: Option<PathBuf>,
    /// Bytes that are kept there for each destination at most [default: 1G]
    #[arg(long, value_name = "SIZE", value_parser = parse::spool, requires = "spool",
          help_heading = "Output")]
    pub spool_size: Option<u64>,
    /// Read options from FILE, and from conf.d/*.toml beside it in the order of their names;
    /// SIGHUP reads them again (docs/CONFIG.md)
    #[arg(long, value_name = "FILE", help_heading = "Service")]
    pub config: Option<PathBuf>,
    /// Answer to Prometheus at /metrics, and to /healthz and /readyz, on this address; a port
    /// alone is on loopback
    #[cfg(feature = "metrics")]
    #[arg(long, value_name = "[ADDR:]PORT", value_parser = parse::address,
          help_heading = "Output")]
    pub metrics: Option<SocketAddr>,
    /// Give up, once attached, capabilities, system calls, files and ports that are not
    /// needed any more (docs/SERVICE.md)
    #[arg(long, value_name = "WHEN", default_value = "auto", help_heading = "Service")]
    pub confine: Confine,
    /// Start COMMAND and trace it and its children
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Whose calls of which events.
#[derive(Debug, Args)]
#[command(next_help_heading = "Selection")]
pub struct Select {
    /// Events to trace [default: all]
    #[arg(short, long = "event", value_name = "NAME", value_delimiter = ',',
          value_parser = parse::event)]
    pub events: Vec<&'static Event>,
    /// Processes; a leading ! negates, here and below
    #[arg(short, long, value_name = "PID", value_delimiter = ',', value_parser = parse::id)]
    pub pid: Vec<Term<u32>>,
    /// Threads
    #[arg(long, value_name = "TID", value_delimiter = ',', value_parser = parse::id)]
    pub tid: Vec<Term<u32>>,
    /// Children of these processes
    #[arg(long, value_name = "PID", value_delimiter = ',', value_parser = parse::parent)]
    pub ppid: Vec<Term<u32>>,
    /// Users, by number
    #[arg(long, value_name = "UID", value_delimiter = ',', value_parser = parse::uid)]
    pub uid: Vec<Term<u32>>,
    /// Thread names, with * ? [ ]
    #[arg(long, value_name = "GLOB", value_parser = parse::comm)]
    pub comm: Vec<Term<Pattern>>,
    /// Paths of executables, with * ? [ ]; a call whose executable is unknown passes
    #[arg(long, value_name = "GLOB", value_parser = parse::pattern)]
    pub exe: Vec<Term<Pattern>>,
    /// Cgroups (v2), and those below them
    #[arg(long, value_name = "PATH", value_parser = parse::text)]
    pub cgroup: Vec<Term<String>>,
    /// Containers, by name or id, of which the first 12 digits will do; a call whose
    /// container is unknown passes
    #[arg(long, value_name = "ID", value_parser = parse::text)]
    pub container: Vec<Term<String>>,
    /// A condition on fields of the event, such as 'args.vlen > 16 && ret < 0', with
    /// == != < <= > >= ~ (glob) in && || ! and ( ); repeatable, and then all must hold
    #[arg(long, value_name = "EXPR", value_parser = Expression::new)]
    pub filter: Vec<Expression>,
}

/// How much of each call is captured, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Capture")]
pub struct Capture {
    /// How much of each message is read
    #[arg(long, value_name = "LEVEL", default_value = "messages")]
    pub detail: Detail,
    /// Most messages to keep of one call
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = parse::messages())]
    pub messages: u32,
    /// Bytes of payload to keep of each message; needs --detail full
    #[arg(long, value_name = "BYTES", default_value_t = 0, value_parser = parse::payload())]
    pub payload: u32,
    /// Show of payload only its length and SHA-256; a recording would hold all of it
    #[arg(long, requires = "payload", conflicts_with = "record")]
    pub redact: bool,
    /// Where to attach
    #[arg(long, value_name = "HOOK", default_value = "auto")]
    pub hook: Hook,
    /// Size of all ring buffers together, rounded up to a power of two [default: 8 MiB for
    /// each CPU, from 8 to 256 MiB, and no more than a 64th of the memory]
    #[arg(long, value_name = "SIZE", value_parser = parse::buffer)]
    pub buffer: Option<u32>,
    /// Number of ring buffers that the CPUs share, at most one for each, rounded down to a
    /// power of two [default: as many as there may be of 1 MiB or more]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub rings: Option<u32>,
    /// Keep the raw records too, for `tracer replay`
    #[arg(long, value_name = "FILE", value_parser = parse::recording)]
    pub record: Option<PathBuf>,
    /// Exit with 4 once more than N events were lost
    #[arg(long, value_name = "N")]
    pub max_loss: Option<u64>,
    /// Stop after N events
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Stop after a time, for instance 10s or 5m
    #[arg(short, long, value_name = "TIME", value_parser = parse::duration)]
    pub duration: Option<Duration>,
}

/// What is written where.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// Format; auto is table on a terminal and json elsewhere
    #[arg(short, long, value_name = "FORMAT", default_value = "auto")]
    pub output: Format,
    /// Destination, with a format of its own before a = if it is to have one: -,
    /// file:PATH[?size=100M&every=1d&keep=7&compress=zstd&mode=0640], unix:PATH[?type=dgram],
    /// tcp:HOST:PORT[?framing=syslog&facility=local0&app=NAME&resend=4M],
    /// tls:HOST:PORT[?ca=FILE&cert=FILE&key=FILE&name=NAME],
    /// kafka:BROKER[,BROKER]/TOPIC[?key=pid&config=FILE],
    /// nats:HOST[:PORT]/SUBJECT[?stream=NAME&creds-file=PATH&tls=on&ca=PATH] or
    /// otlp:HOST[:PORT][?headers-file=PATH&compress=gzip&tls=on&ca=PATH]; repeatable
    #[arg(short, long, value_name = "[FORMAT=]DEST", default_value = "-",
          value_parser = Write::parse)]
    pub write: Vec<Write>,
    /// Health records in the stream: what was seen, filtered, emitted and lost
    #[arg(long, value_name = "WHEN", default_value = "on")]
    pub health: Switch,
    /// When to use colours
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: clap::ColorChoice,
    /// Only errors on stderr
    #[arg(short, long, conflicts_with_all = ["verbose", "log_level"])]
    pub quiet: bool,
    /// More on stderr; twice for still more
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
    /// Diagnostics on stderr
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<log::LevelFilter>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn a_destination_has_a_format_of_its_own() {
        let parsed = super::Write::parse("json=file:/a=b").unwrap();
        assert_eq!(parsed.format, Some(super::Format::Json));
        assert_eq!(super::Write::parse("file:/a=b").unwrap().format, None);
        let error = super::Write::parse("xml=-").unwrap_err();
        assert!(
            error
                .contains("unknown format \"xml\": there are auto, table, json, ecs, ocsf, tracee"),
            "{error}"
        );
    }

    #[test]
    fn the_definition_is_sound() {
        super::Cli::command().debug_assert();
    }
}

//! What the daemon gives up once it is attached: capabilities, new privileges, system calls,
//! files and ports that it has no more use for.
//!
//! It holds for the thread that asks for it and for those that it starts from then on, so
//! that it comes before there are others. No part can be taken back.

mod calls;
mod capabilities;
mod files;
mod process;

use std::{fmt, io};

pub use calls::filters_offered;
pub use files::landlock_abi;

use crate::sink::Reach;

/// What is left to do once the programs are attached.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What the destinations reach.
    pub reach: Reach,
    /// Whether there is a COMMAND that is waited for, and ended with the tracer.
    pub command: bool,
    /// Whether executables may have to be looked up in /proc/PID/exe, which takes the right
    /// to trace their processes.
    pub looks_up_exe: bool,
}

/// One part of the confinement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// No other threads run that it would not hold for.
    Threads,
    /// Capabilities that are not needed are given up.
    Capabilities,
    /// No program that is executed has more rights.
    NoNewPrivs,
    /// Files and ports by Landlock.
    Landlock,
    /// System calls by seccomp.
    Seccomp,
}

impl Part {
    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Threads => "threads",
            Self::Capabilities => "capabilities",
            Self::NoNewPrivs => "no_new_privs",
            Self::Landlock => "Landlock",
            Self::Seccomp => "seccomp",
        }
    }
}

/// A part that can't be had.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", part.name())]
pub struct Lacking {
    /// The part.
    pub part: Part,
    /// Why.
    pub why: String,
}

impl Lacking {
    fn new(part: Part, why: impl fmt::Display) -> Self {
        Self { part, why: why.to_string() }
    }
}

/// What was given up.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The parts that are in force, each with what is left, for people.
    pub done: Vec<(Part, String)>,
    /// Those that can't be had.
    pub lacking: Vec<Lacking>,
}

impl Outcome {
    fn add(&mut self, part: Part, result: Result<String, impl fmt::Display>) {
        match result {
            Ok(left) => self.done.push((part, left)),
            Err(why) => self.lacking.push(Lacking::new(part, why)),
        }
    }
}

/// Gives up all that can be had to be given up here; what can't be is told.
///
/// # Errors
/// Something went wrong half-way: what is left is not known.
pub fn confine(settings: &Settings) -> io::Result<Outcome> {
    let mut outcome = Outcome::default();
    // Of COMMAND, one thread waits for its first instruction and ends with it.
    outcome.add(Part::Threads, process::alone(usize::from(settings.command)));
    let hidden = process::hides_others();
    let kept = capabilities::needed(settings, hidden);
    // It takes a capability, and so comes first.
    capabilities::bound(&kept)?;
    rustix::thread::set_no_new_privs(true)?;
    outcome.add(Part::NoNewPrivs, Ok::<_, io::Error>("in force".to_owned()));
    // A Landlock domain is no tracer of processes outside of it, even to look at them.
    let reads_others = match (settings.looks_up_exe, hidden) {
        (true, _) => Err("the kernel does not tell executables, and /proc/PID/exe is not to be \
                          read under it"),
        (_, true) => Err("/proc hides processes (hidepid), which can't be seen under it"),
        _ => Ok(()),
    };
    outcome.add(
        Part::Landlock,
        reads_others.map_err(str::to_owned).and_then(|()| files::restrict(settings)),
    );
    outcome.add(Part::Capabilities, capabilities::drop_all_but(&kept));
    process::keep_memory_private();
    outcome.add(Part::Seccomp, calls::restrict(settings));
    Ok(outcome)
}

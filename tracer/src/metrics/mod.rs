//! What the tracer tells Prometheus, and whoever asks whether it is alive: `--metrics`.

mod families;
mod server;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

pub use server::Server;

use crate::health::Counts;

/// How old what was published last may be while all is well: it is renewed every second.
const STALE: Duration = Duration::from_secs(10);

/// How things stand.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The hook.
    pub hook: &'static str,
    /// The kernel's release.
    pub kernel: String,
    /// What became of calls, as it looks from the first destination.
    pub counts: Counts,
    /// Each destination.
    pub destinations: Vec<At>,
    /// Shown events: their name, `ok` or the error's name, and how many.
    pub results: Vec<(&'static str, &'static str, u64)>,
    /// Bytes in the fullest ring since the last time.
    pub ring_fullest: u64,
    /// Bytes that each ring has room for.
    pub ring_size: u64,
    /// The kernel's programs.
    pub programs: Vec<Program>,
}

/// A destination.
#[derive(Clone, Debug)]
pub struct At {
    /// Its name.
    pub name: String,
    /// What became of calls there.
    pub counts: Counts,
    /// Whether nothing is written any more.
    pub failed: bool,
    /// Bytes that its queue holds at most.
    pub queue_limit: u64,
    /// Since when the oldest line waits that is not delivered.
    pub lag: Duration,
    /// How often it was tried again to reach it.
    pub retries: u64,
    /// Lines that wait in its spool.
    pub spooled: u64,
}

/// A program in the kernel.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// Where it is attached.
    pub target: String,
    /// How often it ran, and for how long, while the kernel counts that
    /// (`kernel.bpf_stats_enabled`).
    pub runs: u64,
    /// For how long.
    pub time: Duration,
}

/// Where the tracer says how things stand.
#[derive(Clone, Default)]
pub struct Board(Arc<Mutex<Option<(Instant, Snapshot)>>>);

impl Board {
    /// How things stand now.
    pub fn publish(&self, snapshot: Snapshot) {
        *self.lock() = Some((Instant::now(), snapshot));
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Instant, Snapshot)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to Prometheus.
    fn text(&self) -> String {
        let snapshot = self.lock().as_ref().map(|(_, snapshot)| snapshot.clone());
        families::text(snapshot.as_ref())
    }

    /// Why the tracer is not alive, if it is not.
    fn ill(&self) -> Option<String> {
        let published = self.lock().as_ref().map(|(when, _)| when.elapsed());
        let age = published.filter(|age| *age > STALE)?;
        Some(format!("nothing was heard from the main loop for {} s", age.as_secs()))
    }

    /// Why events don't get to where they should, if so.
    fn unready(&self) -> Option<String> {
        if let Some(ill) = self.ill() {
            return Some(ill);
        }
        let state = self.lock();
        let Some((_, snapshot)) = state.as_ref() else {
            return Some("not attached yet".to_owned());
        };
        let failed = snapshot.destinations.iter().find(|at| at.failed)?;
        Some(format!("{} has failed", failed.name))
    }
}

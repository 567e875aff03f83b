//! Kernel clocks to wall-clock time.

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// How far the wall clock is from the kernel's other clocks, ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// CLOCK_REALTIME minus CLOCK_MONOTONIC.
    pub monotonic: i64,
    /// CLOCK_REALTIME minus CLOCK_BOOTTIME.
    pub boottime: i64,
}

impl Clock {
    /// Reads the clocks.
    pub fn now() -> Self {
        Self { monotonic: offset(ClockId::Monotonic), boottime: offset(ClockId::Boottime) }
    }

    /// Follows the wall clock's steps and slews. The start of a process must not
    /// wander, so its offset stays as it was unless the clock was stepped.
    pub fn correct(&mut self) {
        const STEP: u64 = 100_000_000;
        let now = Self::now();
        self.monotonic = now.monotonic;
        if now.boottime.abs_diff(self.boottime) > STEP {
            self.boottime = now.boottime;
        }
    }

    /// The wall-clock time of a CLOCK_MONOTONIC reading.
    pub fn wall(&self, monotonic_ns: u64) -> Option<Timestamp> {
        time(self.monotonic, monotonic_ns)
    }

    /// The wall-clock time of a CLOCK_BOOTTIME reading.
    pub fn start(&self, boottime_ns: u64) -> Option<Timestamp> {
        time(self.boottime, boottime_ns)
    }
}

fn time(offset: i64, reading: u64) -> Option<Timestamp> {
    Timestamp::from_nanosecond(i128::from(offset) + i128::from(reading)).ok()
}

/// CLOCK_REALTIME minus another clock: of a few pairs of readings the one with the
/// least time between them.
fn offset(other: ClockId) -> i64 {
    let nanoseconds = |clock| {
        let now = clock_gettime(clock);
        now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec)
    };
    (0..4)
        .map(|_| {
            let before = nanoseconds(other);
            let wall = nanoseconds(ClockId::Realtime);
            let after = nanoseconds(other);
            (after - before, wall - (before + (after - before) / 2))
        })
        .min()
        .map_or(0, |(_, offset)| offset)
}

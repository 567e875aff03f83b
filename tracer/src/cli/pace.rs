//! How long the daemon sleeps between two looks at the rings.
//!
//! The kernel wakes it only as a ring fills: waking takes several microseconds from the
//! traced call. What bounds an event's wait is the time between two looks, and what keeps a
//! busy host from paying for wakeups is to look before the mark is reached.

use std::time::{Duration, Instant};

use crate::source::Drained;

/// With nothing to do: no event waits longer for its turn.
const IDLE: Duration = Duration::from_millis(45);
/// Where the last look found something.
const BUSY: Duration = Duration::from_millis(20);
/// Under a flood, as long as the kernel does not have to wake.
const LEAST: Duration = Duration::from_millis(1);

/// How long the daemon sleeps.
#[derive(Debug)]
pub struct Pace {
    /// Unread bytes from which on the kernel wakes.
    mark: u32,
    last: Option<Instant>,
    wait: Duration,
    fullest: usize,
}

impl Pace {
    /// Until the first look, as if the host were busy.
    pub fn new(mark: u32) -> Self {
        Self { mark, last: None, wait: BUSY, fullest: 0 }
    }

    /// How long to sleep now.
    pub fn wait(&self) -> Duration {
        self.wait
    }

    /// Bytes in the fullest ring since this was last asked.
    #[cfg(feature = "metrics")]
    pub fn take_fullest(&mut self) -> usize {
        std::mem::take(&mut self.fullest)
    }

    /// What a round found that is over `now`: next time, at the same rate, no ring should
    /// be more than half way to its mark.
    pub fn drained(&mut self, found: Drained, now: Instant) {
        self.fullest = self.fullest.max(found.fullest);
        let since = self.last.replace(now).map_or(BUSY, |last| now - last);
        self.wait = match found.fullest {
            _ if found.waiting => LEAST,
            0 => IDLE,
            bytes if bytes > self.mark as usize => Duration::ZERO,
            bytes => {
                let half = f64::from(self.mark / 2) / bytes as f64;
                since.mul_f64(half.min(1e6)).clamp(LEAST, BUSY)
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: u32 = 2 << 20;

    /// The wait after a round that found so many bytes that long after the one before.
    fn after(bytes: usize, since: Duration) -> Duration {
        let start = Instant::now();
        let mut pace = Pace::new(MARK);
        let found = |fullest| Drained { fullest, waiting: false };
        pace.drained(found(1), start);
        pace.drained(found(bytes), start + since);
        pace.wait()
    }

    #[test]
    fn an_idle_host_is_looked_at_rarely() {
        assert_eq!(after(0, IDLE), IDLE);
    }

    #[test]
    fn a_call_now_and_then_changes_little() {
        assert_eq!(after(300, IDLE), BUSY);
    }

    #[test]
    fn the_mark_is_never_reached_at_a_steady_rate() {
        for millis in [1, 5, 20, 45] {
            for bytes in [1 << 20, 2 << 20, 8 << 20] {
                let since = Duration::from_millis(millis);
                let rate = bytes as f64 / since.as_secs_f64();
                let wait = after(bytes, since);
                assert_eq!(wait.is_zero(), bytes > MARK as usize, "{wait:?} after {bytes} bytes");
                let fill = rate * wait.as_secs_f64();
                assert!(wait == LEAST || fill <= f64::from(MARK), "{wait:?} at {rate} B/s");
            }
        }
    }

    #[test]
    fn what_waits_is_looked_at_at_once() {
        let mut pace = Pace::new(MARK);
        pace.drained(Drained { fullest: 1, waiting: true }, Instant::now());
        assert_eq!(pace.wait(), LEAST);
    }
}

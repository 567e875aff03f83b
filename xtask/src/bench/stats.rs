//! Figures out of runs: medians with their spread, and differences in pairs.

use serde::{Deserialize, Serialize};

/// The median of some runs and the quartiles beside it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub median: f64,
    /// A quarter of the runs lies below.
    pub low: f64,
    /// A quarter lies above.
    pub high: f64,
    pub runs: usize,
}

impl Spread {
    /// Of at least one run.
    pub fn of(runs: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut runs: Vec<f64> = runs.into_iter().collect();
        runs.sort_unstable_by(f64::total_cmp);
        Some(Self {
            median: quantile(&runs, 0.5)?,
            low: quantile(&runs, 0.25)?,
            high: quantile(&runs, 0.75)?,
            runs: runs.len(),
        })
    }
}

/// The value that a part of the sorted `values` lies below, between its neighbours
/// where it lies between them.
pub fn quantile(values: &[f64], part: f64) -> Option<f64> {
    let at = part * values.len().checked_sub(1)? as f64;
    let (below, above) = (values[at.floor() as usize], values[at.ceil() as usize]);
    Some(below + (above - below) * at.fract())
}

/// What runs took with nobody watching and right afterwards with somebody.
#[derive(Clone, Debug, Default)]
pub struct Pairs(pub Vec<(f64, f64)>);

impl Pairs {
    /// The bare figure.
    pub fn bare(&self) -> Option<Spread> {
        Spread::of(self.0.iter().map(|(bare, _)| *bare))
    }

    /// What watching added, each run against the one before it: what slows the machine
    /// down slows down both.
    pub fn added(&self) -> Option<Spread> {
        Spread::of(self.0.iter().map(|(bare, watched)| watched - bare))
    }

    /// How many per cent watching took off a rate.
    pub fn lost_percent(&self) -> Option<Spread> {
        Spread::of(self.0.iter().map(|(bare, watched)| (bare - watched) / bare * 100.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_quartiles() {
        let spread = Spread::of([5.0, 1.0, 3.0, 2.0, 4.0]).expect("runs");
        assert_eq!(spread, Spread { median: 3.0, low: 2.0, high: 4.0, runs: 5 });
        assert_eq!(Spread::of([1.0, 2.0]).expect("runs").median, 1.5);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn what_slows_down_both_cancels_out() {
        let pairs = Pairs(vec![(100.0, 150.0), (900.0, 950.0), (200.0, 250.0)]);
        assert_eq!(pairs.added().expect("pairs").median, 50.0);
        assert_eq!(pairs.bare().expect("pairs").median, 200.0);
        let rates = Pairs(vec![(1000.0, 900.0), (100.0, 90.0)]);
        assert_eq!(rates.lost_percent().expect("pairs").median, 10.0);
    }
}

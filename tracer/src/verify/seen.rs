//! Which numbers of a sequence were seen: a set of intervals, so that what comes in
//! order, or nearly, costs next to nothing however long it is.

use std::collections::BTreeMap;

/// Intervals, from their first number to their last; none touches another.
#[derive(Debug, Default)]
pub struct Seen {
    intervals: BTreeMap<u64, u64>,
    /// That which grew last: the next number is most often beside it.
    current: Option<(u64, u64)>,
}

impl Seen {
    /// Adds a number; false if it was there.
    pub fn insert(&mut self, number: u64) -> bool {
        if let Some((first, last)) = self.current {
            if (first..=last).contains(&number) {
                return false;
            }
            if last.checked_add(1) == Some(number) {
                let next = number.checked_add(1);
                let joined = next.and_then(|next| self.intervals.remove(&next));
                self.put(first, joined.unwrap_or(number));
                return true;
            }
        }
        let below = self.intervals.range(..=number).next_back().map(|(a, b)| (*a, *b));
        let first = match below {
            Some((first, last)) if number <= last => {
                self.current = Some((first, last));
                return false;
            }
            Some((first, last)) if last.checked_add(1) == Some(number) => first,
            _ => number,
        };
        let next = number.checked_add(1);
        let joined = next.and_then(|next| self.intervals.remove(&next));
        self.put(first, joined.unwrap_or(number));
        true
    }

    fn put(&mut self, first: u64, last: u64) {
        self.intervals.insert(first, last);
        self.current = Some((first, last));
    }

    /// How many intervals there are: what this takes in memory.
    pub fn intervals(&self) -> usize {
        self.intervals.len()
    }

    /// The greatest number.
    pub fn last(&self) -> Option<u64> {
        self.intervals.last_key_value().map(|(_, last)| *last)
    }

    /// What is missing between `from` and the greatest number, from the first to the last.
    pub fn gaps(&self, from: u64) -> impl Iterator<Item = (u64, u64)> {
        let mut next = from;
        self.intervals.iter().filter_map(move |(&first, &last)| {
            let gap = (first > next).then(|| (next, first - 1));
            next = last.saturating_add(1);
            gap
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(numbers in prop::collection::vec(0_u64..60, 0..120)) {
            let (mut seen, mut set) = (Seen::default(), BTreeSet::new());
            for number in &numbers {
                prop_assert_eq!(seen.insert(*number), set.insert(*number));
            }
            let missing: Vec<u64> = seen.gaps(0).flat_map(|(a, b)| a..=b).collect();
            let last = set.last().copied();
            prop_assert_eq!(seen.last(), last);
            let expected: Vec<u64> =
                (0..last.unwrap_or(0)).filter(|n| !set.contains(n)).collect();
            prop_assert_eq!(missing, expected);
            let runs = set.iter().filter(|n| **n == 0 || !set.contains(&(**n - 1))).count();
            prop_assert_eq!(seen.intervals(), runs);
        }
    }

    #[test]
    fn the_greatest_number_is_one_too() {
        let mut seen = Seen::default();
        assert!(seen.insert(u64::MAX) && !seen.insert(u64::MAX) && seen.insert(u64::MAX - 1));
        assert_eq!(seen.gaps(0).collect::<Vec<_>>(), [(0, u64::MAX - 2)]);
    }
}

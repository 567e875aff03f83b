//! Counts of events, in total and on each CPU.

/// Most CPUs that are told apart: as many as any kernel has room for.
pub(crate) const MAX_CPUS: usize = 8192;

/// A count, and what of it each CPU has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    total: u64,
    by_cpu: Vec<u64>,
}

impl Tally {
    /// Counts one event of a CPU. A number that no CPU can have, as a recording may say,
    /// counts in the total only.
    pub fn add(&mut self, cpu: u32) {
        self.total += 1;
        let cpu = cpu as usize;
        if let Some(count) = self.by_cpu.get_mut(cpu) {
            *count += 1;
        } else if cpu < MAX_CPUS {
            self.by_cpu.resize(cpu + 1, 0);
            self.by_cpu[cpu] = 1;
        }
    }

    /// Adds another count.
    pub fn merge(&mut self, other: &Self) {
        self.total += other.total;
        if self.by_cpu.len() < other.by_cpu.len() {
            self.by_cpu.resize(other.by_cpu.len(), 0);
        }
        for (count, more) in self.by_cpu.iter_mut().zip(&other.by_cpu) {
            *count += more;
        }
    }

    /// Takes a part of it away again.
    pub fn take_back(&mut self, part: &Self) {
        self.total = self.total.saturating_sub(part.total);
        for (count, less) in self.by_cpu.iter_mut().zip(&part.by_cpu) {
            *count = count.saturating_sub(*less);
        }
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Those of a CPU.
    pub fn of(&self, cpu: usize) -> u64 {
        self.by_cpu.get(cpu).copied().unwrap_or(0)
    }

    /// One more than the highest CPU that has any.
    pub fn cpus(&self) -> usize {
        self.by_cpu.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_add_up_to_the_total() {
        let mut tally = Tally::default();
        [3, 0, 3].iter().for_each(|cpu| tally.add(*cpu));
        let mut other = Tally::default();
        other.add(5);
        other.merge(&tally);
        assert_eq!(other.total(), 4);
        let by_cpu: Vec<_> = (0..7).map(|cpu| other.of(cpu)).collect();
        assert_eq!(by_cpu, [1, 0, 0, 2, 0, 1, 0]);
        assert_eq!(other.cpus(), 6);
    }

    #[test]
    fn a_number_that_is_no_cpu_takes_no_room() {
        let mut tally = Tally::default();
        tally.add(u32::MAX);
        assert_eq!((tally.total(), tally.cpus()), (1, 0));
    }
}

//! How many rings there are, and how large.

use std::fmt;

use super::super::error::SourceError;

/// Most rings.
pub const MAX_RINGS: u32 = 64;
/// Least bytes of a ring where there are several: fewer and larger ones hold a burst of
/// one CPU better.
const LEAST: u32 = 1 << 20;
/// Bytes for each CPU where nothing is asked for, and within what bounds, the last of
/// them a part of the memory.
const PER_CPU: u64 = 8 << 20;
const TOTAL: (u64, u64) = (8 << 20, 256 << 20);
const PART: u64 = 64;
/// Where memory is short.
const SMALLEST: u64 = 256 << 10;

/// How many rings there are, and how large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Their number, a power of two.
    pub count: u32,
    /// Bytes of each: a power of two, at least a page.
    pub size: u32,
}

impl Shape {
    /// By what is asked for, and else by this machine's CPUs and memory.
    ///
    /// `buffer` is the bytes of all rings, a power of two; `rings` their number, rounded
    /// down to one.
    ///
    /// # Errors
    /// [`SourceError::Io`] where the CPUs can't be counted.
    pub fn new(buffer: Option<u32>, rings: Option<u32>) -> Result<Self, SourceError> {
        let cpus = online()?.len();
        let page = rustix::param::page_size();
        let info = rustix::system::sysinfo();
        let memory = info.totalram as u64 * u64::from(info.mem_unit);
        let of = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        Ok(Self::of(buffer, rings, of(cpus), memory, of(page)))
    }

    fn of(buffer: Option<u32>, rings: Option<u32>, cpus: u32, memory: u64, page: u32) -> Self {
        let total = buffer.unwrap_or_else(|| {
            let wanted = (u64::from(cpus) * PER_CPU).clamp(TOTAL.0, TOTAL.1);
            let bytes = wanted.min(memory / PART).max(SMALLEST);
            power_of_two(u32::try_from(bytes).unwrap_or(u32::MAX))
        });
        let count = match rings {
            Some(rings) => rings.min(total / page),
            None => total / LEAST,
        };
        let count = power_of_two(count.min(cpus).min(MAX_RINGS));
        Self { count, size: total / count }
    }

    /// Bytes that each ring has room for.
    pub fn size(self) -> u32 {
        self.size
    }

    /// Unread bytes in a ring from which on the kernel asks for it to be drained.
    pub fn wake_mark(self) -> u32 {
        self.size / 4
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, unit) = match self.size {
            size if size >= 1 << 20 => (size >> 20, "MiB"),
            size => (size >> 10, "KiB"),
        };
        match self.count {
            1 => write!(f, "ring {size} {unit}"),
            count => write!(f, "rings {count} of {size} {unit}"),
        }
    }
}

/// The CPUs that are online.
fn online() -> Result<Vec<u32>, SourceError> {
    aya::util::online_cpus()
        .map_err(|(what, error)| SourceError::Io { what: what.to_owned(), error })
}

/// The largest power of two that is not more.
fn power_of_two(number: u32) -> u32 {
    1 << number.max(1).ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn shape(buffer: Option<u32>, rings: Option<u32>, cpus: u32, memory: u64) -> (u32, u32) {
        let shape = Shape::of(buffer, rings, cpus, memory, 4096);
        (shape.count, shape.size)
    }

    #[test]
    fn by_cpus_and_memory() {
        assert_eq!(shape(None, None, 1, 4 * GIB), (1, 8 << 20));
        assert_eq!(shape(None, None, 2, 4 * GIB), (2, 8 << 20));
        assert_eq!(shape(None, None, 8, 64 * GIB), (8, 8 << 20));
        assert_eq!(shape(None, None, 6, 64 * GIB), (4, 8 << 20), "48 MiB, rounded down");
        assert_eq!(shape(None, None, 64, 256 * GIB), (64, 4 << 20));
        assert_eq!(shape(None, None, 256, 1024 * GIB), (64, 4 << 20), "no more than 256 MiB");
        assert_eq!(shape(None, None, 64, GIB), (16, 1 << 20), "a 64th of the memory");
        assert_eq!(shape(None, None, 1, 16 << 20), (1, 256 << 10));
    }

    #[test]
    fn what_is_asked_for_is_the_total() {
        assert_eq!(shape(Some(4096), None, 8, GIB), (1, 4096));
        assert_eq!(shape(Some(64 << 20), None, 8, GIB), (8, 8 << 20));
        assert_eq!(shape(Some(64 << 20), Some(2), 8, GIB), (2, 32 << 20));
        assert_eq!(shape(Some(64 << 20), Some(7), 8, GIB), (4, 16 << 20));
        assert_eq!(shape(Some(16384), Some(8), 8, GIB), (4, 4096), "at least a page each");
    }

    #[test]
    fn said_as_people_would() {
        assert_eq!(Shape { count: 1, size: 8 << 20 }.to_string(), "ring 8 MiB");
        assert_eq!(Shape { count: 4, size: 4 << 10 }.to_string(), "rings 4 of 4 KiB");
    }
}

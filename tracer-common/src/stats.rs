//! Counters that the kernel programs keep, one set per CPU.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What happened on one CPU since attaching. Counts of calls unless said otherwise.
///
/// `seen` = records written + `filtered` + `ring_full` + `pending_full`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Stats {
    /// Calls of the requested events that ended.
    pub seen: u64,
    /// Of those, calls that the kernel-side filters left out.
    pub filtered: u64,
    /// Of those, calls whose record found no room in the ring buffer.
    pub ring_full: u64,
    /// Of those, calls that began unseen and found no room to be put together in.
    pub pending_full: u64,
    /// Calls whose entry could not be remembered; they are reported at exit,
    /// without what only the entry knew.
    pub entry_no_room: u64,
    /// Selected calls whose beginning was seen.
    pub begun: u64,
    /// Of those, calls that ended; the rest is still under way.
    pub ended: u64,
    /// Calls whose entry the kernel did not show; they are reported at exit, without
    /// what only the entry knew.
    pub entry_missed: u64,
    /// Calls whose return was not seen; they are reported without it.
    pub return_missed: u64,
    /// Children that could not be followed because the table of processes was full.
    pub follow_no_room: u64,
}

impl Stats {
    /// Adds another CPU's counters.
    pub fn add(&mut self, other: &Self) {
        self.seen += other.seen;
        self.filtered += other.filtered;
        self.ring_full += other.ring_full;
        self.pending_full += other.pending_full;
        self.entry_no_room += other.entry_no_room;
        self.begun += other.begun;
        self.ended += other.ended;
        self.entry_missed += other.entry_missed;
        self.return_missed += other.return_missed;
        self.follow_no_room += other.follow_no_room;
    }
}

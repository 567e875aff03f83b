//! The rings that the programs write to, read as one stream in the order of time.
//!
//! A record's time is when its call ended (or began, for what is written then), taken just
//! before it is written. A round reads the clock, then how far each ring is written, and
//! hands on what lies there with a time up to that clock's, always from the ring whose
//! next record is the earliest. So whatever was written before another record's time was
//! taken comes before it, whichever rings the two are in: of the records before it in its
//! ring, none can have a later time. Records that were in the making at the same time may
//! come either way.
//!
//! A record that is being written hides those behind it in its ring. The others wait for
//! it, though not for ever ([`PATIENCE`]): its writer may have been interrupted.

mod fill;
mod shape;

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    hint, mem,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use aya::{
    Ebpf,
    maps::{ArrayOfMaps, Map, MapData, MapError, MapType, RingBuf},
};
use rustix::time::{ClockId, clock_gettime};
use tracer_common::record::RecordHeader;
use zerocopy::FromBytes;

use self::fill::Fill;
pub use self::shape::Shape;
use super::{error::SourceError, live::joined};

/// How long a record in the making may hold back what other rings have.
const PATIENCE: Duration = Duration::from_millis(20);
/// How often a record in the making is looked at again before the round ends.
const SPINS: u32 = 200;
/// The map of the rings in the object.
const RINGS: &str = "RINGS";

/// What a round has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Bytes in the fullest ring as the round began.
    pub fullest: usize,
    /// Something waits for a record in the making.
    pub waiting: bool,
}

/// The rings.
pub struct Rings {
    rings: Vec<Ring>,
    /// Where the programs find them.
    table: MapData,
    /// The next record's time of the rings that have one, the earliest first.
    order: BinaryHeap<Reverse<(u64, usize)>>,
    /// Since when a record in the making holds all back.
    waiting: Option<Instant>,
}

struct Ring {
    ring: RingBuf<MapData>,
    fill: Fill,
    /// Bytes that are left to read in this round.
    left: usize,
}

/// Why a ring's run of records has ended.
enum End {
    /// The round's bytes are read.
    Empty,
    /// The next record is of this time.
    Later(u64),
    /// The next record is still being written.
    Busy,
    /// No more is wanted for now.
    Unwanted,
}

impl Rings {
    /// Makes the rings for the programs of an object that is loaded.
    pub fn create(shape: Shape, ebpf: &mut Ebpf) -> Result<Self, SourceError> {
        let rings: Vec<_> = (0..shape.count)
            .map(|_| Ring::create(shape.size))
            .collect::<Result<_, _>>()
            .map_err(wrap)?;
        let Some(Map::ArrayOfMaps(table)) = ebpf.take_map(RINGS) else {
            return Err(SourceError::Object(format!("map {RINGS}")));
        };
        let order = BinaryHeap::with_capacity(rings.len());
        Ok(Self { rings, table, order, waiting: None })
    }

    /// Puts the rings where the programs find them. For each the kernel waits until no
    /// program runs that could have found another one there, some 10 ms, so that each has a
    /// thread.
    pub fn place(&self) -> Result<(), SourceError> {
        let place = |index: usize, ring: &RingBuf<MapData>| {
            let table = self.table.fd().as_fd().try_clone_to_owned().map_err(MapError::IoError)?;
            let table = Map::ArrayOfMaps(MapData::from_fd(table)?);
            let mut table: ArrayOfMaps<_, RingBuf<MapData>> = table.try_into()?;
            table.set(u32::try_from(index).unwrap_or(u32::MAX), ring, 0)
        };
        let placed: Result<Vec<()>, MapError> = std::thread::scope(|scope| {
            let rings = self.rings.iter().enumerate();
            let placing: Vec<_> =
                rings.map(|(index, ring)| scope.spawn(move || place(index, &ring.ring))).collect();
            placing.into_iter().map(joined).collect()
        });
        placed.map(|_| ()).map_err(wrap)
    }

    /// The descriptors that become readable when the kernel asks to be drained.
    pub fn wakeups(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.rings.iter().map(|ring| ring.ring.as_fd())
    }

    /// Hands over what is in the rings now, in the order of time, until `each` returns
    /// false.
    pub fn drain(&mut self, mut each: impl FnMut(&[u8]) -> bool) -> Drained {
        // The clock first: what comes after it waits for the next round.
        let now = match self.rings.len() {
            1 => u64::MAX,
            _ => monotonic(),
        };
        self.round(now, self.is_patient(), &mut each)
    }

    /// Hands over everything, when nobody writes any more; whether that was all.
    pub fn drain_last(&mut self, mut each: impl FnMut(&[u8]) -> bool) -> bool {
        loop {
            let mut wanted = true;
            let mut each = |record: &[u8]| {
                wanted = each(record);
                wanted
            };
            let drained = self.round(u64::MAX, self.is_patient(), &mut each);
            if !wanted {
                return false;
            } else if drained.waiting {
                std::thread::sleep(Duration::from_millis(1));
            } else if drained.fullest == 0 || self.waiting.is_some() {
                return true;
            }
        }
    }

    /// Whether a record in the making is waited for, or has been for long enough.
    fn is_patient(&self) -> bool {
        self.waiting.is_none_or(|since| since.elapsed() < PATIENCE)
    }

    fn round(&mut self, now: u64, patient: bool, each: &mut impl FnMut(&[u8]) -> bool) -> Drained {
        let Self { rings, order, waiting, .. } = self;
        for ring in &mut *rings {
            ring.left = ring.fill.bytes();
        }
        let fullest = rings.iter().map(|ring| ring.left).max().unwrap_or(0);
        let mut busy = false;
        order.clear();
        for (i, ring) in rings.iter_mut().enumerate() {
            // No time is before 0, so that this only looks.
            match ring.run(None, each) {
                End::Later(time) => order.push(Reverse((time, i))),
                End::Busy => busy = true,
                End::Empty | End::Unwanted => {}
            }
        }
        while !(busy && patient)
            && let Some(Reverse((time, i))) = order.pop()
            && time <= now
        {
            let until = order.peek().map_or(now, |Reverse((next, _))| now.min(*next));
            match rings.get_mut(i).map_or(End::Empty, |ring| ring.run(Some(until), each)) {
                End::Later(time) => order.push(Reverse((time, i))),
                End::Busy => busy = true,
                End::Empty => {}
                End::Unwanted => break,
            }
        }
        *waiting = busy.then(|| waiting.unwrap_or_else(Instant::now));
        Drained { fullest, waiting: busy && patient }
    }
}

impl Ring {
    fn create(size: u32) -> Result<Self, MapError> {
        let definition = aya_obj::Map::new_from_params(MapType::RingBuf as u32, 0, 0, size, 0);
        let ring = RingBuf::try_from(Map::RingBuf(MapData::create(definition, "RING", None)?))?;
        let fill = Fill::of(&ring).map_err(MapError::IoError)?;
        Ok(Self { ring, fill, left: 0 })
    }

    /// Hands over what comes next, as long as its time is no later; with none, nothing.
    fn run(&mut self, until: Option<u64>, each: &mut impl FnMut(&[u8]) -> bool) -> End {
        let mut spins = 0;
        while self.left > 0 {
            let Some(record) = self.ring.next() else {
                if spins == SPINS {
                    return End::Busy;
                }
                spins += 1;
                hint::spin_loop();
                continue;
            };
            let time = time_of(&record);
            if until.is_none_or(|until| time > until) {
                // Dropped, it would be read.
                mem::forget(record);
                return End::Later(time);
            }
            self.left = self.left.saturating_sub((record.len() + HEADER).next_multiple_of(8));
            if !each(&record) {
                return End::Unwanted;
            }
        }
        End::Empty
    }
}

fn wrap(error: MapError) -> SourceError {
    SourceError::Map { name: RINGS, error }
}

/// Bytes that the ring itself puts before a record (BPF_RINGBUF_HDR_SZ).
const HEADER: usize = 8;

/// When a record's call ended, or began where that is later: what is written then has the
/// end of the thread's call before.
fn time_of(record: &[u8]) -> u64 {
    let header = RecordHeader::ref_from_prefix(record);
    header.map_or(0, |(header, _)| header.entry_ns.max(header.exit_ns))
}

/// CLOCK_MONOTONIC, by which the programs tell the time, ns.
fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let part = |value: i64| u64::try_from(value).unwrap_or(0);
    part(now.tv_sec) * 1_000_000_000 + part(now.tv_nsec)
}

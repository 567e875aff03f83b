//! A chunk of lines as it lies in a segment of the spool: a head, an entry for each line,
//! the lines.

use std::{fs::File, io, mem::size_of, os::unix::fs::FileExt};

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U32, U64},
};

use crate::sink::chunk::{Caller, Chunk};

const MAGIC: [u8; 4] = *b"TSP1";
/// More than any chunk has: what claims more is damaged.
const MOST: u32 = 256 << 20;

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Head {
    magic: [u8; 4],
    lines: U32,
    bytes: U32,
    /// CRC-32 of entries and lines.
    body: U32,
    run: [u8; 16],
    /// CRC-32 of all before it.
    own: U32,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Entry {
    end: U32,
    cpu: U32,
    pid: U32,
    /// 1 for a call, 0 for a health record.
    is_call: U32,
    seq: U64,
}

const HEAD: usize = size_of::<Head>();
const ENTRY: usize = size_of::<Entry>();
/// Where the head's own CRC begins.
const OWN: usize = HEAD - size_of::<U32>();

impl Head {
    /// None where it is damaged.
    fn parse(bytes: &[u8; HEAD]) -> Option<Self> {
        let head = Self::read_from_bytes(bytes).ok()?;
        let sound = head.magic == MAGIC
            && head.own.get() == crc32fast::hash(&bytes[..OWN])
            && head.lines.get() <= MOST
            && head.bytes.get() <= MOST;
        sound.then_some(head)
    }

    /// Bytes of entries and lines.
    fn body(&self) -> u64 {
        u64::from(self.lines.get()) * ENTRY as u64 + u64::from(self.bytes.get())
    }
}

/// Makes a chunk's frame, in place of what `out` holds; false where it is too long.
pub fn encode(chunk: &Chunk, out: &mut Vec<u8>) -> bool {
    let lines = chunk.ends();
    let fits = |length: usize| u32::try_from(length).ok().filter(|length| *length <= MOST);
    let (Some(count), Some(bytes)) = (fits(lines.len()), fits(chunk.bytes.len())) else {
        return false;
    };
    out.clear();
    out.resize(HEAD, 0);
    for line in lines {
        let Caller { cpu, pid } = line.caller.unwrap_or(Caller { cpu: 0, pid: 0 });
        let entry = Entry {
            // No more than the chunk's bytes.
            end: U32::new(line.end as u32),
            cpu: U32::new(cpu),
            pid: U32::new(pid),
            is_call: U32::new(line.caller.is_some().into()),
            seq: U64::new(line.seq),
        };
        out.extend_from_slice(entry.as_bytes());
    }
    out.extend_from_slice(&chunk.bytes);
    let mut head = Head {
        magic: MAGIC,
        lines: U32::new(count),
        bytes: U32::new(bytes),
        body: U32::new(crc32fast::hash(&out[HEAD..])),
        run: chunk.run.to_bytes(),
        own: U32::ZERO,
    };
    head.own = U32::new(crc32fast::hash(&head.as_bytes()[..OWN]));
    out[..HEAD].copy_from_slice(head.as_bytes());
    true
}

/// What there is at a place of a segment.
pub enum Found {
    /// A frame, and where the next one begins.
    Chunk(Chunk, u64),
    /// A frame whose lines, so many, are damaged, and where the next one begins.
    Damaged(u32, u64),
    /// No frame: how many there are up to the end can't be told.
    Lost,
}

/// Reads the frame that begins `at`, in a segment that is so long.
///
/// # Errors
/// Those of reading.
pub fn read(file: &File, at: u64, length: u64) -> io::Result<Found> {
    let Some((head, next)) = head(file, at, length)? else { return Ok(Found::Lost) };
    let mut body = vec![0; usize::try_from(head.body()).map_err(io::Error::other)?];
    file.read_exact_at(&mut body, at + HEAD as u64)?;
    let chunk = (crc32fast::hash(&body) == head.body.get()).then(|| decoded(&head, body)).flatten();
    Ok(chunk.map_or(Found::Damaged(head.lines.get(), next), |chunk| Found::Chunk(chunk, next)))
}

/// How many lines whole frames have from there on, and where they end, as far as their
/// heads tell.
///
/// # Errors
/// Those of reading.
pub fn scan(file: &File, mut at: u64, length: u64) -> io::Result<(u64, u64)> {
    let mut lines = 0;
    while let Some((head, next)) = head(file, at, length)? {
        lines += u64::from(head.lines.get());
        at = next;
    }
    Ok((lines, at))
}

/// The head at a place, and where its frame ends; None where there is no whole frame.
fn head(file: &File, at: u64, length: u64) -> io::Result<Option<(Head, u64)>> {
    let mut bytes = [0; HEAD];
    if at + HEAD as u64 > length {
        return Ok(None);
    }
    file.read_exact_at(&mut bytes, at)?;
    let head = Head::parse(&bytes).map(|head| (head, at + HEAD as u64 + head.body()));
    Ok(head.filter(|(_, next)| *next <= length))
}

fn decoded(head: &Head, mut body: Vec<u8>) -> Option<Chunk> {
    let entries = body.len().checked_sub(usize::try_from(head.bytes.get()).ok()?)?;
    let bytes = body.split_off(entries);
    let run = std::str::from_utf8(&head.run).ok()?.parse().ok()?;
    let mut chunk = Chunk::default();
    chunk.run = run;
    let mut start = 0;
    for entry in <[Entry]>::ref_from_bytes(&body).ok()? {
        let end = usize::try_from(entry.end.get()).ok()?;
        chunk.bytes.extend_from_slice(bytes.get(start..end)?);
        let caller = Caller { cpu: entry.cpu.get(), pid: entry.pid.get() };
        chunk.end_line(entry.seq.get(), (entry.is_call.get() == 1).then_some(caller));
        start = end;
    }
    Some(chunk)
}

//! Whole lines that wait to be written, handed over as they are.

use crate::tally::Tally;

/// Bytes that a chunk is about as long as, where there is much to write.
pub const CHUNK: usize = 256 << 10;

/// Where an event's line ends.
#[derive(Clone, Copy, Debug)]
struct End {
    /// In the chunk's bytes.
    at: usize,
    /// The CPU that the event was on.
    cpu: u32,
}

/// Lines, and where those of events end; others are not counted.
#[derive(Debug, Default)]
pub struct Chunk {
    /// The lines; the last one may be under way.
    pub bytes: Vec<u8>,
    ends: Vec<End>,
}

impl Chunk {
    /// What was appended since the last line is the line of an event on that CPU.
    pub fn end_event(&mut self, cpu: u32) {
        self.ends.push(End { at: self.bytes.len(), cpu });
    }

    /// Takes over another chunk's lines.
    pub fn append(&mut self, other: &mut Self) {
        let start = self.bytes.len();
        self.bytes.append(&mut other.bytes);
        self.ends.extend(other.ends.drain(..).map(|end| End { at: start + end.at, ..end }));
    }

    /// Forgets all lines, and keeps their room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Counts the events whose lines lie within the first `whole` bytes as `written`, and
    /// the rest as `lost`.
    pub fn count(&self, whole: usize, written: &mut Tally, lost: &mut Tally) {
        for end in &self.ends {
            if end.at <= whole { written.add(end.cpu) } else { lost.add(end.cpu) }
        }
    }

    /// Counts all events as lost.
    pub fn count_lost(&self, lost: &mut Tally) {
        self.ends.iter().for_each(|end| lost.add(end.cpu));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(lines: &[(&str, Option<u32>)]) -> Chunk {
        let mut chunk = Chunk::default();
        for (line, cpu) in lines {
            chunk.bytes.extend_from_slice(line.as_bytes());
            if let Some(cpu) = cpu {
                chunk.end_event(*cpu);
            }
        }
        chunk
    }

    #[test]
    fn a_line_counts_where_its_end_is_out() {
        let mut one = chunk(&[("one\n", Some(0)), ("health\n", None)]);
        one.append(&mut chunk(&[("two\n", Some(1)), ("three\n", Some(1))]));
        assert_eq!(one.bytes, b"one\nhealth\ntwo\nthree\n");
        for (whole, out) in [(0, 0), (3, 0), (4, 1), (11, 1), (15, 2), (20, 2), (21, 3)] {
            let (mut written, mut lost) = (Tally::default(), Tally::default());
            one.count(whole, &mut written, &mut lost);
            assert_eq!((written.total(), lost.total()), (out, 3 - out), "{whole} bytes");
        }
    }
}

//! Whole lines that wait to be delivered, handed over as they are.

use std::time::Instant;

use crate::{event::RunId, tally::Tally};

/// Bytes that a chunk is about as long as, where there is much to write.
pub const CHUNK: usize = 256 << 10;

/// A line of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where it ends in the chunk's bytes; it begins where the one before ends.
    pub end: usize,
    /// Its number in the stream.
    pub seq: u64,
    /// Whose call it shows; None for a health record, which counts as no event.
    pub caller: Option<Caller>,
}

/// Whose call a line shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The CPU that the call ended on.
    pub cpu: u32,
    /// The caller's process id.
    pub pid: u32,
}

/// Lines, and where each ends.
#[derive(Debug, Default)]
pub struct Chunk {
    /// The lines; the last one may be under way.
    pub bytes: Vec<u8>,
    /// The run that they are of: with a line's number its name among all lines.
    pub run: RunId,
    /// Since when its first line waits in a queue.
    pub since: Option<Instant>,
    lines: Vec<Line>,
}

impl Chunk {
    /// What was appended since the last line is the line of that number.
    pub fn end_line(&mut self, seq: u64, caller: Option<Caller>) {
        self.lines.push(Line { end: self.bytes.len(), seq, caller });
    }

    /// Takes over the lines of another chunk of the same run.
    pub fn append(&mut self, other: &mut Self) {
        let start = self.bytes.len();
        self.bytes.append(&mut other.bytes);
        self.lines.extend(other.lines.drain(..).map(|line| Line { end: start + line.end, ..line }));
    }

    /// Forgets all lines, and keeps their room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.lines.clear();
        self.since = None;
    }

    /// Where each line ends, and what it is.
    pub fn ends(&self) -> &[Line] {
        &self.lines
    }

    /// The bytes of each line, its line feed included, and what it is.
    pub fn lines(&self) -> impl Iterator<Item = (&[u8], &Line)> {
        let mut start = 0;
        self.lines.iter().map(move |line| {
            let bytes = &self.bytes[start..line.end];
            start = line.end;
            (bytes, line)
        })
    }

    /// Counts the events whose lines lie within the first `whole` bytes as `written`, and
    /// the rest as `lost`; also those within them that were `refused`, each of which is
    /// named by where it ends, in their order.
    pub fn count(&self, whole: usize, refused: &[usize], written: &mut Tally, lost: &mut Tally) {
        let mut refused = refused.iter().peekable();
        for line in &self.lines {
            let no = refused.next_if_eq(&&line.end).is_some();
            let Some(caller) = line.caller else { continue };
            if line.end <= whole && !no { written.add(caller.cpu) } else { lost.add(caller.cpu) }
        }
    }

    /// The callers of the lines that end there.
    pub fn refused(&self, ends: &[usize]) -> impl Iterator<Item = Caller> {
        let lines = self.lines.iter().filter(move |line| ends.binary_search(&line.end).is_ok());
        lines.filter_map(|line| line.caller)
    }

    /// The lines that begin after so many bytes.
    pub fn after(&self, bytes: usize) -> Self {
        let lines = self.lines.iter().filter(|line| line.end > bytes);
        let lines = lines.map(|line| Line { end: line.end - bytes, ..*line }).collect();
        let bytes = self.bytes.get(bytes..).unwrap_or_default().to_vec();
        Self { bytes, run: self.run, since: self.since, lines }
    }

    /// Counts all events as lost.
    pub fn count_lost(&self, lost: &mut Tally) {
        self.lines.iter().filter_map(|line| line.caller).for_each(|caller| lost.add(caller.cpu));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(lines: &[(&str, Option<u32>)]) -> Chunk {
        let mut chunk = Chunk::default();
        for (line, cpu) in lines {
            chunk.bytes.extend_from_slice(line.as_bytes());
            chunk.end_line(0, cpu.map(|cpu| Caller { cpu, pid: 1 }));
        }
        chunk
    }

    #[test]
    fn a_line_counts_where_its_end_is_out() {
        let mut one = chunk(&[("one\n", Some(0)), ("health\n", None)]);
        one.append(&mut chunk(&[("two\n", Some(1)), ("three\n", Some(1))]));
        assert_eq!(one.bytes, b"one\nhealth\ntwo\nthree\n");
        let lines: Vec<_> = one.lines().map(|(bytes, _)| bytes).collect();
        assert_eq!(lines, [&b"one\n"[..], b"health\n", b"two\n", b"three\n"]);
        for (whole, out) in [(0, 0), (3, 0), (4, 1), (11, 1), (15, 2), (20, 2), (21, 3)] {
            let (mut written, mut lost) = (Tally::default(), Tally::default());
            one.count(whole, &[], &mut written, &mut lost);
            assert_eq!((written.total(), lost.total()), (out, 3 - out), "{whole} bytes");
        }
    }

    #[test]
    fn what_was_refused_is_lost() {
        let lines = [("one\n", Some(0)), ("health\n", None), ("two\n", Some(1)), ("x\n", Some(1))];
        let (mut written, mut lost) = (Tally::default(), Tally::default());
        chunk(&lines).count(15, &[11, 15], &mut written, &mut lost);
        assert_eq!((written.total(), written.of(0)), (1, 1));
        assert_eq!((lost.total(), lost.of(1)), (2, 2), "one refused, one not come to");
    }
}

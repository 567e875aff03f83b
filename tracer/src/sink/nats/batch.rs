//! What has become of each line of a chunk.

use crate::sink::{
    chunk::{Chunk, Line},
    transport::{Delivery, Halt},
};

/// What has become of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It was never sent.
    New,
    /// It was sent once, and may have arrived.
    Once,
    /// It was sent more than once.
    Again,
    /// It is stored.
    Stored,
    /// It is not taken, and never will be.
    Refused,
}

impl State {
    fn is_settled(self) -> bool {
        matches!(self, Self::Stored | Self::Refused)
    }
}

/// The lines of a chunk.
pub struct Batch<'a> {
    lines: Vec<(&'a [u8], &'a Line, State)>,
    /// Why a line was refused, if one was.
    pub refused: Option<String>,
    /// The stream had a line before it was sent for the first time.
    pub foreign: bool,
}

impl<'a> Batch<'a> {
    pub fn new(chunk: &'a Chunk) -> Self {
        let lines = chunk.lines().map(|(bytes, line)| (bytes, line, State::New)).collect();
        Self { lines, refused: None, foreign: false }
    }

    /// Those that nothing is known of.
    pub fn open(&self) -> Vec<usize> {
        let open = |line: &(_, _, State)| !line.2.is_settled();
        self.lines.iter().enumerate().filter(|(_, line)| open(line)).map(|(at, _)| at).collect()
    }

    /// A line without its line feed, and its number.
    pub fn line(&self, at: usize) -> (&'a [u8], u64) {
        let (bytes, line, _) = self.lines[at];
        (bytes.strip_suffix(b"\n").unwrap_or(bytes), line.seq)
    }

    /// Bytes of a line in the chunk.
    pub fn length(&self, at: usize) -> usize {
        self.lines[at].0.len()
    }

    /// A line is sent.
    pub fn send(&mut self, at: usize) {
        let state = &mut self.lines[at].2;
        *state = if *state == State::New { State::Once } else { State::Again };
    }

    /// A line is stored; `duplicate` where it had been before.
    pub fn store(&mut self, at: usize, duplicate: bool) {
        let known = std::mem::replace(&mut self.lines[at].2, State::Stored);
        self.foreign |= duplicate && known == State::Once;
    }

    /// A line is refused.
    pub fn refuse(&mut self, at: usize, why: String) {
        self.lines[at].2 = State::Refused;
        self.refused.get_or_insert(why);
    }

    /// What is settled, from the first line on.
    pub fn delivery(&self, result: Result<(), Halt>) -> Delivery {
        let done = self.lines.iter().take_while(|line| line.2.is_settled());
        let mut delivery = Delivery { whole: 0, refused: Vec::new(), result };
        for (_, line, state) in done {
            delivery.whole = line.end;
            if *state == State::Refused {
                delivery.refused.push(line.end);
            }
        }
        delivery
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_settled_from_the_first_line_on() {
        let mut chunk = Chunk::default();
        for seq in 0..4 {
            chunk.bytes.extend_from_slice(b"abc\n");
            chunk.end_line(seq, None);
        }
        let mut batch = Batch::new(&chunk);
        assert_eq!(batch.line(1), (&b"abc"[..], 1));
        batch.send(0);
        batch.store(0, false);
        batch.refuse(1, "why".to_owned());
        batch.send(2);
        batch.refuse(3, "why else".to_owned());
        assert_eq!(batch.refused.as_deref(), Some("why"));
        assert_eq!(batch.open(), [2]);
        let delivery = batch.delivery(Err(Halt::Quit));
        assert_eq!((delivery.whole, delivery.refused), (8, vec![8]));
        batch.send(2);
        batch.store(2, true);
        assert!(!batch.foreign, "it was ours, sent before");
        let delivery = batch.delivery(Ok(()));
        assert_eq!((delivery.whole, delivery.refused), (16, vec![8, 16]));
        let mut other = Batch::new(&chunk);
        other.send(0);
        other.store(0, true);
        assert!(other.foreign);
    }
}

//! What whoever asks is told: [`crate::metrics`].

use super::session::Session;
use crate::{
    health::Counts,
    metrics::{Program, Snapshot},
    source::Verified,
};

impl Session {
    /// Says how things stand to whoever asks.
    pub(super) fn publish(&mut self, counts: &Counts) {
        let Some(board) = &self.board else { return };
        let program = |verified: &Verified| {
            let (runs, time) = verified.runs();
            Program { name: verified.program, target: verified.target.clone(), runs, time }
        };
        board.publish(Snapshot {
            hook: self.live.plan().hook.name(),
            kernel: self.live.kernel().to_owned(),
            counts: self.pipeline.from_first(counts),
            destinations: self.pipeline.standing(counts),
            results: self.pipeline.results(),
            ring_fullest: self.pace.take_fullest() as u64,
            ring_size: self.rings.size().into(),
            programs: self.live.verified().iter().map(program).collect(),
        });
    }
}

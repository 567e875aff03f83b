//! Recordings: the ring's records as they came, and all else that their events were
//! made from, to be decoded later and elsewhere. docs/RECORDING.md is the description.
//!
//! [`format`] says what lies in a file, [`Writer`] makes one, [`Reader`] checks and
//! takes apart.
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

mod error;
pub mod format;
mod reader;
mod writer;

use serde::{Deserialize, Serialize};

pub use error::{Place, RecordingError};
pub use format::Fate;
pub use reader::{Frame, Reader};
pub use writer::Writer;

use crate::{
    decode::Clock,
    health::{Run, Stream},
};

/// What holds for all of a recording: its first frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// What health records say of the stream.
    #[serde(flatten)]
    pub stream: Stream,
    /// The machine.
    pub arch: String,
    /// The run that it is of; none of a recording from before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// Wall clock minus kernel clocks at the start.
    pub clock: Clock,
    /// How the programs were set up; none as above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup: Option<Setup>,
}

/// How the programs were set up. Nothing in it is needed to decode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// `--detail`
    pub detail: String,
    /// `--messages`: most messages of a call.
    pub messages: u32,
    /// `--payload`: bytes of each message.
    pub payload: u32,
    /// SHA-256, in hex, of the offsets that were resolved on the kernel, as the
    /// programs have them.
    pub offsets_sha256: String,
    /// SHA-256, in hex, of the programs' whole configuration.
    pub config_sha256: String,
}

/// What was in a recording: its last frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Frames before this one.
    pub frames: u64,
    /// Records.
    pub records: u64,
    /// Records whose event was shown.
    pub shown: u64,
}

impl Totals {
    /// Counts a frame.
    fn add(&mut self, fate: Option<Fate>) {
        self.frames = self.frames.saturating_add(1);
        self.records = self.records.saturating_add(u64::from(fate.is_some()));
        self.shown = self.shown.saturating_add(u64::from(fate == Some(Fate::Shown)));
    }
}

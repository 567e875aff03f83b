//! Why a recording can't be read, or not to its end.

use std::{fmt, io};

use super::format::VERSION;
use crate::record::RecordError;

/// This tracer's version.
const TRACER: &str = env!("CARGO_PKG_VERSION");

/// What to do about a version that is not read.
fn advice(version: u32) -> &'static str {
    if version > VERSION {
        "replay it with the tracer that made it, or with a newer one"
    } else {
        "replay it with the tracer that made it, or record anew"
    }
}

/// A frame of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its number, from 1.
    pub frame: u64,
    /// Bytes before it.
    pub offset: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frame {} (at byte {})", self.frame, self.offset)
    }
}

/// A recording that can't be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file can't be opened or read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("not a recording made with --record: {0}")]
    NotOne(&'static str),
    /// Its first bytes are not what was written.
    #[error("is damaged, or cut off, in its first 16 bytes, which say of which version it is")]
    Preamble,
    /// It is of a version that is not read.
    #[error("is of version {0} of recordings; this tracer ({TRACER}) reads version {VERSION}: {advice}",
            advice = advice(*_0))]
    Version(u32),
    /// A frame is not what was written.
    #[error("{place} is damaged: {what}; everything before it is whole")]
    Damaged {
        /// Which.
        place: Place,
        /// How that shows.
        what: &'static str,
    },
    /// The file ends in the middle of a frame.
    #[error("ends in the middle of {0}; everything before it is whole")]
    CutOff(Place),
    /// The file ends between two frames.
    #[error(
        "ends before {0} without saying that this is its end: it was cut off, or the tracer that \
         made it was killed or is still running; everything in it is whole"
    )]
    NoEnd(Place),
    /// A kind of frame that a newer tracer writes.
    #[error(
        "{place} is of kind {kind}, which this tracer ({TRACER}) does not know: replay it with \
             the tracer that made it, or with a newer one"
    )]
    Unknown {
        /// Which.
        place: Place,
        /// Its kind.
        kind: u8,
    },
    /// A frame is as it was written, but says something that this tracer can't read.
    #[error("{place} is whole, but not what this tracer ({TRACER}) can read: {why}")]
    Content {
        /// Which.
        place: Place,
        /// What is wrong.
        why: String,
    },
    /// The same, of a record.
    #[error("{place} is whole, but this tracer ({TRACER}) can't decode its record: {error}")]
    Record {
        /// Which.
        place: Place,
        /// What is wrong.
        error: RecordError,
    },
    /// Something follows the end.
    #[error("goes on at byte {0}, behind its end; everything before it is whole")]
    BehindEnd(u64),
}

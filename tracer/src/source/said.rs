//! What the programs say for themselves, each time they count something as lost or missed:
//! it goes to the log at debug level, by aya-log.

use aya::Ebpf;
use aya_log::EbpfLogger;
use log::Log;

use super::error::SourceError;

/// The level that the programs are loaded with.
pub use aya_log::LEVEL;
/// The ring of messages in the object.
pub const RING: &str = "AYA_LOGS";

/// Bytes of the ring: room for a thousand messages, or as good as none.
const LISTENING: u32 = 128 << 10;
const NOT_LISTENING: u32 = 4 << 10;

/// The programs' messages.
pub struct Said(Option<EbpfLogger<&'static dyn Log>>);

impl Said {
    /// Takes them out of an object that is loaded, where somebody listens.
    pub fn take(ebpf: &mut Ebpf, listens: bool) -> Result<Self, SourceError> {
        if !listens {
            return Ok(Self(None));
        }
        let logger = EbpfLogger::init(ebpf);
        let logger = logger.map_err(|error| SourceError::Object(format!("map {RING}: {error}")))?;
        Ok(Self(Some(logger)))
    }

    /// Passes on what there is.
    pub fn pass_on(&mut self) {
        if let Some(logger) = &mut self.0 {
            logger.flush();
        }
    }
}

/// The level for the programs: the verifier sees it, and nothing is left of messages that
/// nobody would read.
pub fn level(listens: bool) -> u8 {
    if listens { aya_log::Level::Debug as u8 } else { 0 }
}

/// Bytes of the ring.
pub fn ring_size(listens: bool) -> u32 {
    if listens { LISTENING } else { NOT_LISTENING }
}

//! Target `decode`: any bytes, repaired into a record that the parser must accept, so
//! that most inputs reach the decoder, the findings and the encoders.

use tracer::record;

use super::{record::shown, repair::repair};

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let repaired = repair(bytes);
    match record::parse(&repaired.bytes) {
        Ok(record) => {
            shown(&record, repaired.bytes.len());
        }
        // Sections that the repair does not know are left as they are.
        Err(error) => assert!(repaired.has_others, "a well-formed record is refused: {error}"),
    }
}

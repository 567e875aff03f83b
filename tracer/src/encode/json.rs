//! `--output json`: one object per line, as `EVENT.md` describes it.

use std::io;

use serde::Serialize;

/// Appends a line.
///
/// # Errors
/// What the serialiser says; nothing is appended then.
pub fn line(value: &impl Serialize, out: &mut Vec<u8>) -> io::Result<()> {
    let start = out.len();
    match serde_json::to_writer(&mut *out, value) {
        Ok(()) => {
            out.push(b'\n');
            Ok(())
        }
        Err(error) => {
            out.truncate(start);
            Err(error.into())
        }
    }
}

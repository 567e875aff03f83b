//! What a tracer that was killed in the middle of a write leaves behind.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

use rustix::fs::{FlockOperation, flock};

/// The longest that a line is looked for.
const LONGEST: u64 = 64 << 20;
/// Bytes that are read at a time.
const PIECE: u64 = 64 << 10;

/// Cuts a part of an event's line off the end of a regular file; ends a line of anything
/// else. Returns the file's size. The file stays locked: while another tracer writes to
/// it, what looks torn is under way.
pub fn mend(file: &File, path: &Path) -> io::Result<u64> {
    let metadata = file.metadata()?;
    let size = metadata.len();
    if !metadata.is_file() {
        return Ok(0);
    }
    let locked = flock(file, FlockOperation::NonBlockingLockExclusive).is_ok();
    if !locked {
        log::warn!("another process writes to {} too", path.display());
    }
    if size == 0 || !locked {
        return Ok(size);
    }
    // What is only appended to can't be read.
    let reader = match File::open(path) {
        Ok(reader) => reader,
        Err(error) => {
            log::debug!("whether {} ends in a whole line is not known: {error}", path.display());
            return Ok(size);
        }
    };
    let start = last_line(&reader, size)?;
    if start == size {
        return Ok(size);
    }
    let mut first = [0];
    reader.read_exact_at(&mut first, start)?;
    if &first == b"{" {
        log::warn!(
            "{}: a part of a line at its end, of {} bytes, is cut off",
            path.display(),
            size - start
        );
        file.set_len(start)?;
        Ok(start)
    } else {
        io::Write::write_all(&mut &*file, b"\n")?;
        Ok(size + 1)
    }
}

/// Where the last line begins that has no end; the file's size where all have.
fn last_line(reader: &File, size: u64) -> io::Result<u64> {
    let mut end = size;
    while end > size.saturating_sub(LONGEST) {
        let start = end.saturating_sub(PIECE);
        let mut piece = vec![0; usize::try_from(end - start).unwrap_or_default()];
        reader.read_exact_at(&mut piece, start)?;
        if let Some(at) = piece.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(end)
}

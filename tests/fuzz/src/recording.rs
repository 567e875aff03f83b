//! Target `recording`: any bytes as a file made with `--record`.

use tracer::recording::Reader;

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let Ok(mut reader) = Reader::new(bytes) else { return };
    let mut read = 0;
    while let Ok(Some(record)) = reader.next_record() {
        // Each has a length of its own in front.
        read += 4 + record.len();
        assert!(read <= bytes.len(), "{read} bytes read out of {}", bytes.len());
    }
}

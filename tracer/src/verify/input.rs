//! Files as lines: compressed or not, and no line longer than there is reason for.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

/// The longest line that is kept: an event with all messages and payload is shorter.
pub const LONGEST: usize = 16 << 20;
const BUFFER: usize = 256 << 10;

/// Opens a file, or standard input by the name `-`; compression is told by its content.
///
/// # Errors
/// It can't be opened or read.
pub fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let file: Box<dyn Read> =
        if path == "-" { Box::new(io::stdin().lock()) } else { Box::new(File::open(path)?) };
    decompressed(file)
}

/// Whatever compression there is, taken off.
///
/// # Errors
/// It can't be read, or this build can't read its compression.
pub fn decompressed(mut file: impl Read + 'static) -> io::Result<Box<dyn BufRead>> {
    let mut magic = Vec::new();
    file.by_ref().take(4).read_to_end(&mut magic)?;
    let kind = magic.clone();
    let file = io::Cursor::new(magic).chain(file);
    Ok(if kind.starts_with(&[0x1f, 0x8b]) {
        let file = flate2::read::MultiGzDecoder::new(file);
        Box::new(BufReader::with_capacity(BUFFER, file))
    } else if kind == [0x28, 0xb5, 0x2f, 0xfd] {
        zstandard(file)?
    } else {
        Box::new(BufReader::with_capacity(BUFFER, file))
    })
}

#[cfg(feature = "zstd")]
fn zstandard(file: impl Read + 'static) -> io::Result<Box<dyn BufRead>> {
    Ok(Box::new(BufReader::with_capacity(BUFFER, zstd::Decoder::new(file)?)))
}

#[cfg(not(feature = "zstd"))]
fn zstandard(_: impl Read + 'static) -> io::Result<Box<dyn BufRead>> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "compressed with zstd, which this tracer was built without",
    ))
}

/// What `next` found.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// A line, or a frame with its length before it (RFC 6587); it is in the buffer.
    Line,
    /// A line of more than [`LONGEST`] bytes, which was skipped.
    TooLong,
    /// The end.
    End,
}

/// Reads the next line, without its end, or frame.
///
/// # Errors
/// It can't be read.
pub fn next(input: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<Found> {
    line.clear();
    if input.fill_buf()?.first().is_some_and(u8::is_ascii_digit) {
        while let Some(digit) = input
            .fill_buf()?
            .first()
            .copied()
            .filter(|byte| byte.is_ascii_digit() && line.len() < 9)
        {
            line.push(digit);
            input.consume(1);
        }
        let length = std::str::from_utf8(line).ok().and_then(|text| text.parse::<usize>().ok());
        if let Some(length) = length.filter(|length| *length <= LONGEST)
            && input.fill_buf()?.first() == Some(&b' ')
        {
            input.consume(1);
            line.push(b' ');
            if input.fill_buf()?.first() == Some(&b'<') {
                line.clear();
                input.take(length as u64).read_to_end(line)?;
                return Ok(Found::Line);
            }
        }
    }
    input.take(LONGEST as u64 + 1).read_until(b'\n', line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() > LONGEST {
        line.clear();
        input.skip_until(b'\n')?;
        return Ok(Found::TooLong);
    } else if line.is_empty() {
        return Ok(Found::End);
    }
    Ok(Found::Line)
}

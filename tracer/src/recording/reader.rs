//! Reads a recording, and believes nothing that it says without a check.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use serde::de::DeserializeOwned;
use zerocopy::{FromZeros, IntoBytes};

use super::{
    Header, Totals,
    error::{Place, RecordingError},
    format::{
        FIRST_VERSION, Fate, Head, MAGIC, MAX_BODY, MAX_FACT, Preamble, VERSION, checksum, flag,
        kind,
    },
};
use crate::{decode::Clock, health::Report, process::Fact, record::RecordError};

/// Bytes read at once.
const BUFFER: usize = 64 << 10;

/// Something of a recording, after its header.
#[derive(Debug)]
pub enum Frame<'a> {
    /// A record and what became of it.
    Record(Fate, &'a [u8]),
    /// How kernel clocks become wall-clock time from here on.
    Clock(Clock),
    /// What was looked up for the next record.
    Fact(Fact),
    /// A health record was shown here.
    Health(Report),
}

/// Reads a recording.
pub struct Reader<R> {
    frames: Frames<R>,
    /// The first frame.
    pub header: Header,
    ended: bool,
}

/// Reads frames, whatever they say.
struct Frames<R> {
    file: BufReader<R>,
    /// Checksum of the last head.
    chain: u32,
    /// The frame that was read last.
    place: Place,
    /// Where the next one begins.
    next: u64,
    totals: Totals,
    /// That of the frame that was read last.
    body: Vec<u8>,
}

impl Reader<File> {
    /// Opens a file.
    ///
    /// # Errors
    /// [`RecordingError`]
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        Self::new(File::open(path)?)
    }
}

impl<R: Read> Reader<R> {
    /// Reads up to the first record.
    ///
    /// # Errors
    /// [`RecordingError`]
    pub fn new(file: R) -> Result<Self, RecordingError> {
        let mut file = BufReader::with_capacity(BUFFER, file);
        let preamble = preamble(&mut file)?;
        let mut frames = Frames {
            file,
            chain: preamble.checksum.get(),
            place: Place { frame: 0, offset: 0 },
            next: size_of::<Preamble>() as u64,
            totals: Totals::default(),
            body: Vec::new(),
        };
        let head = frames.next()?;
        if head.kind != kind::HEADER {
            return Err(frames.content("the first frame is no header"));
        }
        let header = frames.json()?;
        Ok(Self { frames, header, ended: false })
    }

    /// The next frame; none at the end.
    ///
    /// # Errors
    /// [`RecordingError`]. There is nothing to be read after one.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, RecordingError> {
        let Self { frames, ended, .. } = self;
        while !*ended {
            let before = frames.totals;
            let head = frames.next()?;
            return Ok(Some(match head.kind {
                kind::RECORD => {
                    let fate = Fate::try_from(head.info.get()).map_err(|fate| {
                        frames.content(format!("a record's fate {fate} is unknown"))
                    })?;
                    Frame::Record(fate, &frames.body)
                }
                kind::CLOCK => Frame::Clock(frames.json()?),
                kind::FACT if frames.body.len() > MAX_FACT => {
                    return Err(frames.content("a fact that is longer than any can be"));
                }
                kind::FACT => Frame::Fact(frames.json()?),
                kind::HEALTH => Frame::Health(frames.json()?),
                kind::END => {
                    let totals: Totals = frames.json()?;
                    if totals != before {
                        return Err(frames.content("the totals are not those of the frames"));
                    }
                    *ended = true;
                    break;
                }
                kind::HEADER => return Err(frames.content("a second header")),
                _ if head.flags & flag::OPTIONAL != 0 => continue,
                kind => return Err(RecordingError::Unknown { place: frames.place, kind }),
            }));
        }
        if fill(&mut frames.file, &mut [0])? > 0 {
            return Err(RecordingError::BehindEnd(frames.next));
        }
        Ok(None)
    }

    /// The frame that was read last can't be decoded.
    pub fn undecodable(&self, error: RecordError) -> RecordingError {
        RecordingError::Record { place: self.frames.place, error }
    }

    /// Whether the next frame may have to be waited for.
    pub fn is_drained(&self) -> bool {
        self.frames.file.buffer().is_empty()
    }
}

impl<R: Read> Frames<R> {
    /// Reads and checks a frame; its body is kept.
    fn next(&mut self) -> Result<Head, RecordingError> {
        let place = Place { frame: self.place.frame.saturating_add(1), offset: self.next };
        self.place = place;
        let damaged = |what| RecordingError::Damaged { place, what };
        let mut head = Head::new_zeroed();
        match fill(&mut self.file, head.as_mut_bytes())? {
            0 => return Err(RecordingError::NoEnd(place)),
            read if read < size_of::<Head>() => return Err(RecordingError::CutOff(place)),
            _ => {}
        }
        if head.checksum.get() != head.expected(self.chain) {
            return Err(damaged(
                "its head, or its place among the others, is not what was written",
            ));
        }
        let len = usize::try_from(head.len.get()).unwrap_or(usize::MAX);
        if len > MAX_BODY {
            return Err(damaged("it says that it is longer than any can be"));
        }
        self.body.clear();
        // Grows as bytes come, whatever the length says.
        let read = self.file.by_ref().take(len as u64).read_to_end(&mut self.body)?;
        if read < len {
            return Err(RecordingError::CutOff(place));
        }
        if checksum(&[&self.body]) != head.body.get() {
            return Err(damaged("its content is not what was written"));
        }
        self.chain = head.checksum.get();
        self.next = self.next.saturating_add((size_of::<Head>() + len) as u64);
        let fate = (head.kind == kind::RECORD).then(|| Fate::try_from(head.info.get()).ok());
        self.totals.add(fate.flatten());
        Ok(head)
    }

    fn json<T: DeserializeOwned>(&self) -> Result<T, RecordingError> {
        serde_json::from_slice(&self.body).map_err(|error| self.content(error.to_string()))
    }

    fn content(&self, why: impl Into<String>) -> RecordingError {
        RecordingError::Content { place: self.place, why: why.into() }
    }
}

/// Reads as many bytes as there are, at most all that are wanted.
fn fill(file: &mut impl Read, wanted: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = wanted.get_mut(read..)
        && !rest.is_empty()
    {
        match file.read(rest) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// Reads what tells a recording and its version.
fn preamble(file: &mut impl Read) -> Result<Preamble, RecordingError> {
    let mut preamble = Preamble::new_zeroed();
    let read = fill(file, preamble.as_mut_bytes())?;
    let bytes = preamble.as_bytes().get(..read).unwrap_or_default();
    if bytes.is_empty() {
        return Err(RecordingError::NotOne("it is empty"));
    }
    if let Some(rest) = FIRST_VERSION.strip_prefix(bytes) {
        let mut more = vec![0; rest.len()];
        fill(file, &mut more)?;
        if more == rest {
            return Err(RecordingError::Version(1));
        }
    }
    let (magic, _) = MAGIC.split_at(read.min(MAGIC.len()));
    if !bytes.starts_with(magic) {
        return Err(RecordingError::NotOne("it does not begin like one"));
    }
    if read < size_of::<Preamble>() || preamble.checksum.get() != preamble.expected() {
        return Err(RecordingError::Preamble);
    }
    match preamble.version.get() {
        VERSION => Ok(preamble),
        version => Err(RecordingError::Version(version)),
    }
}

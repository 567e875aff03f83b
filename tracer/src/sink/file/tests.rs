//! Files that are set aside, taken away, and torn.

use std::{
    fs,
    io::Read,
    os::fd::AsRawFd,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::*;
use crate::sink::{Caller, Compression, Destination, destination::Rotation};

fn chunk(lines: std::ops::Range<u64>) -> Chunk {
    let mut chunk = Chunk::default();
    for seq in lines {
        chunk.bytes.extend_from_slice(format!("{{\"seq\":{seq:04}}}\n").as_bytes());
        chunk.end_line(seq, Some(Caller { cpu: 0, pid: 1 }));
    }
    chunk
}

/// Bytes of each of these lines.
const LINE: u64 = 13;

fn spec(path: &Path, rotation: Rotation) -> LogFile {
    LogFile { path: path.to_owned(), mode: 0o600, rotation }
}

fn unpacked(path: &Path) -> String {
    let mut text = String::new();
    let file = File::open(path).unwrap();
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => flate2::read::GzDecoder::new(file).read_to_string(&mut text),
        #[cfg(feature = "zstd")]
        Some("zst") => zstd::Decoder::new(file).unwrap().read_to_string(&mut text),
        _ => (&file).read_to_string(&mut text),
    }
    .unwrap();
    text
}

/// Every line is in one of the files, in order, and none is larger than it may be.
#[test]
fn files_are_set_aside_by_size() {
    let ways = [
        None,
        Some(Compression::Gzip),
        #[cfg(feature = "zstd")]
        Some(Compression::Zstd),
    ];
    for compress in ways {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.json");
        let rotation = Rotation { size: Some(100 * LINE), compress, ..Rotation::default() };
        let mut log = Log::open(&spec(&path, rotation)).unwrap();
        // Chunks smaller and larger than a file.
        for lines in [0..70, 70..140, 140..141, 141..900, 900..1000] {
            let chunk = chunk(lines);
            let delivery = log.deliver(&chunk, None);
            assert!(delivery.result.is_ok() && delivery.whole == chunk.bytes.len());
        }
        log.finish(None).unwrap();
        let mut files = aside::set_aside(&path).unwrap();
        assert_eq!(files.len(), 9, "{files:?}");
        let suffix = compress.map_or("Z", Compression::suffix);
        assert!(files.iter().all(|file| file.to_str().unwrap().ends_with(suffix)), "{files:?}");
        files.push(path.clone());
        let texts: Vec<_> = files.iter().map(|file| unpacked(file)).collect();
        assert!(texts.iter().all(|text| text.len() as u64 == 100 * LINE));
        assert!(texts.concat().as_bytes() == chunk(0..1000).bytes, "all lines, in order");
        let mode = std::os::unix::fs::PermissionsExt::mode;
        assert!(
            files
                .iter()
                .all(|file| mode(&fs::metadata(file).unwrap().permissions()) & 0o777 == 0o600)
        );
        let left = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 10, "nothing else is left");
    }
}

#[test]
fn the_oldest_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.json");
    fs::write(folder.path().join("events.json.notes"), "not ours").unwrap();
    let rotation = Rotation { size: Some(10 * LINE), keep: Some(3), ..Rotation::default() };
    let mut log = Log::open(&spec(&path, rotation)).unwrap();
    assert!(log.deliver(&chunk(0..200), None).result.is_ok());
    log.finish(None).unwrap();
    let files = aside::set_aside(&path).unwrap();
    let kept: String = files.iter().map(|file| unpacked(file)).collect();
    assert!(kept.as_bytes() == chunk(160..190).bytes, "{kept}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 5);
}

/// A file of yesterday's is set aside before the first line of today's.
#[test]
fn files_are_set_aside_by_age() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.json");
    fs::write(&path, &chunk(0..5).bytes).unwrap();
    let day = Duration::from_secs(86_400);
    File::options()
        .append(true)
        .open(&path)
        .unwrap()
        .set_modified(SystemTime::now() - day)
        .unwrap();
    let rotation = Rotation { every: Some(day), ..Rotation::default() };
    let mut log = Log::open(&spec(&path, rotation)).unwrap();
    assert!(log.deliver(&chunk(5..9), None).result.is_ok());
    assert!(log.deliver(&chunk(9..12), None).result.is_ok());
    log.finish(None).unwrap();
    let files = aside::set_aside(&path).unwrap();
    assert_eq!(files.len(), 1);
    assert!(unpacked(&files[0]).as_bytes() == chunk(0..5).bytes);
    assert!(unpacked(&path).as_bytes() == chunk(5..12).bytes);
}

/// What logrotate does: renames, and says so.
#[test]
fn a_file_is_opened_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.json");
    let moved = folder.path().join("events.json.1");
    let mut log = Log::open(&spec(&path, Rotation::default())).unwrap();
    assert!(log.deliver(&chunk(0..3), None).result.is_ok());
    fs::rename(&path, &moved).unwrap();
    assert!(log.deliver(&chunk(3..6), None).result.is_ok());
    log.attend();
    assert!(log.deliver(&chunk(6..9), None).result.is_ok());
    assert!(unpacked(&moved).as_bytes() == chunk(0..6).bytes);
    assert!(unpacked(&path).as_bytes() == chunk(6..9).bytes);
}

/// Somebody moves the file just when it is to be set aside.
#[test]
fn two_set_a_file_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.json");
    let rotation = Rotation { size: Some(LINE), ..Rotation::default() };
    let mut log = Log::open(&spec(&path, rotation)).unwrap();
    let done = AtomicBool::new(false);
    let moved = thread::scope(|scope| {
        let mover = scope.spawn(|| {
            let mut moved = 0;
            while !done.load(Ordering::Relaxed) {
                let to = folder.path().join(format!("moved.{moved:06}"));
                moved += u32::from(fs::rename(&path, to).is_ok());
            }
            moved
        });
        let delivery = log.deliver(&chunk(0..10_000), None);
        done.store(true, Ordering::Relaxed);
        assert!(delivery.result.is_ok());
        mover.join().unwrap()
    });
    log.finish(None).unwrap();
    assert_eq!(log.failed, None, "{moved} moved");
    let files = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let mut lines: Vec<_> = files.map(|file| unpacked(&file)).collect();
    lines.sort_unstable();
    assert!(lines.concat().as_bytes() == chunk(0..10_000).bytes, "each line once");
}

/// The lock on it is the tracer's own, and would look like somebody else's.
#[test]
fn a_file_that_nobody_moved_is_not_opened_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.json");
    let mut log = Log::open(&spec(&path, Rotation::default())).unwrap();
    assert!(log.deliver(&chunk(0..3), None).result.is_ok());
    let before = log.file().as_raw_fd();
    log.attend();
    assert_eq!(log.file().as_raw_fd(), before);
    // Emptied in its place, as logrotate's copytruncate does it.
    log.file().set_len(0).unwrap();
    log.attend();
    assert_eq!(log.size, 0);
    assert!(log.deliver(&chunk(3..6), None).result.is_ok());
    assert!(unpacked(&path).as_bytes() == chunk(3..6).bytes);
}

/// Where no other file can be begun, lines go on into the one there is.
#[test]
fn a_file_that_cannot_be_set_aside_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let path = inner.join("events.json");
    let rotation = Rotation { size: Some(10 * LINE), ..Rotation::default() };
    let mut log = Log::open(&spec(&path, rotation)).unwrap();
    assert!(log.deliver(&chunk(0..5), None).result.is_ok());
    let away = folder.path().join("away");
    fs::rename(&inner, &away).unwrap();
    let more = chunk(5..40);
    let delivery = log.deliver(&more, None);
    assert!(delivery.result.is_ok() && delivery.whole == more.bytes.len());
    assert!(unpacked(&away.join("events.json")).as_bytes() == chunk(0..40).bytes);
}

#[test]
fn a_torn_line_is_cut_off_and_a_foreign_one_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.json");
    let whole = chunk(0..9000).bytes;
    for (torn, then) in [
        ("{\"seq\":9", ""),
        (&*format!("{{\"{}", "x".repeat(200_000)), ""),
        ("a note", "a note\n"),
        ("", ""),
    ] {
        fs::write(&path, [&whole[..], torn.as_bytes()].concat()).unwrap();
        let mut log = Log::open(&spec(&path, Rotation::default())).unwrap();
        assert!(log.deliver(&chunk(7..8), None).result.is_ok());
        let expected = [&whole[..], then.as_bytes(), &chunk(7..8).bytes].concat();
        assert!(fs::read(&path).unwrap() == expected, "{torn:.10}");
    }
    // While somebody else writes, nothing is torn.
    fs::write(&path, "{\"seq\"").unwrap();
    let other =
        Log::open(&LogFile { path: path.clone(), mode: 0o600, rotation: Rotation::default() });
    fs::write(&path, "{\"seq\"").unwrap();
    drop(Log::open(&spec(&path, Rotation::default())).unwrap());
    assert_eq!(fs::read(&path).unwrap(), b"{\"seq\"");
    drop(other);
}

#[test]
fn a_destination_is_what_was_asked_for() {
    let parsed = Destination::parse("file:/a?size=4K&keep=2").unwrap();
    let Destination::File(file) = parsed else { panic!("a file") };
    assert_eq!(file.rotation, Rotation { size: Some(4096), keep: Some(2), ..Rotation::default() });
}

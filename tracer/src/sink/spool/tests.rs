//! Receivers that are away, runs that end, and what others might do to the folder.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::{PermissionsExt, symlink},
    sync::atomic::AtomicBool,
};

use super::*;
use crate::sink::Caller;

const LABEL: &str = "json=tcp:localhost:1";

/// What a test lets its destination do, and what that has taken.
#[derive(Default)]
struct Far {
    away: AtomicBool,
    taken: Mutex<Vec<u64>>,
    /// A line of that number is refused.
    refuses: Option<u64>,
}

struct ToFar(Arc<Far>);

impl Transport for ToFar {
    fn deliver(&mut self, chunk: &Chunk, leash: Option<&Leash<'_>>) -> Delivery {
        while self.0.away.load(Ordering::Relaxed) {
            if let Err(halt) = nap(leash, Duration::from_millis(5)) {
                return Delivery::halted(0, halt);
            }
        }
        let mut refused = Vec::new();
        for (bytes, line) in chunk.lines() {
            assert_eq!(bytes, text(line.seq).as_bytes());
            if Some(line.seq) == self.0.refuses {
                refused.push(line.end);
            } else {
                self.0.taken.lock().unwrap().push(line.seq);
            }
        }
        leash.unwrap().progress(chunk.bytes.len());
        Delivery { refused, ..Delivery::all(chunk) }
    }
}

fn text(seq: u64) -> String {
    format!("line {seq}: {}\n", "x".repeat(2000))
}

fn chunk(lines: std::ops::Range<u64>, run: u64) -> Chunk {
    let mut chunk = Chunk::default();
    chunk.run = RunId::new(run);
    for seq in lines {
        chunk.bytes.extend_from_slice(text(seq).as_bytes());
        chunk.end_line(seq, (seq > 0).then_some(Caller { cpu: 1, pid: 2 }));
    }
    chunk
}

fn open(folder: &Path, far: &Arc<Far>, run: u64) -> io::Result<Spooled> {
    let mut spool = Spool::open(folder, Spool::LEAST)?;
    let mut spooled = spool.before(Box::new(ToFar(Arc::clone(far))), LABEL, RunId::new(run))?;
    spooled.begin()?;
    Ok(spooled)
}

fn sent(spooled: &mut Spooled, lines: std::ops::Range<u64>, run: u64) {
    let chunk = chunk(lines, run);
    let delivery = spooled.deliver(&chunk, None);
    assert!(delivery.result.is_ok() && delivery.whole == chunk.bytes.len());
}

/// The files of the one destination, by name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let own = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let mut files: Vec<_> = fs::read_dir(own).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "segment"));
    files.sort_unstable();
    files
}

fn took(far: &Far, expected: impl Iterator<Item = u64>) {
    let taken = far.taken.lock().unwrap();
    assert!(taken.iter().copied().eq(expected), "{} lines", taken.len());
}

fn quit() -> OwnedFd {
    eventfd(1, EventfdFlags::CLOEXEC).unwrap()
}

/// Leaves lines behind, as a run does whose receiver stays away.
fn leave(folder: &Path, lines: std::ops::Range<u64>, run: u64) {
    let far = Arc::new(Far { away: true.into(), ..Far::default() });
    let mut spooled = open(folder, &far, run).unwrap();
    for start in lines.clone().step_by(100) {
        sent(&mut spooled, start..(start + 100).min(lines.end), run);
    }
    let (moved, quit) = (AtomicU64::new(0), quit());
    let leash = Leash { moved: &moved, quit: std::os::fd::AsFd::as_fd(&quit), retries: &moved };
    assert!(spooled.finish(Some(&leash)).is_ok(), "what stays is not lost");
}

#[test]
fn what_a_run_leaves_behind_the_next_one_delivers_first() {
    let folder = tempfile::tempdir().unwrap();
    leave(folder.path(), 0..1500, 1);
    assert_eq!(files(folder.path()).len(), 3, "segments of a sixteenth, each a chunk longer");
    leave(folder.path(), 1500..1700, 2);
    let far = Arc::new(Far::default());
    let mut spooled = open(folder.path(), &far, 3).unwrap();
    sent(&mut spooled, 1700..1800, 3);
    spooled.finish(None).unwrap();
    took(&far, 0..1800);
    assert!(files(folder.path()).is_empty(), "all is delivered");
}

#[test]
fn a_frame_that_was_under_way_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    leave(folder.path(), 0..200, 1);
    let last = files(folder.path()).pop().unwrap();
    let file = OpenOptions::new().write(true).open(&last).unwrap();
    file.set_len(file.metadata().unwrap().len() - 7).unwrap();
    let far = Arc::new(Far::default());
    let mut spooled = open(folder.path(), &far, 2).unwrap();
    sent(&mut spooled, 200..300, 2);
    spooled.finish(None).unwrap();
    took(&far, (0..100).chain(200..300));
}

#[test]
fn damage_costs_no_more_than_its_frame() {
    let folder = tempfile::tempdir().unwrap();
    leave(folder.path(), 0..300, 1);
    let first = files(folder.path()).remove(0);
    let mut bytes = fs::read(&first).unwrap();
    // In the lines of the second frame.
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&first, bytes).unwrap();
    let far = Arc::new(Far::default());
    open(folder.path(), &far, 2).unwrap().finish(None).unwrap();
    took(&far, (0..100).chain(200..300));
}

#[test]
fn a_full_spool_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let far = Arc::new(Far { away: true.into(), ..Far::default() });
    let mut spooled = open(folder.path(), &far, 1).unwrap();
    let (moved, quit) = (AtomicU64::new(0), quit());
    let leash = Leash { moved: &moved, quit: std::os::fd::AsFd::as_fd(&quit), retries: &moved };
    let mut next = 0;
    let halted = loop {
        let chunk = chunk(next..next + 100, 1);
        let delivery = spooled.deliver(&chunk, Some(&leash));
        if delivery.result.is_err() {
            break delivery;
        }
        next += 100;
    };
    assert!(matches!(halted, Delivery { whole: 0, result: Err(Halt::Quit), .. }));
    let kept: u64 = files(folder.path()).iter().map(|file| file.metadata().unwrap().len()).sum();
    assert!((15 << 20..=16 << 20).contains(&kept), "{kept}");
    far.away.store(false, Ordering::Relaxed);
    sent(&mut spooled, next..next + 100, 1);
    spooled.finish(None).unwrap();
    took(&far, 0..next + 100);
}

#[test]
fn what_is_refused_later_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    leave(folder.path(), 1..100, 1);
    let far = Arc::new(Far { refuses: Some(50), ..Far::default() });
    let mut spooled = open(folder.path(), &far, 2).unwrap();
    sent(&mut spooled, 1..100, 2);
    spooled.finish(None).unwrap();
    assert_eq!(far.taken.lock().unwrap().len(), 2 * 98);
    assert_eq!(spooled.take_refused().of(1), 1, "the other one was an earlier run's");
}

/// A cursor that can't be read means that lines are delivered twice, and not that they are
/// not delivered.
#[test]
fn a_damaged_cursor_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    leave(folder.path(), 0..100, 1);
    let own = files(folder.path()).remove(0);
    fs::write(own.with_file_name("cursor"), [255; 28]).unwrap();
    let far = Arc::new(Far::default());
    open(folder.path(), &far, 2).unwrap().finish(None).unwrap();
    took(&far, 0..100);
}

#[test]
fn a_folder_that_others_could_change_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    let error = |path: &Path| Spool::open(path, Spool::LEAST).err().unwrap().to_string();
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o1777)).unwrap();
    assert!(error(&path).contains("others may write to it (mode 1777)"), "{}", error(&path));
    let link = folder.path().join("link");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    symlink(&path, &link).unwrap();
    error(&link);
    let far = Arc::new(Far { away: true.into(), ..Far::default() });
    let first = open(&path, &far, 1).unwrap();
    let second = open(&path, &far, 1).err().unwrap().to_string();
    assert!(second.contains("another tracer or destination uses it"), "{second}");
    drop(first);
}

/// Links in place of our files are not followed.
#[test]
fn links_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("spool");
    leave(&spool, 0..100, 1);
    let victim = folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let own = files(&spool).remove(0);
    for name in ["destination", "cursor"] {
        fs::remove_file(own.with_file_name(name)).unwrap();
        symlink(&victim, own.with_file_name(name)).unwrap();
        let far = Arc::new(Far::default());
        assert!(open(&spool, &far, 2).is_err(), "{name}");
        fs::remove_file(own.with_file_name(name)).unwrap();
    }
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
}

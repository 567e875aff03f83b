//! One tracer for many tests, where starting one for each takes too long: guests.
//!
//! The runner starts a tracer that writes JSON to the file that `TRACER_TEST_SHARED`
//! names, and says by `TRACER_TEST_SHARED_PID` which process it is. A test runs its
//! workload, makes a call of its own that nobody else makes, and waits until that call's
//! event is in the file: everything before it is there too. Of that it takes what the
//! workload's processes did. What must hold of the whole stream is checked at the end,
//! by the test `shared::the_stream_is_sound`.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::child::{Finished, Running};
use crate::stream::Stream;
use crate::workload::entry::{Entry, invoke};

/// How often the file is looked at.
const POLL: Duration = Duration::from_millis(2);
/// The longest that an event may take to come out.
const LIMIT: Duration = Duration::from_secs(60);

/// The file that the shared tracer writes, where there is one.
pub fn file() -> Option<PathBuf> {
    std::env::var_os("TRACER_TEST_SHARED").map(PathBuf::from)
}

/// Runs a program beside the shared tracer; None where there is none.
pub fn run(program: &[&str]) -> Option<(Stream, Finished)> {
    let path = file()?;
    let mut file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    seek_to_new_lines(&mut file);
    let mut command = Command::new(program[0]);
    command.args(&program[1..]);
    let running = Running::start(command);
    let root = u64::from(running.id());
    let finished = running.finish();
    let text = read_to(&mut file, &Marker::make());
    Some((Stream::part(&family(&text, root)), finished))
}

/// Goes to the file's end. A line that is only half there is an earlier call's, and is
/// left for `read_to` to skip.
fn seek_to_new_lines(file: &mut File) {
    let end = file.seek(SeekFrom::End(0)).expect("the shared tracer's file");
    file.seek(SeekFrom::Start(end.saturating_sub(1))).expect("a place that was there");
}

/// A call of this process that no other call looks like.
struct Marker {
    vlen: u64,
    made: Instant,
}

impl Marker {
    fn make() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1_000_000_000);
        let vlen = NEXT.fetch_add(1, Relaxed);
        let ret = invoke(Entry::Native, [u64::from(u32::MAX), 0, vlen, 0, 0], 0);
        assert_eq!(ret, -i64::from(libc::EBADF), "descriptor -1");
        Self { vlen, made: Instant::now() }
    }

    /// Whether a line is its event. Most lines are not even parsed.
    fn is(&self, line: &str) -> bool {
        if !line.contains(&self.vlen.to_string()) {
            return false;
        }
        let event: Value = serde_json::from_str(line).expect("a line of JSON");
        event["args"]["vlen"]["value"] == self.vlen && event["process"]["pid"] == std::process::id()
    }
}

/// Reads lines up to the marker's event.
fn read_to(file: &mut File, marker: &Marker) -> String {
    let (mut bytes, mut looked) = (Vec::new(), 0);
    loop {
        // Before reading: what a tracer wrote before its end is still read.
        let alive = tracer_is_alive();
        file.read_to_end(&mut bytes).expect("the shared tracer's file");
        while let Some(length) = bytes[looked..].iter().position(|byte| *byte == b'\n') {
            let line = std::str::from_utf8(&bytes[looked..looked + length]);
            if looked > 0 && marker.is(line.expect("lines in UTF-8")) {
                bytes.truncate(looked);
                return String::from_utf8(bytes).expect("lines in UTF-8");
            }
            looked += length + 1;
        }
        let so_far = || String::from_utf8_lossy(&bytes);
        assert!(alive, "the shared tracer has ended; it wrote:\n{}", so_far());
        let late = marker.made.elapsed() > LIMIT;
        assert!(!late, "no event of our own call within {LIMIT:?}; so far:\n{}", so_far());
        std::thread::sleep(POLL);
    }
}

fn tracer_is_alive() -> bool {
    let pid = std::env::var("TRACER_TEST_SHARED_PID").expect("the shared tracer's process id");
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// The lines, after the first, of a process and of those that it started.
fn family(text: &str, root: u64) -> String {
    let lines: Vec<_> = text
        .lines()
        .skip(1)
        .filter_map(|line| {
            let (_, process) = line.split_once("\"process\":{")?;
            Some((line, number(process, "\"pid\":")?, number(process, "\"ppid\":")))
        })
        .collect();
    let mut family = BTreeSet::from([root]);
    loop {
        let known = family.len();
        let child = |(_, pid, ppid): &(_, u64, Option<u64>)| {
            ppid.filter(|ppid| family.contains(ppid)).map(|_| *pid)
        };
        let children: Vec<_> = lines.iter().filter_map(child).collect();
        family.extend(children);
        if family.len() == known {
            break;
        }
    }
    let ours = lines.iter().filter(|(_, pid, _)| family.contains(pid));
    ours.map(|(line, ..)| format!("{line}\n")).collect()
}

/// The number after `key`.
fn number(text: &str, key: &str) -> Option<u64> {
    let (_, rest) = text.split_once(key)?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_a_process_with_its_descendants() {
        let line = |pid: u64, ppid: u64| {
            format!(
                "{{\"process\":{{\"pid\":{pid},\"ppid\":{ppid}}},\"messages\":[{{\"pid\":7}}]}}\n"
            )
        };
        let text = ["half a line\n", &line(12, 11), &line(11, 10), &line(7, 1), &line(10, 2)];
        let expected = [line(12, 11), line(11, 10), line(10, 2)].concat();
        assert_eq!(family(&text.concat(), 10), expected);
        assert_eq!(family(&text.concat(), 3), "");
        assert_eq!(family("\n{\"schema\":\"tracer.health/1\"}\n", 3), "");
    }
}

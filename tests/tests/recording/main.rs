//! Recordings, levels of detail, and streams without health records.

mod failures;
mod live;
mod replay;
mod streams;

use std::fs;

use ::tracer::recording::{Fate, Frame, Reader};
use tempfile::TempDir;
use tests::child::Finished;
use tests::stream::Stream;
use tests::{hook, tracer};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

/// A live run, its recording, and all that it wrote.
struct Recorded {
    folder: TempDir,
    finished: Finished,
    lines: String,
}

impl Recorded {
    /// Records a workload.
    fn workload(args: &[&str], scenario: &[&str]) -> Self {
        Self::command(args, &[&[WORKLOAD], scenario, &["--truth", "/dev/null"]].concat())
    }

    /// Records a command.
    fn command(args: &[&str], command: &[&str]) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let at = |name: &str| format!("{}/{name}", folder.path().display());
        let write = format!("file:{}", at("events"));
        let options = hook::options();
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        let recording = at("recording");
        let own = ["--record", &recording, "-o", "json", "-w", &write, "--"];
        let finished = tracer::run(&[&options, args, &own, command].concat());
        let lines = fs::read_to_string(at("events"))
            .unwrap_or_else(|error| panic!("{error}: {finished:#?}"));
        Self { folder, finished, lines }
    }

    fn path(&self) -> String {
        format!("{}/recording", self.folder.path().display())
    }

    fn replay(&self, args: &[&str]) -> Finished {
        tracer::run(&[&["replay", &self.path(), "-o", "json"], args].concat())
    }

    /// The replay is the live run, byte for byte.
    fn assert_replays(&self) {
        let replayed = self.replay(&[]);
        replayed.expect_code(0);
        assert_eq!(replayed.stderr, "");
        for (i, (live, now)) in self.lines.lines().zip(replayed.stdout.lines()).enumerate() {
            assert_eq!(now, live, "line {i}");
        }
        assert_eq!(replayed.stdout.len(), self.lines.len(), "bytes");
    }

    fn stream(&self) -> Stream {
        Stream::parse(&self.lines)
    }
}

/// How many of a recording's frames are so.
fn count(path: &str, wanted: impl Fn(&Frame<'_>) -> bool) -> usize {
    let mut reader = Reader::open(path.as_ref()).expect("a recording");
    let mut count = 0;
    while let Some(frame) = reader.next_frame().expect("a whole recording") {
        count += usize::from(wanted(&frame));
    }
    count
}

fn filtered(frame: &Frame<'_>) -> bool {
    matches!(frame, Frame::Record(Fate::Filtered, _))
}

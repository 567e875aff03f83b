//! The mock cluster, which is told what to do by lines.

use std::path::{Path, PathBuf};
use std::process::Command;

use tests::child::{self, Running};
use tests::skip::{require_root_bpf, skip};
use tests::{tools, tracer};

const GROUP: &str = "kafka";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kafka/mock.py");
const BROKERS: [u32; 2] = [1, 2];

/// The process of a cluster.
pub struct Mock {
    /// It.
    pub process: Running,
    /// Its brokers' addresses.
    pub brokers: String,
}

impl Mock {
    /// Starts one; None, with a skip, where something is not here that it takes.
    pub fn start() -> Option<Self> {
        if !require_root_bpf(GROUP) {
            return None;
        }
        let said = child::run(tracer::binary(), &["-w", "kafka:x"]).stderr;
        let python = python();
        let lacking = [
            (said.contains("without kafka"), "the tracer was built without feature kafka"),
            (!python.is_file(), "no confluent-kafka for Python: `cargo xtask setup` fetches it"),
            (tools::find("kcat").is_none(), "kcat is not installed"),
        ];
        if let Some((_, reason)) = lacking.iter().find(|(lacks, _)| *lacks) {
            skip(GROUP, reason);
            return None;
        }
        let mut command = Command::new(python);
        command.arg(Path::new(SCRIPT));
        let mut process = Running::start(command);
        let brokers = process.stdout.wait_for("the brokers", |_| true).trim().to_owned();
        Some(Self { process, brokers })
    }

    /// Has it do something.
    pub fn tell(&mut self, what: &str) {
        self.process.say(what);
        let done = self.process.stdout.wait_for("an answer", |_| true);
        assert_eq!(done.trim(), "0", "{what}");
    }

    /// The same for all brokers.
    pub fn all(&mut self, what: &str) {
        BROKERS.iter().for_each(|broker| self.tell(&format!("{what} {broker}")));
    }
}

fn python() -> PathBuf {
    let folder = match std::env::var_os("TRACER_PYTHON") {
        Some(folder) => PathBuf::from(folder),
        None => std::env::home_dir().unwrap_or_default().join(".cache/tracer-xtask/python"),
    };
    folder.join("kafka/bin/python")
}

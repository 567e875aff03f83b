//! What /proc says of a thread (proc_pid_status(5)).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Its fields, each with the first word of its value.
#[derive(Debug)]
pub struct Status(BTreeMap<String, String>);

impl Status {
    /// Of a process's first thread.
    pub fn of(pid: u32) -> Self {
        Self::read(&Path::new("/proc").join(pid.to_string()))
    }

    /// Of all its threads.
    pub fn of_threads(pid: u32) -> Vec<Self> {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("a process");
        tasks.map(|task| Self::read(&task.expect("a thread").path())).collect()
    }

    fn read(folder: &Path) -> Self {
        let text = fs::read_to_string(folder.join("status")).expect("a thread");
        let fields = text.lines().filter_map(|line| line.split_once(':'));
        let word = |value: &str| value.split_ascii_whitespace().next().unwrap_or("").to_owned();
        Self(fields.map(|(name, value)| (name.to_owned(), word(value))).collect())
    }

    /// A field, where this kernel has it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A field that every kernel has.
    pub fn field(&self, name: &str) -> &str {
        self.get(name).expect(name)
    }

    /// A set, as its bits.
    pub fn set(&self, name: &str) -> u64 {
        u64::from_str_radix(self.field(name), 16).expect("a number")
    }
}

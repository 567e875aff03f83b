//! A tree of cgroups of a test's own in the v2 hierarchy.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Whether processes are in cgroups of v1 hierarchies too.
pub fn has_v1() -> bool {
    let own = fs::read_to_string("/proc/self/cgroup").expect("/proc/self/cgroup");
    own.lines().any(|line| !line.starts_with("0:"))
}

/// The tree, removed at the end.
pub struct Cgroup {
    root: PathBuf,
    name: String,
}

impl Cgroup {
    /// An empty tree; why there can be none.
    pub fn new(name: &str) -> Result<Self, String> {
        // Tests of one process run at the same time.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Relaxed);
        let name = format!("tracer-test-{name}-{}-{number}", std::process::id());
        let root = Self::mount()?.join(&name);
        fs::create_dir(&root).map_err(|error| format!("{}: {error}", root.display()))?;
        Ok(Self { root, name })
    }

    /// Where the hierarchy is mounted.
    pub fn mount() -> Result<PathBuf, String> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        let line = mounts.lines().find(|line| line.contains(" - cgroup2 "));
        let mount = line.and_then(|line| line.split(' ').nth(4));
        mount.map(PathBuf::from).ok_or("no cgroup v2 hierarchy is mounted".to_owned())
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.root
    }

    /// Its path in the hierarchy, as `/proc/PID/cgroup` and events show it.
    pub fn path(&self) -> String {
        format!("/{}", self.name)
    }

    /// Makes a cgroup below it, with those on the way.
    pub fn make(&self, path: &str) -> PathBuf {
        let folder = self.root.join(path.trim_start_matches('/'));
        fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{path}: {error}"));
        folder
    }

    /// Moves a process.
    pub fn enter(folder: &Path, pid: &str) {
        fs::write(folder.join("cgroup.procs"), pid)
            .unwrap_or_else(|error| panic!("{pid} to {}: {error}", folder.display()));
    }

    /// Removes one without any below it, once its processes have ended.
    pub fn remove(folder: &Path) {
        fs::remove_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        remove_all(&self.root);
    }
}

/// The kernel's own files in it go with a cgroup.
fn remove_all(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_all(&entry.path());
        }
    }
    let _ = fs::remove_dir(folder);
}

//! What a process holds of eBPF, and whether the kernel still has it.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

/// What a descriptor refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A program.
    Program,
    /// A map.
    Map,
    /// A link.
    Link,
}

/// The commands of bpf(2) that open an object by its id (include/uapi/linux/bpf.h).
const OPEN: [(Kind, &str, libc::c_int); 3] =
    [(Kind::Program, "prog_id:", 13), (Kind::Map, "map_id:", 14), (Kind::Link, "link_id:", 30)];

/// The ids of all that a process has descriptors of.
pub fn held(pid: u32) -> BTreeSet<(Kind, u32)> {
    let mut found = BTreeSet::new();
    for text in fdinfo(pid) {
        for (kind, name, _) in OPEN {
            // A link's text has its program's id too.
            let own = kind != Kind::Program || !text.contains("link_id:");
            if let Some(id) = field(&text, name).filter(|_| own) {
                found.insert((kind, u32::try_from(id).expect("an id")));
            }
        }
    }
    found
}

/// How often the programs that a process has descriptors of have run. The kernel counts
/// only while `kernel.bpf_stats_enabled` is 1.
pub fn runs(pid: u32) -> u64 {
    let mut seen = BTreeSet::new();
    fdinfo(pid)
        .filter(|text| field(text, "prog_id:").is_some_and(|id| seen.insert(id)))
        .filter_map(|text| field(&text, "run_cnt:"))
        .sum()
}

/// How many descriptors of eBPF objects, and of the perf events that they hang on, a
/// process has.
pub fn descriptors(pid: u32) -> usize {
    let folder = fs::read_dir(format!("/proc/{pid}/fd")).expect("a running process");
    let targets = folder.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let target = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
    let is_ours = |name: &String| {
        let name = name.strip_prefix("anon_inode:").unwrap_or_default();
        ["bpf", "[perf_event]", "btf"].iter().any(|start| name.starts_with(start))
    };
    targets.map(target).filter(is_ours).count()
}

/// Those that the kernel still has. It frees some of them later than they are let go of,
/// so it is given a moment.
pub fn left(ids: &BTreeSet<(Kind, u32)>) -> BTreeSet<(Kind, u32)> {
    let deadline =
        Instant::now() + Duration::from_secs(if crate::tools::is_slow() { 30 } else { 5 });
    loop {
        let left: BTreeSet<_> =
            ids.iter().copied().filter(|(kind, id)| exists(*kind, *id)).collect();
        if left.is_empty() || Instant::now() > deadline {
            return left;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn fdinfo(pid: u32) -> impl Iterator<Item = String> {
    let folder = fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("a running process");
    folder.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok())
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

fn exists(kind: Kind, id: u32) -> bool {
    /// The head of `union bpf_attr` for these commands: id, next_id, open_flags.
    #[repr(C)]
    struct Attr([u32; 3]);
    let (.., command) = OPEN.into_iter().find(|(of, ..)| *of == kind).expect("every kind");
    let attr = Attr([id, 0, 0]);
    // SAFETY: a command that reads the attributes, which live through the call.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, &attr, size_of::<Attr>()) };
    if fd < 0 {
        let error = std::io::Error::last_os_error();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT), "{kind:?} {id}: {error}");
        return false;
    }
    // SAFETY: a descriptor that was just opened and is nobody else's.
    unsafe { libc::close(libc::c_int::try_from(fd).expect("a descriptor")) };
    true
}

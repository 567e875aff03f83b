//! `--cgroup PATH` to the cgroup's id.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::Failure;
use crate::{filter::Term, source};

/// The ids of the cgroups: inode numbers of their directories (kernfs ids).
pub fn resolve(terms: &[Term<String>]) -> Result<Vec<Term<u64>>, Failure> {
    if terms.is_empty() {
        return Ok(Vec::new());
    }
    let root = source::mounted("cgroup2").ok_or_else(|| {
        Failure::Runtime(
            "--cgroup needs a cgroup v2 hierarchy, and none is mounted \
             (mount -t cgroup2 none /sys/fs/cgroup)"
                .to_owned(),
        )
    })?;
    terms
        .iter()
        .map(|term| {
            let path = directory(&root, &term.value);
            let id = id(&path).map_err(|error| {
                Failure::Usage(format!(
                    "--cgroup {}: no such cgroup ({}: {error}); \
                     /proc/PID/cgroup shows a process's after 0::",
                    term.value,
                    path.display()
                ))
            })?;
            Ok(Term { negated: term.negated, value: id })
        })
        .collect()
}

/// A path below the hierarchy's root, given in full or as /proc/PID/cgroup shows it.
fn directory(root: &Path, path: &str) -> PathBuf {
    if Path::new(path).starts_with(root) {
        path.into()
    } else {
        root.join(path.trim_start_matches('/'))
    }
}

fn id(path: &Path) -> io::Result<u64> {
    let metadata = fs::metadata(path)?;
    // Every cgroup directory has it, and no other directory does.
    fs::metadata(path.join("cgroup.procs"))?;
    Ok(metadata.ino())
}

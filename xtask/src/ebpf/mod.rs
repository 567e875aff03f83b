//! `cargo xtask ebpf`: the committed eBPF object, and whether it still fits its sources.
//!
//! ```text
//! toolchain ─┐
//! deps ──────┼─ build ─► tracer.bpf.o ─┐
//! digest ────┘                         ├─► BUILD-INFO
//!        └──────────────────────────────┘
//! ```
//! Users embed the committed object and need none of this. [`check`] tells when the
//! object and its sources have parted, on any machine by digests, and on one with the
//! recorded toolchain by building it again and comparing bytes.

mod build;
mod deps;
mod digest;
mod info;
pub mod toolchain;

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail};
use info::BuildInfo;
use toolchain::Toolchain;

use crate::{cargo, skip::Skip, workspace::Workspace};

const OBJECT: &str = "tracer.bpf.o";
const INFO: &str = "BUILD-INFO";
const WAY_OUT: &str = "run `cargo xtask ebpf` and commit tracer/bpf";

/// Builds the object and writes it with its BUILD-INFO.
pub fn write(workspace: &Workspace) -> Result<ExitCode> {
    let toolchain = Toolchain::find()?;
    println!("ebpf: built by {toolchain}");
    // Before the build: sources that change meanwhile make the check fail, as they should.
    let sources = sources_digest(workspace, cargo::stable(workspace))?;
    let object = build::object(workspace, &toolchain)?;
    let info = BuildInfo {
        toolchain: toolchain.identity,
        sources_sha256: sources,
        object_sha256: digest::sha256(&object),
        object_bytes: object.len(),
    };
    let folder = workspace.object_dir();
    fs::create_dir_all(&folder).with_context(|| format!("can't create {}", folder.display()))?;
    let changed = replace(&folder.join(OBJECT), &object)?;
    replace(&folder.join(INFO), info.to_string().as_bytes())?;
    let state = if changed { "written" } else { "unchanged" };
    println!(
        "ebpf: tracer/bpf/{OBJECT} {state}: {} bytes, sha256 {}",
        object.len(),
        info.object_sha256
    );
    Ok(ExitCode::SUCCESS)
}

pub fn check_and_report(workspace: &Workspace) -> Result<ExitCode> {
    for skip in check(workspace)? {
        println!("{skip}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Holds the committed object against its sources. What could not be compared here
/// comes back as a skip; what differs is an error.
pub fn check(workspace: &Workspace) -> Result<Vec<Skip>> {
    let folder = workspace.object_dir();
    let read = |name: &str| {
        let file = folder.join(name);
        fs::read(&file).with_context(|| format!("can't read tracer/bpf/{name}: {WAY_OUT}"))
    };
    let recorded = BuildInfo::parse(&String::from_utf8_lossy(&read(INFO)?))
        .with_context(|| format!("tracer/bpf/{INFO} is damaged: {WAY_OUT}"))?;
    let object = read(OBJECT)?;
    if recorded.object_sha256 != digest::sha256(&object) || recorded.object_bytes != object.len() {
        bail!("tracer/bpf/{OBJECT} is not the object that {INFO} describes: {WAY_OUT}");
    }
    let sources = sources_digest(workspace, cargo::stable(workspace))?;
    if recorded.sources_sha256 != sources {
        bail!(
            "the sources of tracer/bpf/{OBJECT} have changed since it was built \
             (tracer-ebpf, tracer-common, a dependency's version or the build's flags; \
             digest {sources}, recorded {}): {WAY_OUT}",
            recorded.sources_sha256
        );
    }
    println!("ebpf: tracer/bpf/{OBJECT} fits its sources (sha256 {sources})");

    let skip = |reason| Ok(vec![Skip::new("ebpf: rebuild and compare bytes", reason)]);
    let toolchain = match Toolchain::find() {
        Ok(toolchain) => toolchain,
        Err(error) => return skip(format!("{error:#}")),
    };
    if let Some(difference) = info::difference(&recorded.toolchain, &toolchain.identity) {
        return skip(format!("another toolchain than the recorded one: {difference}"));
    }
    let rebuilt = build::object(workspace, &toolchain)?;
    if rebuilt != object {
        bail!(
            "building tracer/bpf/{OBJECT} again with the recorded toolchain gives other bytes \
             ({} bytes, sha256 {}; recorded {} bytes, {}): {WAY_OUT}",
            rebuilt.len(),
            digest::sha256(&rebuilt),
            recorded.object_bytes,
            recorded.object_sha256
        );
    }
    println!("ebpf: built again by {toolchain}: the same {} bytes", rebuilt.len());
    Ok(Vec::new())
}

fn sources_digest(workspace: &Workspace, cargo: Command) -> Result<String> {
    let locked = deps::locked(cargo, &workspace.root)?;
    let locked = locked.iter().map(|dep| format!("{} {}", dep.name, dep.version)).collect();
    Ok(digest::of(digest::read_sources(&workspace.root)?, locked, &build::flags()))
}

/// Puts `bytes` at `file` in one step, since others may be embedding it just now. A
/// file that is right already keeps its time stamp, and what embeds it is not rebuilt.
fn replace(file: &Path, bytes: &[u8]) -> Result<bool> {
    if fs::read(file).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    let fresh = file.with_extension("new");
    fs::write(&fresh, bytes).with_context(|| format!("can't write {}", fresh.display()))?;
    fs::rename(&fresh, file).with_context(|| format!("can't replace {}", file.display()))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_right_is_left_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join(OBJECT);
        assert!(replace(&file, b"one").expect("written"));
        assert!(!replace(&file, b"one").expect("compared"));
        assert!(replace(&file, b"two").expect("replaced"));
        assert_eq!(fs::read(&file).expect("read"), b"two");
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
    }
}

//! Kernels of guests: Debian's, by package name, cached by version.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context as _, Result, anyhow};

use super::{Guest, apt::Apt};
use crate::workspace::cache_dir;

/// A kernel that can be started.
#[derive(Debug)]
pub struct Kernel {
    pub image: PathBuf,
    /// The package's version.
    pub version: String,
    /// Why it may not be the newest.
    pub stale: Option<String>,
}

/// The guest's kernel: the newest that apt knows, or else the last one that it had.
pub fn get(guest: &Guest) -> Result<Kernel> {
    let cache = cache_dir()?.join("kernels");
    let folder = cache.join(guest.name);
    match newest(guest, &cache, &folder) {
        Ok(kernel) => Ok(kernel),
        Err(error) => {
            let mut kernel = cached(&folder).ok_or_else(|| anyhow!("{error:#}"))?;
            kernel.stale = Some(format!("{error:#}"));
            Ok(kernel)
        }
    }
}

fn newest(guest: &Guest, cache: &Path, folder: &Path) -> Result<Kernel> {
    let apt = Apt::open(cache, guest.release, guest.arch.debian)?;
    let candidate = apt.candidate(guest.package, Some("linux-image-"))?;
    let version = candidate.version.clone();
    let image = folder.join(&version).join("vmlinuz");
    if !image.is_file() {
        fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
        let unpacked = tempfile::tempdir_in(folder)?;
        apt.unpack(&candidate, unpacked.path())?;
        let boot = unpacked.path().join("boot");
        let file = fs::read_dir(&boot)
            .with_context(|| format!("{} has no /boot", candidate.package))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.file_name().is_some_and(|name| is_image(&name.to_string_lossy())))
            .ok_or_else(|| anyhow!("{} has no /boot/vmlinuz-*", candidate.package))?;
        fs::create_dir_all(folder.join(&version))?;
        // In one step, so that a copy is whole or not there.
        fs::rename(&file, &image)
            .with_context(|| format!("can't move {} to {}", file.display(), image.display()))?;
    }
    Ok(Kernel { image, version, stale: None })
}

fn is_image(name: &str) -> bool {
    name.starts_with("vmlinuz-")
}

/// The one that was downloaded last.
fn cached(folder: &Path) -> Option<Kernel> {
    let (_, version, image) = fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let image = entry.path().join("vmlinuz");
            let modified: SystemTime = fs::metadata(entry.path()).ok()?.modified().ok()?;
            let version = entry.file_name().into_string().ok()?;
            image.is_file().then_some((modified, version, image))
        })
        .max()?;
    Some(Kernel { image, version, stale: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cached_kernel_is_one_with_an_image() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(cached(folder.path()).is_none());
        fs::create_dir(folder.path().join("6.1.1-1")).expect("a folder");
        assert!(cached(folder.path()).is_none());
        fs::create_dir(folder.path().join("6.1.192-2")).expect("a folder");
        fs::write(folder.path().join("6.1.192-2/vmlinuz"), "").expect("a file");
        assert_eq!(cached(folder.path()).expect("a kernel").version, "6.1.192-2");
    }
}

//! Where things lie: the workspace, its target folder, the cache of built tools.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

pub struct Workspace {
    /// Canonical, since rustc records the current folder as the kernel names it.
    pub root: PathBuf,
}

impl Workspace {
    /// The workspace that this xtask belongs to, whatever the current folder.
    pub fn find() -> Result<Self> {
        // Set by `cargo run`; a binary that was started by hand looks upwards.
        let start = match env::var_os("CARGO_MANIFEST_DIR") {
            Some(folder) => PathBuf::from(folder),
            None => env::current_dir().context("no current folder")?,
        };
        for folder in start.ancestors() {
            let manifest = folder.join("Cargo.toml");
            if fs::read_to_string(&manifest).is_ok_and(|text| text.contains("[workspace]")) {
                let root = folder
                    .canonicalize()
                    .with_context(|| format!("can't resolve {}", folder.display()))?;
                return Ok(Self { root });
            }
        }
        bail!("no workspace at or above {}: start it as `cargo xtask`", start.display())
    }

    /// Cargo's target folder. `CARGO_TARGET_DIR` is relative to the folder that
    /// cargo was called in, which is this process's.
    pub fn target_dir(&self) -> PathBuf {
        match env::var_os("CARGO_TARGET_DIR").filter(|value| !value.is_empty()) {
            Some(folder) => std::path::absolute(&folder).unwrap_or_else(|_| folder.into()),
            None => self.root.join("target"),
        }
    }

    /// Folder of the committed object.
    pub fn object_dir(&self) -> PathBuf {
        self.root.join("tracer/bpf")
    }
}

/// Tools that xtask builds once and every clone shares, because they take minutes.
pub fn tools_dir() -> Result<PathBuf> {
    Ok(cache_dir()?.join("tools"))
}

/// What xtask keeps outside of the workspace, for every clone.
pub fn cache_dir() -> Result<PathBuf> {
    let named = |variable| env::var_os(variable).filter(|value| !value.is_empty());
    if let Some(folder) = named("TRACER_XTASK_CACHE") {
        Ok(PathBuf::from(folder))
    } else if let Some(folder) = named("XDG_CACHE_HOME") {
        Ok(Path::new(&folder).join("tracer-xtask"))
    } else if let Some(home) = env::home_dir() {
        Ok(home.join(".cache/tracer-xtask"))
    } else {
        bail!("no folder for built tools and kernels: set HOME or TRACER_XTASK_CACHE")
    }
}

/// First file called `program` in the folders of PATH.
pub fn on_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

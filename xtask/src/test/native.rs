//! The group `native`: package `tests`, on this machine's kernel, as root.
//!
//! The tests get the release tracer by `TRACER_BIN`. One that can't run here appends a
//! line `SKIP <group>: <reason>` to the file named by `TRACER_SKIPS`.

use std::{ffi::OsStr, fs, path::PathBuf};

use anyhow::{Context as _, Result};

use super::{
    Outcome, Selection,
    programs::{self, is_of_the_kernel},
};
use crate::{
    dist,
    privilege::Privilege,
    run,
    setup::{beside, python, schemas},
    skip::Skip,
    workspace::Workspace,
};

/// What packages for tests are of where nobody knows the sources' own time.
const NO_TIME: u64 = 1_000_000_000;

pub fn run(workspace: &Workspace, _: &Selection, left_out: &mut Vec<Skip>) -> Result<Outcome> {
    let privilege = match Privilege::find_unattended() {
        Ok(privilege) => privilege,
        Err(error) => return Ok(Outcome::Skipped(error.to_string())),
    };
    // What is lacking is told with the tests' own features.
    let (features, _) = run::features()?;
    let tracer = run::build(workspace, &["--features", features])?;
    // With this program in them, so that nothing is built twice.
    let packages = workspace.target_dir().join("dist-tested");
    dist::make(workspace, &tracer, None, &packages, dist::time(workspace).unwrap_or(NO_TIME))?;
    let skips = SkipFile::create(workspace)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(beside::program_folders());
    let path = std::env::join_paths(folders).context("PATH")?;
    let schemas = schemas::folder()?;
    let (beside, python) = (beside::folder()?, python::folder()?);
    let variables = [
        ("PATH", path.as_os_str()),
        ("TRACER_BIN", tracer.as_os_str()),
        ("TRACER_DIST", packages.as_os_str()),
        ("TRACER_SKIPS", skips.path.as_os_str()),
        ("TRACER_SCHEMAS", schemas.as_os_str()),
        ("TRACER_BESIDE", beside.as_os_str()),
        ("TRACER_PYTHON", python.as_os_str()),
        // Their stack traces are for whoever reads a failure.
        ("RUST_BACKTRACE", OsStr::new("1")),
    ];
    let programs = programs::build(workspace, left_out)?;
    let result = programs::run(programs.into_iter().filter(is_of_the_kernel), |program| {
        let mut variables = variables.to_vec();
        variables.push(("CARGO_MANIFEST_DIR", program.package.as_os_str()));
        privilege.command(&program.path, &variables)
    });
    left_out.extend(skips.read()?);
    result?;
    Ok(Outcome::Ok)
}

/// Where the tests note what they left out.
struct SkipFile {
    path: PathBuf,
}

impl SkipFile {
    /// In the target folder and not in /tmp: there the kernel may keep root from
    /// writing to another user's file (fs.protected_regular).
    fn create(workspace: &Workspace) -> Result<Self> {
        let path = workspace.target_dir().join(format!("skips-{}", std::process::id()));
        fs::write(&path, "").with_context(|| format!("can't write {}", path.display()))?;
        Ok(Self { path })
    }

    fn read(&self) -> Result<Vec<Skip>> {
        let text = fs::read_to_string(&self.path)
            .with_context(|| format!("can't read {}", self.path.display()))?;
        Ok(Skip::parse_lines(&text))
    }
}

impl Drop for SkipFile {
    fn drop(&mut self) {
        // What stays behind is a small file in the target folder.
        let _ = fs::remove_file(&self.path);
    }
}

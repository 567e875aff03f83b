//! The group `native`: package `tests`, on this machine's kernel, as root.
//!
//! The tests get the release tracer by `TRACER_BIN`. One that can't run here appends a
//! line `SKIP <group>: <reason>` to the file named by `TRACER_SKIPS`.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::{Outcome, Selection};
use crate::{
    cargo,
    privilege::Privilege,
    run,
    setup::{beside, python, schemas},
    skip::Skip,
    workspace::Workspace,
};

const PACKAGE: &str = "tests";

pub fn run(workspace: &Workspace, _: &Selection, left_out: &mut Vec<Skip>) -> Result<Outcome> {
    let privilege = match Privilege::find_unattended() {
        Ok(privilege) => privilege,
        Err(error) => return Ok(Outcome::Skipped(error.to_string())),
    };
    let (features, lacking) = run::features()?;
    left_out.extend(lacking);
    let tracer = run::build(workspace, &["--features", features])?;
    let skips = SkipFile::create(workspace)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(beside::program_folders());
    let path = std::env::join_paths(folders).context("PATH")?;
    let schemas = schemas::folder()?;
    let (beside, python) = (beside::folder()?, python::folder()?);
    let variables = [
        ("PATH", path.as_os_str()),
        ("TRACER_BIN", tracer.as_os_str()),
        ("TRACER_SKIPS", skips.path.as_os_str()),
        ("TRACER_SCHEMAS", schemas.as_os_str()),
        ("TRACER_BESIDE", beside.as_os_str()),
        ("TRACER_PYTHON", python.as_os_str()),
        // Their stack traces are for whoever reads a failure.
        ("RUST_BACKTRACE", OsStr::new("1")),
    ];
    let result = match &privilege {
        Privilege::Root => cargo::succeed(
            cargo::stable(workspace)
                .args(["test", "--locked", "--no-fail-fast", "--package", PACKAGE])
                .envs(variables),
            "cargo test --package tests",
        ),
        Privilege::Through(_) => through(workspace, &privilege, &variables),
    };
    left_out.extend(skips.read()?);
    result?;
    Ok(Outcome::Ok)
}

/// Builds as the caller, so that root owns nothing in the target folder, and runs the
/// test programs as cargo would.
fn through(
    workspace: &Workspace,
    privilege: &Privilege,
    variables: &[(&str, &OsStr)],
) -> Result<()> {
    let programs =
        cargo::build(workspace, &["test", "--locked", "--no-run", "--package", PACKAGE])?;
    let mut failed = Vec::new();
    for program in &programs {
        // Programs that tests start are built too; they lie outside of `deps`.
        if !is_test(&program.path) {
            continue;
        }
        let mut variables = variables.to_vec();
        variables.push(("CARGO_MANIFEST_DIR", program.package.as_os_str()));
        println!("     Running {} as root", program.name);
        let mut command = privilege.command(&program.path, &variables);
        command.current_dir(&program.package);
        if cargo::succeed(&mut command, &program.name).is_err() {
            failed.push(program.name.as_str());
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// Cargo builds tests into `deps`, and only hard links other programs out of it.
fn is_test(program: &Path) -> bool {
    program.parent().and_then(Path::file_name) == Some(OsStr::new("deps"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_told_from_other_programs() {
        assert!(is_test(Path::new("/w/target/debug/deps/native-0123")));
        assert!(!is_test(Path::new("/w/target/debug/workload")));
    }
}

//! The test programs of all packages, built together: package by package, cargo would
//! choose other features of what they share, and build that anew each time.

use std::{ffi::OsStr, path::Path, process::Command};

use anyhow::{Result, bail};

use crate::{
    cargo::{self, Executable},
    run,
    skip::Skip,
    workspace::Workspace,
};

/// The package of tests that want root and a kernel of their own.
const OF_THE_KERNEL: &str = "tests";

/// `cargo test` of all packages, and the features that can't be built here.
pub fn command(workspace: &Workspace) -> Result<(Command, Option<Skip>)> {
    let (features, lacking) = run::features()?;
    let mut command = cargo::stable(workspace);
    command.args(["test", "--locked", "--features", &format!("tracer/{features}")]);
    Ok((command, lacking))
}

/// Builds them; what can't be had goes to the list.
pub fn build(workspace: &Workspace, left_out: &mut Vec<Skip>) -> Result<Vec<Executable>> {
    let (mut command, lacking) = command(workspace)?;
    left_out.extend(lacking);
    let built = cargo::executables_of(command.arg("--no-run"), "cargo test --no-run")?;
    // Programs that tests start are built too.
    Ok(built.into_iter().filter(|program| is_test(&program.path)).collect())
}

/// Whether a program is of the package of tests that want root and a kernel.
pub fn is_of_the_kernel(program: &Executable) -> bool {
    program.package.file_name() == Some(OsStr::new(OF_THE_KERNEL))
}

/// Runs each as cargo would; `start` makes a command of one. One that fails does not keep
/// the others from running.
pub fn run(
    programs: impl IntoIterator<Item = Executable>,
    start: impl Fn(&Executable) -> Command,
) -> Result<()> {
    let mut failed = Vec::new();
    for program in programs {
        println!("     Running {} ({})", program.name, program.path.display());
        let mut command = start(&program);
        command.current_dir(&program.package);
        if cargo::succeed(&mut command, &program.name).is_err() {
            failed.push(program.name);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_told_from_other_programs() {
        assert!(is_test(Path::new("/w/target/debug/deps/native-0123")));
        assert!(!is_test(Path::new("/w/target/debug/workload")));
    }

    #[test]
    fn one_that_fails_does_not_keep_the_others() {
        let [one, other] = ["one", "other"].map(|name| Executable {
            name: name.to_owned(),
            path: "/w/target/debug/deps/it".into(),
            package: "/".into(),
        });
        let folder = tempfile::tempdir().expect("a temporary folder");
        let start = |program: &Executable| {
            let mut command = Command::new("sh");
            command.args(["-c", ": > \"$1/$0\"; [ $0 = other ]", &program.name]);
            command.arg(folder.path());
            command
        };
        let error = run([one, other], start).expect_err("one fails").to_string();
        assert_eq!(error, "failed: one");
        assert!(folder.path().join("other").exists());
    }
}

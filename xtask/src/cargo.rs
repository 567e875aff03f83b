//! Calling cargo and programs from inside a `cargo run`.
//!
//! The outer cargo (and rustup's proxy in front of it) leaves variables behind that
//! would steer an inner cargo, or that a traced program would inherit. They are taken
//! out here, in one place.

use std::{
    env,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::workspace::Workspace;

/// Set for a program by the cargo that runs it, meant for nobody further down.
fn left_by_cargo(name: &str) -> bool {
    const PREFIXES: &[&str] = &["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
    const NAMES: &[&str] = &["CARGO", "CARGO_PRIMARY_PACKAGE", "OUT_DIR", "RUST_RECURSION_COUNT"];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Chooses the compiler or changes what it makes: out of place where the bytes matter.
fn steers_a_build(name: &str) -> bool {
    const PREFIXES: &[&str] = &[
        "CARGO_BUILD_",
        "CARGO_PROFILE_",
        "CARGO_TARGET_",
        "CARGO_UNSTABLE_",
        "RUSTC",
        "RUSTDOC",
        "RUSTUP_TOOLCHAIN",
    ];
    const NAMES: &[&str] = &[
        "AYA_BPF_TARGET_ARCH",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_INCREMENTAL",
        "LD_LIBRARY_PATH",
        "LD_PRELOAD",
        "RUSTFLAGS",
    ];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn remove_where(command: &mut Command, condition: impl Fn(&str) -> bool) {
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(&condition) {
            command.env_remove(name);
        }
    }
}

/// The caller's own cargo (stable), in the workspace's root.
pub fn stable(workspace: &Workspace) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    remove_where(&mut command, left_by_cargo);
    command.current_dir(&workspace.root);
    command
}

/// `program` with nothing in its environment that chooses a compiler or its flags.
/// CARGO_HOME and the settings of registries, proxies and mirrors stay.
pub fn unsteered(program: &Path) -> Command {
    let mut command = Command::new(program);
    remove_where(&mut command, |name| left_by_cargo(name) || steers_a_build(name));
    command
}

/// Gives `command` the environment that the user gave `cargo xtask`, as far as it can
/// be told apart from what cargo and rustup added.
pub fn restore_environment(command: &mut Command, workspace: &Workspace) {
    let toolchain = |name: &str| name.starts_with("RUSTUP_TOOLCHAIN");
    remove_where(command, |name| left_by_cargo(name) || toolchain(name));
    if let Some(paths) = env::var_os("LD_LIBRARY_PATH") {
        let sysroot = env::var_os("CARGO")
            .and_then(|cargo| Some(Path::new(&cargo).parent()?.parent()?.to_owned()))
            // A distribution's cargo: its libraries are the system's.
            .filter(|sysroot| sysroot.join("lib/rustlib").is_dir() && sysroot != Path::new("/usr"));
        match without(&paths, &[Some(workspace.target_dir()), sysroot]) {
            Some(rest) => command.env("LD_LIBRARY_PATH", rest),
            None => command.env_remove("LD_LIBRARY_PATH"),
        };
    }
}

/// The path list without entries at or below `folders`; `None` when nothing is left.
fn without(paths: &OsStr, folders: &[Option<PathBuf>]) -> Option<OsString> {
    let below = |path: &PathBuf| folders.iter().flatten().any(|folder| path.starts_with(folder));
    let rest: Vec<_> = env::split_paths(paths)
        .filter(|path| !path.as_os_str().is_empty() && !below(path))
        .collect();
    if rest.is_empty() { None } else { env::join_paths(rest).ok() }
}

/// Runs `command`; an exit status other than 0 is an error that names it.
pub fn succeed(command: &mut Command, name: &str) -> Result<()> {
    let status = command.status().with_context(|| format!("can't start {name}"))?;
    if !status.success() {
        bail!("{name} failed ({status})");
    }
    Ok(())
}

/// What `command` prints to stdout; stderr only where it fails.
pub fn output_of(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("can't start {}", program.display()))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed ({}): {}", program.display(), output.status, stderr.trim());
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("{} printed something else than UTF-8", program.display()))
}

/// An executable that cargo built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executable {
    pub name: String,
    pub path: PathBuf,
    /// The folder of its package, the current folder of tests that cargo starts.
    pub package: PathBuf,
}

/// Runs cargo with `args` (a build, or a test with `--no-run`) and returns the
/// executables it made, wherever the user's configuration puts them.
pub fn build(workspace: &Workspace, args: &[&str]) -> Result<Vec<Executable>> {
    executables_of(stable(workspace).args(args), &format!("cargo {}", args.join(" ")))
}

/// The executables that a cargo command makes; `name` is for messages.
pub fn executables_of(command: &mut Command, name: &str) -> Result<Vec<Executable>> {
    let output = command
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("can't start {name}"))?;
    if !output.status.success() {
        bail!("{name} failed ({})", output.status);
    }
    Ok(executables(&String::from_utf8_lossy(&output.stdout)))
}

fn executables(messages: &str) -> Vec<Executable> {
    #[derive(Deserialize)]
    struct Artifact {
        executable: Option<PathBuf>,
        manifest_path: PathBuf,
        target: Target,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
    }
    // Messages of other shapes (build scripts, the end of the build) are not ours.
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<Artifact>(line).ok());
    artifacts
        .filter_map(|artifact| {
            Some(Executable {
                name: artifact.target.name,
                path: artifact.executable?,
                package: artifact.manifest_path.parent()?.to_owned(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_among_cargo_messages() {
        let messages = r#"{"reason":"build-script-executed","package_id":"x"}
{"reason":"compiler-artifact","manifest_path":"/w/a/Cargo.toml","target":{"name":"lib"},"executable":null}
{"reason":"compiler-artifact","manifest_path":"/w/tests/Cargo.toml","target":{"name":"native"},"executable":"/t/native-1"}
{"reason":"build-finished","success":true}"#;
        let native = Executable {
            name: "native".into(),
            path: "/t/native-1".into(),
            package: "/w/tests".into(),
        };
        assert_eq!(executables(messages), [native]);
    }

    #[test]
    fn the_users_own_library_path_survives() {
        let folders = [Some("/w/target".into()), None, Some("/r/stable".into())];
        let paths = OsStr::new("/w/target/debug/deps:/opt/lib:/r/stable/lib");
        assert_eq!(without(paths, &folders), Some("/opt/lib".into()));
        assert_eq!(without(OsStr::new("/w/target/debug"), &folders), None);
    }

    #[test]
    fn what_is_taken_out_and_what_stays() {
        assert!(left_by_cargo("CARGO_PKG_NAME") && left_by_cargo("CARGO"));
        for name in ["RUSTC_WRAPPER", "RUSTUP_TOOLCHAIN", "CARGO_TARGET_DIR", "RUSTFLAGS"] {
            assert!(steers_a_build(name), "{name}");
        }
        for name in
            ["CARGO_HOME", "CARGO_HTTP_PROXY", "CARGO_SOURCE_X_REPLACE_WITH", "PATH", "HOME"]
        {
            assert!(!left_by_cargo(name) && !steers_a_build(name), "{name}");
        }
    }
}

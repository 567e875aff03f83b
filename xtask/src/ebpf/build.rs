//! Building the object so that the same toolchain gives the same bytes in any folder.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::Path,
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use object::{Object as _, ObjectSection as _};

use super::{
    deps::{self, ROOT, TARGET},
    digest,
    toolchain::Toolchain,
};
use crate::{cargo, workspace::Workspace};

/// Where remapped paths lead: nowhere. LLVM copies the source lines that it can read
/// into the BTF line information, so a name that exists on some machine (a container's
/// `/tracer`, say) would give other bytes there. Nothing can exist below a device.
const NOWHERE: &str = "/dev/null";

/// The compiler's flags, without the remapped paths.
///
/// * debuginfo: BTF is made from it. With less than 2 it is invalid, or programs that
///   call `bpf_loop` fail to load.
/// * bpf_target_arch: aya-ebpf asks for one. Ours looks registers up through offsets
///   that the daemon sets, so the same object serves x86-64 and arm64.
const FLAGS: &[&str] = &["--cfg=bpf_target_arch=\"x86_64\"", "-Cdebuginfo=2", "-Clink-arg=--btf"];

/// The release profile, spelled out: the workspace's is the daemon's, and a user's
/// cargo configuration may change any of it. No LTO: bpf-linker makes one module of
/// everything and optimises that.
const PROFILE: &[(&str, &str)] = &[
    ("OPT_LEVEL", "3"),
    ("DEBUG", "2"),
    ("LTO", "off"),
    ("CODEGEN_UNITS", "1"),
    ("STRIP", "none"),
    ("INCREMENTAL", "false"),
    ("OVERFLOW_CHECKS", "false"),
    ("DEBUG_ASSERTIONS", "false"),
];

/// What decides the bytes besides sources and toolchain, for the digest.
pub fn flags() -> Vec<String> {
    let profile = PROFILE.iter().map(|(key, value)| format!("{key}={value}"));
    FLAGS.iter().map(|&flag| flag.to_owned()).chain(profile).collect()
}

/// Builds the object, strips it of all debug information but BTF, and returns it.
pub fn object(workspace: &Workspace, toolchain: &Toolchain) -> Result<Vec<u8>> {
    let root = &workspace.root;
    let mut cargo = cargo::unsteered(&toolchain.cargo);
    cargo.env("RUSTC", &toolchain.rustc);
    let locked = deps::locked(cargo, root)?;

    let mut remap: Vec<(&Path, String)> = vec![(root, "tracer".into())];
    remap.push((&toolchain.core_source, "rust".into()));
    // One for each dependency, since a registry's folder is named after its host, and a
    // vendored dependency's has no version.
    for dep in &locked {
        remap.push((&dep.folder, format!("cargo/{}-{}", dep.name, dep.version)));
    }

    // Cargo does not see that the linker is another: a folder for each toolchain.
    let identity = digest::sha256(format!("{:?}", toolchain.identity).as_bytes());
    let target_dir = workspace.target_dir().join("ebpf").join(&identity[..12]);
    let mut command = command(root, toolchain, &remap);
    cargo::succeed(command.arg("--target-dir").arg(&target_dir), "building tracer-ebpf")?;

    let built = target_dir.join(TARGET).join("release").join(ROOT);
    let stripped = built.with_extension("stripped.o");
    let mut strip = toolchain.objcopy();
    strip.arg("--strip-debug").arg(&built).arg(&stripped);
    cargo::succeed(&mut strip, "stripping the object's debug information")?;
    let bytes =
        fs::read(&stripped).with_context(|| format!("can't read {}", stripped.display()))?;
    verify(&bytes, remap.iter().map(|(path, _)| *path)).context("the object just built")?;
    Ok(bytes)
}

fn command(root: &Path, toolchain: &Toolchain, remap: &[(&Path, String)]) -> Command {
    let mut flags: Vec<OsString> = FLAGS.iter().map(OsString::from).collect();
    for (path, name) in remap {
        let mut flag = OsString::from("--remap-path-prefix=");
        flag.push(path);
        flag.push(format!("={NOWHERE}/{name}"));
        flags.push(flag);
    }
    let mut command = cargo::unsteered(&toolchain.cargo);
    command
        .current_dir(root)
        .args(["build", "--release", "--locked", "--package", ROOT, "--target", TARGET])
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join(OsStr::new("\x1f")))
        // By the environment and not `-C linker`: cargo hashes flags into symbol names.
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &toolchain.linker)
        .env("RUSTC", &toolchain.rustc)
        .env("RUSTC_BOOTSTRAP", "1")
        // A user's configuration may name one; an empty value overrules it.
        .env("RUSTC_WRAPPER", "")
        .env("RUSTC_WORKSPACE_WRAPPER", "");
    for (key, value) in PROFILE {
        command.env(format!("CARGO_PROFILE_RELEASE_{key}"), value);
    }
    if toolchain.build_std {
        command.args(["-Z", "build-std=core"]);
    }
    command
}

/// What the loader needs is there, and nothing of this machine is.
fn verify<'a>(bytes: &[u8], paths: impl Iterator<Item = &'a Path>) -> Result<()> {
    let file = object::File::parse(bytes).context("is not an ELF file")?;
    for name in [".BTF", ".BTF.ext", "license"] {
        if file.section_by_name(name).is_none_or(|section| section.size() == 0) {
            bail!("has no section {name}");
        }
    }
    for path in paths {
        // File names start after the end of another string.
        let needle = [b"\0", path.as_os_str().as_encoded_bytes(), b"/"].concat();
        if bytes.windows(needle.len()).any(|window| window == needle) {
            bail!("names files under {}, which only this machine has", path.display());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_object_is_refused() {
        let error = verify(b"no ELF", [].into_iter()).expect_err("refused");
        assert_eq!(error.to_string(), "is not an ELF file");
    }

    #[test]
    fn the_digest_knows_every_flag() {
        let flags = flags();
        assert_eq!(flags.len(), FLAGS.len() + PROFILE.len());
        assert!(flags.contains(&"OPT_LEVEL=3".into()) && flags.contains(&"-Cdebuginfo=2".into()));
    }
}

//! `cargo xtask dist`: what is handed to those who only want to run the tracer.
//!
//! ```text
//! release program ─► manual pages, completions ┐
//! Cargo.lock ─► bill of materials, licences    ├─► .deb, .rpm
//! tracer/service, recipes, docs ───────────────┘
//! ```
//! [`runtime`] builds the program, [`contents`] says where each file goes, [`deb`] and
//! [`rpm`] write the packages. tracer/docs/PACKAGES.md is for whoever makes or installs
//! them; `tests/tests/packages.rs` installs them.

mod contents;
pub mod crates;
mod deb;
mod facts;
pub mod licences;
mod links;
mod rpm;
mod runtime;
mod sbom;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::Args;
use contents::{Made, System};
use crates::Shipped;
use facts::Facts;
pub use facts::time;
use links::Links;
use runtime::Linkage;
use sha2::{Digest as _, Sha256};

use crate::workspace::Workspace;

#[derive(Args)]
pub struct Options {
    /// Package this program instead of building one; the static one is left out then.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Where to put everything; target/dist unless said otherwise.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

pub fn main(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    let out = options.out.clone().unwrap_or_else(|| workspace.target_dir().join("dist"));
    let (binary, bare) = match &options.binary {
        Some(binary) => (binary.clone(), None),
        None => {
            let packaged = runtime::build(workspace, Linkage::Dynamic)?;
            (packaged, Some(runtime::build(workspace, Linkage::Static)?))
        }
    };
    for (name, size) in make(workspace, &binary, bare.as_deref(), &out, time(workspace)?)? {
        println!("{size:>10}  {}", out.join(name).display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Packages a program, and puts a static one beside it, into a folder, which has nothing else in it then; returns the names of
/// what is there, and the sizes. All of it is of `time`, in seconds since 1970.
pub fn make(
    workspace: &Workspace,
    binary: &Path,
    bare: Option<&Path>,
    out: &Path,
    time: u64,
) -> Result<Vec<(String, usize)>> {
    let shipped = Shipped::find(workspace)?;
    let facts = Facts::find(shipped.own()?, time)?;
    let links = Links::of(binary)?;
    let parts = runtime::parts(workspace, &links)?;
    let program = fs::read(binary).with_context(|| format!("can't read {}", binary.display()))?;
    let made = Made {
        manuals: contents::manuals(binary)?,
        completions: contents::completions(binary)?,
        sbom: sbom::text(&facts, &shipped, &parts, &program)?,
        licences: licences::text(&shipped, &parts)?,
        program,
    };
    let entries = |system| contents::entries(workspace, &facts, &made, system);
    let deb = deb::build(&facts, &links.debian()?, &entries(System::Debian)?)?;
    let rpm = rpm::build(&facts, &links.rpm(), &entries(System::Rpm)?)?;
    let Facts { name, version, revision, debian_arch, rpm_arch, .. } = &facts;
    let mut files = vec![
        (format!("{name}_{version}-{revision}_{debian_arch}.deb"), deb, 0o644),
        (format!("{name}-{version}-{revision}.{rpm_arch}.rpm"), rpm, 0o644),
        ("tracer".to_owned(), made.program, 0o755),
        ("tracer.cdx.json".to_owned(), made.sbom.into_bytes(), 0o644),
        ("third-party-licenses.txt".to_owned(), made.licences.into_bytes(), 0o644),
    ];
    if let Some(bare) = bare {
        let program = fs::read(bare).with_context(|| format!("can't read {}", bare.display()))?;
        let parts = runtime::parts(workspace, &Links::of(bare)?)?;
        let sbom = sbom::text(&facts, &shipped, &parts, &program)?;
        let licences = licences::text(&shipped, &parts)?;
        files.push(("tracer-static".to_owned(), program, 0o755));
        files.push(("tracer-static.cdx.json".to_owned(), sbom.into_bytes(), 0o644));
        let name = "third-party-licenses-static.txt".to_owned();
        files.push((name, licences.into_bytes(), 0o644));
    }
    for file in ["Containerfile", "daemonset.yaml"] {
        let path = workspace.root.join("tracer/service").join(file);
        let text = fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
        files.push((file.to_owned(), text, 0o644));
    }
    for (name, page) in made.manuals {
        files.push((format!("man/{name}"), page.into_bytes(), 0o644));
    }
    for (shell, text) in made.completions {
        files.push((format!("completions/tracer.{shell}"), text.into_bytes(), 0o644));
    }
    let sums = files
        .iter()
        .map(|(name, bytes, _)| format!("{}  {name}\n", sbom::hex(&Sha256::digest(bytes))));
    let sums: String = sums.collect();
    files.push(("SHA256SUMS".to_owned(), sums.into_bytes(), 0o644));
    write(out, &files)?;
    Ok(files.into_iter().map(|(name, bytes, _)| (name, bytes.len())).collect())
}

/// Replaces the folder when all is there.
fn write(out: &Path, files: &[(String, Vec<u8>, u32)]) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let parent = out.parent().context("a folder for packages that is not the root")?;
    fs::create_dir_all(parent).with_context(|| format!("can't make {}", parent.display()))?;
    let work = tempfile::tempdir_in(parent)?;
    for (name, bytes, mode) in files {
        let path = work.path().join(name);
        fs::create_dir_all(path.parent().context("a folder")?)?;
        fs::write(&path, bytes).with_context(|| format!("can't write {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(*mode))?;
    }
    fs::set_permissions(work.path(), fs::Permissions::from_mode(0o755))?;
    // What an earlier run left, and nothing that somebody else keeps there.
    if out.join("SHA256SUMS").is_file() {
        fs::remove_dir_all(out).with_context(|| format!("can't clear {}", out.display()))?;
    }
    fs::rename(work.keep(), out)
        .with_context(|| format!("can't make {}: is something else in it?", out.display()))
}

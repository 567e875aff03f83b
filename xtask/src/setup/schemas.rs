//! Definitions of formats that other people publish, for the tests that hold our output
//! against them: fetched by the ordinary clients of npm and PyPI, where these are here.
//! Without them those tests are left out, by name, and setup is none the worse.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, anyhow};

use super::python;
use crate::{
    cargo,
    workspace::{cache_dir, on_path},
};

/// The npm package of Elastic Common Schema.
const ECS: &str = "@elastic/ecs";
const ECS_VERSION: &str = "9.4.0";
/// The PyPI package that reads and compiles OCSF's schema.
const OCSF_LIB: &str = "ocsf-lib==0.10.4";
const OCSF_VERSION: &str = "1.8.0";

/// Prints a module's `EcsFlat` as JSON.
const FLAT: &str = "process.stdout.write(JSON.stringify(require(process.argv[1]).EcsFlat))";
/// Writes a version of OCSF as JSON: the version, the file.
const COMPILED: &str = "import sys
from ocsf.schema import to_file
from ocsf.util import get_schema
to_file(get_schema(sys.argv[1]), sys.argv[2])";

/// Makes a definition, as the file of this name.
type Fetch = fn(&Path) -> Result<()>;

/// Where they are kept; the tests are told by `TRACER_SCHEMAS`.
pub fn folder() -> Result<PathBuf> {
    Ok(cache_dir()?.join("schemas"))
}

/// Fetches those that are not here, and says which could not be.
pub fn fetch() {
    let all: [(String, Fetch); 2] = [
        (format!("ecs-{ECS_VERSION}.json"), fetch_ecs),
        (format!("ocsf-{OCSF_VERSION}.json"), fetch_ocsf),
    ];
    for (name, fetch) in all {
        if let Err(error) = fetch_one(&name, fetch) {
            // Of a traceback the last line says it.
            let reason = format!("{error:#}");
            let reason = reason.lines().last().unwrap_or_default();
            println!("setup: without {name}, whose tests are left out: {reason}");
        }
    }
}

fn fetch_one(name: &str, fetch: Fetch) -> Result<()> {
    let folder = folder()?;
    let path = folder.join(name);
    if path.is_file() {
        return Ok(());
    }
    fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    println!("setup: fetching {name}");
    // Renamed when whole.
    let work = tempfile::tempdir_in(&folder)?;
    let file = work.path().join(name);
    fetch(&file)?;
    fs::rename(&file, &path).with_context(|| format!("can't make {}", path.display()))
}

/// A program, or that it is not here.
pub fn program(name: &str) -> Result<Command> {
    on_path(name).map(Command::new).ok_or_else(|| anyhow!("no {name} here"))
}

fn fetch_ecs(file: &Path) -> Result<()> {
    let work = file.parent().context("a folder")?;
    let mut node = program("node")?;
    let mut pack = program("npm")?;
    // Without a network the tests should not wait for minutes.
    pack.args(["pack", "--silent", "--fetch-retries=1", "--fetch-retry-mintimeout=1000"]);
    pack.arg(format!("{ECS}@{ECS_VERSION}")).current_dir(work);
    let said = cargo::output_of(&mut pack)?;
    let archive = said.lines().last().context("npm pack names no file")?.trim();
    let mut unpack = program("tar")?;
    cargo::succeed(unpack.args(["-xzf", archive]).current_dir(work), "tar")?;
    let list = work.join("package/generated/ecs_flat.js");
    node.args(["--eval", FLAT]).arg(&list).current_dir(work);
    fs::write(file, cargo::output_of(&mut node)?).context("the list of fields")
}

fn fetch_ocsf(file: &Path) -> Result<()> {
    let work = file.parent().context("a folder")?;
    let python = python::venv(&cache_dir()?.join("ocsf-lib"), &[OCSF_LIB])?;
    let mut compile = Command::new(&python);
    compile.args(["-c", COMPILED, OCSF_VERSION]).arg(file).current_dir(work);
    cargo::output_of(&mut compile).context("ocsf-lib")?;
    Ok(())
}

//! Python packages, each set in a folder of its own where nothing else is touched.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, anyhow};

use crate::{
    cargo,
    workspace::{cache_dir, on_path},
};

/// What the receiver of OTLP in the tests is made of: OpenTelemetry's own generated code,
/// and gRPC.
const OTLP: &[&str] = &["opentelemetry-proto==1.45.2", "grpcio==1.85.3"];

/// The Python that runs it; the tests are told by `TRACER_OTLP_PYTHON`.
pub fn otlp_python() -> Result<PathBuf> {
    Ok(python(&cache_dir()?.join("otlp")))
}

/// Makes it where it can be had, and says where not.
pub fn fetch_otlp() {
    if let Err(error) = make("otlp", OTLP) {
        // Of a traceback the last line says it.
        let reason = format!("{error:#}");
        let reason = reason.lines().last().unwrap_or_default();
        println!("setup: without opentelemetry-proto, whose tests are left out: {reason}");
    }
}

fn python(venv: &Path) -> PathBuf {
    venv.join("bin/python")
}

/// Makes a folder of that name with these packages; returns its Python.
pub fn make(name: &str, packages: &[&str]) -> Result<PathBuf> {
    let venv = cache_dir()?.join(name);
    let python = python(&venv);
    if !python.is_file() {
        let mut make = Command::new(on_path("python3").ok_or_else(|| anyhow!("no python3 here"))?);
        make.args(["-m", "venv"]).arg(&venv);
        cargo::output_of(&mut make).context("python3 -m venv")?;
    }
    // What is installed already it finds without a network.
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    install.args(["--retries", "1"]).args(packages);
    cargo::output_of(&mut install).context("pip install")?;
    Ok(python)
}

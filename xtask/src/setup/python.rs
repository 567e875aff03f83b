//! Programs in Python that tests use, each in a virtual environment of its own: fetched from
//! PyPI by pip, where that is here. Without them those tests are left out, by name, and
//! setup is none the worse.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::schemas::program;
use crate::{cargo, workspace::cache_dir};

/// What tests use: the environment, and what is installed in it.
const ENVIRONMENTS: &[(&str, &[&str])] = &[
    // It brings librdkafka's mock cluster.
    ("kafka", &["confluent-kafka==2.16.1"]),
    // Sigma rules become SQL, for the sqlite that Python has in it.
    ("sigma", &["pysigma==2.0.1", "pysigma-backend-sqlite==2.1.1"]),
    ("duckdb", &["duckdb==2.0.1"]),
    // A receiver of OTLP: OpenTelemetry's own generated code, and gRPC.
    ("otlp", &["opentelemetry-proto==1.45.2", "grpcio==1.85.3"]),
];

/// Where the environments are, each in a folder of its name; the tests are told by
/// `TRACER_PYTHON`.
pub fn folder() -> Result<PathBuf> {
    Ok(cache_dir()?.join("python"))
}

/// Makes those that are not here, and says which could not be.
pub fn install() {
    for (name, packages) in ENVIRONMENTS {
        if let Err(error) = folder().and_then(|folder| venv(&folder.join(name), packages)) {
            let reason = format!("{error:#}");
            let reason = reason.lines().last().unwrap_or_default();
            println!("setup: without {name} for Python, whose tests are left out: {reason}");
        }
    }
}

/// Makes a virtual environment with these packages in it; returns its Python.
pub fn venv(folder: &Path, packages: &[&str]) -> Result<PathBuf> {
    let python = folder.join("bin/python");
    if !python.is_file() {
        let mut make = program("python3")?;
        make.args(["-m", "venv"]).arg(folder);
        cargo::output_of(&mut make).context("python3 -m venv")?;
    }
    // What is installed already it finds without a network.
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    install.args(["--retries", "1"]).args(packages);
    cargo::output_of(&mut install).context("pip install")?;
    Ok(python)
}

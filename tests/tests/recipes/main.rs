//! The recipes that are shipped in `tracer/recipes`, run with the software that they are
//! for: what comes out at the far end, as `tracer verify` and as others find it.

mod duckdb;
mod logrotate;
mod nats;
mod receivers;
mod sigma;

use std::fs;
use std::path::{Path, PathBuf};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

fn recipes() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    workspace.join("tracer/recipes")
}

/// A recipe as it is shipped but for these paths and ports, each of which is in it.
fn recipe(name: &str, own: &[(&str, &str)]) -> String {
    let text = fs::read_to_string(recipes().join(name)).expect("a recipe");
    own.iter().fold(text, |text, (shipped, here)| {
        assert!(text.contains(shipped), "no {shipped} in {name}");
        text.replace(shipped, here)
    })
}

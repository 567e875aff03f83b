//! `cargo xtask docs`: what in `tracer/docs` is made from the code. The tests of package
//! tracer that hold it against the code (`docs.rs`, `unsafe_blocks.rs`) also write it; the group
//! `unit` of `cargo xtask test` has them too.

use std::process::ExitCode;

use anyhow::Result;

use crate::{cargo, workspace::Workspace};

/// Makes the tests of golden files write them.
const WRITE: &str = "UPDATE_GOLDEN";

pub fn main(workspace: &Workspace, check: bool) -> Result<ExitCode> {
    let mut test = cargo::stable(workspace);
    test.args(["test", "--quiet", "--locked", "--package", "tracer", "--test", "docs"]);
    test.args(["--test", "unsafe_blocks"]);
    if check {
        test.env_remove(WRITE);
    } else {
        test.env(WRITE, "1");
    }
    cargo::succeed(&mut test, "cargo test --package tracer --test docs")?;
    let state = if check { "fits the code" } else { "is written: read the diff" };
    println!("docs: what tracer/docs has from the code {state}");
    Ok(ExitCode::SUCCESS)
}

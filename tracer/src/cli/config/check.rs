//! `tracer config check [FILE]`: what is wrong with a file, or the options that it makes.

use std::{ffi::OsString, fmt::Write, path::Path};

use clap::CommandFactory;

use super::{
    super::args::Cli,
    Given, LoadError, Loaded, Sources,
    keys::{Keys, Shape, shape},
};

/// Reads a file as the tracer would, without anything else, and gives the options as a file
/// that says the same, each with the place that it is from.
///
/// # Errors
/// [`LoadError`]
pub fn check(path: &Path) -> Result<(Loaded, String), LoadError> {
    let line = ["tracer".into(), "--config".into(), OsString::from(path)];
    let loaded = Sources::new(line).load(|_| None)?;
    let keys = Keys::new(Cli::command());
    let mut text = String::new();
    for (key, given) in &loaded.layer {
        let shape = keys.option(key).map_or(Shape::One, shape);
        let _ = writeln!(text, "{key} = {}  # {}", shown(given, shape), given.at);
    }
    if text.is_empty() {
        text = format!("# {} sets nothing: all options are the defaults\n", path.display());
    }
    Ok((loaded, text))
}

/// A value as TOML.
fn shown(given: &Given, shape: Shape) -> String {
    let quoted: Vec<_> = given.values.iter().map(|value| quoted(value)).collect();
    match shape {
        Shape::Switch => (!given.args.is_empty()).to_string(),
        Shape::Count => given.args.len().to_string(),
        Shape::One => quoted.concat(),
        Shape::List => format!("[{}]", quoted.join(", ")),
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted += "\\n",
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

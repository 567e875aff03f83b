//! The tables of a run: printed, and written into `tracer/docs/KERNELS.md` on request.

use std::fs;

use anyhow::{Context as _, Result, anyhow};

use super::{
    libtest::Results,
    matrix::{self, Shown},
    verified,
};
use crate::workspace::Workspace;

const FILE: &str = "tracer/docs/KERNELS.md";

/// Prints the tables; `write` puts them between the markers of the file.
pub fn show(workspace: &Workspace, shown: &[Shown], write: bool) -> Result<()> {
    let results = matrix::table(shown);
    let told = |results: &Results| results.verified.clone();
    let verified: Vec<_> = shown
        .iter()
        .map(|shown| (shown.guest.name, shown.outcome.as_ref().map(told).unwrap_or_default()))
        .collect();
    let verified: Vec<_> = verified.iter().map(|(name, rows)| (*name, rows.as_slice())).collect();
    let verified = verified::table(&verified);
    println!("\n{results}\n{verified}");
    if !write {
        return Ok(());
    }
    let path = workspace.root.join(FILE);
    let mut text =
        fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
    for (name, table) in [("results", results), ("verified", verified)] {
        // What was not measured stays as it is.
        if !table.is_empty() {
            text = replaced(&text, name, &table)?;
        }
    }
    fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))
}

/// The text with what lies between the markers of `name` replaced.
fn replaced(text: &str, name: &str, by: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let parts = text.split_once(&begin).and_then(|(before, rest)| {
        rest.split_once(&end).map(|(_, after)| format!("{before}{begin}\n{by}\n{end}{after}"))
    });
    parts.ok_or_else(|| anyhow!("{FILE} has no markers of {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_markers_is_replaced() {
        let text = "a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n";
        let new = "a\n<!-- x: begin -->\n\nnew\n\n<!-- x: end -->\nb\n";
        assert_eq!(replaced(text, "x", "new\n").expect("markers"), new);
        assert_eq!(replaced(new, "x", "new\n").expect("markers"), new);
        assert!(replaced(text, "y", "new").is_err());
    }

    #[test]
    fn the_file_has_its_markers() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(FILE);
        let text = fs::read_to_string(file).expect("the file");
        for name in ["results", "verified"] {
            assert!(replaced(&text, name, "").is_ok(), "{name}");
        }
    }
}

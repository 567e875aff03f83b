//! The licences of what is linked in, as one text: each crate's own files, each text once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context as _, Result, anyhow};

use super::{crates::Shipped, runtime::Part};
use crate::metadata::Crate;

const RULE: &str =
    "----------------------------------------------------------------------------------------";

/// The crates' part and that of what else is linked in.
pub fn text(shipped: &Shipped, parts: &[Part]) -> Result<String> {
    let mut text = "What tracer is linked with, and the licences of that.\n\n".to_owned();
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let others = shipped.crates.iter().filter(|it| it.source.is_some());
    for it in others {
        let name = format!("{} {}", it.name, it.version);
        let expression = expression(it)?;
        let at = it.repository.as_deref().unwrap_or("no repository is named");
        text += &format!("{name}: {expression} ({at})\n");
        let mut own = files(it)?;
        if own.is_empty() {
            // Its authors name their licences and leave the texts to the reader.
            own = standard(&expression)?;
        }
        for file in own {
            texts.entry(file).or_default().insert(name.clone());
        }
    }
    for part in parts {
        text += &format!("{} {}: {} ({})\n", part.name, part.version, part.license, part.url);
        for file in standard(part.license)? {
            texts.entry(file).or_default().insert(format!("{} {}", part.name, part.version));
        }
    }
    let mut texts: Vec<_> = texts.into_iter().map(|(text, names)| (names, text)).collect();
    texts.sort();
    for (names, licence) in texts {
        let names: Vec<_> = names.into_iter().collect();
        text += &format!("\n{RULE}\n{}\n{RULE}\n\n{licence}\n", names.join(", "));
    }
    Ok(text)
}

/// A crate's licences as SPDX writes them.
pub fn expression(it: &Crate) -> Result<String> {
    let license = it.license.as_deref().ok_or_else(|| {
        let file = it.license_file.as_deref().unwrap_or("none".as_ref());
        anyhow!("{} {}: no SPDX licence (its file: {})", it.name, it.version, file.display())
    })?;
    Ok(license.replace('/', " OR ").replace("  ", " "))
}

/// The standard texts of all licences in an expression.
fn standard(expression: &str) -> Result<Vec<String>> {
    let parsed = spdx::Expression::parse(expression).with_context(|| expression.to_owned())?;
    let ids = parsed.requirements().filter_map(|it| it.req.license.id());
    Ok(ids.map(|id| id.text().trim_end().to_owned()).collect())
}

/// The texts in a crate's folder and the folders of what it carries with it.
fn files(it: &Crate) -> Result<Vec<String>> {
    let folder = it.manifest_path.parent().context("a manifest in a folder")?;
    let mut texts = Vec::new();
    collect(folder, 1, &mut texts)?;
    texts.sort();
    texts.dedup();
    Ok(texts)
}

fn collect(folder: &Path, deeper: usize, texts: &mut Vec<String>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("can't read {folder:?}"))?;
    for entry in entries {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().to_uppercase());
        if entry.file_type()?.is_dir() {
            if deeper > 0 {
                collect(&path, deeper - 1, texts)?;
            }
        } else if is_licence(&name) {
            let text = fs::read(&path).with_context(|| format!("can't read {path:?}"))?;
            let text = String::from_utf8_lossy(&text).replace("\r\n", "\n");
            texts.push(text.trim_end().to_owned());
        }
    }
    Ok(())
}

/// By its name in capitals; sources such as `license.rs` are none.
fn is_licence(name: &str) -> bool {
    const BEGINNINGS: [&str; 6] =
        ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE", "COPYRIGHT"];
    const SOURCES: [&str; 6] = [".RS", ".C", ".H", ".PY", ".TOML", ".SPDX"];
    BEGINNINGS.iter().any(|it| name.starts_with(it)) && !SOURCES.iter().any(|it| name.ends_with(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_by_their_names() {
        for name in ["LICENSE", "LICENSE-MIT", "COPYING.TXT", "LICENCE.MD", "UNLICENSE"] {
            assert!(is_licence(name), "{name}");
        }
        assert!(!is_licence("LICENSE.RS") && !is_licence("README.MD"));
    }

    #[test]
    fn texts_that_a_crate_does_not_carry() {
        let texts = standard("MIT OR LGPL-2.1-or-later").expect("known");
        assert_eq!(texts.len(), 2);
        assert!(texts[0].contains("Permission is hereby granted"), "{}", texts[0]);
        assert!(texts[1].contains("LESSER GENERAL PUBLIC LICENSE"), "{}", texts[1]);
        assert!(standard("MINE").is_err());
    }
}

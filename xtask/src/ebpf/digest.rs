//! One digest over everything in the repository that decides the object's bytes.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

/// The crates that the object is made of, as folders of the workspace.
const CRATES: &[&str] = &["tracer-common", "tracer-ebpf"];

/// A source file: its path in the workspace, with `/`, and its content.
pub type Source = (String, Vec<u8>);

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digest; the order in which files and dependencies were found does not matter,
/// the order of flags does.
pub fn of(mut sources: Vec<Source>, mut locked: Vec<String>, flags: &[String]) -> String {
    sources.sort();
    locked.sort();
    let mut text = String::new();
    for (path, content) in &sources {
        text.push_str(&format!("file {} {path}\n", sha256(content)));
    }
    for dependency in &locked {
        text.push_str(&format!("dependency {dependency}\n"));
    }
    for flag in flags {
        text.push_str(&format!("flag {flag}\n"));
    }
    sha256(text.as_bytes())
}

/// Manifests, build scripts and everything under `src` of the object's crates.
pub fn read_sources(root: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for name in CRATES {
        for file in ["Cargo.toml", "build.rs"] {
            let path = format!("{name}/{file}");
            if root.join(&path).exists() {
                sources.push(read(root, path)?);
            }
        }
        read_folder(root, &format!("{name}/src"), &mut sources)?;
    }
    Ok(sources)
}

fn read_folder(root: &Path, folder: &str, sources: &mut Vec<Source>) -> Result<()> {
    let entries =
        fs::read_dir(root.join(folder)).with_context(|| format!("can't read {folder}"))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("can't read {folder}"))?;
        let name = entry.file_name();
        let name = name.to_str().with_context(|| format!("a name in {folder} is not UTF-8"))?;
        // What editors leave beside a file that is open.
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        let path = format!("{folder}/{name}");
        if entry.path().is_dir() {
            read_folder(root, &path, sources)?;
        } else {
            sources.push(read(root, path)?);
        }
    }
    Ok(())
}

fn read(root: &Path, path: String) -> Result<Source> {
    let content = fs::read(root.join(&path)).with_context(|| format!("can't read {path}"))?;
    Ok((path, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, content: &str) -> Source {
        (path.to_owned(), content.as_bytes().to_owned())
    }

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn known_value() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256(b""), empty);
        assert_eq!(of(vec![], vec![], &[]), empty);
    }

    #[test]
    fn order_of_discovery_does_not_matter() {
        let (a, b) = (source("a.rs", "one"), source("b.rs", "two"));
        let flags = strings(&["-O"]);
        assert_eq!(
            of(vec![a.clone(), b.clone()], strings(&["x 1", "y 2"]), &flags),
            of(vec![b, a], strings(&["y 2", "x 1"]), &flags)
        );
    }

    #[test]
    fn every_part_counts() {
        let base = || (vec![source("a.rs", "one")], strings(&["x 1"]), strings(&["-O"]));
        let digest = |(sources, locked, flags): (_, _, Vec<_>)| of(sources, locked, &flags);
        let mut seen = vec![digest(base())];
        let variants = [
            (vec![source("a.rs", "two")], base().1, base().2),
            (vec![source("b.rs", "one")], base().1, base().2),
            (base().0, strings(&["x 2"]), base().2),
            (base().0, base().1, strings(&["-g"])),
            (base().0, vec![], base().2),
        ];
        seen.extend(variants.map(digest));
        let count = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), count);
    }

    #[test]
    fn reads_what_the_crates_consist_of() {
        let root = tempfile::tempdir().expect("a temporary folder");
        for file in [
            "tracer-common/Cargo.toml",
            "tracer-common/src/lib.rs",
            "tracer-ebpf/Cargo.toml",
            "tracer-ebpf/src/main.rs",
            "tracer-ebpf/src/maps/ring.rs",
            "tracer-ebpf/src/.main.rs.swp",
            "tracer-ebpf/src/main.rs~",
            "tracer/src/main.rs",
        ] {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("created");
            fs::write(path, file).expect("written");
        }
        let mut paths: Vec<_> =
            read_sources(root.path()).expect("read").into_iter().map(|(path, _)| path).collect();
        paths.sort();
        assert_eq!(
            paths,
            [
                "tracer-common/Cargo.toml",
                "tracer-common/src/lib.rs",
                "tracer-ebpf/Cargo.toml",
                "tracer-ebpf/src/main.rs",
                "tracer-ebpf/src/maps/ring.rs"
            ]
        );
    }
}

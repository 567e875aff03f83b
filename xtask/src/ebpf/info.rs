//! BUILD-INFO, the object's birth certificate: `key = value` lines without anything
//! of the machine or the day, so that the same build gives the same file.

use std::fmt;

use anyhow::{Context as _, Result, bail};

const HEADING: &str = "# Written by `cargo xtask ebpf`, held against the sources by `--check`.";

#[derive(Debug, PartialEq, Eq)]
pub struct BuildInfo {
    /// What the bytes depend on besides the sources: names and versions of tools.
    pub toolchain: Vec<(String, String)>,
    pub sources_sha256: String,
    pub object_sha256: String,
    pub object_bytes: usize,
}

impl BuildInfo {
    pub fn parse(text: &str) -> Result<Self> {
        let mut toolchain = Vec::new();
        let (mut sources_sha256, mut object_sha256, mut object_bytes) = (None, None, None);
        for (number, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((key, value)) = line.split_once(" = ") else {
                bail!("line {} is not `key = value`: {line}", number + 1);
            };
            match key {
                "sources-sha256" => sources_sha256 = Some(value.to_owned()),
                "object-sha256" => object_sha256 = Some(value.to_owned()),
                "object-bytes" => {
                    object_bytes = Some(value.parse().context("object-bytes is not a number")?);
                }
                _ => toolchain.push((key.to_owned(), value.to_owned())),
            }
        }
        Ok(Self {
            toolchain,
            sources_sha256: sources_sha256.context("no sources-sha256")?,
            object_sha256: object_sha256.context("no object-sha256")?,
            object_bytes: object_bytes.context("no object-bytes")?,
        })
    }
}

impl fmt::Display for BuildInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADING}")?;
        for (key, value) in &self.toolchain {
            writeln!(f, "{key} = {value}")?;
        }
        writeln!(f, "sources-sha256 = {}", self.sources_sha256)?;
        writeln!(f, "object-sha256 = {}", self.object_sha256)?;
        writeln!(f, "object-bytes = {}", self.object_bytes)
    }
}

/// The first thing in which two toolchains differ, in words.
pub fn difference(recorded: &[(String, String)], here: &[(String, String)]) -> Option<String> {
    let value = |list: &[(String, String)], key: &str| {
        list.iter().find(|(other, _)| other == key).map(|(_, value)| value.clone())
    };
    let keys = recorded.iter().chain(here).map(|(key, _)| key);
    keys.map(|key| (key, value(recorded, key), value(here, key)))
        .find(|(_, recorded, here)| recorded != here)
        .map(|(key, recorded, here)| {
            let or_none = |value: Option<String>| value.unwrap_or_else(|| "none".into());
            format!("{key} is `{}` here, `{}` there", or_none(here), or_none(recorded))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toolchain(entries: &[(&str, &str)]) -> Vec<(String, String)> {
        entries.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn printing_and_parsing_agree() {
        let info = BuildInfo {
            toolchain: toolchain(&[("rustc", "rustc 1.96.0 (a = b)"), ("core", "prebuilt")]),
            sources_sha256: "00ff".into(),
            object_sha256: "ff00".into(),
            object_bytes: 59_000,
        };
        let text = info.to_string();
        assert_eq!(BuildInfo::parse(&text).expect("parses"), info);
        assert!(text.lines().all(|line| line.starts_with('#') || line.contains(" = ")));
    }

    #[test]
    fn damage_is_an_error_that_says_what() {
        let error = |text| BuildInfo::parse(text).expect_err("damaged").to_string();
        assert_eq!(error(""), "no sources-sha256");
        assert_eq!(error("# x\nsources-sha256\n"), "line 2 is not `key = value`: sources-sha256");
        assert_eq!(error("object-bytes = many\n"), "object-bytes is not a number");
    }

    #[test]
    fn the_difference_of_toolchains_is_named() {
        let one = toolchain(&[("rustc", "1"), ("llvm", "22")]);
        assert_eq!(difference(&one, &one), None);
        let other = toolchain(&[("rustc", "1"), ("llvm", "23")]);
        assert_eq!(difference(&one, &other).as_deref(), Some("llvm is `23` here, `22` there"));
        let longer = toolchain(&[("rustc", "1"), ("llvm", "22"), ("core", "built")]);
        assert_eq!(
            difference(&one, &longer).as_deref(),
            Some("core is `built` here, `none` there")
        );
    }
}

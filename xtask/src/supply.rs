//! The group `supply`: what the project takes from others, by the rules of `deny.toml`.
//!
//! Licences, bans and sources are looked at here, without a network; cargo-deny, where it is
//! installed, looks at these again, and at the advisories that it has fetched.

use std::{collections::BTreeSet, fs};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use spdx::{Expression, Licensee};

use crate::{
    cargo,
    dist::{crates, licences},
    metadata::Crate,
    skip::Skip,
    test::Outcome,
    workspace::{Workspace, on_path},
};

/// The parts of `deny.toml` that are looked at here.
#[derive(Deserialize)]
struct Rules {
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Bans {
    wildcards: Lint,
    /// Whether a crate beside it needs no version.
    allow_wildcard_paths: bool,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Lint {
    Allow,
    Deny,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: BTreeSet<String>,
}

pub fn run(workspace: &Workspace, left_out: &mut Vec<Skip>) -> Result<Outcome> {
    let rules = Rules::read(workspace)?;
    let crates = crates::all(workspace)?;
    let mut wrong = Vec::new();
    for it in &crates {
        if let Err(error) = rules.check(it) {
            wrong.push(format!("{} {}: {error:#}", it.name, it.version));
        }
    }
    if !wrong.is_empty() {
        bail!("deny.toml does not allow\n  {}", wrong.join("\n  "));
    }
    println!("{} crates: licences, bans and sources are those of deny.toml", crates.len());
    if on_path("cargo-deny").is_none() {
        let reason = "cargo-deny is not installed (cargo install --locked cargo-deny)";
        left_out.push(Skip::new("advisories", reason));
        return Ok(Outcome::Ok);
    }
    deny(workspace, &["bans", "licenses", "sources"])?;
    // Without a network it has what it fetched before, or nothing.
    let home = std::env::home_dir().context("no home folder")?;
    let cargo_home = std::env::var_os("CARGO_HOME").map_or(home.join(".cargo"), Into::into);
    if cargo_home.join("advisory-dbs").is_dir() {
        deny(workspace, &["advisories"])?;
    } else {
        let reason = "cargo-deny has fetched none (cargo deny fetch db)";
        left_out.push(Skip::new("advisories", reason));
    }
    Ok(Outcome::Ok)
}

fn deny(workspace: &Workspace, checks: &[&str]) -> Result<()> {
    let mut command = cargo::stable(workspace);
    command.args(["deny", "--offline", "--all-features", "check"]).args(checks);
    cargo::succeed(&mut command, &format!("cargo deny check {}", checks.join(" ")))
}

impl Rules {
    fn read(workspace: &Workspace) -> Result<Self> {
        let path = workspace.root.join("deny.toml");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }

    fn check(&self, it: &Crate) -> Result<()> {
        for dependency in &it.dependencies {
            let beside = self.bans.allow_wildcard_paths && dependency.path.is_some();
            if self.bans.wildcards == Lint::Deny && dependency.req == "*" && !beside {
                bail!("it takes any version of {}", dependency.name);
            }
        }
        // Its own crates are of the licences that the project chose.
        let Some(source) = &it.source else { return Ok(()) };
        let registry = source.strip_prefix("registry+");
        if !registry.is_some_and(|registry| self.sources.allow_registry.contains(registry)) {
            bail!("comes from {source}");
        }
        let text = licences::expression(it)?;
        let expression = Expression::parse(&text).with_context(|| text.clone())?;
        let allowed: Vec<_> = self
            .licenses
            .allow
            .iter()
            .map(|name| Licensee::parse(name))
            .collect::<Result<_, _>>()?;
        if !expression.evaluate(|wanted| allowed.iter().any(|it| it.satisfies(wanted))) {
            bail!("its licence is {text}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Dependency;

    const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

    fn krate(source: Option<&str>, license: Option<&str>) -> Crate {
        Crate {
            id: "it".into(),
            name: "it".into(),
            version: "1.0.0".into(),
            license: license.map(str::to_owned),
            license_file: None,
            description: None,
            repository: None,
            source: source.map(str::to_owned),
            manifest_path: "/it/Cargo.toml".into(),
            dependencies: Vec::new(),
        }
    }

    fn rules() -> Rules {
        Rules::read(&Workspace::find().expect("the workspace")).expect("deny.toml")
    }

    fn verdict(source: &str, license: Option<&str>) -> Result<()> {
        rules().check(&krate(Some(source), license))
    }

    #[test]
    fn any_version_will_do_of_own_crates_alone() {
        let taking = |req: &str, path: Option<&str>| {
            let dependency =
                Dependency { name: "that".into(), req: req.into(), path: path.map(Into::into) };
            Crate { dependencies: vec![dependency], ..krate(None, None) }
        };
        rules().check(&taking("^1", None)).expect("a range");
        rules().check(&taking("*", Some("/that"))).expect("a crate beside it");
        let error = rules().check(&taking("*", None)).expect_err("whatever comes").to_string();
        assert_eq!(error, "it takes any version of that");
    }

    #[test]
    fn licences_by_their_expressions() {
        for good in ["MIT", "MIT/Apache-2.0", "MIT OR GPL-3.0-only", "Apache-2.0 AND ISC"] {
            verdict(CRATES_IO, Some(good)).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        for bad in ["GPL-3.0-only", "MIT AND AGPL-3.0-only", "mine"] {
            assert!(verdict(CRATES_IO, Some(bad)).is_err(), "{bad}");
        }
        assert!(verdict(CRATES_IO, None).is_err());
    }

    #[test]
    fn sources_other_than_the_registry() {
        for bad in ["git+https://example.org/it#1", "registry+https://example.org/index"] {
            assert!(verdict(bad, Some("MIT")).is_err(), "{bad}");
        }
    }
}

//! The files of a package, for Debian's and RPM's systems.

use std::{fs, io::Write as _, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};
use flate2::{Compression, GzBuilder};

use super::facts::Facts;
use crate::{cargo, workspace::Workspace};

/// A file or a folder, by its path on the system.
#[derive(Debug, Clone)]
pub struct Entry {
    pub path: String,
    pub contents: Vec<u8>,
    pub mode: u32,
    /// What the machine's owner changes stays.
    pub is_config: bool,
    pub is_folder: bool,
}

impl Entry {
    pub fn file(path: impl Into<String>, contents: impl Into<Vec<u8>>) -> Self {
        let (path, contents) = (path.into(), contents.into());
        Self { path, contents, mode: 0o644, is_config: false, is_folder: false }
    }

    pub fn program(path: impl Into<String>, contents: impl Into<Vec<u8>>) -> Self {
        Self { mode: 0o755, ..Self::file(path, contents) }
    }

    pub fn config(path: impl Into<String>, contents: impl Into<Vec<u8>>) -> Self {
        Self { is_config: true, ..Self::file(path, contents) }
    }

    pub fn folder(path: impl Into<String>) -> Self {
        Self { mode: 0o755, is_folder: true, ..Self::file(path, "") }
    }
}

/// Whose habits a package follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    Debian,
    Rpm,
}

/// What is made once and goes into both packages.
pub struct Made {
    pub program: Vec<u8>,
    /// `tracer.1` and one for each subcommand, by their names.
    pub manuals: Vec<(String, String)>,
    /// For bash, zsh and fish, by these names.
    pub completions: Vec<(&'static str, String)>,
    pub sbom: String,
    /// The licences of what is linked in, as one text.
    pub licences: String,
}

/// Completions by shell, and where they are installed.
const SHELLS: [(&str, &str, &str); 3] = [
    ("bash", "/usr/share/bash-completion/completions/tracer", ""),
    ("zsh", "/usr/share/zsh/vendor-completions/_tracer", "/usr/share/zsh/site-functions/_tracer"),
    ("fish", "/usr/share/fish/vendor_completions.d/tracer.fish", ""),
];

/// What the program prints for these arguments.
pub fn says(program: &Path, args: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    command.args(args).env("COLUMNS", "100");
    cargo::output_of(&mut command)
}

/// The manual pages: of the program, and of each subcommand that the first one names.
pub fn manuals(program: &Path) -> Result<Vec<(String, String)>> {
    let first = says(program, &["man"])?;
    let mut pages = Vec::new();
    // clap_mangen names them so under SUBCOMMANDS: `tracer\-list(1)`.
    for line in first.lines() {
        let Some(name) = line.strip_prefix("tracer\\-") else { continue };
        let Some(name) = name.strip_suffix("(1)") else { continue };
        let name = name.replace('\\', "");
        // Of `help` there is no more to say.
        if name == "help" {
            continue;
        }
        let page = says(program, &["man", &name]).with_context(|| format!("man {name}"))?;
        pages.push((format!("tracer-{name}.1"), page));
    }
    if pages.is_empty() {
        bail!("`tracer man` names no subcommands: has its form changed?");
    }
    pages.insert(0, ("tracer.1".to_owned(), first));
    Ok(pages)
}

/// The completions, by shell.
pub fn completions(program: &Path) -> Result<Vec<(&'static str, String)>> {
    SHELLS.iter().map(|(shell, ..)| Ok((*shell, says(program, &["completions", shell])?))).collect()
}

/// All entries, sorted by their paths.
pub fn entries(
    workspace: &Workspace,
    facts: &Facts,
    made: &Made,
    system: System,
) -> Result<Vec<Entry>> {
    let read = |path: &str| {
        let path = workspace.root.join(path);
        fs::read(&path).with_context(|| format!("can't read {}", path.display()))
    };
    let service = |name: &str| read(&format!("tracer/service/{name}"));
    let mut all = vec![
        Entry::program("/usr/bin/tracer", made.program.clone()),
        Entry::file("/usr/lib/systemd/system/tracer.service", service("tracer.service")?),
        Entry::folder("/etc/tracer/conf.d"),
    ];
    if workspace.root.join("tracer/service/tracer.toml").exists() {
        all.push(Entry::config("/etc/tracer/tracer.toml", service("tracer.toml")?));
    }
    for (name, page) in &made.manuals {
        let path = format!("/usr/share/man/man1/{name}.gz");
        all.push(Entry::file(path, gzip(page.as_bytes())?));
    }
    for (shell, text) in &made.completions {
        let (_, usual, rpm) = SHELLS.iter().find(|(name, ..)| name == shell).context("a shell")?;
        let path = if system == System::Rpm && !rpm.is_empty() { rpm } else { usual };
        all.push(Entry::file(*path, text.as_bytes()));
    }
    let doc = "/usr/share/doc/tracer";
    let changes = read("CHANGELOG.md")?;
    let documents = workspace.root.join("tracer/docs");
    for file in fs::read_dir(&documents).with_context(|| documents.display().to_string())? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let name = path.file_name().context("a name")?.to_string_lossy().into_owned();
            all.push(Entry::file(format!("{doc}/{name}"), fs::read(&path)?));
        }
    }
    all.push(Entry::file(format!("{doc}/tracer.cdx.json"), made.sbom.as_bytes()));
    // The service sets files aside by itself; logrotate is for those who turn that off.
    for (name, path) in [
        ("logrotate", "tracer/recipes/logrotate/tracer"),
        ("Containerfile", "tracer/service/Containerfile"),
        ("daemonset.yaml", "tracer/service/daemonset.yaml"),
    ] {
        all.push(Entry::file(format!("{doc}/examples/{name}"), read(path)?));
    }
    let licences = gzip(made.licences.as_bytes())?;
    match system {
        System::Debian => {
            let copyright = copyright(&String::from_utf8(read("LICENSE-MIT")?)?);
            all.push(Entry::file(format!("{doc}/copyright"), copyright));
            all.push(Entry::file(format!("{doc}/third-party-licenses.gz"), licences));
            all.push(Entry::file(format!("{doc}/changelog.gz"), gzip(&changes)?));
            let debian = gzip(changelog(facts)?.as_bytes())?;
            all.push(Entry::file(format!("{doc}/changelog.Debian.gz"), debian));
        }
        System::Rpm => {
            let folder = "/usr/share/licenses/tracer";
            for name in ["LICENSE-MIT", "LICENSE-APACHE", "LICENSE-GPL-2.0"] {
                all.push(Entry::file(format!("{folder}/{name}"), read(name)?));
            }
            all.push(Entry::file(format!("{folder}/third-party-licenses.gz"), licences));
            all.push(Entry::file(format!("{doc}/CHANGELOG.md"), changes));
        }
    }
    all.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(all)
}

/// As `gzip -9n` does: without a name and a time.
pub fn gzip(contents: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::best());
    encoder.write_all(contents)?;
    Ok(encoder.finish()?)
}

/// Debian's changelog, of this one package.
fn changelog(facts: &Facts) -> Result<String> {
    let Facts { name, version, revision, maintainer, .. } = facts;
    let time = jiff::Timestamp::from_second(i64::try_from(facts.time)?)?;
    let time = time.strftime("%a, %d %b %Y %H:%M:%S +0000");
    Ok(format!(
        "{name} ({version}-{revision}) unstable; urgency=medium\n\n  \
         * What is new is in changelog.gz.\n\n -- {maintainer}  {time}\n"
    ))
}

/// Debian's machine-readable copyright file. The Apache and GPL licences are on every
/// Debian system; the MIT licence, which is not, is in here.
fn copyright(mit: &str) -> String {
    // A line without a word is a dot there.
    let mit = mit.lines().map(|line| match line.trim_end() {
        "" => " .\n".to_owned(),
        line => format!(" {line}\n"),
    });
    format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: tracer\n\
         Comment: What is linked in is listed in tracer.cdx.json, and its licences are in\n \
         third-party-licenses.gz, beside this file.\n\n\
         Files: *\nCopyright: tracer's authors\nLicense: Expat or Apache-2.0\n\n\
         Files: usr/bin/tracer\nCopyright: tracer's authors\nLicense: Expat or GPL-2\n\
         Comment: The kernel programs in it; the rest as above.\n\n\
         License: Expat\n{}\n\
         License: Apache-2.0\n On Debian systems it is in /usr/share/common-licenses/Apache-2.0.\n\n\
         License: GPL-2\n On Debian systems it is in /usr/share/common-licenses/GPL-2.\n",
        mit.collect::<String>(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::facts;

    #[test]
    fn compressed_without_a_time() {
        let bytes = gzip(b"text").expect("room");
        assert_eq!(bytes[3..8], [0; 5], "flags and time");
    }

    #[test]
    fn debians_changelog() {
        let text = changelog(&facts::tests::example()).expect("a time");
        assert!(text.starts_with("tracer (1.2.3-1) unstable; urgency=medium\n"), "{text}");
        assert!(text.ends_with(" -- A <a@b.invalid>  Tue, 14 Nov 2023 22:13:20 +0000\n"), "{text}");
    }

    #[test]
    fn paragraphs_of_a_licence() {
        let text = copyright("MIT License\n\nPermission\n");
        assert!(text.contains("License: Expat\n MIT License\n .\n Permission\n\nLicense: Apache"));
    }
}

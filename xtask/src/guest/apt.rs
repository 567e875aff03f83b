//! Packages of another release or architecture than the machine's, through an apt
//! with its own configuration, lists and cache: the system's stay as they are.
//!
//! Signatures are checked against the distribution's keyring as always.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::{cargo, workspace::on_path};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// How old lists may be.
const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// What is known of a package, from its control fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub package: String,
    pub version: String,
}

/// An apt of its own for one release and architecture.
pub struct Apt {
    folder: PathBuf,
    release: String,
    arch: &'static str,
}

impl Apt {
    /// In `cache`, with lists of at most a day. An error says what is missing.
    pub fn open(cache: &Path, release: &str, arch: &'static str) -> Result<Self> {
        for program in ["apt-get", "apt-cache", "dpkg-deb"] {
            on_path(program).ok_or_else(|| anyhow!("{program} is not installed"))?;
        }
        if !Path::new(KEYRING).is_file() {
            bail!("no {KEYRING}: install debian-archive-keyring");
        }
        let folder = cache.join(format!("apt/{release}-{arch}"));
        let apt = Self { folder, release: release.to_owned(), arch };
        for folder in ["lists/partial", "cache/archives/partial", "etc"] {
            let folder = apt.folder.join(folder);
            fs::create_dir_all(&folder)
                .with_context(|| format!("can't make {}", folder.display()))?;
        }
        apt.update()?;
        Ok(apt)
    }

    fn update(&self) -> Result<()> {
        let stamp = self.folder.join("updated");
        if is_fresh(&stamp) {
            return Ok(());
        }
        let mirror = system_mirror()
            .ok_or_else(|| anyhow!("no mirror of Debian among this system's package sources"))?;
        let sources = sources(&mirror, &self.release, self.arch);
        fs::write(self.folder.join("etc/sources.list"), sources)?;
        println!("guest: reading the lists of {} {}", self.release, self.arch);
        self.run(self.command("apt-get").args(["-qq", "--error-on=any", "update"]))?;
        fs::write(&stamp, "").with_context(|| format!("can't write {}", stamp.display()))
    }

    /// The package that `name` is, or stands for: a package without a version in its
    /// name depends on one with it, which begins with `behind`.
    pub fn candidate(&self, name: &str, behind: Option<&str>) -> Result<Candidate> {
        let show = |name: &str| -> Result<String> {
            let mut command = self.command("apt-cache");
            self.run(command.args(["--no-all-versions", "show", name]))
        };
        let control = show(name)?;
        let control = match behind.and_then(|prefix| depends_on(&control, prefix)) {
            Some(package) => show(package)?,
            None => control,
        };
        parse(&control).ok_or_else(|| anyhow!("apt-cache says nothing of {name}"))
    }

    /// Downloads a package and unpacks it into `to`.
    pub fn unpack(&self, candidate: &Candidate, to: &Path) -> Result<()> {
        let folder = tempfile::tempdir_in(&self.folder)?;
        let package = format!("{}={}", candidate.package, candidate.version);
        println!("guest: downloading {package}");
        let mut command = self.command("apt-get");
        command.args(["-qq", "download", &package]).current_dir(folder.path());
        self.run(&mut command)?;
        let archive = fs::read_dir(folder.path())?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .ok_or_else(|| anyhow!("apt-get downloaded nothing for {package}"))?;
        cargo::succeed(
            Command::new("dpkg-deb").arg("--extract").arg(archive).arg(to),
            &format!("dpkg-deb --extract of {package}"),
        )
    }

    fn run(&self, command: &mut Command) -> Result<String> {
        cargo::output_of(command).with_context(|| format!("apt for {} {}", self.release, self.arch))
    }

    fn command(&self, program: &str) -> Command {
        let at = |path: &str| self.folder.join(path).display().to_string();
        let mut command = Command::new(program);
        command.env("LC_ALL", "C.UTF-8");
        for (option, value) in [
            ("APT::Architecture", self.arch.to_owned()),
            ("APT::Architectures", self.arch.to_owned()),
            // The cache lies where apt's own user may not look.
            ("APT::Sandbox::User", "root".to_owned()),
            ("Acquire::Languages", "none".to_owned()),
            ("Dir::State::lists", at("lists")),
            ("Dir::State::status", "/dev/null".to_owned()),
            ("Dir::Cache", at("cache")),
            ("Dir::Etc::sourcelist", at("etc/sources.list")),
            ("Dir::Etc::sourceparts", "/dev/null".to_owned()),
            ("Dir::Etc::preferences", "/dev/null".to_owned()),
            ("Dir::Etc::preferencesparts", "/dev/null".to_owned()),
        ] {
            command.arg("-o").arg(format!("{option}={value}"));
        }
        command
    }
}

fn is_fresh(stamp: &Path) -> bool {
    let age = |time| SystemTime::now().duration_since(time).ok();
    let modified = fs::metadata(stamp).and_then(|metadata| metadata.modified()).ok();
    modified.and_then(age).is_some_and(|age| age < FRESH)
}

fn sources(mirror: &str, release: &str, arch: &str) -> String {
    let mut text =
        format!("deb [arch={arch} signed-by={KEYRING}] {mirror}/debian {release} main\n");
    // An archived release has no more updates.
    if release != "bullseye" {
        text += &format!(
            "deb [arch={arch} signed-by={KEYRING}] {mirror}/debian-security {release}-security main\n"
        );
    }
    text
}

/// The mirror of the machine's own sources, if it is Debian's.
fn system_mirror() -> Option<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    let parts = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten();
    files.extend(parts.map(|entry| entry.path()));
    files.iter().find_map(|file| mirror_in(&fs::read_to_string(file).ok()?))
}

/// A word `http…/debian` of a line that is not a comment, without `/debian`.
fn mirror_in(sources: &str) -> Option<String> {
    sources
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(str::split_whitespace)
        .filter(|word| word.starts_with("http"))
        .find_map(|word| word.trim_end_matches('/').strip_suffix("/debian"))
        .map(str::to_owned)
}

/// A field of the first paragraph.
fn field<'a>(control: &'a str, name: &str) -> Option<&'a str> {
    let paragraph = control.split("\n\n").next()?;
    paragraph.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// The first package with this prefix that the paragraph depends on.
fn depends_on<'a>(control: &'a str, prefix: &str) -> Option<&'a str> {
    let depends = field(control, "Depends")?;
    let names = depends.split(',').filter_map(|item| item.split_whitespace().next());
    names.into_iter().find(|name| name.starts_with(prefix))
}

fn parse(control: &str) -> Option<Candidate> {
    Some(Candidate {
        package: field(control, "Package")?.to_owned(),
        version: field(control, "Version")?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_behind_its_name() {
        let control = "Package: linux-image-cloud-amd64\nSource: linux-signed-amd64 (6.1.192+2)\n\
            Version: 6.1.192-2\nDepends: linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2)\n\n\
            Package: linux-image-cloud-amd64\nVersion: 6.1.1-1\n";
        let package = depends_on(control, "linux-image-");
        assert_eq!(package, Some("linux-image-6.1.0-56-cloud-amd64"));
        let expected =
            Candidate { package: "linux-image-cloud-amd64".into(), version: "6.1.192-2".into() };
        assert_eq!(parse(control), Some(expected));
        assert_eq!(
            depends_on("Package: x\nDepends: kmod, linux-base (>= 4.3~)\n", "linux-image-"),
            None
        );
        assert_eq!(parse("N: Unable to locate package x"), None);
    }

    #[test]
    fn the_systems_mirror() {
        let deb822 = "# http://snapshot.debian.org/archive/debian/2025Z\nTypes: deb\n\
            URIs: http://mirror.example/pub/debian/\nSuites: bookworm\n";
        assert_eq!(mirror_in(deb822), Some("http://mirror.example/pub".into()));
        let lines = "#deb http://a.example/debian x main\ndeb https://packages.example/apt x main\n\
            deb [arch=amd64] https://b.example/debian bookworm main\n";
        assert_eq!(mirror_in(lines), Some("https://b.example".into()));
        assert_eq!(mirror_in("URIs: http://mirror.example/debian-security\n"), None);
    }
}

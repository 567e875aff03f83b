//! A clean Debian of its own in a folder, that packages are installed in.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use tests::skip::skip;
use tests::tools;

const SUITE: &str = "bookworm";

/// What dpkg and the programs that it runs keep for themselves.
const KEPT: [&str; 6] =
    ["proc", "sys", "var/lib/dpkg", "var/log/dpkg.log", "var/cache", "var/log/alternatives.log"];

pub struct Root {
    // The folder in it is the root, and others may look into that alone.
    folder: TempDir,
}

/// Of each path what it is: mode, user, group, length, where it leads.
pub type Listing = BTreeMap<PathBuf, (u32, u32, u32, u64, Option<PathBuf>)>;

impl Root {
    /// The least that Debian calls a system, and systemd's own tools; None, with a skip, where
    /// it can't be made.
    /// With these packages in it, too.
    pub fn make(group: &str, packages: &[String]) -> Option<Self> {
        let Some(program) = tools::find("mmdebstrap") else {
            skip(group, "no mmdebstrap, so no root to install in");
            return None;
        };
        let folder = TempDir::new().expect("a temporary folder");
        let root = Self { folder };
        fs::create_dir(root.folder()).expect("our own");
        let mut command = Command::new("timeout");
        command.arg("300").arg(program);
        command.args(["--quiet", "--variant=essential", "--include=systemd"]);
        command.args(packages.iter().map(|name| format!("--include={name}"))).arg(SUITE);
        let output = command.arg(root.folder()).output().expect("timeout(1)");
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().last().unwrap_or("it took more than five minutes");
            skip(group, &format!("mmdebstrap can't make a root: {last}"));
            return None;
        }
        fs::set_permissions(
            root.folder.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .expect("our own");
        Some(root)
    }

    /// Where it is, from outside.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// A path in it, from outside.
    pub fn path(&self, path: &str) -> PathBuf {
        self.folder().join(path.trim_start_matches('/'))
    }

    /// A command in it, where nothing is mounted.
    pub fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new("chroot");
        command.arg(self.folder()).args(args);
        command.env("LC_ALL", "C.UTF-8").env("DEBIAN_FRONTEND", "noninteractive");
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// What a command in it prints; panics where it fails.
    pub fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> String {
        let output = self.command(args).output().expect("chroot(1)");
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).expect("text")
    }

    /// Everything that lies in it.
    pub fn listing(&self) -> Listing {
        let mut listing = Listing::new();
        self.list(Path::new(""), &mut listing);
        listing
    }

    fn list(&self, folder: &Path, listing: &mut Listing) {
        let base = self.folder();
        for entry in fs::read_dir(base.join(folder)).expect("a folder") {
            let entry = entry.expect("an entry");
            let path = folder.join(entry.file_name());
            if KEPT.iter().any(|kept| Path::new(kept) == path) {
                continue;
            }
            let metadata = entry.metadata().expect("a file");
            let target = fs::read_link(entry.path()).ok();
            // A folder's own length depends on what was in it.
            let length = if metadata.is_dir() { 0 } else { metadata.len() };
            let is = (metadata.mode(), metadata.uid(), metadata.gid(), length, target);
            listing.insert(path.clone(), is);
            if metadata.is_dir() {
                self.list(&path, listing);
            }
        }
    }
}

/// Both of a command's outputs.
pub fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// What two listings do not have in common.
pub fn difference<'a>(before: &'a Listing, after: &'a Listing) -> Vec<&'a Path> {
    let only = |a: &'a Listing, b: &'a Listing| {
        a.iter().filter(|(path, is)| b.get(*path) != Some(is)).map(|(path, _)| path.as_path())
    };
    let mut paths: Vec<_> = only(before, after).chain(only(after, before)).collect();
    paths.sort();
    paths.dedup();
    paths
}

//! A clean Debian of its own in a folder, that packages are installed in.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tempfile::TempDir;
use tests::skip::skip;
use tests::tools;

const SUITE: &str = "bookworm";
/// systemd as it boots, and who sets its files aside.
const INCLUDED: [&str; 2] = ["systemd-sysv", "logrotate"];

/// What dpkg and the programs that it runs keep for themselves.
const KEPT: [&str; 6] =
    ["proc", "sys", "var/lib/dpkg", "var/log/dpkg.log", "var/cache", "var/log/alternatives.log"];

pub struct Root {
    folder: TempDir,
    // Of which it is a copy.
    clean: Arc<TempDir>,
}

/// Of each path what it is: mode, user, group, length, where it leads.
pub type Listing = BTreeMap<PathBuf, (u32, u32, u32, u64, Option<PathBuf>)>;

/// A clean system, which takes a while to make, for all tests that need one at a time.
static CLEAN: Mutex<Weak<TempDir>> = Mutex::new(Weak::new());

impl Root {
    /// The least that Debian calls a system, with systemd and these packages; None, with a
    /// skip, where it can't be made.
    pub fn make(group: &str, packages: &[String]) -> Option<Self> {
        let clean = {
            let mut shared = CLEAN.lock().unwrap_or_else(PoisonError::into_inner);
            let clean = shared.upgrade().or_else(|| clean(group, packages).map(Arc::new))?;
            *shared = Arc::downgrade(&clean);
            clean
        };
        let root = Self { folder: temporary(), clean };
        fs::create_dir(root.folder()).expect("our own");
        if !root.is_laid_over() {
            let all = in_it(&root.clean).join(".");
            let output = Command::new("cp").arg("--archive").arg(all).arg(root.folder()).output();
            let output = output.expect("cp(1)");
            assert!(output.status.success(), "{}", said(&output));
        }
        Some(root)
    }

    /// Lays it over the clean one instead of copying all of that, seen by this thread and what
    /// it starts alone; whether the kernel does so here.
    fn is_laid_over(&self) -> bool {
        // SAFETY: an integer only; no other thread's view of the mounts changes.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNS) }, 0, "root may");
        let mount = |args: &[&str], at: &Path| {
            Command::new("mount").args(args).arg(at).output().expect("mount(8)").status.success()
        };
        assert!(mount(&["--make-rprivate"], Path::new("/")), "its own view");
        let [upper, work] = ["upper", "work"].map(|name| self.folder.path().join(name));
        for folder in [&upper, &work] {
            fs::create_dir(folder).expect("our own");
        }
        fs::set_permissions(&upper, fs::Permissions::from_mode(0o755)).expect("our own");
        let lower = in_it(&self.clean);
        let [lower, upper, work] = [&lower, &upper, &work].map(|it| it.display());
        let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
        mount(&["--types", "overlay", "--options", &options, "overlay"], &self.folder())
    }

    /// Where it is, from outside.
    pub fn folder(&self) -> PathBuf {
        in_it(&self.folder)
    }

    /// A path in it, from outside.
    pub fn path(&self, path: &str) -> PathBuf {
        self.folder().join(path.trim_start_matches('/'))
    }

    /// Has a file of the outside in it.
    pub fn lend(&self, file: &str, to: &str) {
        let to = self.path(to);
        fs::write(&to, "").expect("room");
        let output = Command::new("mount").args(["--bind", file]).arg(to).output();
        let output = output.expect("mount(8)");
        assert!(output.status.success(), "{}", said(&output));
    }

    /// Has it no more.
    pub fn take_back(&self, lent: &str) {
        let lent = self.path(lent);
        let output = Command::new("umount").arg(&lent).output().expect("umount(8)");
        assert!(output.status.success(), "{}", said(&output));
        fs::remove_file(lent).expect("our own");
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

    /// A package that was purged has left nothing in it; but in these folders systemd has files
    /// for itself.
    pub fn assert_clean_of(&self, package: &str, before: &Listing, systemds: &[&str]) {
        // Its folders for all services with a user of their own.
        let shared = ["var/log/private", "var/lib/private"].map(Path::new);
        let after = self.listing();
        let is_left = |path: &&Path| {
            let systemds = systemds.iter().any(|own| path.starts_with(own));
            !shared.contains(path) && (!systemds || path.to_string_lossy().contains(package))
        };
        let left: Vec<_> = difference(before, &after).into_iter().filter(is_left).collect();
        assert!(left.is_empty(), "left behind: {left:?}");
        let info = self.run(&["ls", "/var/lib/dpkg/info"]);
        assert!(!info.lines().any(|name| name.starts_with(&format!("{package}."))), "{info}");
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

impl Drop for Root {
    fn drop(&mut self) {
        let umount = ["--quiet", "--lazy", "--recursive"];
        let _ = Command::new("umount").args(umount).arg(self.folder()).output();
    }
}

/// A folder that others may look into.
fn temporary() -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("our own");
    folder
}

/// The root in such a folder.
fn in_it(folder: &TempDir) -> PathBuf {
    folder.path().join("root")
}

/// A system that is not to be changed.
fn clean(group: &str, packages: &[String]) -> Option<TempDir> {
    let Some(program) = tools::find("mmdebstrap") else {
        skip(group, "no mmdebstrap, so no root to install in");
        return None;
    };
    let folder = temporary();
    let mut command = Command::new("timeout");
    command.arg("300").arg(program).args(["--quiet", "--variant=essential"]);
    command.args(INCLUDED.iter().copied().chain(packages.iter().map(String::as_str)).map(include));
    let output = command.arg(SUITE).arg(in_it(&folder)).output().expect("timeout(1)");
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or("it took more than five minutes");
        skip(group, &format!("mmdebstrap can't make a root: {last}"));
        return None;
    }
    Some(folder)
}

fn include(package: &str) -> String {
    format!("--include={package}")
}

/// Both of a command's outputs.
pub fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// What two listings do not have in common.
fn difference<'a>(before: &'a Listing, after: &'a Listing) -> Vec<&'a Path> {
    let only = |a: &'a Listing, b: &'a Listing| {
        a.iter().filter(|(path, is)| b.get(*path) != Some(is)).map(|(path, _)| path.as_path())
    };
    let mut paths: Vec<_> = only(before, after).chain(only(after, before)).collect();
    paths.sort();
    paths.dedup();
    paths
}

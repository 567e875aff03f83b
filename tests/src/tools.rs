//! What tests find on the machine: programs of other people, and how fast it is.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::child;

/// A program in PATH, or in the folders that root has in it and others do not.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(usual)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// What `cargo xtask setup` keeps for all clones, by the variable that names it.
fn kept(variable: &str, usual: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from);
    named.or_else(|| Some(std::env::home_dir()?.join(".cache/tracer-xtask").join(usual)))
}

/// A daemon, or another program, of a Debian package that is unpacked beside the system, or else the system's.
pub struct Daemon {
    program: PathBuf,
    /// Where the package lies, with what it needs: `/`, or a folder.
    pub root: PathBuf,
}

impl Daemon {
    /// None where there is none.
    pub fn find(package: &str, program: &str) -> Option<Self> {
        let root = kept("TRACER_BESIDE", "tools/beside")?.join(package);
        let unpacked = ["usr/sbin", "usr/bin"].map(|folder| root.join(folder).join(program));
        if let Some(program) = unpacked.into_iter().find(|program| program.is_file()) {
            return Some(Self { program, root });
        }
        Some(Self { program: find(program)?, root: "/".into() })
    }

    /// Folders of this root of the libraries for this machine, and in it.
    pub fn libraries(&self, folder: &str) -> PathBuf {
        self.root.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH)).join(folder)
    }

    /// Runs it, with libraries also in these folders under its root.
    pub fn command(&self, libraries: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        let usual = ["usr", ""].map(|folder| {
            self.root.join(folder).join(format!("lib/{}-linux-gnu", std::env::consts::ARCH))
        });
        let others = libraries.iter().map(|folder| self.root.join(folder));
        let folders = std::env::join_paths(usual.into_iter().chain(others)).expect("no colon");
        command.env("LD_LIBRARY_PATH", folders);
        command
    }
}

/// The Python of one of the environments that `cargo xtask setup` makes.
pub fn python(environment: &str) -> Option<PathBuf> {
    let python = kept("TRACER_PYTHON", "python")?.join(environment).join("bin/python");
    python.is_file().then_some(python)
}

/// Whether this machine is emulated, and slower than any real one: the runner says so
/// by `TRACER_TEST_SLOW`.
pub fn is_slow() -> bool {
    std::env::var_os("TRACER_TEST_SLOW").is_some()
}

/// Compiles a C program; an error is what the compiler said.
pub fn compile(source: &Path, program: &Path, options: &[&str]) -> Result<(), String> {
    compile_by("cc", source, program, options)
}

/// The same with another compiler than the system's own.
pub fn compile_by(cc: &str, source: &Path, program: &Path, options: &[&str]) -> Result<(), String> {
    let Some(cc) = find(cc) else { return Err(format!("no C compiler ({cc})")) };
    let paths = [source, program].map(|path| path.to_str().expect("a path in UTF-8"));
    let args = [options, &["-O2", paths[0], "-o", paths[1]]].concat();
    let finished = child::run(cc, &args);
    if finished.status.success() { Ok(()) } else { Err(finished.stderr) }
}

/// Makes a key and a certificate for 127.0.0.1 that is signed by itself, `key.pem` and
/// `cert.pem`; None where there is no openssl.
pub fn certificate(folder: &Path) -> Option<()> {
    let openssl = find("openssl")?;
    let path = |name: &str| folder.join(name).display().to_string();
    let (key, cert) = (path("key.pem"), path("cert.pem"));
    let names = "subjectAltName=IP:127.0.0.1,DNS:localhost";
    let ends = "basicConstraints=critical,CA:FALSE";
    let args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
    let more = ["-nodes", "-days", "2", "-subj", "/CN=tests", "-addext", names, "-addext", ends];
    child::run(openssl, &[&args[..], &more, &["-keyout", &key, "-out", &cert]].concat())
        .expect_code(0);
    Some(())
}

//! What tests find on the machine: programs of other people, and how fast it is.

use std::path::{Path, PathBuf};

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

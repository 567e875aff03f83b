//! The toolchain that builds the object: Debian's second compiler, or a nightly.
//!
//! Debian's comes with a `core` built for BPF; a nightly builds its own from rust-src.
//! Debian's is preferred, since its packages are what the committed object is made with.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, anyhow, bail};

use crate::{
    cargo,
    setup::{
        apt, linker,
        packages::{LLVM, LLVM_PREFIX, OBJECT},
    },
    workspace::on_path,
};

#[derive(Debug)]
pub struct Toolchain {
    pub cargo: PathBuf,
    pub rustc: PathBuf,
    pub linker: PathBuf,
    objcopy: PathBuf,
    /// Where objcopy's libraries are: rustc's own does not find them by itself.
    objcopy_libraries: Option<PathBuf>,
    /// Where the source of `core` is, as the compiler names it.
    pub core_source: PathBuf,
    /// Whether `core` is built with the object.
    pub build_std: bool,
    /// All that the object's bytes depend on, as BUILD-INFO has it.
    pub identity: Vec<(String, String)>,
}

impl Toolchain {
    /// Finds a complete toolchain, or says for each kind what it lacks.
    pub fn find() -> Result<Self> {
        Self::debian().or_else(|debian| {
            Self::nightly().map_err(|nightly| {
                anyhow!("no toolchain for BPF: Debian's: {debian}; a nightly: {nightly}")
            })
        })
    }

    fn debian() -> Result<Self> {
        if !apt::is_here() {
            bail!("this is no Debian");
        }
        let missing: Vec<_> = apt::missing(OBJECT)?.iter().map(|package| package.name).collect();
        if !missing.is_empty() {
            bail!("it lacks {} (`cargo xtask setup` installs them)", missing.join(", "));
        }
        if !linker::is_built() {
            bail!("it lacks {} (`cargo xtask setup` builds it)", linker::expected());
        }
        let rustc = Path::new("/usr/bin/rustc");
        let version = RustcVersion::of(rustc)?;
        if version.llvm.split('.').next() != Some(LLVM) {
            bail!("its LLVM is {}, not the {LLVM} of bpf-linker", version.llvm);
        }
        // Revisions of a package share their compiler's version, but not always its bytes.
        let packages: Vec<_> = ["rustc-web", "libstd-rust-web-dev-bpf", "rust-web-src", "llvm-22"]
            .iter()
            .map(|name| format!("{name} {}", apt::version(name).unwrap_or_default()))
            .collect();
        Self {
            cargo: "/usr/bin/cargo".into(),
            rustc: rustc.into(),
            linker: linker::path()?,
            objcopy: Path::new(LLVM_PREFIX).join("bin/llvm-objcopy"),
            objcopy_libraries: None,
            core_source: "/usr/lib/rustlib/src/rust".into(),
            build_std: false,
            identity: Vec::new(),
        }
        .identified(version, Some(packages.join(", ")))
    }

    fn nightly() -> Result<Self> {
        const INSTALL: &str = "`rustup toolchain install nightly --component rust-src`";
        let Some(rustup) = on_path("rustup") else {
            bail!("rustup is not installed (get it, then {INSTALL})");
        };
        let which = |tool: &str| {
            let mut which = cargo::unsteered(&rustup);
            cargo::output_of(which.args(["which", "--toolchain", "nightly", tool]))
                .map(|path| PathBuf::from(path.trim()))
                .map_err(|_| anyhow!("not installed ({INSTALL})"))
        };
        let (rustc, cargo) = (which("rustc")?, which("cargo")?);
        let sysroot = cargo::output_of(cargo::unsteered(&rustc).args(["--print", "sysroot"]))?;
        let libraries = Path::new(sysroot.trim()).join("lib");
        let rustlib = libraries.join("rustlib");
        let core_source = rustlib.join("src/rust");
        if !core_source.join("library/core").is_dir() {
            bail!("it lacks core's source (`rustup component add rust-src --toolchain nightly`)");
        }
        let own = linker::path().ok().filter(|_| linker::is_built());
        let Some(linker) = on_path("bpf-linker").or(own) else {
            bail!("bpf-linker is not installed (`cargo install bpf-linker`)");
        };
        let version = RustcVersion::of(&rustc)?;
        // rustc brings its own; an LLVM of the system will do as well.
        let objcopy = Some(rustlib.join(&version.host).join("bin/rust-objcopy"))
            .filter(|file| file.is_file())
            .or_else(|| on_path("llvm-objcopy"))
            .ok_or_else(|| anyhow!("neither rust-objcopy nor llvm-objcopy is installed"))?;
        Self {
            cargo,
            rustc,
            linker,
            objcopy,
            objcopy_libraries: Some(libraries),
            core_source,
            build_std: true,
            identity: Vec::new(),
        }
        .identified(version, None)
    }

    fn identified(mut self, rustc: RustcVersion, packages: Option<String>) -> Result<Self> {
        let objcopy = cargo::output_of(self.objcopy().arg("--version"))?;
        let objcopy = objcopy.lines().find(|line| line.contains("LLVM version")).unwrap_or("");
        let core = if self.build_std { "built from rust-src" } else { "prebuilt" };
        let mut identity = vec![
            ("rustc", rustc.line),
            ("rustc-llvm", rustc.llvm),
            // Cargo hashes the host into symbol names.
            ("rustc-host", rustc.host),
            ("core", core.to_owned()),
            ("bpf-linker", linker::version(&self.linker)?),
            ("objcopy", objcopy.trim().to_owned()),
        ];
        identity.extend(packages.map(|packages| ("debian", packages)));
        self.identity = identity.into_iter().map(|(key, value)| (key.into(), value)).collect();
        Ok(self)
    }

    pub fn objcopy(&self) -> Command {
        let mut command = cargo::unsteered(&self.objcopy);
        if let Some(folder) = &self.objcopy_libraries {
            command.env("LD_LIBRARY_PATH", folder);
        }
        command
    }

    fn part(&self, key: &str) -> &str {
        self.identity.iter().find(|(name, _)| name == key).map_or("", |(_, value)| value)
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rustc, linker) = (self.part("rustc"), self.part("bpf-linker"));
        write!(f, "{rustc} at {}, {linker}, core {}", self.rustc.display(), self.part("core"))
    }
}

/// The parts of `rustc -vV` that matter here.
#[derive(Debug, PartialEq, Eq)]
struct RustcVersion {
    line: String,
    host: String,
    llvm: String,
}

impl RustcVersion {
    fn of(rustc: &Path) -> Result<Self> {
        Self::parse(&cargo::output_of(cargo::unsteered(rustc).arg("-vV"))?)
    }

    fn parse(text: &str) -> Result<Self> {
        let field = |key: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(key))
                .map(str::to_owned)
                .ok_or_else(|| anyhow!("`rustc -vV` does not tell its `{}`", key.trim_end()))
        };
        Ok(Self {
            line: text.lines().next().unwrap_or_default().to_owned(),
            host: field("host: ")?,
            llvm: field("LLVM version: ")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rustc_version_fields() {
        let text = "rustc 1.96.0 (ac68faa20 2026-05-25)\nbinary: rustc\nhost: \
                    x86_64-unknown-linux-gnu\nrelease: 1.96.0\nLLVM version: 22.1.8\n";
        let expected = RustcVersion {
            line: "rustc 1.96.0 (ac68faa20 2026-05-25)".into(),
            host: "x86_64-unknown-linux-gnu".into(),
            llvm: "22.1.8".into(),
        };
        assert_eq!(RustcVersion::parse(text).expect("parses"), expected);
        let error = RustcVersion::parse("rustc 1.96.0\n").expect_err("no host");
        assert_eq!(error.to_string(), "`rustc -vV` does not tell its `host:`");
    }
}

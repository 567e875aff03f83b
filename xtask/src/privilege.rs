//! Becoming root: tracing needs it, and so does installing packages. Building never does.

use std::{
    ffi::OsStr,
    io::{IsTerminal as _, stdin},
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Result, bail};

use crate::workspace::on_path;

/// How this user becomes root.
pub enum Privilege {
    Root,
    /// Through sudo or doas, which may ask for a password.
    Through(PathBuf),
}

impl Privilege {
    pub fn find() -> Result<Self> {
        if rustix::process::geteuid().is_root() {
            return Ok(Self::Root);
        }
        match ["sudo", "doas"].into_iter().find_map(on_path) {
            Some(program) => Ok(Self::Through(program)),
            None => bail!(
                "this needs root, and neither sudo nor doas is installed: \
                 call it as root, or install sudo"
            ),
        }
    }

    /// As [`find`](Self::find), but an error where becoming root would wait for a
    /// password that nobody can type.
    pub fn find_unattended() -> Result<Self> {
        let found = Self::find()?;
        if let Self::Through(program) = &found
            && !stdin().is_terminal()
        {
            let works = Command::new(program)
                .args(["-n", "true"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success());
            if !works {
                bail!(
                    "this needs root, {} asks for a password and there is no terminal: \
                     call it as root or from a terminal",
                    program.display()
                );
            }
        }
        Ok(found)
    }

    /// A command that runs `program` as root.
    ///
    /// sudo and doas drop most of the environment: `variables` are handed on by env(1).
    pub fn command(&self, program: impl AsRef<OsStr>, variables: &[(&str, &OsStr)]) -> Command {
        match self {
            Self::Root => {
                let mut command = Command::new(program);
                command.envs(variables.iter().copied());
                command
            }
            Self::Through(wrapper) => {
                let mut command = Command::new(wrapper);
                if !variables.is_empty() {
                    command.arg("env");
                }
                for (name, value) in variables {
                    let mut assignment = std::ffi::OsString::from(name);
                    assignment.push("=");
                    assignment.push(value);
                    command.arg(assignment);
                }
                command.arg(program);
                command
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_pass_through_sudo() {
        let sudo = Privilege::Through("/usr/bin/sudo".into());
        let command = sudo.command("/t/native", &[("TRACER_BIN", OsStr::new("/t/tracer"))]);
        assert_eq!(command.get_program(), "/usr/bin/sudo");
        let args: Vec<_> = command.get_args().collect();
        assert_eq!(args, ["env", "TRACER_BIN=/t/tracer", "/t/native"]);
    }
}

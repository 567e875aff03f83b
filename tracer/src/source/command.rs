//! A program that is started stopped: its process exists, and can be filtered for,
//! before its first instruction runs.

use std::{
    ffi::OsString,
    io::{self, PipeReader, PipeWriter, Read, Write},
    os::{
        fd::{AsFd, AsRawFd},
        unix::process::CommandExt,
    },
    process::{Child, Command, ExitStatus, Stdio},
    thread::JoinHandle,
};

/// A started program that waits to be let go.
pub struct Stopped {
    pid: u32,
    go: PipeWriter,
    spawner: JoinHandle<io::Result<Child>>,
}

/// A program that runs.
pub struct Running {
    /// Its process id.
    pub pid: u32,
    waiter: JoinHandle<io::Result<ExitStatus>>,
}

impl Stopped {
    /// Starts a program up to just before it is executed. Its standard output goes
    /// to our standard error where `divert` says so, since events go to ours.
    ///
    /// # Errors
    /// Those of fork and pipe. That the program does not exist comes out of
    /// [`Stopped::release`].
    pub fn spawn(command: &[OsString], divert: bool) -> io::Result<Self> {
        let (pid_from_child, mut pid_to_parent) = io::pipe()?;
        let (mut go_from_parent, go) = io::pipe()?;
        let (program, args) = command
            .split_first()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no command"))?;
        let mut command = Command::new(program);
        command.args(args);
        if divert {
            command.stdout(Stdio::from(io::stderr().as_fd().try_clone_to_owned()?));
        }
        let our_end = go.as_raw_fd();
        let wait = move || {
            // SAFETY: closes the child's copy of a descriptor that nothing in the
            // child uses; with it open the child would never see the pipe's end.
            unsafe { rustix::io::close(our_end) };
            pid_to_parent.write_all(&std::process::id().to_ne_bytes())?;
            // No byte, but the end: the parent has given up.
            go_from_parent.read_exact(&mut [0])
        };
        // SAFETY: between fork and exec the closure makes the system calls close,
        // write, getpid and read, and allocates nothing.
        unsafe { command.pre_exec(wait) };
        // `spawn` returns only after the program is executed, so another thread
        // waits for that.
        let spawner = std::thread::spawn(move || command.spawn());
        let pid = match child_pid(pid_from_child) {
            Ok(pid) => pid,
            Err(error) => {
                drop(go);
                let spawned = spawner.join().map_err(|_| error)?;
                return Err(spawned.err().unwrap_or_else(|| io::Error::other("no process")));
            }
        };
        Ok(Self { pid, go, spawner })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Lets the program go. `ended` is called once it has ended.
    ///
    /// # Errors
    /// Those of exec: no such program, not executable.
    pub fn release(mut self, ended: impl FnOnce() + Send + 'static) -> io::Result<Running> {
        self.go.write_all(&[1])?;
        let panicked = |_| io::Error::other("starting the program panicked");
        let mut child = self.spawner.join().map_err(panicked)??;
        let waiter = std::thread::spawn(move || {
            let status = child.wait();
            ended();
            status
        });
        Ok(Running { pid: self.pid, waiter })
    }
}

impl Running {
    /// How the program ended; waits until it has.
    ///
    /// # Errors
    /// Those of wait.
    pub fn status(self) -> io::Result<ExitStatus> {
        self.waiter.join().map_err(|_| io::Error::other("waiting for the program panicked"))?
    }
}

fn child_pid(mut from_child: PipeReader) -> io::Result<u32> {
    let mut pid = [0; 4];
    from_child.read_exact(&mut pid)?;
    Ok(u32::from_ne_bytes(pid))
}

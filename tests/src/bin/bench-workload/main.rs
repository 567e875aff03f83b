//! `bench-workload KIND [OPTIONS]`: makes calls as fast as it can and prints what each
//! took by its own clock, as one line of JSON. `cargo xtask bench` runs it with nobody
//! watching and under each tracer.
//!
//! | kind | what is timed |
//! |---|---|
//! | `getppid` | a system call that nobody traces |
//! | `eagain` | recvmmsg(2) that finds nothing |
//! | `receive` | recvmmsg(2) of `--messages` datagrams that wait already |
//! | `blocking` | recvmmsg(2) that blocks until another thread has sent a datagram, and what that thread does for it |
//! | `paced` | recvmmsg(2) that finds nothing, `--rate` times a second |
//! | `flood` | recvmmsg(2) that finds nothing, for all of the time |
//! | `echo` | a UDP server that answers with sendmmsg(2), under a load of its own |
//!
//! With `--floor STAGE` programs of its own watch it, which do the least that a tracer
//! must: [`floor`].
//!
//! Calls are timed in chunks and the median chunk is what is printed: a chunk in which
//! the kernel did something else is not a chunk of the call's own cost.

mod calls;
mod echo;
mod floor;
mod options;
mod paced;
mod sys;

use std::process::ExitCode;

use options::{Kind, Options};

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("bench-workload: {message}");
            return ExitCode::from(2);
        }
    };
    if let Some(name) = &options.comm {
        sys::set_comm(name);
    }
    if let Some(cpu) = options.cpu {
        sys::pin(cpu);
    }
    let said = match options.kind {
        Kind::Getppid | Kind::Eagain | Kind::Receive | Kind::Blocking => calls::run(&options),
        Kind::Flood => calls::flood(&options),
        Kind::Paced => paced::run(&options),
        Kind::Echo => echo::run(&options),
    };
    println!("{said}");
    ExitCode::SUCCESS
}

//! Verifying programs and attaching them, kind by kind.

use std::{fs, os::fd::AsFd, os::fd::AsRawFd, panic::resume_unwind, time::Duration};

use aya::{
    Btf, Ebpf,
    programs::{
        BtfTracePoint, FEntry, FExit, KProbe, Program, ProgramError, ProgramFd, RawTracePoint,
        TracePoint, fentry::FEntryLink, fexit::FExitLink, kprobe::KProbeLink,
        raw_trace_point::RawTracePointLink, tp_btf::BtfTracePointLink, trace_point::TracePointLink,
    },
};

use super::hooks::{Attachment, Kind};

/// Something attached; dropping it detaches.
#[expect(dead_code, reason = "held for its drop")]
pub enum Link {
    Typed(BtfTracePointLink),
    Raw(RawTracePointLink),
    Tracepoint(TracePointLink),
    Fentry(FEntryLink),
    Fexit(FExitLink),
    Kprobe(KProbeLink),
}

/// A program that the kernel has verified.
pub struct Verified {
    /// Its name in the object.
    pub program: &'static str,
    /// The tracepoint or function.
    pub target: String,
    /// Instructions that the verifier went through; none before Linux 5.16, which does
    /// not tell.
    pub instructions: Option<u32>,
    fd: ProgramFd,
}

impl Verified {
    fn new(what: &Attachment, program: &Program) -> Result<Self, ProgramError> {
        Ok(Self {
            program: what.program,
            target: what.target.clone(),
            instructions: program.info()?.verified_instruction_count(),
            fd: program.fd()?.try_clone().map_err(ProgramError::IOError)?,
        })
    }

    /// How often the kernel left the program out where it should have run, because
    /// one like it was running on that CPU (`recursion_misses` in
    /// kernel/bpf/syscall.c); 0 on kernels that do not count it.
    pub fn left_out(&self) -> u64 {
        self.told("recursion_misses:")
    }

    /// How often it ran, and for how long, since the kernel began to count that
    /// (`kernel.bpf_stats_enabled`).
    pub fn runs(&self) -> (u64, Duration) {
        (self.told("run_cnt:"), Duration::from_nanos(self.told("run_time_ns:")))
    }

    /// A number that the kernel tells of the program; 0 where it does not.
    fn told(&self, name: &str) -> u64 {
        let path = format!("/proc/self/fdinfo/{}", self.fd.as_fd().as_raw_fd());
        let text = fs::read_to_string(path).unwrap_or_default();
        let count = text.lines().find_map(|line| line.strip_prefix(name));
        count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
    }
}

/// Has programs verified that are not made for one function only: those are verified as
/// they are attached. All at the same time, since the kernel takes long to look at each,
/// by itself; of failures the one is told that comes first in the list.
pub fn verify<'a>(
    ebpf: &mut Ebpf,
    list: &'a [Attachment],
    btf: Option<&Btf>,
) -> Result<Vec<Verified>, (&'a Attachment, ProgramError)> {
    let mut verified = std::thread::scope(|scope| {
        let mut under_way = Vec::new();
        for (name, program) in ebpf.programs_mut() {
            // It may go to several places.
            if let Some(at) = list.iter().position(|what| what.program == name)
                && let Some(what) = list.get(at)
                && !matches!(what.kind, Kind::Fentry | Kind::Fexit)
            {
                under_way.push((at, what, scope.spawn(move || verify_one(program, what, btf))));
            }
        }
        let done = under_way.into_iter().map(|(at, what, thread)| {
            let verified = thread.join().unwrap_or_else(|panic| resume_unwind(panic));
            (at, verified.map_err(|error| (what, error)))
        });
        done.collect::<Vec<_>>()
    });
    verified.sort_by_key(|(at, _)| *at);
    verified.into_iter().map(|(_, verified)| verified).collect()
}

fn verify_one(
    program: &mut Program,
    what: &Attachment,
    btf: Option<&Btf>,
) -> Result<Verified, ProgramError> {
    match what.kind {
        Kind::Typed => {
            let btf = btf.ok_or(ProgramError::UnexpectedProgramType)?;
            <&mut BtfTracePoint>::try_from(&mut *program)?.load(&what.target, btf)?;
        }
        Kind::Raw => <&mut RawTracePoint>::try_from(&mut *program)?.load()?,
        Kind::Tracepoint => <&mut TracePoint>::try_from(&mut *program)?.load()?,
        Kind::Kprobe => <&mut KProbe>::try_from(&mut *program)?.load()?,
        Kind::Fentry | Kind::Fexit => return Err(ProgramError::UnexpectedProgramType),
    }
    Verified::new(what, program)
}

/// Attaches a program; with what was verified on the way.
pub fn attach(
    ebpf: &mut Ebpf,
    what: &Attachment,
    btf: Option<&Btf>,
) -> Result<(Link, Option<Verified>), ProgramError> {
    let program = ebpf.program_mut(what.program).ok_or(ProgramError::NotLoaded)?;
    let target = what.target.as_str();
    let typed = btf.ok_or(ProgramError::UnexpectedProgramType);
    let link = match what.kind {
        Kind::Typed => {
            let program = <&mut BtfTracePoint>::try_from(program)?;
            let link = program.attach()?;
            program.take_link(link).map(Link::Typed)?
        }
        Kind::Raw => {
            let program = <&mut RawTracePoint>::try_from(program)?;
            let link = program.attach(target)?;
            program.take_link(link).map(Link::Raw)?
        }
        Kind::Tracepoint => {
            let program = <&mut TracePoint>::try_from(program)?;
            let link = program.attach("syscalls", target)?;
            program.take_link(link).map(Link::Tracepoint)?
        }
        Kind::Kprobe => {
            let program = <&mut KProbe>::try_from(program)?;
            let link = program.attach(target, 0)?;
            program.take_link(link).map(Link::Kprobe)?
        }
        // These are verified for one function, and then again for the next; the link
        // keeps the kernel's copy.
        Kind::Fentry => {
            <&mut FEntry>::try_from(&mut *program)?.load(target, typed?)?;
            let verified = Verified::new(what, program)?;
            let program = <&mut FEntry>::try_from(program)?;
            let link = program.attach()?;
            let link = program.take_link(link)?;
            program.unload()?;
            return Ok((Link::Fentry(link), Some(verified)));
        }
        Kind::Fexit => {
            <&mut FExit>::try_from(&mut *program)?.load(target, typed?)?;
            let verified = Verified::new(what, program)?;
            let program = <&mut FExit>::try_from(program)?;
            let link = program.attach()?;
            let link = program.take_link(link)?;
            program.unload()?;
            return Ok((Link::Fexit(link), Some(verified)));
        }
    };
    Ok((link, None))
}

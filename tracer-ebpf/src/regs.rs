//! Where the registers of the traced call lie: the one thing in which hooks differ.

use aya_ebpf::{EbpfContext, helpers::generated, programs::TracePointContext};

use crate::{
    config::config,
    mem::{load, probe},
};

/// The saved user registers of a call.
pub trait Regs: Copy {
    /// The 64-bit value at a byte offset.
    fn at(self, offset: u32) -> u64;

    /// The syscall number: 64 bits on x86, of which 32 are significant, and an int
    /// on arm64, past which the verifier lets nothing be read.
    fn nr(self) -> u32;

    /// Nothing: the number read once more and compared with itself, where that is just a
    /// load. The verifier can't tell that, and goes on once with what was made of it, where
    /// it would go on with each rule's own constants.
    #[inline(always)]
    fn zero(self, _nr: u32) -> u32 {
        0
    }

    /// The user instruction pointer.
    #[inline(always)]
    fn ip(self) -> u64 {
        self.at(config!(registers.ip))
    }

    /// The user stack pointer.
    #[inline(always)]
    fn sp(self) -> u64 {
        self.at(config!(registers.sp))
    }
}

/// `struct pt_regs *` as a pointer that the verifier knows the type of (tp_btf, fentry).
#[derive(Clone, Copy)]
pub struct TypedRegs(*const u8);

impl TypedRegs {
    #[inline(always)]
    pub fn new(regs: *const u8) -> Self {
        Self(regs)
    }
}

impl Regs for TypedRegs {
    #[inline(always)]
    fn at(self, offset: u32) -> u64 {
        load(self.0, offset)
    }

    #[inline(always)]
    fn nr(self) -> u32 {
        load(self.0, config!(registers.nr))
    }

    #[inline(always)]
    fn zero(self, nr: u32) -> u32 {
        self.nr() ^ nr
    }
}

/// `struct pt_regs *` as a plain number (raw tracepoint, kprobe).
#[derive(Clone, Copy)]
pub struct ProbedRegs(*const u8);

impl ProbedRegs {
    #[inline(always)]
    pub fn new(regs: *const u8) -> Self {
        Self(regs)
    }
}

impl Regs for ProbedRegs {
    #[inline(always)]
    fn at(self, offset: u32) -> u64 {
        probe(self.0, offset)
    }

    #[inline(always)]
    fn nr(self) -> u32 {
        probe(self.0, config!(registers.nr))
    }
}

/// The caller's registers at a `syscalls` tracepoint. Newer kernels tell them by
/// helper. Older ones leave them in a field of the context that programs must not read,
/// but may have read for them (perf_call_bpf_enter in kernel/trace/trace_syscalls.c);
/// newer ones have something else there.
#[derive(Clone, Copy)]
pub struct TracepointRegs(*const u8);

impl TracepointRegs {
    #[inline(always)]
    pub fn new(ctx: &TracePointContext) -> Self {
        if config!(task_pt_regs) != 0 {
            // SAFETY: helpers without other preconditions than that they exist.
            let regs =
                unsafe { generated::bpf_task_pt_regs(generated::bpf_get_current_task_btf()) };
            return Self(regs as *const u8);
        }
        Self(probe::<u64>(ctx.as_ptr().cast(), 0) as *const u8)
    }

    #[inline(always)]
    fn load<T: Copy + Default>(self, offset: u32) -> T {
        if config!(task_pt_regs) != 0 { load(self.0, offset) } else { probe(self.0, offset) }
    }
}

impl Regs for TracepointRegs {
    #[inline(always)]
    fn at(self, offset: u32) -> u64 {
        self.load(offset)
    }

    #[inline(always)]
    fn nr(self) -> u32 {
        self.load(config!(registers.nr))
    }
}

/// The return value at a `syscalls:sys_exit_…` tracepoint (struct syscall_trace_exit in
/// kernel/trace/trace.h).
#[inline(always)]
pub fn tracepoint_ret(ctx: &TracePointContext) -> i64 {
    load(ctx.as_ptr().cast(), 16)
}

/// The first argument of a function that a kprobe is on: for a syscall's entry
/// function the caller's registers.
#[inline(always)]
pub fn function_first(ctx: *const u8) -> u64 {
    probe(ctx, config!(registers.function_first))
}

/// The second to fourth arguments of a function that a kprobe is on.
#[inline(always)]
pub fn function_middle(ctx: *const u8) -> [u64; 3] {
    [
        probe(ctx, config!(registers.function_second)),
        probe(ctx, config!(registers.function_third)),
        probe(ctx, config!(registers.function_fourth)),
    ]
}

/// The fifth argument of a function that a kprobe is on.
#[inline(always)]
pub fn function_fifth(ctx: *const u8) -> u64 {
    probe(ctx, config!(registers.function_fifth))
}

/// The return value of a function that a kretprobe is on.
#[inline(always)]
pub fn function_ret(ctx: *const u8) -> i64 {
    probe(ctx, config!(registers.function_ret))
}

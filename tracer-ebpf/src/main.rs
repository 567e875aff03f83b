//! The kernel side of tracer: the programs, and nothing but their wiring.
//!
//! ```text
//! entry hook ─ abi ─ gate ─ pending ─ snapshot ──► THREADS
//! exit hook  ─ abi ─ pending ─ capture ─ snapshot ─ emit ──► RING
//! do_recvmmsg, ____sys_recvmsg, sock_recv_length: what the kernel itself goes by
//! signal_deliver, sched_process_exit: calls that end without an exit of their own
//! sched_process_fork: children to follow
//! ```
//! A hook is a thin shim that says where the registers lie ([`regs`]); all else
//! is the same for every hook.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod abi;
mod capture;
mod checks;
mod config;
mod copies;
mod emit;
mod exe;
mod full;
mod gate;
mod log;
mod maps;
mod mem;
mod payload;
mod pending;
mod regs;
mod signals;
mod snapshot;
mod socket;
mod task;
mod walk;

use aya_ebpf::{
    macros::{btf_tracepoint, fentry, fexit, kprobe, kretprobe, raw_tracepoint, tracepoint},
    programs::{
        BtfTracePointContext, FEntryContext, FExitContext, ProbeContext, RawTracePointContext,
        RetProbeContext, TracePointContext,
    },
};
use pending::Exit;
use regs::{ProbedRegs, TracepointRegs, TypedRegs};
use walk::{Looped, Unrolled};

#[btf_tracepoint(function = "sys_enter")]
pub fn enter_typed(ctx: BtfTracePointContext) -> u32 {
    pending::enter::<_, Looped>(TypedRegs::new(ctx.arg(0)), Exit::SeesRegisters);
    0
}

#[btf_tracepoint(function = "sys_enter")]
pub fn enter_typed_unrolled(ctx: BtfTracePointContext) -> u32 {
    pending::enter::<_, Unrolled>(TypedRegs::new(ctx.arg(0)), Exit::SeesRegisters);
    0
}

#[btf_tracepoint(function = "sys_exit")]
pub fn exit_typed(ctx: BtfTracePointContext) -> u32 {
    capture::exit::<_, Looped>(TypedRegs::new(ctx.arg(0)), ctx.arg(1));
    0
}

#[btf_tracepoint(function = "sys_exit")]
pub fn exit_typed_unrolled(ctx: BtfTracePointContext) -> u32 {
    capture::exit::<_, Unrolled>(TypedRegs::new(ctx.arg(0)), ctx.arg(1));
    0
}

#[raw_tracepoint(tracepoint = "sys_enter")]
pub fn enter_raw(ctx: RawTracePointContext) -> u32 {
    pending::enter::<_, Looped>(ProbedRegs::new(ctx.arg(0)), Exit::SeesRegisters);
    0
}

#[raw_tracepoint(tracepoint = "sys_enter")]
pub fn enter_raw_unrolled(ctx: RawTracePointContext) -> u32 {
    pending::enter::<_, Unrolled>(ProbedRegs::new(ctx.arg(0)), Exit::SeesRegisters);
    0
}

#[raw_tracepoint(tracepoint = "sys_exit")]
pub fn exit_raw(ctx: RawTracePointContext) -> u32 {
    capture::exit::<_, Looped>(ProbedRegs::new(ctx.arg(0)), ctx.arg(1));
    0
}

#[raw_tracepoint(tracepoint = "sys_exit")]
pub fn exit_raw_unrolled(ctx: RawTracePointContext) -> u32 {
    capture::exit::<_, Unrolled>(ProbedRegs::new(ctx.arg(0)), ctx.arg(1));
    0
}

// `syscalls:sys_enter_recvmmsg` and `sys_exit_recvmmsg`.

#[tracepoint]
pub fn enter_tracepoint(ctx: TracePointContext) -> u32 {
    pending::enter::<_, Looped>(TracepointRegs::new(&ctx), Exit::SeesRegisters);
    0
}

#[tracepoint]
pub fn enter_tracepoint_unrolled(ctx: TracePointContext) -> u32 {
    pending::enter::<_, Unrolled>(TracepointRegs::new(&ctx), Exit::SeesRegisters);
    0
}

#[tracepoint]
pub fn exit_tracepoint(ctx: TracePointContext) -> u32 {
    capture::exit::<_, Looped>(TracepointRegs::new(&ctx), regs::tracepoint_ret(&ctx));
    0
}

#[tracepoint]
pub fn exit_tracepoint_unrolled(ctx: TracePointContext) -> u32 {
    capture::exit::<_, Unrolled>(TracepointRegs::new(&ctx), regs::tracepoint_ret(&ctx));
    0
}

// The entry functions of syscalls take the caller's registers,
// `__x64_sys_recvmmsg(const struct pt_regs *regs)`, in every ABI.

#[fentry]
pub fn enter_fentry(ctx: FEntryContext) -> u32 {
    pending::enter::<_, Looped>(TypedRegs::new(ctx.arg(0)), Exit::SeesRegisters);
    0
}

#[fentry]
pub fn enter_fentry_unrolled(ctx: FEntryContext) -> u32 {
    pending::enter::<_, Unrolled>(TypedRegs::new(ctx.arg(0)), Exit::SeesRegisters);
    0
}

#[fexit]
pub fn exit_fexit(ctx: FExitContext) -> u32 {
    capture::exit::<_, Looped>(TypedRegs::new(ctx.arg(0)), ctx.arg(1));
    0
}

#[fexit]
pub fn exit_fexit_unrolled(ctx: FExitContext) -> u32 {
    capture::exit::<_, Unrolled>(TypedRegs::new(ctx.arg(0)), ctx.arg(1));
    0
}

#[kprobe]
pub fn enter_kprobe(ctx: ProbeContext) -> u32 {
    let regs = regs::function_first(ctx.regs.cast()) as *const u8;
    pending::enter::<_, Looped>(ProbedRegs::new(regs), Exit::SeesNothing);
    0
}

#[kprobe]
pub fn enter_kprobe_unrolled(ctx: ProbeContext) -> u32 {
    let regs = regs::function_first(ctx.regs.cast()) as *const u8;
    pending::enter::<_, Unrolled>(ProbedRegs::new(regs), Exit::SeesNothing);
    0
}

#[kretprobe]
pub fn exit_kretprobe(ctx: RetProbeContext) -> u32 {
    capture::returned::<Looped>(regs::function_ret(ctx.regs.cast()));
    0
}

#[kretprobe]
pub fn exit_kretprobe_unrolled(ctx: RetProbeContext) -> u32 {
    capture::returned::<Unrolled>(regs::function_ret(ctx.regs.cast()));
    0
}

// `do_recvmmsg(int fd, struct mmsghdr __user *mmsg, unsigned int vlen,
// unsigned int flags, struct timespec64 *timeout)` (net/socket.c)

#[fentry]
pub fn timeout_fentry(ctx: FEntryContext) -> u32 {
    snapshot::kernel_timeout(ctx.arg(4));
    0
}

#[fexit]
pub fn timeout_fexit(ctx: FExitContext) -> u32 {
    if ctx.arg::<u64>(4) != 0 {
        snapshot::kernel_timeout_left(i64::from(ctx.arg::<i32>(5)));
    }
    0
}

#[kprobe]
pub fn timeout_kprobe(ctx: ProbeContext) -> u32 {
    snapshot::kernel_timeout(regs::function_fifth(ctx.regs.cast()));
    0
}

#[kretprobe]
pub fn timeout_kretprobe(ctx: RetProbeContext) -> u32 {
    // An int, of which the upper half of the register may hold anything.
    snapshot::kernel_timeout_left((regs::function_ret(ctx.regs.cast()) as i32).into());
    0
}

// `____sys_recvmsg(struct socket *sock, struct msghdr *msg_sys, struct user_msghdr __user
// *msg, struct sockaddr __user *uaddr, unsigned int flags, int nosec)` (net/socket.c)

#[fentry]
pub fn header_fentry(ctx: FEntryContext) -> u32 {
    copies::header(ctx.arg(1), ctx.arg(2), ctx.arg(3));
    0
}

#[kprobe]
pub fn header_kprobe(ctx: ProbeContext) -> u32 {
    let [msg_sys, msg, uaddr] = regs::function_middle(ctx.regs.cast());
    copies::header(msg_sys, msg, uaddr);
    0
}

/// `sock_recv_length(struct sock *sk, int ret, int flags)`
#[raw_tracepoint(tracepoint = "sock_recv_length")]
pub fn recv_length(ctx: RawTracePointContext) -> u32 {
    copies::length(ctx.arg(0), ctx.arg(1));
    0
}

/// `signal_deliver(int sig, struct kernel_siginfo *info, struct k_sigaction *ka)`
#[raw_tracepoint(tracepoint = "signal_deliver")]
pub fn signal_deliver(ctx: RawTracePointContext) -> u32 {
    signals::deliver(ctx.arg(2));
    0
}

/// `sched_process_exit(struct task_struct *p, …)`, where `p` is current.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn process_exit(_ctx: RawTracePointContext) -> u32 {
    signals::thread_ends();
    0
}

/// `sched_process_fork(struct task_struct *parent, struct task_struct *child)`
#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub fn process_fork(ctx: RawTracePointContext) -> u32 {
    gate::follow_child(ctx.arg(1));
    0
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// The helpers that read memory are offered to GPL-compatible programs only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

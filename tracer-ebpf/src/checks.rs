//! Conditions on arguments and return value ([`tracer_common::check`]): decided before
//! anything is copied, and, once the return value is known, before a record is made.

use core::ptr::read_volatile;

use tracer_common::{
    check::{Call, Check, hold},
    config::rule,
    record::flags,
};

use crate::{
    abi::{self, Matched},
    config::config,
    maps::Thread,
    regs::Regs,
};

/// Reads one check of a list.
macro_rules! check {
    ($list:ident, $i:expr) => {
        Check {
            mask: config!($list[$i].mask),
            low: config!($list[$i].low),
            span: config!($list[$i].span),
            field: config!($list[$i].field),
            bits: config!($list[$i].bits),
        }
    };
}

/// Whether the arguments of a call are such that it is wanted, where registers hold
/// them. Those of `socketcall` lie in memory that may have changed when it is read once
/// more: [`kept`] decides on what the record shows.
#[inline(always)]
pub fn registers<R: Regs>(regs: R, matched: Matched) -> bool {
    config!(entry_count) == 0 || matched.has(rule::MULTIPLEXED) || in_registers(regs, matched)
}

#[inline(never)]
fn in_registers<R: Regs>(regs: R, matched: Matched) -> bool {
    let call = Call { args_known: 1, ret: 0, ret_known: 0 };
    let register = |index| abi::register(regs, matched, index as usize);
    hold(config!(entry_count), |i| check!(entry_checks, i), call, register)
}

/// Whether the arguments of a `socketcall`, once they are written down, are such that it
/// is wanted.
///
/// # Safety
/// `thread` is the current thread's, with the arguments of its call.
#[inline(always)]
pub unsafe fn kept(thread: *const Thread, matched: Matched) -> bool {
    // SAFETY: the caller vouches for `thread`.
    config!(entry_count) == 0 || !matched.has(rule::MULTIPLEXED) || unsafe { in_block(thread) }
}

/// # Safety
/// As for [`kept`].
#[inline(never)]
unsafe fn in_block(thread: *const Thread) -> bool {
    // SAFETY: the caller vouches for `thread`.
    unsafe {
        hold(
            config!(entry_count),
            |i| check!(entry_checks, i),
            known(thread),
            |index| argument(thread, index),
        )
    }
}

/// Whether a call that is over is wanted, whether it returned or not.
///
/// # Safety
/// `thread` is the current thread's, its call is complete but for messages.
#[inline(always)]
pub unsafe fn over(thread: *const Thread) -> bool {
    // SAFETY: the caller vouches for `thread`.
    unsafe {
        hold(
            config!(exit_count),
            |i| check!(exit_checks, i),
            known(thread),
            |index| argument(thread, index),
        )
    }
}

/// # Safety
/// As for [`over`].
#[inline(always)]
unsafe fn known(thread: *const Thread) -> Call {
    /// 1 where a flag is not set.
    #[inline(always)]
    fn without(set: u32, flag: u32) -> u64 {
        (!set >> flag.trailing_zeros() & 1).into()
    }
    // SAFETY: the caller vouches for `thread`.
    let header = unsafe { &(*thread).call.header };
    Call {
        args_known: without(header.flags, flags::ARGS_FAULTED),
        ret: header.ret,
        ret_known: without(header.flags, flags::NO_RETURN),
    }
}

/// # Safety
/// As for [`over`].
#[inline(always)]
unsafe fn argument(thread: *const Thread, index: u32) -> u64 {
    // SAFETY: the caller vouches for `thread`; the index is below six.
    unsafe {
        let args: *const u64 = (&raw const (*thread).call.header.args).cast();
        read_volatile(args.add(if index < 6 { index as usize } else { 0 }))
    }
}

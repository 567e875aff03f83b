//! Which event a syscall is: number and ABI against the configured rules.

use core::{mem::MaybeUninit, ptr::read_volatile};

use tracer_common::{
    config::{MAX_RULES, Rule, rule},
    record::{MAX_ARGS, MAX_MESSAGES, flags},
};

use crate::{
    config::config,
    maps::Thread,
    mem::{self, opaque},
    regs::Regs,
    task::Current,
};

/// A rule that the current call matches.
#[derive(Clone, Copy)]
pub struct Matched {
    pub event: u16,
    pub abi: u8,
    pub flags: u8,
    pub nr: u32,
}

impl Matched {
    #[inline(always)]
    pub fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// 1 where user structures have the compat layout, else 0.
    #[inline(always)]
    pub fn compat_layout(self) -> u32 {
        u32::from(self.flags >> rule::COMPAT_LAYOUT.trailing_zeros()) & 1
    }

    /// Writes down what the thread calls.
    ///
    /// # Safety
    /// `thread` is the current thread's.
    #[inline(always)]
    pub unsafe fn keep(self, thread: *mut Thread) {
        // SAFETY: the caller vouches for `thread`.
        unsafe {
            let header = &raw mut (*thread).call.header;
            (*header).event = self.event;
            (*header).abi = self.abi;
            (*header).nr = self.nr;
            (*thread).rule_flags = self.flags.into();
        }
    }

    /// What the thread was found to call. Read from memory on purpose: with the
    /// constants that [`matched`] returns, the verifier would go through everything
    /// that follows once for each rule.
    ///
    /// # Safety
    /// `thread` is the current thread's, and its call was [kept](Self::keep).
    #[inline(always)]
    pub unsafe fn kept(thread: *const Thread) -> Self {
        // SAFETY: the caller vouches for `thread`.
        unsafe {
            let header = &raw const (*thread).call.header;
            Self {
                event: read_volatile(&raw const (*header).event),
                abi: read_volatile(&raw const (*header).abi),
                flags: read_volatile(&raw const (*thread).rule_flags) as u8,
                nr: read_volatile(&raw const (*header).nr),
            }
        }
    }
}

/// Bytes of so many elements of an mmsghdr array, by [`Matched::compat_layout`]: half of what
/// they have in 64 bits, and that half once more where they are not compat. Masked and not
/// chosen, since the verifier would go on with each of the two; and not multiplied, since
/// older ones know nothing of a product of unknown values.
#[inline(always)]
pub fn header_bytes(count: u64, compat: u32) -> u64 {
    // Wide enough for any count, and no more: on masks of all bits newer verifiers branch.
    const MASK: u64 = MAX_MESSAGES as u64 * 64 - 1;
    let mask = opaque((opaque(compat.into()) & 1) ^ 1) * MASK;
    let half = count * 32;
    opaque(half + (half & mask))
}

/// The rule for the current call, and the task that makes it. Most syscalls are none of
/// ours: they cost a few comparisons and do not touch the task.
#[inline(always)]
pub fn matched<R: Regs>(regs: R) -> Option<(Matched, Current)> {
    let nr = regs.nr();
    // The same number may be a native call of ours and a compat call that is
    // not, so a number alone decides nothing.
    let mut known = None;
    for i in 0..MAX_RULES {
        if i as u32 >= config!(rule_count) {
            break;
        }
        if nr != config!(rules[i].nr) {
            continue;
        }
        let (current, is_compat) = *known.get_or_insert_with(|| {
            let current = Current::get();
            (current, current.compat())
        });
        let candidate: Rule = config!(rules[i]);
        if is_compat != (candidate.flags & rule::COMPAT_TASK != 0) {
            continue;
        }
        if candidate.flags & rule::MULTIPLEXED != 0
            && regs.at(config!(registers.compat[0])) as u32 != candidate.call
        {
            continue;
        }
        let Rule { event, abi, flags, .. } = candidate;
        let zero = regs.zero(nr);
        let matched = Matched {
            event: event ^ zero as u16,
            abi: abi ^ zero as u8,
            flags: flags ^ zero as u8,
            nr: nr ^ zero,
        };
        return Some((matched, current));
    }
    None
}

/// [`flags::CALLER_64BIT`] for a compat call by code of 64 bits, else nothing.
#[inline(always)]
pub fn caller<R: Regs>(regs: R, matched: Matched) -> u32 {
    let code64 = config!(registers.code64);
    if code64 != 0
        && matched.has(rule::COMPAT_TASK)
        && u32::from(regs.at(config!(registers.cs)) as u16) == code64
    {
        return flags::CALLER_64BIT;
    }
    0
}

/// Reads the call's arguments; false where they lie in user memory that faults.
///
/// # Safety
/// `args` is writable.
#[inline(always)]
pub unsafe fn arguments<R: Regs>(regs: R, matched: Matched, args: *mut [u64; MAX_ARGS]) -> bool {
    // SAFETY (whole body): the caller vouches for `args`; each index is below six.
    if matched.has(rule::MULTIPLEXED) {
        let mut words = MaybeUninit::<[u32; 5]>::uninit();
        let block = regs.at(config!(registers.compat[1])) as u32;
        let read = unsafe {
            mem::read_user(words.as_mut_ptr().cast(), size_of::<[u32; 5]>() as u32, block.into())
        };
        // The helper has written them, zeros where it could not read.
        let words = unsafe { words.assume_init() };
        unsafe {
            (*args)[0] = words[0].into();
            (*args)[1] = words[1].into();
            (*args)[2] = words[2].into();
            (*args)[3] = words[3].into();
            (*args)[4] = words[4].into();
            (*args)[5] = 0;
        }
        return read;
    }
    unsafe {
        (*args)[0] = register(regs, matched, 0);
        (*args)[1] = register(regs, matched, 1);
        (*args)[2] = register(regs, matched, 2);
        (*args)[3] = register(regs, matched, 3);
        (*args)[4] = register(regs, matched, 4);
        (*args)[5] = register(regs, matched, 5);
    }
    true
}

/// One of the arguments of a call that has them in registers.
#[inline(always)]
pub fn register<R: Regs>(regs: R, matched: Matched, index: usize) -> u64 {
    let index = if index < MAX_ARGS { index } else { 0 };
    if matched.has(rule::COMPAT_TASK) {
        (regs.at(config!(registers.compat[index])) as u32).into()
    } else {
        regs.at(config!(registers.native[index]))
    }
}

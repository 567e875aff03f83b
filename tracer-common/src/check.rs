//! Conditions on a call's arguments and return value that the kernel programs decide.
//!
//! A list of [`Check`]s, of which [`hold`] says whether a call is wanted: the programs
//! call it, and so do the tests that hold it against the daemon's filter. It has no
//! branch that depends on the call, so that the verifier goes through it once.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::record::MAX_ARGS;

/// Most checks that are made when a call begins, and most that are made when it ends.
pub const MAX_CHECKS: usize = 16;
/// [`Check::field`] of the return value.
pub const RET: u32 = MAX_ARGS as u32;

/// Whether some bits of a number lie between two others. What is not known lies nowhere.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Check {
    /// The bits of the number that count.
    pub mask: i64,
    /// The least that they may be.
    pub low: i64,
    /// How much more they may be.
    pub span: u64,
    /// Index of an argument, or [`RET`].
    pub field: u32,
    /// Bits of [`bits`].
    pub bits: u32,
}

/// Bits of [`Check::bits`].
pub mod bits {
    /// It must not be so.
    pub const NEGATED: u32 = 1 << 0;
    /// Or the next check holds.
    pub const OR: u32 = 1 << 1;
    /// The argument is a C `int`, and else an `unsigned int`.
    pub const SIGNED: u32 = 1 << 2;
}

/// What is known of a call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// 1 where the arguments are known, else 0.
    pub args_known: u64,
    /// The return value.
    pub ret: i64,
    /// 1 where it is known, else 0.
    pub ret_known: u64,
}

impl Check {
    /// 1 if it holds for a number, which is `known` (1) or not (0); else 0.
    #[inline(always)]
    pub const fn holds(&self, value: i64, known: u64) -> u64 {
        let above = (value & self.mask).wrapping_sub(self.low) as u64;
        (not_above(above, self.span) & known) ^ (self.bits & bits::NEGATED) as u64
    }

    /// An argument's value in its register.
    #[inline(always)]
    const fn argument(&self, raw: u64) -> i64 {
        if self.bits & bits::SIGNED != 0 { raw as i32 as i64 } else { raw as u32 as i64 }
    }
}

/// 1 if `a <= b`, else 0: whether `b - a` borrows nothing.
#[inline(always)]
const fn not_above(a: u64, b: u64) -> u64 {
    !((!b & a) | (!(a ^ b) & b.wrapping_sub(a))) >> 63
}

/// Whether the first `count` checks hold for a call: of those that are joined by
/// [`bits::OR`] at least one. `check` has them, `arg` the arguments' registers.
#[inline(always)]
pub fn hold(
    count: u32,
    check: impl Fn(usize) -> Check,
    call: Call,
    arg: impl Fn(u32) -> u64,
) -> bool {
    let (mut all, mut any) = (1, 0);
    // Not up to a constant: the compiler would lay out all rounds one after the other.
    for i in 0..(count as usize).min(MAX_CHECKS) {
        let check = check(i);
        any |= if check.field == RET {
            check.holds(call.ret, call.ret_known)
        } else {
            check.holds(check.argument(arg(check.field)), call.args_known)
        };
        if check.bits & bits::OR == 0 {
            all &= any;
            any = 0;
        }
    }
    all != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparison_without_a_branch() {
        let edges = [0, 1, 2, u64::MAX / 2, u64::MAX / 2 + 1, u64::MAX - 1, u64::MAX];
        for a in edges {
            for b in edges {
                assert_eq!(not_above(a, b), u64::from(a <= b), "{a} <= {b}");
            }
        }
    }

    #[test]
    fn all_of_any() {
        let at = |field, low, bits| Check { mask: -1, low, span: 0, field, bits };
        let checks =
            [at(0, -1, bits::SIGNED | bits::OR), at(2, 0xffff_ffff, 0), at(RET, 3, bits::NEGATED)];
        let holds = |args: [u64; 3], ret, [args_known, ret_known]: [u64; 2]| {
            let call = Call { args_known, ret, ret_known };
            hold(3, |i| checks[i], call, |i| args[i as usize])
        };
        let ones = u64::MAX;
        assert!(holds([ones, 0, 0], 0, [1, 1]));
        assert!(holds([0xffff_ffff, 0, 0], 0, [1, 1]));
        assert!(holds([0, 0, ones], 0, [1, 1]));
        assert!(!holds([0, 0, 0], 0, [1, 1]));
        assert!(!holds([ones, 0, 0], 3, [1, 1]));
        assert!(holds([ones, 0, 0], 3, [1, 0]), "what is not known is not 3");
        assert!(!holds([ones, 0, ones], 0, [0, 1]), "nor anything else");
    }
}

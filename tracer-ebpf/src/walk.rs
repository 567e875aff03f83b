//! Going over the messages of a call: the two kinds of loops that there are.
//!
//! Kernels before 5.17 have no `bpf_loop`; the object holds every program that
//! loops twice, and the daemon loads the ones that fit.

use core::ffi::c_void;

use aya_ebpf::helpers::generated;
use tracer_common::{
    detail::{MAX_IOVS, MAX_PIECES_UNROLLED},
    record::{MAX_MESSAGES, MAX_MESSAGES_UNROLLED},
};

use crate::{
    full::{Part, detail_part},
    maps::Scratch,
    mem::opaque,
};

/// What is done for each element.
pub trait Body {
    /// Does it for element `i`; false ends the loop.
    ///
    /// # Safety
    /// The pointers in `self` are valid.
    unsafe fn step(&mut self, i: u64) -> bool;
}

/// A way to loop.
pub trait Loop {
    /// Calls `body` for 0, 1, … below `count`.
    ///
    /// # Safety
    /// The pointers in `body` are valid.
    unsafe fn run<B: Body>(count: u32, body: &mut B);

    /// Appends a section of detail in up to `count` steps.
    ///
    /// # Safety
    /// `scratch` is this CPU's, with the section begun.
    unsafe fn detail<const WHAT: u64>(count: u32, scratch: *mut Scratch);
}

/// `bpf_loop`: any number of messages, and cheap to verify.
pub struct Looped;

impl Loop for Looped {
    #[inline(always)]
    unsafe fn run<B: Body>(count: u32, body: &mut B) {
        // SAFETY: the caller vouches for `body`.
        unsafe { Self::times(count.min(MAX_MESSAGES), body) }
    }

    #[inline(always)]
    unsafe fn detail<const WHAT: u64>(count: u32, scratch: *mut Scratch) {
        // SAFETY: the caller vouches for `scratch`.
        unsafe { Self::times(count.min(MAX_MESSAGES * MAX_IOVS), &mut Part::<WHAT> { scratch }) }
    }
}

impl Looped {
    #[inline(always)]
    unsafe fn times<B: Body>(count: u32, body: &mut B) {
        unsafe extern "C" fn step<B: Body>(i: u32, body: *mut c_void) -> i64 {
            // SAFETY: `bpf_loop` hands over the pointer that it was given.
            let go_on = unsafe { (*body.cast::<B>()).step(i.into()) };
            i64::from(!go_on)
        }
        let callback = step::<B> as unsafe extern "C" fn(u32, *mut c_void) -> i64;
        // SAFETY: a callback of the type that the helper wants, and its context.
        unsafe {
            generated::bpf_loop(
                count,
                callback as *const () as *mut c_void,
                (&raw mut *body).cast(),
                0,
            );
        }
    }
}

/// A plain loop that the verifier walks through.
pub struct Unrolled;

impl Loop for Unrolled {
    #[inline(always)]
    unsafe fn run<B: Body>(count: u32, body: &mut B) {
        for i in 0..u64::from(MAX_MESSAGES_UNROLLED) {
            // SAFETY: the caller vouches for `body`.
            if i >= u64::from(count) || !unsafe { body.step(i) } {
                break;
            }
        }
    }

    #[inline(always)]
    unsafe fn detail<const WHAT: u64>(count: u32, _: *mut Scratch) {
        for i in 0..u64::from(MAX_PIECES_UNROLLED) {
            // Or the compiler goes on to the lesser of the two bounds with `!=`, of which
            // verifiers before Linux 6.8 learn nothing: to them that loop has no end.
            if opaque(i) >= u64::from(count) || detail_part(WHAT, i) == 0 {
                break;
            }
        }
    }
}

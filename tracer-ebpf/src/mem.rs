//! Reading memory: the user's by helper, the kernel's by helper or directly.

use core::ffi::c_void;

use aya_ebpf::helpers::generated;

use crate::config::config;

/// Fills `WORDS` times eight bytes with zeros. One by one, since what the compiler would
/// call instead goes byte by byte.
///
/// # Safety
/// `to` is writable for that, and aligned.
#[inline(always)]
pub unsafe fn zero<const WORDS: usize>(to: *mut u64) {
    for i in 0..WORDS {
        // SAFETY: the caller vouches for `to`.
        unsafe { core::ptr::write_volatile(to.add(i), 0) };
    }
}

/// A value that the compiler can't see through, so that a bound stays a
/// comparison that the verifier sees as well. An empty barrier would make the
/// line information invalid; moving a register onto itself is an instruction.
#[inline(always)]
pub fn opaque(value: u64) -> u64 {
    let mut out = value;
    // SAFETY: moves a register onto itself.
    unsafe {
        core::arch::asm!("{0} = {0}", inout(reg) out, options(nomem, nostack, preserves_flags))
    }
    out
}

/// A value that is no more than that. What goes on from here on is [`opaque`] once more:
/// put on the stack before the comparison, it would come back without what older verifiers
/// have learnt by it.
#[inline(always)]
pub fn within(value: u64, most: u64) -> Option<u64> {
    let value = opaque(value);
    if value > most { None } else { Some(opaque(value)) }
}

/// Copies `len` bytes of the caller's memory; false where any of it faults, and
/// then `dst` holds zeros that must not be shown.
///
/// # Safety
/// `dst` is writable for `len` bytes.
#[inline(always)]
pub unsafe fn read_user(dst: *mut u8, len: u32, src: u64) -> bool {
    // SAFETY: the caller vouches for `dst`; the helper checks `src`.
    unsafe { generated::bpf_probe_read_user(dst.cast(), len, src as *const c_void) == 0 }
}

/// Copies `len` bytes of kernel memory (or of a map's value).
///
/// # Safety
/// `dst` is writable for `len` bytes.
#[inline(always)]
pub unsafe fn read_kernel(dst: *mut u8, len: u32, src: *const u8) -> bool {
    // SAFETY: the caller vouches for `dst`; the helper checks `src`.
    unsafe { generated::bpf_probe_read_kernel(dst.cast(), len, src.cast()) == 0 }
}

/// A value at a kernel address, by helper; the default where it faults.
#[inline(always)]
pub fn probe<T: Copy + Default>(base: *const u8, offset: u32) -> T {
    let mut value = T::default();
    // SAFETY: `value` is writable for its size.
    unsafe {
        read_kernel(
            (&raw mut value).cast(),
            size_of::<T>() as u32,
            base.wrapping_add(offset as usize),
        );
    }
    value
}

/// A value behind a pointer that the verifier knows the type of: a plain load,
/// which reads 0 where it would fault.
#[inline(always)]
pub fn load<T: Copy>(base: *const u8, offset: u32) -> T {
    // SAFETY: the verifier refuses the program unless the load lies in the
    // object; a fault is handled by the kernel's exception table.
    unsafe { core::ptr::read_volatile(base.add(offset as usize).cast()) }
}

/// The kernel function `bpf_rdonly_cast`: the daemon puts the running kernel's own number
/// for it in the place of this one, where there is one.
pub const RDONLY_CAST: usize = tracer_common::config::RDONLY_CAST as usize;

/// A structure of the kernel's, at an address that came from it: read directly where the
/// verifier can be told what is there, and by helper elsewhere.
#[derive(Clone, Copy)]
pub struct Object(*const u8);

impl Object {
    /// What lies at an address, by its id in [`Types`](tracer_common::config::Types).
    #[inline(always)]
    pub fn new(address: u64, id: u32) -> Self {
        let address = address as *const u8;
        if config!(casts) == 0 {
            return Self(address);
        }
        // SAFETY: a call of the verifier's own, which knows the signature; it is there
        // where the configuration says so.
        unsafe {
            let cast: unsafe extern "C" fn(*const u8, u32) -> *const u8 =
                core::mem::transmute(RDONLY_CAST);
            Self(cast(address, id))
        }
    }

    /// The pointer, for [`load`], where the verifier was told.
    #[inline(always)]
    pub fn typed(self) -> *const u8 {
        self.0
    }

    /// A field; 0 where it faults.
    #[inline(always)]
    pub fn read<T: Copy + Default>(self, offset: u32) -> T {
        if config!(casts) != 0 { load(self.0, offset) } else { probe(self.0, offset) }
    }
}

/// Adds to an integer that others add to at the same time; wraps, so that
/// `u64::MAX` takes one off. (The target has no compare-and-swap before 5.12, so
/// `core` offers no atomics.)
///
/// # Safety
/// `target` is an aligned integer in a map.
#[inline(always)]
pub unsafe fn atomic_add(target: *mut u64, by: u64) {
    // SAFETY: the caller vouches for `target`.
    unsafe { core::arch::asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) target, in(reg) by) };
}

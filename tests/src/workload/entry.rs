//! The ways into the kernel that reach `recvmmsg`.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Leave the upper halves of registers empty where the kernel does not look at them;
/// otherwise the 32-bit ways in have something there, which others mistake for a part of
/// the arguments.
pub static PLAIN_REGISTERS: AtomicBool = AtomicBool::new(false);

/// One way to make the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The architecture's own call.
    Native,
    /// The native call with bits set above those that the kernel looks at: in the
    /// number, in `sockfd`, `vlen` and `flags`.
    HighBits,
    /// x32: bit 30 of the number.
    X32,
    /// `int $0x80`, 337.
    I386Time32,
    /// `int $0x80`, 417.
    I386Time64,
    /// `int $0x80`, 102 (`socketcall`), call 19.
    Socketcall,
}

/// `SYS_RECVMMSG` of `include/uapi/linux/net.h`.
pub const SOCKETCALL_RECVMMSG: u32 = 19;

impl Entry {
    /// The syscall's number, as the kernel's tracepoints see it.
    pub fn nr(self) -> i64 {
        match self {
            Self::Native | Self::HighBits => libc::SYS_recvmmsg,
            Self::X32 => 0x4000_0000 | 537,
            Self::I386Time32 => 337,
            Self::I386Time64 => 417,
            Self::Socketcall => 102,
        }
    }

    /// The event that the call is.
    pub fn event(self) -> &'static str {
        match self {
            Self::I386Time32 | Self::Socketcall => "recvmmsg_time32",
            _ => "recvmmsg",
        }
    }

    /// The kernel's name for the number.
    pub fn syscall_name(self) -> &'static str {
        match self {
            Self::Native | Self::HighBits | Self::X32 => "recvmmsg",
            Self::I386Time32 => "recvmmsg_time32",
            Self::I386Time64 => "recvmmsg_time64",
            Self::Socketcall => "socketcall",
        }
    }

    /// The ABI's name.
    pub fn abi(self) -> &'static str {
        match self {
            Self::Native | Self::HighBits if cfg!(target_arch = "aarch64") => "arm64",
            Self::Native | Self::HighBits => "x86_64",
            Self::X32 => "x32",
            Self::I386Time32 | Self::I386Time64 | Self::Socketcall => "i386",
        }
    }

    /// Whether the structures have 32-bit pointers.
    pub fn compat(self) -> bool {
        !matches!(self, Self::Native | Self::HighBits)
    }

    /// Bytes of each field of the timeout.
    pub fn timeout_word(self) -> usize {
        if matches!(self, Self::I386Time32 | Self::Socketcall) { 4 } else { 8 }
    }
}

/// Makes the call and returns what the kernel returned, negative errno included.
/// `args` are those of recvmmsg; for [`Entry::Socketcall`] `block` is the address
/// of five 32-bit words that hold them.
pub fn invoke(entry: Entry, args: [u64; 5], block: u64) -> i64 {
    match entry {
        Entry::Native | Entry::X32 => native(entry.nr() as u64, args),
        Entry::HighBits => {
            let [fd, msgvec, vlen, flags, timeout] = args;
            let high = |value: u64, bits: u64| value & 0xffff_ffff | bits << 32;
            native(
                high(entry.nr() as u64, 0xdead_beef),
                [high(fd, 0x1234), msgvec, high(vlen, 0xffff_ffff), high(flags, 0x8000), timeout],
            )
        }
        Entry::I386Time32 | Entry::I386Time64 => {
            // The kernel looks at the lower halves only.
            let upper = if PLAIN_REGISTERS.load(Relaxed) { 0 } else { 0x5a5a_0000_0000_0000 };
            int80(entry.nr() as u64, args.map(|arg| arg & 0xffff_ffff | upper))
        }
        Entry::Socketcall => int80(entry.nr() as u64, [SOCKETCALL_RECVMMSG.into(), block, 0, 0, 0]),
    }
}

/// A native system call with all 64 bits of each register as given.
#[cfg(target_arch = "x86_64")]
pub fn native(nr: u64, args: [u64; 5]) -> i64 {
    let ret: i64;
    // SAFETY: the callers make calls that write into mappings of their own only.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") nr => ret,
            in("rdi") args[0],
            in("rsi") args[1],
            in("rdx") args[2],
            in("r10") args[3],
            in("r8") args[4],
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    ret
}

/// A native system call.
#[cfg(target_arch = "aarch64")]
pub fn native(nr: u64, args: [u64; 5]) -> i64 {
    let ret: i64;
    // SAFETY: the callers make calls that write into mappings of their own only.
    unsafe {
        std::arch::asm!(
            "svc 0",
            in("x8") nr,
            inlateout("x0") args[0] => ret,
            in("x1") args[1],
            in("x2") args[2],
            in("x3") args[3],
            in("x4") args[4],
        );
    }
    ret
}

/// A system call by the 32-bit entry, from 64-bit code.
#[cfg(target_arch = "x86_64")]
pub fn int80(nr: u64, args: [u64; 5]) -> i64 {
    let ret: u64;
    // SAFETY: the callers make calls that write into mappings of their own only.
    // LLVM keeps rbx for itself, so it is swapped in and back; the kernel may
    // clear r8 to r11.
    unsafe {
        std::arch::asm!(
            "xchg {b}, rbx",
            "int 0x80",
            "xchg {b}, rbx",
            b = inout(reg) args[0] => _,
            inlateout("rax") nr => ret,
            in("rcx") args[1],
            in("rdx") args[2],
            in("rsi") args[3],
            in("rdi") args[4],
            lateout("r8") _,
            lateout("r9") _,
            lateout("r10") _,
            lateout("r11") _,
        );
    }
    i64::from(ret as u32 as i32)
}

/// There is no such entry here.
#[cfg(not(target_arch = "x86_64"))]
pub fn int80(_nr: u64, _args: [u64; 5]) -> i64 {
    panic!("int $0x80 is x86's")
}

//! Syscall ABIs: which table a number belongs to and how wide the caller's
//! pointers are.

/// The ABI that a call was made through.
///
/// A 64-bit process can make i386 calls (`int $0x80`), so the ABI belongs to the
/// call and not to the process. The discriminants travel in records and are
/// append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Abi {
    /// x86-64 native (`arch/x86/entry/syscalls/syscall_64.tbl`, common and 64).
    X86_64 = 1,
    /// i386, from 32-bit code or `int $0x80` (`syscall_32.tbl`).
    I386 = 2,
    /// x32: native entry with bit 30 of the number set and 32-bit pointers.
    X32 = 3,
    /// arm64 native (`include/uapi/asm-generic/unistd.h`).
    Arm64 = 4,
    /// 32-bit arm EABI on an arm64 kernel (`arch/arm64/tools/syscall_32.tbl`).
    Arm = 5,
}

/// Every ABI, in the order of the discriminants.
pub const ALL: [Abi; 5] = [Abi::X86_64, Abi::I386, Abi::X32, Abi::Arm64, Abi::Arm];

/// Bit that marks an x32 call's number (`__X32_SYSCALL_BIT`).
pub const X32_SYSCALL_BIT: u32 = 0x4000_0000;

impl Abi {
    /// The name that events show.
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::I386 => "i386",
            Self::X32 => "x32",
            Self::Arm64 => "arm64",
            Self::Arm => "arm",
        }
    }

    /// Whether user structures have the kernel's compat layout (32-bit pointers).
    pub const fn compat_layout(self) -> bool {
        matches!(self, Self::I386 | Self::X32 | Self::Arm)
    }

    /// Whether the kernel marks the task as being in a compat call
    /// (`TS_COMPAT` on x86, `TIF_32BIT` on arm64); x32 calls are not marked.
    pub const fn compat_task(self) -> bool {
        matches!(self, Self::I386 | Self::Arm)
    }

    /// Whether it is a kernel's own ABI, and not one of programs for older machines.
    pub const fn native(self) -> bool {
        matches!(self, Self::X86_64 | Self::Arm64)
    }

    /// Whether this ABI belongs to kernels of the given architecture
    /// (as `std::env::consts::ARCH` spells it).
    pub fn on(self, arch: &str) -> bool {
        match self {
            Self::X86_64 | Self::I386 | Self::X32 => arch == "x86_64",
            Self::Arm64 | Self::Arm => arch == "aarch64",
        }
    }

    /// Bytes from one element of a `struct mmsghdr` array to the next.
    pub const fn mmsghdr_size(self) -> usize {
        if self.compat_layout() { 32 } else { 64 }
    }
}

/// A number on the wire that is no [`Abi`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownAbi(
    /// The number.
    pub u8,
);

impl TryFrom<u8> for Abi {
    type Error = UnknownAbi;

    fn try_from(raw: u8) -> Result<Self, UnknownAbi> {
        ALL.into_iter().find(|abi| *abi as u8 == raw).ok_or(UnknownAbi(raw))
    }
}

//! Provenance tags: where the value of an argument came from.

use core::ops::BitOr;

/// A set of provenance tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Tags(u8);

impl Tags {
    /// No tag.
    pub const NONE: Self = Self(0);
    /// The value came from the kernel: registers copied at entry, or kernel memory.
    pub const K: Self = Self(1);
    /// The value was read through a pointer into user memory.
    pub const U: Self = Self(2);
    /// `U` data that another thread could have changed between our read and the kernel's.
    pub const TOCTOU: Self = Self(4);
    /// The argument may be NULL; then its value is null, which is not 0.
    pub const OPT: Self = Self(8);

    const NAMES: [(Self, &'static str); 4] =
        [(Self::K, "K"), (Self::U, "U"), (Self::TOCTOU, "TOCTOU"), (Self::OPT, "OPT")];

    /// Both sets together, for `const` contexts.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every tag of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The tags' names in the order K, U, TOCTOU, OPT.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(tag, _)| self.contains(*tag)).map(|(_, name)| name)
    }
}

impl BitOr for Tags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.with(other)
    }
}

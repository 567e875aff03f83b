//! Names of flag bits and other numbers, as data.

pub mod cmsg;
mod errno;
mod family;
mod msg;
mod socket;

pub use errno::{ERRNO, errno_name};
pub use family::{AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, FAMILIES, family_name};
pub use msg::MSG;
pub use socket::{protocol_name, socket_type_name};

/// A set of named bits.
#[derive(Clone, Copy, Debug)]
pub struct Flags(&'static [(u32, &'static str)]);

impl Flags {
    /// The names of the bits that are set, and what is left: bits without a name.
    pub fn split(self, value: u32) -> (impl Iterator<Item = &'static str>, u32) {
        let named = self.0.iter().fold(0, |bits, (bit, _)| bits | bit);
        let names = self.0.iter().filter(move |(bit, _)| value & bit != 0).map(|(_, name)| *name);
        (names, value & !named)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn tables_ascend() {
        assert!(ERRNO.is_sorted_by_key(|(value, _)| *value));
        assert!(FAMILIES.is_sorted_by_key(|(value, _)| *value));
        assert!(MSG.0.iter().all(|(bit, _)| bit.count_ones() == 1));
    }

    #[test]
    fn unnamed_bits_are_kept() {
        let (names, rest) = MSG.split(0x0010_0040);
        assert_eq!(names.collect::<Vec<_>>(), ["MSG_DONTWAIT"]);
        assert_eq!(rest, 0x0010_0000);
    }
}

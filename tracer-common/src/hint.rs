//! Where the kernel side looks before it searches a table of filters: most callers are in
//! none, and an element of an array says so for less than a search costs.

/// Elements of the array; a power of two.
pub const HINTS: u32 = 4096;

/// The element of a thread group id.
#[inline(always)]
pub const fn of_pid(pid: u32) -> u32 {
    pid % HINTS
}

/// The element of a name, NUL-padded, as two little-endian words.
#[inline(always)]
pub const fn of_comm([first, second]: [u64; 2]) -> u32 {
    // Fibonacci hashing, of which the upper bits are the good ones.
    let mixed = (first ^ second.rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (64 - HINTS.trailing_zeros())) as u32
}

/// The element of a name in bytes.
pub fn of_name(name: &[u8; 16]) -> u32 {
    let bits = u128::from_le_bytes(*name);
    of_comm([bits as u64, (bits >> 64) as u64])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_words_have_the_same_element() {
        let name = *b"tracer-worker-1\0";
        let (words, _) = name.as_chunks::<8>();
        let words = [u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1])];
        assert_eq!(of_name(&name), of_comm(words));
        let numbered = |digit: u8| {
            let mut name = *b"worker-\0\0\0\0\0\0\0\0\0";
            name[7] = digit;
            of_name(&name)
        };
        assert!((b'0'..=b'8').all(|digit| numbered(digit) != numbered(digit + 1)));
        assert!((0..=u8::MAX).all(|byte| numbered(byte) < HINTS));
    }
}

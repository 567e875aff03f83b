//! Memory that calls point into: mapped below 4 GiB where the architecture can,
//! so that 32-bit structures can lie in it too, and reached by offset so that the
//! rest of the workload needs no pointers.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// An anonymous or file-backed mapping of its own.
pub struct Arena {
    base: *mut u8,
    len: usize,
}

// SAFETY: the mapping belongs to the value and not to a thread; every access is a
// copy through a raw pointer, and scenarios that share one race on purpose.
unsafe impl Send for Arena {}
// SAFETY: as for `Send`: no references into the mapping are ever handed out.
unsafe impl Sync for Arena {}

#[cfg(target_arch = "x86_64")]
const LOW: i32 = libc::MAP_32BIT;
#[cfg(not(target_arch = "x86_64"))]
const LOW: i32 = 0;

/// Bytes of a page, or more.
pub const PAGE: usize = 65536;

impl Arena {
    /// Maps `len` zeroed bytes that are present in memory.
    pub fn new(len: usize) -> Self {
        Self::map(len, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE | LOW, -1)
    }

    /// Maps a file's content without touching it: the pages are not present for
    /// this process until it, or the kernel on its behalf, reads them.
    pub fn untouched(file: &File, len: usize) -> Self {
        Self::map(len, libc::MAP_SHARED | LOW, file.as_raw_fd())
    }

    fn map(len: usize, flags: i32, fd: i32) -> Self {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len, prot, flags, fd, 0) };
        assert_ne!(base, libc::MAP_FAILED, "mmap of {len} bytes: {}", io::Error::last_os_error());
        Self { base: base.cast(), len }
    }

    /// The address of a byte, as a call's argument carries it.
    pub fn addr(&self, offset: usize) -> u64 {
        assert!(offset <= self.len, "offset {offset} of {}", self.len);
        self.base as u64 + offset as u64
    }

    /// Copies bytes in.
    pub fn put(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.len, "offset {offset} of {}", self.len);
        // SAFETY: the range lies in the mapping, which `bytes` can't overlap.
        unsafe { self.base.add(offset).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) }
    }

    /// Copies bytes out.
    pub fn get(&self, offset: usize, len: usize) -> Vec<u8> {
        assert!(offset + len <= self.len, "offset {offset}, {len} bytes of {}", self.len);
        let mut bytes = vec![0; len];
        // SAFETY: the range lies in the mapping, and the vector is new.
        unsafe { bytes.as_mut_ptr().copy_from_nonoverlapping(self.base.add(offset), len) }
        bytes
    }

    /// Writes an integer of 4 or 8 bytes; the value must fit.
    pub fn put_word(&self, offset: usize, size: usize, value: u64) {
        match size {
            4 => {
                let value = u32::try_from(value).expect("a value of 32 bits");
                self.put(offset, &value.to_ne_bytes());
            }
            8 => self.put(offset, &value.to_ne_bytes()),
            _ => panic!("words have 4 or 8 bytes, not {size}"),
        }
    }

    /// Reads an integer of 4 or 8 bytes.
    pub fn word(&self, offset: usize, size: usize) -> u64 {
        let bytes = self.get(offset, size);
        match size {
            4 => u32::from_ne_bytes(bytes.try_into().expect("4 bytes")).into(),
            8 => u64::from_ne_bytes(bytes.try_into().expect("8 bytes")),
            _ => panic!("words have 4 or 8 bytes, not {size}"),
        }
    }

    /// Changes the protection of the whole mapping.
    pub fn protect(&self, prot: i32) {
        self.protect_from(0, prot);
    }

    /// Changes the protection from a byte, the first of a page, to the end.
    pub fn protect_from(&self, offset: usize, prot: i32) {
        assert!(offset <= self.len, "offset {offset} of {}", self.len);
        self.protect_range(offset, self.len - offset, prot);
    }

    /// Changes the protection of some of its pages.
    pub fn protect_range(&self, offset: usize, len: usize, prot: i32) {
        assert!(offset + len <= self.len, "offset {offset}, {len} bytes of {}", self.len);
        // SAFETY: the range lies in the mapping, and no references into it exist.
        let result = unsafe { libc::mprotect(self.base.add(offset).cast(), len, prot) };
        assert_eq!(result, 0, "mprotect: {}", io::Error::last_os_error());
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and nobody holds a reference into it.
        unsafe { libc::munmap(self.base.cast(), self.len) };
    }
}

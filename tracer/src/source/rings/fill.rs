//! How much there is to read in a ring: the positions that the kernel and the reader
//! share, which aya keeps to itself.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    ptr::{self, NonNull},
    sync::atomic::{AtomicUsize, Ordering},
};

/// The two pages of a ring's positions, mapped: the reader's, then the writers'
/// (kernel/bpf/ringbuf.c).
pub struct Fill {
    pages: NonNull<AtomicUsize>,
    page: usize,
}

// SAFETY: what is shared is read atomically, and never written.
unsafe impl Send for Fill {}
// SAFETY: likewise.
unsafe impl Sync for Fill {}

impl Fill {
    /// Maps the positions of a ring.
    ///
    /// # Errors
    /// mmap(2)'s.
    pub fn of(ring: impl AsFd) -> io::Result<Self> {
        let page = rustix::param::page_size();
        // SAFETY: a new mapping, where the kernel likes.
        let pages = unsafe {
            libc::mmap(
                ptr::null_mut(),
                2 * page,
                libc::PROT_READ,
                libc::MAP_SHARED,
                ring.as_fd().as_raw_fd(),
                0,
            )
        };
        if pages == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let pages = NonNull::new(pages.cast()).ok_or_else(|| io::Error::other("mapped at 0"))?;
        Ok(Self { pages, page })
    }

    /// Bytes that writers have taken and the reader has not read, each record with its
    /// header of 8 bytes and padded to 8. What was written before this is called is
    /// among them.
    pub fn bytes(&self) -> usize {
        // SAFETY: both pages are mapped while `self` lives, and begin with a position.
        let (read, written) = unsafe {
            let written = self.pages.byte_add(self.page);
            (self.pages.as_ref().load(Ordering::Acquire), written.as_ref().load(Ordering::Acquire))
        };
        written.wrapping_sub(read)
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        // SAFETY: mapped by `of`, and nothing else points there.
        unsafe { libc::munmap(self.pages.as_ptr().cast(), 2 * self.page) };
    }
}

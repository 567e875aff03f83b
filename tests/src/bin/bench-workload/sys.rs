//! The system calls, without anything around them that would be timed too.

use std::{io, mem, net::UdpSocket, os::fd::AsRawFd, ptr, time::Duration};

/// Takes a name, cut to 15 bytes.
pub fn set_comm(name: &str) {
    let mut bytes = name.as_bytes().to_vec();
    bytes.truncate(15);
    bytes.push(0);
    // SAFETY: a NUL-terminated string that outlives the call.
    unsafe { libc::prctl(libc::PR_SET_NAME, bytes.as_ptr()) };
}

/// Keeps the calling thread, and those that it starts, on a CPU.
pub fn pin(cpu: usize) {
    // SAFETY: a cpu_set_t is a plain bit set, and the call reads one.
    let done = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
    };
    assert_eq!(done, 0, "CPU {cpu}: {}", io::Error::last_os_error());
}

/// CPU time that the calling thread has taken.
pub fn cpu_time() -> Duration {
    // SAFETY: the kernel writes one timespec, which is plain data.
    let now = unsafe {
        let mut now: libc::timespec = mem::zeroed();
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut now);
        now
    };
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

pub fn getppid() {
    // SAFETY: takes nothing and can't fail. Raw, since a library may keep the answer.
    unsafe { libc::syscall(libc::SYS_getppid) };
}

/// Room for SO_RCVBUF's queue of some ten thousand small datagrams, where that is
/// allowed.
pub fn deepen(socket: &UdpSocket) {
    let size: i32 = 64 << 20;
    // SAFETY: the option is an int, and the kernel reads one.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
            ptr::from_ref(&size).cast(),
            size_of::<i32>() as u32,
        );
    }
}

/// Bytes of a datagram.
const SIZE: usize = 64;

/// Messages with a buffer and room for an address each.
pub struct Batch {
    headers: Vec<libc::mmsghdr>,
    // What the headers point into.
    iovecs: Vec<libc::iovec>,
    buffers: Vec<[u8; SIZE]>,
    names: Vec<libc::sockaddr_in>,
}

impl Batch {
    pub fn new(messages: usize) -> Self {
        let mut batch = Self {
            // SAFETY: both are plain structures of integers and pointers.
            headers: vec![unsafe { mem::zeroed() }; messages],
            iovecs: vec![libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; messages],
            buffers: vec![[b'x'; SIZE]; messages],
            // SAFETY: as above.
            names: vec![unsafe { mem::zeroed() }; messages],
        };
        for i in 0..messages {
            batch.iovecs[i].iov_base = batch.buffers[i].as_mut_ptr().cast();
            batch.headers[i].msg_hdr.msg_iov = &raw mut batch.iovecs[i];
            batch.headers[i].msg_hdr.msg_iovlen = 1;
            batch.headers[i].msg_hdr.msg_name = (&raw mut batch.names[i]).cast();
        }
        batch.rearm(messages);
        batch
    }

    /// Undoes what the kernel wrote into the first messages.
    pub fn rearm(&mut self, messages: usize) {
        for i in 0..messages {
            self.iovecs[i].iov_len = SIZE;
            self.headers[i].msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
        }
    }

    /// The first byte of the first message.
    pub fn first(&self) -> u8 {
        self.buffers[0][0]
    }

    /// Receives as many messages as there are headers, or fewer; how many, none where
    /// there is an error.
    pub fn receive(&mut self, socket: &UdpSocket, flags: i32) -> Option<usize> {
        let (headers, vlen) = (self.headers.as_mut_ptr(), self.headers.len());
        // SAFETY: `vlen` headers whose pointers lead into this batch's own memory.
        let got = unsafe {
            libc::syscall(
                libc::SYS_recvmmsg,
                socket.as_raw_fd(),
                headers,
                vlen,
                flags,
                ptr::null_mut::<libc::timespec>(),
            )
        };
        usize::try_from(got).ok()
    }

    /// Sends the first messages back to where they came from, or to whom the socket is
    /// connected where `to_peer`.
    pub fn send(&mut self, socket: &UdpSocket, messages: usize, to_peer: bool) {
        for i in 0..messages {
            if to_peer {
                self.headers[i].msg_hdr.msg_name = ptr::null_mut();
                self.headers[i].msg_hdr.msg_namelen = 0;
            } else {
                self.iovecs[i].iov_len = self.headers[i].msg_len as usize;
            }
        }
        let mut sent = 0;
        while sent < messages {
            let left = u32::try_from(messages - sent).expect("at most 1024");
            // SAFETY: the headers from `sent` on, whose pointers lead into this batch.
            let now = unsafe {
                let first = self.headers.as_mut_ptr().add(sent);
                libc::sendmmsg(socket.as_raw_fd(), first, left, 0)
            };
            let Ok(now) = usize::try_from(now) else {
                panic!("sendmmsg: {}", io::Error::last_os_error())
            };
            sent += now;
        }
    }
}

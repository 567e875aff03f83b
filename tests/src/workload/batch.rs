//! An array of `struct mmsghdr` and all that it points to, in either layout.

use super::arena::{Arena, PAGE};

/// Bytes of the buffer for each message's source address.
pub const NAME_LEN: usize = 128;
/// Bytes of the buffer for each message's control messages.
pub const CONTROL_LEN: usize = 256;
/// Bytes between two messages' data buffers.
pub const DATA_LEN: usize = 128;

/// Where the fields of a `struct mmsghdr` lie.
#[derive(Clone, Copy, Debug)]
struct Layout {
    size: usize,
    word: usize,
    name: usize,
    namelen: usize,
    iov: usize,
    iovlen: usize,
    control: usize,
    controllen: usize,
    flags: usize,
    len: usize,
}

const WIDE: Layout = Layout {
    size: 64,
    word: 8,
    name: 0,
    namelen: 8,
    iov: 16,
    iovlen: 24,
    control: 32,
    controllen: 40,
    flags: 48,
    len: 56,
};

const COMPAT: Layout = Layout {
    size: 32,
    word: 4,
    name: 0,
    namelen: 4,
    iov: 8,
    iovlen: 12,
    control: 16,
    controllen: 20,
    flags: 24,
    len: 28,
};

/// The array, with a timeout and `socketcall`'s argument block beside it.
pub struct Batch {
    arena: Arena,
    layout: Layout,
    capacity: usize,
}

impl Batch {
    /// Room for `capacity` messages; each has a name buffer of [`NAME_LEN`] bytes,
    /// a data buffer of [`DATA_LEN`] and no control buffer.
    pub fn new(compat: bool, capacity: usize) -> Self {
        let layout = if compat { COMPAT } else { WIDE };
        let capacity = capacity.max(1);
        let batch = Self { arena: Arena::new(Self::bytes(capacity)), layout, capacity };
        for i in 0..capacity {
            batch.set_name(i, batch.arena.addr(batch.name_offset(i)), NAME_LEN as u32);
            batch.set_iov(i, batch.arena.addr(batch.iov_at(i)), 1);
            batch.set_buffer(i, batch.arena.addr(batch.data_offset(i)), DATA_LEN);
        }
        batch
    }

    fn bytes(capacity: usize) -> usize {
        PAGE + capacity * (64 + 16 + NAME_LEN + CONTROL_LEN + DATA_LEN)
    }

    fn header_at(&self, i: usize) -> usize {
        assert!(i < self.capacity, "message {i} of {}", self.capacity);
        PAGE + i * self.layout.size
    }

    fn iov_at(&self, i: usize) -> usize {
        PAGE + self.capacity * 64 + i * 16
    }

    fn name_offset(&self, i: usize) -> usize {
        PAGE + self.capacity * (64 + 16) + i * NAME_LEN
    }

    fn control_at(&self, i: usize) -> usize {
        PAGE + self.capacity * (64 + 16 + NAME_LEN) + i * CONTROL_LEN
    }

    fn data_offset(&self, i: usize) -> usize {
        PAGE + self.capacity * (64 + 16 + NAME_LEN + CONTROL_LEN) + i * DATA_LEN
    }

    fn field(&self, i: usize, field: usize, size: usize) -> u64 {
        self.arena.word(self.header_at(i) + field, size)
    }

    fn set_field(&self, i: usize, field: usize, size: usize, value: u64) {
        self.arena.put_word(self.header_at(i) + field, size, value);
    }

    /// The address of the first header.
    pub fn msgvec(&self) -> u64 {
        self.arena.addr(PAGE)
    }

    /// Messages that there is room for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The headers' bytes.
    pub fn headers(&self) -> Vec<u8> {
        self.arena.get(PAGE, self.capacity * self.layout.size)
    }

    /// Overwrites the first headers, with what a call left elsewhere.
    pub fn put_headers(&self, bytes: &[u8]) {
        assert!(bytes.len() <= self.capacity * self.layout.size, "that many headers");
        self.arena.put(PAGE, bytes);
    }

    /// Overwrites message `i`'s name buffer, with what a call left elsewhere.
    pub fn put_name(&self, i: usize, bytes: &[u8]) {
        assert!(bytes.len() <= NAME_LEN, "a name");
        self.arena.put(self.name_offset(i), bytes);
    }

    /// Points message `i` at a name buffer.
    pub fn set_name(&self, i: usize, addr: u64, len: u32) {
        self.set_field(i, self.layout.name, self.layout.word, addr);
        self.set_field(i, self.layout.namelen, 4, len.into());
    }

    /// Sets the length of message `i`'s name buffer.
    pub fn set_namelen(&self, i: usize, len: u32) {
        self.set_field(i, self.layout.namelen, 4, len.into());
    }

    /// Where message `i`'s list of iovecs lies.
    pub fn iov(&self, i: usize) -> u64 {
        self.field(i, self.layout.iov, self.layout.word)
    }

    /// Points message `i` at a list of iovecs.
    pub fn set_iov(&self, i: usize, addr: u64, count: u64) {
        self.set_field(i, self.layout.iov, self.layout.word, addr);
        self.set_field(i, self.layout.iovlen, self.layout.word, count);
    }

    /// Points message `i`'s iovec at a data buffer.
    pub fn set_buffer(&self, i: usize, base: u64, len: usize) {
        self.arena.put_word(self.iov_at(i), self.layout.word, base);
        self.arena.put_word(self.iov_at(i) + self.layout.word, self.layout.word, len as u64);
    }

    /// Address and length of message `i`'s data buffer.
    pub fn buffer(&self, i: usize) -> (u64, usize) {
        let word = self.layout.word;
        let base = self.arena.word(self.iov_at(i), word);
        (base, self.arena.word(self.iov_at(i) + word, word) as usize)
    }

    /// Where message `i`'s own iovec lies, and where its header says so.
    pub fn iov_field(&self, i: usize) -> (u64, u64) {
        let field = self.header_at(i) + self.layout.iov;
        (self.arena.addr(self.iov_at(i)), self.arena.addr(field))
    }

    /// Where message `i`'s own control buffer lies, and where its header says so.
    pub fn control_field(&self, i: usize) -> (u64, u64) {
        let field = self.header_at(i) + self.layout.control;
        (self.arena.addr(self.control_at(i)), self.arena.addr(field))
    }

    /// Whether its structures have 32-bit pointers.
    pub fn is_compat(&self) -> bool {
        self.layout.word == 4
    }

    /// Overwrites the beginning of message `i`'s control buffer.
    pub fn put_control(&self, i: usize, bytes: &[u8]) {
        assert!(bytes.len() <= CONTROL_LEN, "control messages");
        self.arena.put(self.control_at(i), bytes);
    }

    /// Where message `i`'s own data buffer lies.
    pub fn data_at(&self, i: usize) -> u64 {
        self.arena.addr(self.data_offset(i))
    }

    /// Where message `i`'s own name buffer lies.
    pub fn name_at(&self, i: usize) -> u64 {
        self.arena.addr(self.name_offset(i))
    }

    /// Where its header has `msg_namelen`, `msg_controllen`, `msg_flags` and `msg_len`.
    pub fn fields_that_the_kernel_writes(&self, i: usize) -> [u64; 4] {
        let Layout { namelen, controllen, flags, len, .. } = self.layout;
        [namelen, controllen, flags, len].map(|field| self.arena.addr(self.header_at(i) + field))
    }

    /// Cuts message `i`'s data buffer to `len` bytes.
    pub fn set_buffer_len(&self, i: usize, len: usize) {
        assert!(len <= DATA_LEN, "buffers have {DATA_LEN} bytes");
        self.set_buffer(i, self.arena.addr(self.data_offset(i)), len);
    }

    /// Gives message `i` a control buffer of `len` bytes.
    pub fn set_control(&self, i: usize, len: usize) {
        assert!(len <= CONTROL_LEN, "control buffers have {CONTROL_LEN} bytes");
        let addr = if len == 0 { 0 } else { self.arena.addr(self.control_at(i)) };
        self.set_field(i, self.layout.control, self.layout.word, addr);
        self.set_field(i, self.layout.controllen, self.layout.word, len as u64);
    }

    /// Points message `i` at a control buffer elsewhere.
    pub fn set_control_at(&self, i: usize, addr: u64, len: usize) {
        self.set_field(i, self.layout.control, self.layout.word, addr);
        self.set_field(i, self.layout.controllen, self.layout.word, len as u64);
    }

    /// What lies in message `i`'s control buffer.
    pub fn control(&self, i: usize) -> Vec<u8> {
        self.arena.get(self.control_at(i), CONTROL_LEN)
    }

    /// Where message `i`'s header says that its name buffer lies.
    pub fn name_addr(&self, i: usize) -> u64 {
        self.field(i, self.layout.name, self.layout.word)
    }

    /// Sets `msg_len` of message `i`.
    pub fn set_len(&self, i: usize, len: u32) {
        self.set_field(i, self.layout.len, 4, len.into());
    }

    /// Sets `msg_flags` of message `i`.
    pub fn set_flags(&self, i: usize, flags: u32) {
        self.set_field(i, self.layout.flags, 4, flags.into());
    }

    /// `msg_len` of message `i`.
    pub fn len(&self, i: usize) -> u64 {
        self.field(i, self.layout.len, 4)
    }

    /// `msg_flags` of message `i`.
    pub fn flags(&self, i: usize) -> u32 {
        self.field(i, self.layout.flags, 4) as u32
    }

    /// `msg_namelen` of message `i`.
    pub fn namelen(&self, i: usize) -> u64 {
        self.field(i, self.layout.namelen, 4)
    }

    /// `msg_controllen` of message `i`.
    pub fn controllen(&self, i: usize) -> u64 {
        self.field(i, self.layout.controllen, self.layout.word)
    }

    /// What lies in message `i`'s name buffer; None where it has none.
    pub fn name(&self, i: usize) -> Option<Vec<u8>> {
        let none = self.field(i, self.layout.name, self.layout.word) == 0;
        (!none).then(|| self.arena.get(self.name_offset(i), NAME_LEN))
    }

    /// What lies in message `i`'s data buffer.
    pub fn data(&self, i: usize) -> Vec<u8> {
        self.arena.get(self.data_offset(i), DATA_LEN)
    }

    /// Writes the timeout, of two words of `word` bytes, and returns its address.
    pub fn put_timeout(&self, word: usize, sec: i64, nsec: i64) -> u64 {
        let bytes = |value: i64| value.to_ne_bytes()[..word].to_vec();
        self.arena.put(0, &[bytes(sec), bytes(nsec)].concat());
        self.arena.addr(0)
    }

    /// Reads the timeout.
    pub fn timeout(&self, word: usize) -> (i64, i64) {
        let read = |at: usize| match word {
            4 => i64::from(self.arena.word(at, 4) as u32 as i32),
            _ => self.arena.word(at, 8) as i64,
        };
        (read(0), read(word))
    }

    /// Writes `socketcall`'s argument block and returns its address.
    pub fn put_block(&self, args: [u64; 5]) -> u64 {
        let at = 64;
        for (i, arg) in args.into_iter().enumerate() {
            self.arena.put_word(at + 4 * i, 4, arg & 0xffff_ffff);
        }
        self.arena.addr(at)
    }
}

//! The least that watching the calls can cost: programs of a few instructions on the hooks
//! that the tracer takes, each stage with one part more of what any tracer must do. They
//! are put together here, since no compiler should be between the parts and their price.

use std::{ffi::CString, io, os::fd::RawFd, ptr};

/// Bytes of a record: about those of a call that finds nothing, at `--detail call`.
const RECORD: i32 = 208;
/// Bytes of the ring.
const RING: u32 = 8 << 20;
/// Calls that can be remembered at a time.
const SLOTS: i32 = 1024;

/// What the programs do; each does what those before it do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// They are run at the beginning and the end of every system call.
    Hooks,
    /// They look at the call's number, and remember the call with its time in a hash table.
    Hash,
    /// The same in the storage that the kernel keeps with each task.
    Task,
    /// The same in an array, at a place that the thread's id says.
    Pending,
    /// They look at the time again where it ends.
    Clock,
    /// They write a record into a ring, and wake nobody.
    Record,
}

impl Stage {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "hooks" => Some(Self::Hooks),
            "pending-hash" => Some(Self::Hash),
            "pending-task" => Some(Self::Task),
            "pending" => Some(Self::Pending),
            "clock" => Some(Self::Clock),
            "record" => Some(Self::Record),
            _ => None,
        }
    }
}

/// The programs, while they are attached.
pub struct Floor {
    ring: Option<Ring>,
}

/// The pages by which a ring is drained (kernel/bpf/ringbuf.c).
struct Ring {
    consumer: *mut u64,
    producer: *const u64,
}

impl Floor {
    /// Attaches them; they stay until the process ends.
    pub fn attach(stage: Stage) -> io::Result<Self> {
        if stage == Stage::Hooks {
            attach("sys_enter", Program::default().end())?;
            attach("sys_exit", Program::default().end())?;
            return Ok(Self { ring: None });
        }
        let slots = SLOTS.unsigned_abs();
        let slots = match stage {
            Stage::Hash => map(&[HASH, 4, 16, slots, 0])?,
            Stage::Task => task_storage()?,
            _ => map(&[ARRAY, 4, 4 * VALUE, slots, 0])?,
        };
        let ring = map(&[RINGBUF, 0, 0, RING, 0])?;
        attach("sys_enter", enter(slots, stage))?;
        attach("sys_exit", exit(slots, ring, stage))?;
        Ok(Self { ring: (stage == Stage::Record).then(|| Ring::map(ring)).transpose()? })
    }

    /// Empties the ring, as a reader that is never late.
    pub fn drain(&self) {
        if let Some(Ring { consumer, producer }) = &self.ring {
            // SAFETY: both are pages that stay mapped; the kernel reads and writes them by
            // whole words, as here.
            unsafe { ptr::write_volatile(*consumer, ptr::read_volatile(*producer)) };
        }
    }
}

impl Ring {
    fn map(fd: RawFd) -> io::Result<Self> {
        // SAFETY: sysconf(3) of a number that there is.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let page = usize::try_from(page).map_err(io::Error::other)?;
        let map = |protection, offset: usize| {
            let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
            // SAFETY: a new mapping of a page of the map, at an address of the kernel's choice.
            let at = unsafe {
                libc::mmap(ptr::null_mut(), page, protection, libc::MAP_SHARED, fd, offset)
            };
            if at == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(at) }
        };
        let consumer = map(libc::PROT_READ | libc::PROT_WRITE, 0)?.cast();
        let producer = map(libc::PROT_READ, page)?.cast_const().cast();
        Ok(Self { consumer, producer })
    }
}

/// Remembers a call and when it began.
fn enter(slots: RawFd, stage: Stage) -> Program {
    let number = i32::try_from(libc::SYS_recvmmsg).expect("a small number");
    let mut program = Program::default();
    // The hook's second argument is the number (include/trace/events/syscalls.h).
    program.push(LDX_DW, 2, 1, 8, 0).end_if(JNE_K, 2, 0, number);
    if stage == Stage::Hash {
        program.key().call(KTIME_GET_NS);
        program.push(STX_DW, 10, 6, -24, 0).push(STX_DW, 10, 0, -16, 0).map(1, slots);
        program.push(MOV_X, 2, 10, 0, 0).push(ADD_K, 2, 0, 0, -4);
        program.push(MOV_X, 3, 10, 0, 0).push(ADD_K, 3, 0, 0, -24);
        program.push(MOV_K, 4, 0, 0, 0).call(MAP_UPDATE_ELEM);
        return program.end();
    }
    program.slot(slots, stage, CREATE).call(KTIME_GET_NS);
    program.push(STX_DW, 7, 6, 0, 0).push(STX_DW, 7, 0, 8, 0);
    program.end()
}

/// Finds a call that was remembered, and does with it what the stage says.
fn exit(slots: RawFd, ring: RawFd, stage: Stage) -> Program {
    let mut program = Program::default();
    program.slot(slots, stage, 0);
    if stage == Stage::Hash {
        program.map(1, slots).push(MOV_X, 2, 10, 0, 0).push(ADD_K, 2, 0, 0, -4);
        program.call(MAP_DELETE_ELEM);
        return program.end();
    }
    program.push(LDX_DW, 1, 7, 0, 0).end_if(JNE_X, 1, 6, 0).push(ST_DW, 7, 0, 0, 0);
    if stage >= Stage::Clock {
        program.call(KTIME_GET_NS).push(STX_DW, 7, 0, 16, 0);
    }
    if stage >= Stage::Record {
        program.map(1, ring).push(MOV_X, 2, 7, 0, 0).push(MOV_K, 3, 0, 0, RECORD);
        program.push(MOV_K, 4, 0, 0, NO_WAKEUP).call(RINGBUF_OUTPUT);
    }
    program.end()
}

/// Instructions (include/uapi/linux/bpf.h); one whose jump leads to the end has -1 as its
/// offset until that is known.
#[derive(Default)]
struct Program(Vec<Instruction>);

#[derive(Clone, Copy)]
#[repr(C)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

const LDX_DW: u8 = 0x79;
const STX_DW: u8 = 0x7b;
const STX_W: u8 = 0x63;
const ST_DW: u8 = 0x7a;
const LD_IMM_DW: u8 = 0x18;
const MOV_X: u8 = 0xbf;
const MOV32_X: u8 = 0xbc;
const MOV_K: u8 = 0xb7;
const ADD_K: u8 = 0x07;
const AND_K: u8 = 0x57;
const JNE_K: u8 = 0x55;
const JEQ_K: u8 = 0x15;
const JNE_X: u8 = 0x5d;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
const PSEUDO_MAP_FD: u8 = 1;

const MAP_LOOKUP_ELEM: i32 = 1;
const MAP_UPDATE_ELEM: i32 = 2;
const MAP_DELETE_ELEM: i32 = 3;
const KTIME_GET_NS: i32 = 5;
const GET_CURRENT_PID_TGID: i32 = 14;
const RINGBUF_OUTPUT: i32 = 130;
const TASK_STORAGE_GET: i32 = 156;
const GET_CURRENT_TASK_BTF: i32 = 158;
const NO_WAKEUP: i32 = 1;
/// A task's storage is made where it has none.
const CREATE: i32 = 1;

impl Program {
    fn push(&mut self, code: u8, dst: u8, src: u8, offset: i16, immediate: i32) -> &mut Self {
        self.0.push(Instruction { code, registers: dst | src << 4, offset, immediate });
        self
    }

    fn call(&mut self, helper: i32) -> &mut Self {
        self.push(CALL, 0, 0, 0, helper)
    }

    fn end_if(&mut self, code: u8, dst: u8, src: u8, immediate: i32) -> &mut Self {
        self.push(code, dst, src, -1, immediate)
    }

    fn map(&mut self, dst: u8, fd: RawFd) -> &mut Self {
        self.push(LD_IMM_DW, dst, PSEUDO_MAP_FD, 0, fd).push(0, 0, 0, 0, 0)
    }

    /// The thread's id in register 6 and, as a key, on the stack.
    fn key(&mut self) -> &mut Self {
        self.call(GET_CURRENT_PID_TGID).push(MOV32_X, 6, 0, 0, 0).push(STX_W, 10, 6, -4, 0)
    }

    /// What is written into a slot that is taken in register 6, and the thread's slot in
    /// register 7.
    fn slot(&mut self, slots: RawFd, stage: Stage, flags: i32) -> &mut Self {
        if stage == Stage::Task {
            self.push(MOV_K, 6, 0, 0, 1).call(GET_CURRENT_TASK_BTF).push(MOV_X, 2, 0, 0, 0);
            self.map(1, slots).push(MOV_K, 3, 0, 0, 0).push(MOV_K, 4, 0, 0, flags);
            self.call(TASK_STORAGE_GET);
        } else {
            self.key();
            if stage != Stage::Hash {
                self.push(MOV_X, 7, 6, 0, 0).push(AND_K, 7, 0, 0, SLOTS - 1);
                self.push(STX_W, 10, 7, -4, 0);
            }
            self.map(1, slots).push(MOV_X, 2, 10, 0, 0).push(ADD_K, 2, 0, 0, -4);
            self.call(MAP_LOOKUP_ELEM);
        }
        self.end_if(JEQ_K, 0, 0, 0).push(MOV_X, 7, 0, 0, 0)
    }

    fn end(mut self) -> Self {
        let end = self.0.len();
        for (at, instruction) in self.0.iter_mut().enumerate() {
            if instruction.offset == -1 {
                instruction.offset = i16::try_from(end - at - 1).expect("a short program");
            }
        }
        self.push(MOV_K, 0, 0, 0, 0).push(EXIT, 0, 0, 0, 0);
        self
    }
}

const HASH: u32 = 1;
const ARRAY: u32 = 2;
const RINGBUF: u32 = 27;
const TASK_STORAGE: u32 = 29;
const NO_PREALLOC: u32 = 1;
/// Words of a slot.
const VALUE: u32 = 64;

/// Creates a map: type, sizes of key and value, entries, flags, and what follows them in
/// the attributes of BPF_MAP_CREATE.
fn map(attributes: &[u32]) -> io::Result<RawFd> {
    bpf(0, attributes)
}

/// Storage with each task, which the kernel gives only to who describes its types.
fn task_storage() -> io::Result<RawFd> {
    /// The head of `union bpf_attr` for BPF_BTF_LOAD.
    #[repr(C)]
    struct Load {
        btf: u64,
        log: u64,
        size: u32,
        log_size: u32,
        log_level: u32,
        rest: u32,
    }
    const TYPES: u32 = 10 * 4;
    // Documentation/bpf/btf.rst: the header; an integer of 32 bits called "u"; an array of
    // it; the names.
    let words = [
        0x0001_eb9f,
        24,
        0,
        TYPES,
        TYPES,
        4,
        1,
        1 << 24,
        4,
        32,
        0,
        3 << 24,
        0,
        1,
        1,
        VALUE,
        u32::from_le_bytes(*b"\0u\0\0"),
    ];
    let (btf, size) = (words.as_ptr() as u64, size_of_val(&words));
    let size = u32::try_from(size).map_err(io::Error::other)?;
    let load = Load { btf, log: 0, size, log_size: 0, log_level: 0, rest: 0 };
    let btf = bpf(18, &load)?.unsigned_abs();
    // Behind the flags: inner map, node, 16 bytes of name, device; then the types.
    map(&[TASK_STORAGE, 4, 4 * VALUE, 0, NO_PREALLOC, 0, 0, 0, 0, 0, 0, 0, btf, 1, 2])
}

/// Loads a program and attaches it to a raw tracepoint.
fn attach(name: &str, program: Program) -> io::Result<()> {
    /// The head of `union bpf_attr` for BPF_PROG_LOAD.
    #[repr(C)]
    struct Load {
        kind: u32,
        count: u32,
        instructions: u64,
        license: u64,
        log: [u64; 4],
    }
    /// That for BPF_RAW_TRACEPOINT_OPEN.
    #[repr(C)]
    struct Open {
        name: u64,
        program: u64,
    }
    const RAW_TRACEPOINT: u32 = 17;
    let count = u32::try_from(program.0.len()).map_err(io::Error::other)?;
    let (instructions, license) = (program.0.as_ptr() as u64, c"GPL".as_ptr() as u64);
    let load = Load { kind: RAW_TRACEPOINT, count, instructions, license, log: [0; 4] };
    let program = u64::try_from(bpf(5, &load)?).map_err(io::Error::other)?;
    let name = CString::new(name)?;
    bpf(17, &Open { name: name.as_ptr() as u64, program }).map(drop)
}

/// bpf(2); a new descriptor, which is left open.
fn bpf<T: ?Sized>(command: libc::c_int, attributes: &T) -> io::Result<RawFd> {
    let (at, size) = (ptr::from_ref(attributes).cast::<u8>(), size_of_val(attributes));
    // SAFETY: the attributes, and what they point to, live through the call.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, at, size) };
    if fd < 0 {
        Err(io::Error::last_os_error())
    } else {
        RawFd::try_from(fd).map_err(io::Error::other)
    }
}

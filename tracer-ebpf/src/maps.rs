//! The maps. Sizes marked as patched are set by the daemon before loading.

use aya_ebpf::{
    btf_maps::{ArrayOfMaps, RingBuf},
    macros::{btf_map, map},
    maps::{Array, HashMap, PerCpuArray},
};
use tracer_common::{
    config::{SCRATCH_HEAD, THREAD_HEAD},
    copies::Copies,
    detail::Detail,
    record::{COMM_LEN, Call, MAX_MESSAGES, OwnIds, max_len},
    stats::Stats,
};

/// Most bytes of the mmsghdr array that one record can hold.
pub const MAX_HEADERS: usize = MAX_MESSAGES as usize * 64;

/// What is kept of a call while another one is made in a signal handler: the rest
/// is read anew when it is restarted, by us as by the kernel.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Outer {
    pub ip: u64,
    pub sp: u64,
    pub entry_ns: u64,
    pub nr: u32,
    pub flags: u32,
}

/// What is remembered of a thread: its call under way, and the record of it in
/// the making.
#[repr(C)]
pub struct Thread {
    /// The thread's id; 0 while the entry is nobody's.
    pub owner: u32,
    /// Where in [`THREADS`] it is.
    pub place: u32,
    /// A value of [`state`].
    pub state: u32,
    /// Elements of `headers` that were read at entry.
    pub headers_read: u32,
    /// 1 until the daemon has been told of this program image.
    pub fresh: u32,
    /// [`tracer_common::config::rule`] bits of the call, for hooks whose return
    /// does not know the call.
    pub rule_flags: u32,
    /// The kernel's own copy of the timeout while the call runs; 0 where there is
    /// none or it is not known.
    pub kernel_timeout: u64,
    /// The file that the first argument stood for when the call began; 0 where there
    /// was none or it is not known.
    pub file: u64,
    /// Messages of the call whose header was kept as the kernel copied it.
    pub kernel_headers: u32,
    /// Messages that the kernel received, as `sock_recv_length` shows it.
    pub received: u32,
    /// Messages that it was done with, as `do_recvmmsg` returned it.
    pub completed: u32,
    /// The [`Status`](tracer_common::record::Status) of having read `own_ids`: absent in
    /// the initial namespace, not captured where the layout is not known.
    pub own_ids_status: u32,
    /// Where the header of the message lies that the kernel is about to receive.
    pub message: u64,
    /// Where the call was made from: a restart comes from the same place.
    pub ip: u64,
    pub sp: u64,
    /// A call that will be restarted once the signal handler returns in which the
    /// present one is made; none where its `flags` are 0.
    pub outer: Outer,
    /// The caller's ids in its own pid namespace.
    pub own_ids: OwnIds,
    /// The record so far.
    pub call: Call,
    /// The mmsghdr array at entry. Patched: as long as `--messages` needs, with what is
    /// kept of the kernel's own copies behind it.
    pub headers: [u8; MAX_HEADERS],
}

const _: () = assert!(core::mem::offset_of!(Thread, headers) == THREAD_HEAD);
const _: () = assert!(core::mem::offset_of!(Scratch, record) == SCRATCH_HEAD);

/// Values of [`Thread::state`].
pub mod state {
    /// Between calls.
    pub const IDLE: u32 = 0;
    /// In a call.
    pub const IN_CALL: u32 = 1;
    /// The call ended in a restart code; the kernel has not decided yet whether
    /// userspace will see EINTR or a restart.
    pub const INTERRUPTED: u32 = 2;
    /// A signal handler runs, after which the kernel restarts the call.
    pub const RESTARTING: u32 = 3;
    /// As `INTERRUPTED`, for a call that the filters leave out.
    pub const FILTERED_INTERRUPTED: u32 = 4;
    /// In a call that the filters leave out, where its end could not tell.
    pub const FILTERED_CALL: u32 = 5;
}

/// The rings, in the place that the last bits of a CPU's number tell. Patched: its length;
/// the daemon makes the rings and puts them in.
#[btf_map]
pub static RINGS: ArrayOfMaps<RingBuf<(), 4096>, 1> = ArrayOfMaps::new();

/// Threads, each in one of a few places that its id stands for; and behind those one for
/// each CPU, see [`spare`](crate::pending::spare). Patched: its sizes.
#[map]
pub static THREADS: Array<Thread> = Array::with_max_entries(1, 0);

/// Which places in [`THREADS`] are somebody's, since inserting a key is the one thing that
/// only one of two CPUs can succeed in on every kernel. Patched: its size.
#[map]
pub static OWNED: HashMap<u32, u32> = HashMap::with_max_entries(1, 0);

/// Counters of [`THREADS`]: [`IN_USE`], [`OVERFLOWS`], [`MADE`].
#[map]
pub static THREAD_COUNT: Array<u64> = Array::with_max_entries(3, 0);
/// Entries in [`THREADS`].
pub const IN_USE: u32 = 0;
/// Calls that found no room in [`THREADS`] at entry.
pub const OVERFLOWS: u32 = 1;
/// Entries that were ever made in [`THREADS`].
pub const MADE: u32 = 2;

/// A CPU's space to put a record together. Patched: its sizes.
#[map]
pub static SCRATCH: Array<Scratch> = Array::with_max_entries(1, 0);

/// A thread whose call the filters left out when it began.
#[repr(C)]
pub struct LeftOut {
    /// Its id.
    pub tid: u64,
    /// [`MADE`] when it was last found to have no entry in [`THREADS`]; `u64::MAX` where
    /// that is not known.
    pub absent: u64,
}

/// The last such thread on each CPU: most such calls end there, and need not go through the
/// filters once more.
#[map]
pub static LEFT_OUT: PerCpuArray<LeftOut> = PerCpuArray::with_max_entries(1, 0);

/// Counters.
#[map]
pub static STATS: PerCpuArray<Stats> = PerCpuArray::with_max_entries(1, 0);

/// Filter verdicts by thread group id; also the thread groups that are followed.
#[map]
pub static PIDS: HashMap<u32, u32> = HashMap::with_max_entries(1, 0);
/// Which elements of [`PIDS`] there may be, see [`tracer_common::hint`]. Patched: its size.
#[map]
pub static PID_HINTS: Array<u64> = Array::with_max_entries(1, 0);
/// Filter verdicts by thread id.
#[map]
pub static TIDS: HashMap<u32, u32> = HashMap::with_max_entries(1, 0);
/// Filter verdicts by uid.
#[map]
pub static UIDS: HashMap<u32, u32> = HashMap::with_max_entries(1, 0);
/// Filter verdicts by name.
#[map]
pub static COMMS: HashMap<[u8; COMM_LEN], u32> = HashMap::with_max_entries(1, 0);
/// Which elements of [`COMMS`] there may be. Patched: its size.
#[map]
pub static COMM_HINTS: Array<u64> = Array::with_max_entries(1, 0);
/// Filter verdicts by cgroup id.
#[map]
pub static CGROUPS: HashMap<u64, u32> = HashMap::with_max_entries(1, 0);

/// A record in the making.
#[repr(C)]
pub struct Scratch {
    /// Bytes of the names section so far. In memory, and not in a register, so
    /// that the verifier forgets it from one message to the next.
    pub names: u64,
    /// Where the bodies of the sections lie in `record`.
    pub entry_at: u64,
    pub exit_at: u64,
    pub names_at: u64,
    /// Elements in them.
    pub entries: u32,
    pub exits: u32,
    /// 1 where they have the compat layout.
    pub compat: u32,
    pub reserved: u32,
    /// While a path is walked: where it has come to, and the bytes so far.
    pub mnt: u64,
    pub dentry: u64,
    pub path: u64,
    /// While detail is appended: bytes of the record so far, and where the section
    /// begins.
    pub end: u64,
    pub section_at: u64,
    /// While payload is: where the part of the iovecs lies that it is read by, bytes of
    /// the message so far, and which message and which iovec of it come next.
    pub iovs_at: u64,
    pub got: u64,
    pub message: u64,
    pub iov: u64,
    /// The record. Patched: as long as `--messages` and `--detail` need.
    pub record: [u8; max_len(MAX_MESSAGES, &Detail::NONE, &Copies::NONE)],
}

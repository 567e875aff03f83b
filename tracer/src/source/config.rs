//! What the programs are told before they are loaded: the request, and the running
//! kernel's layout.

use tracer_common::{
    check::{Check, MAX_CHECKS},
    config::{Config, MAX_RULES, Rule, copies_at, filter, rule, scratch_size, thread_size},
    copies::Copies,
    detail::Detail,
    record::MAX_MESSAGES,
    registry::Event,
};

use super::{
    error::SourceError,
    features::{Helpers, arch},
    hooks::{Hook, Plan},
    offsets::Layout,
    rings::Shape,
};

/// Memory for what is remembered of threads, in bytes.
const THREADS_MEMORY: usize = 16 << 20;
/// More of it with `--detail full`, whose entries are large, for so many threads at
/// least.
const MAX_THREADS_MEMORY: usize = 64 << 20;
const MIN_THREADS: usize = 512;
/// Most threads remembered between calls.
const MAX_THREADS: usize = 32 << 10;

/// Filters that the kernel decides: each key with whether it is included (else
/// excluded).
#[derive(Clone, Debug, Default)]
pub struct KernelFilters {
    /// Thread group ids.
    pub pids: Vec<(u32, bool)>,
    /// Thread ids.
    pub tids: Vec<(u32, bool)>,
    /// User ids.
    pub uids: Vec<(u32, bool)>,
    /// Names, NUL-padded.
    pub comms: Vec<([u8; 16], bool)>,
    /// Cgroup ids; they hold for all cgroups below too.
    pub cgroups: Vec<(u64, bool)>,
    /// Children of included thread groups are included.
    pub follow: bool,
    /// What arguments and return values must be.
    pub checks: KernelChecks,
}

/// Checks that the kernel makes: at most [`MAX_CHECKS`] of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelChecks {
    /// When a call begins.
    pub entry: Vec<Check>,
    /// When it ends.
    pub exit: Vec<Check>,
}

/// What to capture, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The events.
    pub events: Vec<&'static Event>,
    /// Most messages to keep of one call; 0 for none.
    pub messages: u32,
    /// What to keep of each beside its header and name.
    pub detail: Detail,
    /// The rings.
    pub rings: Shape,
    /// The filters.
    pub filters: KernelFilters,
    /// Take the programs for kernels without `bpf_loop` (before 5.17) on any kernel.
    pub unrolled: bool,
    /// The programs say what they count as lost or missed, in the log at debug level.
    pub talkative: bool,
}

impl Options {
    /// What to keep of the kernel's own copies, out of what it offers. They take a
    /// program for each message, or even for each receive of every process, so that only
    /// messages in full have them.
    pub fn copies(&self, offered: Copies) -> Copies {
        if self.detail == Detail::NONE { Copies::NONE } else { offered }
    }
}

/// Size of a thread's entry: with space to put a record together where programs
/// can be preempted.
pub fn entry_size(options: &Options, plan: &Plan) -> usize {
    let size = thread_size(options.messages, &plan.copies);
    if plan.hook == Hook::Fentry {
        size + scratch_size(options.messages, &options.detail, &plan.copies)
    } else {
        size
    }
}

/// The configuration that the programs are loaded with.
pub fn configure(
    options: &Options,
    helpers: Helpers,
    layout: &Layout,
    plan: &Plan,
) -> Result<Config, SourceError> {
    let mut rules = [Rule::default(); MAX_RULES];
    let mut count = 0;
    for event in &options.events {
        let before = count;
        for syscall in event.syscalls_on(arch()) {
            let slot = rules.get_mut(count).ok_or_else(|| {
                SourceError::Object(format!("room for more than {MAX_RULES} syscalls"))
            })?;
            let mut flags = 0;
            for (set, flag) in [
                (syscall.abi.compat_task(), rule::COMPAT_TASK),
                (syscall.abi.compat_layout(), rule::COMPAT_LAYOUT),
                (event.has_time32(), rule::TIME32),
                (syscall.multiplexed.is_some(), rule::MULTIPLEXED),
            ] {
                flags |= if set { flag } else { 0 };
            }
            *slot = Rule {
                nr: syscall.raw_nr(),
                call: syscall.multiplexed.unwrap_or(0),
                event: event.id.0,
                abi: syscall.abi as u8,
                flags,
                reserved: 0,
            };
            count += 1;
        }
        if count == before {
            return Err(SourceError::NoSuchSyscall { event: event.name, arch: arch() });
        }
    }
    let entry = entry_size(options, plan);
    let memory = if options.detail == Detail::NONE {
        THREADS_MEMORY
    } else {
        THREADS_MEMORY.max(MAX_THREADS_MEMORY.min(MIN_THREADS * entry))
    };
    // Of the powers of two the one that comes close, from below or a little above.
    let threads = 1 << (memory + memory / 4).div_euclid(entry).clamp(1, MAX_THREADS).ilog2();
    let preemptible = plan.hook == Hook::Fentry;
    let direct = plan.typed && helpers.current_task_btf;
    let size = |bytes: usize| u32::try_from(bytes).unwrap_or(0);
    let copies = copies_at(options.messages);
    Ok(Config {
        rules,
        rule_count: u32::try_from(count).unwrap_or(0),
        filters: options.filters.bits(),
        messages: options.messages.min(MAX_MESSAGES),
        max_threads: u32::try_from(threads).unwrap_or(1),
        wake_mark: u64::from(options.rings.wake_mark()),
        ring_mask: u64::from(options.rings.count - 1),
        wake_shift: (options.rings.size / 8).ilog2(),
        task_direct: u32::from(direct),
        task_unknown: layout.task_unknown,
        preemptible: u32::from(preemptible),
        scratch_at: if preemptible { size(thread_size(options.messages, &plan.copies)) } else { 0 },
        task_pt_regs: u32::from(plan.typed && helpers.task_pt_regs),
        casts: u32::from(direct && layout.casts.is_some()),
        task_plain: u32::from(direct && layout.task_plain),
        types: layout.casts.map(|casts| casts.types).unwrap_or_default(),
        iovs: options.detail.iovs,
        control: options.detail.control,
        payload: options.detail.payload,
        detail_room: size(options.detail.room(options.messages)),
        kernel_headers_at: if plan.copies.headers { size(copies) } else { 0 },
        kernel_lengths_at: if plan.copies.lengths {
            size(copies + plan.copies.lengths_after(options.messages))
        } else {
            0
        },
        copies_room: size(plan.copies.room(options.messages)),
        iter: layout.iter,
        entry_count: counted(&options.filters.checks.entry)?,
        exit_count: counted(&options.filters.checks.exit)?,
        entry_checks: listed(&options.filters.checks.entry),
        exit_checks: listed(&options.filters.checks.exit),
        compat_mask: layout.compat_mask,
        registers: layout.registers,
        offsets: layout.offsets,
    })
}

fn counted(checks: &[Check]) -> Result<u32, SourceError> {
    u32::try_from(checks.len())
        .ok()
        .filter(|count| *count as usize <= MAX_CHECKS)
        .ok_or_else(|| SourceError::Object(format!("room for more than {MAX_CHECKS} checks")))
}

fn listed(checks: &[Check]) -> [Check; MAX_CHECKS] {
    let mut list = [Check::default(); MAX_CHECKS];
    list.iter_mut().zip(checks).for_each(|(to, from)| *to = *from);
    list
}

impl KernelFilters {
    /// The configuration's bits.
    fn bits(&self) -> u32 {
        fn of<K>(keys: &[(K, bool)], include: u32, exclude: u32) -> u32 {
            keys.iter()
                .fold(0, |bits, (_, included)| bits | if *included { include } else { exclude })
        }
        of(&self.pids, filter::PID_INCLUDE, filter::PID_EXCLUDE)
            | of(&self.tids, filter::TID_INCLUDE, filter::TID_EXCLUDE)
            | of(&self.uids, filter::UID_INCLUDE, filter::UID_EXCLUDE)
            | of(&self.comms, filter::COMM_INCLUDE, filter::COMM_EXCLUDE)
            | of(&self.cgroups, filter::CGROUP_INCLUDE, filter::CGROUP_EXCLUDE)
            // A followed process may be added later.
            | if self.follow { filter::FOLLOW | filter::PID_INCLUDE } else { 0 }
    }
}

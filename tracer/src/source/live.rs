//! The running kernel as a source: loads the programs, attaches them, and yields
//! the records that they write.

use std::os::fd::{AsFd, BorrowedFd};

use aya::{
    Btf as AyaBtf, Ebpf, EbpfLoader, Pod, VerifierLogLevel,
    maps::{HashMap, MapData, PerCpuArray, RingBuf},
    programs::{BtfTracePoint, ProgramError, RawTracePoint},
};
use tracer_common::{
    config::{Config, MAX_RULES, Rule, filter, rule, scratch_size, thread_size, verdict},
    record::{MAX_MESSAGES, MAX_MESSAGES_UNROLLED},
    registry::Event,
    stats::Stats,
};
use zerocopy::IntoBytes;

use super::{
    btf::Btf,
    error::SourceError,
    features::{self, Helpers, Kernel, arch},
    object,
    offsets::{self, Layout},
};

/// Memory for what is remembered of threads, in bytes.
const THREADS_MEMORY: usize = 16 << 20;
/// Most threads remembered between calls.
const MAX_THREADS: usize = 32 << 10;
/// Most thread groups that can be followed at once.
const MAX_FOLLOWED: u32 = 16 << 10;

/// The entry's programs: typed or not, with `bpf_loop` or without.
const ENTER: [&str; 4] = ["enter_typed", "enter_typed_unrolled", "enter_raw", "enter_raw_unrolled"];
/// The exit's programs, likewise.
const EXIT: [&str; 4] = ["exit_typed", "exit_typed_unrolled", "exit_raw", "exit_raw_unrolled"];

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
}

/// What to capture, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The events.
    pub events: Vec<&'static Event>,
    /// Most messages to keep of one call; 0 for none.
    pub messages: u32,
    /// Bytes of the ring buffer: a power of two, at least a page.
    pub buffer: u32,
    /// The filters.
    pub filters: KernelFilters,
}

/// The programs, loaded, and attached once [`Live::attach`] has returned.
pub struct Live {
    ebpf: Ebpf,
    ring: RingBuf<MapData>,
    stats: PerCpuArray<MapData, KernelStats>,
    pids: HashMap<MapData, u32, u32>,
    kernel: Kernel,
    /// Names of the loaded programs that read the syscalls' entry and exit.
    programs: Programs,
}

#[derive(Clone, Copy)]
struct Programs {
    typed: bool,
    enter: &'static str,
    exit: &'static str,
    follow: bool,
}

#[derive(Clone, Copy)]
#[repr(transparent)]
struct KernelStats(Stats);

// SAFETY: plain integers without padding.
unsafe impl Pod for KernelStats {}

impl Live {
    /// Loads the programs; nothing is attached yet.
    ///
    /// # Errors
    /// [`SourceError`]
    pub fn load(options: &Options) -> Result<Self, SourceError> {
        let kernel = Kernel::running();
        features::check(&kernel)?;
        raise_memlock(&kernel);
        // aya wants a BTF of its own, and each parse takes a while.
        let (aya_btf, btf) = std::thread::scope(|scope| {
            let ours = scope.spawn(Btf::of_kernel);
            let aya_btf = AyaBtf::from_sys_fs().ok();
            (aya_btf, ours.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        if options.filters.follow
            && let Err(error) = btf
        {
            return Err(SourceError::NeedsBtf { what: "--follow", source: Box::new(error) });
        }
        let helpers = Helpers::probe();
        if !helpers.bpf_loop && options.messages > MAX_MESSAGES_UNROLLED {
            return Err(SourceError::TooManyMessages {
                asked: options.messages,
                most: MAX_MESSAGES_UNROLLED,
                kernel: kernel.release,
            });
        }
        let layout = offsets::resolve(btf.as_ref().ok(), &kernel)?;
        let typed = aya_btf.is_some();
        let loaded = match Self::load_as(options, &kernel, helpers, &layout, aya_btf.as_ref()) {
            Err(error) if typed => {
                log::debug!("typed tracepoints: {error}; trying untyped ones");
                Self::load_as(options, &kernel, helpers, &layout, None).map_err(|second| {
                    log::debug!("untyped tracepoints: {second}");
                    error
                })
            }
            result => result,
        };
        drop((aya_btf, btf));
        #[cfg(target_env = "gnu")]
        // SAFETY: gives memory back that nobody holds any more: the kernel's type
        // information takes more than all the rest of the daemon.
        unsafe {
            libc::malloc_trim(0)
        };
        loaded
    }

    fn load_as(
        options: &Options,
        kernel: &Kernel,
        helpers: Helpers,
        layout: &Layout,
        typed: Option<&AyaBtf>,
    ) -> Result<Self, SourceError> {
        let config = configure(options, helpers, layout, typed.is_some())?;
        let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let thread = size(thread_size(options.messages));
        let object = object::resized(&[
            ("THREADS", thread),
            ("BLANK", thread),
            ("SCRATCH", size(scratch_size(options.messages))),
        ])?;
        let filters = &options.filters;
        let entries = |keys: usize| size(keys.max(1));
        let mut loader = EbpfLoader::new();
        loader
            .btf(typed)
            .verifier_log_level(verifier_log_level())
            .override_global("CONFIG", config.as_bytes(), true)
            .map_max_entries("RING", options.buffer)
            .map_max_entries("THREADS", config.max_threads)
            .map_max_entries("SCRATCH", size(features::possible_cpus()?))
            .map_max_entries(
                "PIDS",
                if filters.follow { MAX_FOLLOWED } else { entries(filters.pids.len()) },
            )
            .map_max_entries("TIDS", entries(filters.tids.len()))
            .map_max_entries("UIDS", entries(filters.uids.len()))
            .map_max_entries("COMMS", entries(filters.comms.len()))
            .map_max_entries("CGROUPS", entries(filters.cgroups.len()));
        let mut ebpf = loader.load(&object).map_err(|error| SourceError::Load {
            kernel: kernel.release.clone(),
            error: Box::new(error),
        })?;
        fill(&mut ebpf, "TIDS", &filters.tids)?;
        fill(&mut ebpf, "UIDS", &filters.uids)?;
        fill(&mut ebpf, "COMMS", &filters.comms)?;
        fill(&mut ebpf, "CGROUPS", &filters.cgroups)?;
        let choose = |names: [&'static str; 4]| match (typed.is_some(), helpers.bpf_loop) {
            (true, true) => names[0],
            (true, false) => names[1],
            (false, true) => names[2],
            (false, false) => names[3],
        };
        let mut live = Self {
            ring: take(&mut ebpf, "RING")?,
            stats: take(&mut ebpf, "STATS")?,
            pids: take(&mut ebpf, "PIDS")?,
            ebpf,
            kernel: kernel.clone(),
            programs: Programs {
                typed: typed.is_some(),
                enter: choose(ENTER),
                exit: choose(EXIT),
                follow: filters.follow,
            },
        };
        for (pid, include) in &filters.pids {
            live.set_pid(*pid, *include)?;
        }
        live.load_programs(typed)?;
        Ok(live)
    }

    fn load_programs(&mut self, typed: Option<&AyaBtf>) -> Result<(), SourceError> {
        let programs = self.programs;
        for (name, tracepoint) in programs.in_order() {
            self.with(name, tracepoint, |program| match (program, typed) {
                (Loaded::Typed(program), Some(btf)) => program.load(tracepoint, btf),
                (Loaded::Typed(_), None) => Err(ProgramError::UnexpectedProgramType),
                (Loaded::Raw(program), _) => program.load(),
            })?;
        }
        Ok(())
    }

    /// Attaches every program. A call that begins after this has returned is seen
    /// from its beginning.
    ///
    /// # Errors
    /// [`SourceError::Attach`]; what was attached by then is detached again when
    /// `self` is dropped.
    pub fn attach(&mut self) -> Result<(), SourceError> {
        let programs = self.programs;
        for (name, tracepoint) in programs.in_order() {
            self.with(name, tracepoint, |program| match program {
                Loaded::Typed(program) => program.attach().map(drop),
                Loaded::Raw(program) => program.attach(tracepoint).map(drop),
            })?;
        }
        Ok(())
    }

    /// Detaches every program, exits before entries, so that no call looks as if
    /// it had begun unseen.
    ///
    /// # Errors
    /// [`SourceError::Attach`]
    pub fn detach(&mut self) -> Result<(), SourceError> {
        let programs = self.programs;
        for (name, tracepoint) in programs.in_order() {
            self.with(name, tracepoint, |program| match program {
                Loaded::Typed(program) => program.unload(),
                Loaded::Raw(program) => program.unload(),
            })?;
        }
        Ok(())
    }

    fn with(
        &mut self,
        name: &'static str,
        target: &'static str,
        action: impl FnOnce(Loaded<'_>) -> Result<(), ProgramError>,
    ) -> Result<(), SourceError> {
        let missing = || SourceError::Object(format!("program {name}"));
        let program = self.ebpf.program_mut(name).ok_or_else(missing)?;
        let loaded = if self.programs.is_typed(name) {
            program.try_into().map(Loaded::Typed)
        } else {
            program.try_into().map(Loaded::Raw)
        };
        loaded.and_then(action).map_err(|error| SourceError::Attach {
            program: name,
            target,
            kernel: self.kernel.release.clone(),
            error: Box::new(error),
        })
    }

    /// Hands over every record that is in the ring now.
    pub fn drain(&mut self, mut each: impl FnMut(&[u8])) {
        while let Some(record) = self.ring.next() {
            each(&record);
        }
    }

    /// The descriptor that becomes readable when the kernel asks to be drained.
    pub fn wakeup(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }

    /// The counters of each CPU.
    ///
    /// # Errors
    /// [`SourceError::Map`]
    pub fn stats(&self) -> Result<Vec<Stats>, SourceError> {
        let per_cpu =
            self.stats.get(&0, 0).map_err(|error| SourceError::Map { name: "STATS", error })?;
        Ok(per_cpu.iter().map(|stats| stats.0).collect())
    }

    /// Includes (or excludes) a thread group while running.
    ///
    /// # Errors
    /// [`SourceError::Map`]
    pub fn set_pid(&mut self, pid: u32, include: bool) -> Result<(), SourceError> {
        self.pids
            .insert(pid, verdict_of(include), 0)
            .map_err(|error| SourceError::Map { name: "PIDS", error })
    }

    /// Whether a followed thread group is still alive.
    pub fn any_followed(&self) -> bool {
        self.pids.iter().any(|entry| entry.is_ok_and(|(_, found)| found == verdict::INCLUDE))
    }

    /// The kernel's release.
    pub fn kernel(&self) -> &str {
        &self.kernel.release
    }

    /// Whether the tracepoints' arguments are typed (tp_btf).
    pub fn typed(&self) -> bool {
        self.programs.typed
    }
}

enum Loaded<'a> {
    Typed(&'a mut BtfTracePoint),
    Raw(&'a mut RawTracePoint),
}

impl Programs {
    /// Programs and their tracepoints in the order of attaching: what ends a call
    /// before what begins one, so that a call that was seen to begin is seen to end.
    fn in_order(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        [
            ("process_fork", "sched_process_fork"),
            ("process_exit", "sched_process_exit"),
            ("signal_deliver", "signal_deliver"),
            (self.exit, "sys_exit"),
            (self.enter, "sys_enter"),
        ]
        .into_iter()
        .filter(move |(name, _)| self.follow || *name != "process_fork")
    }

    fn is_typed(self, name: &str) -> bool {
        self.typed && (name == self.enter || name == self.exit)
    }
}

/// The configuration that the programs are loaded with.
fn configure(
    options: &Options,
    helpers: Helpers,
    layout: &Layout,
    typed: bool,
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
    let threads = THREADS_MEMORY / thread_size(options.messages);
    Ok(Config {
        rules,
        rule_count: u32::try_from(count).unwrap_or(0),
        filters: options.filters.bits(),
        messages: options.messages.min(MAX_MESSAGES),
        max_threads: u32::try_from(threads.min(MAX_THREADS)).unwrap_or(1),
        wake_mark: u64::from(options.buffer / 4),
        wake_shift: (options.buffer / 8).ilog2(),
        task_direct: u32::from(typed && helpers.current_task_btf),
        task_unknown: layout.task_unknown,
        reserved: 0,
        compat_mask: layout.compat_mask,
        registers: layout.registers,
        offsets: layout.offsets,
    })
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

fn verdict_of(include: bool) -> u32 {
    if include { verdict::INCLUDE } else { verdict::EXCLUDE }
}

fn take<M: TryFrom<aya::maps::Map, Error = aya::maps::MapError>>(
    ebpf: &mut Ebpf,
    name: &'static str,
) -> Result<M, SourceError> {
    let map = ebpf.take_map(name).ok_or_else(|| SourceError::Object(format!("map {name}")))?;
    M::try_from(map).map_err(|error| SourceError::Map { name, error })
}

fn fill<K: Pod>(
    ebpf: &mut Ebpf,
    name: &'static str,
    keys: &[(K, bool)],
) -> Result<(), SourceError> {
    let map = ebpf.map_mut(name).ok_or_else(|| SourceError::Object(format!("map {name}")))?;
    let wrap = |error| SourceError::Map { name, error };
    let mut map = HashMap::<_, K, u32>::try_from(map).map_err(wrap)?;
    for (key, include) in keys {
        map.insert(key, verdict_of(*include), 0).map_err(wrap)?;
    }
    Ok(())
}

/// The verifier's log costs time to write, and says something only to those who
/// change the programs.
fn verifier_log_level() -> VerifierLogLevel {
    if log::log_enabled!(log::Level::Trace) {
        VerifierLogLevel::DEBUG | VerifierLogLevel::STATS
    } else {
        VerifierLogLevel::DISABLE
    }
}

/// Before 5.11 maps count against RLIMIT_MEMLOCK.
fn raise_memlock(kernel: &Kernel) {
    use rustix::process::{Resource, Rlimit, setrlimit};
    if kernel.at_least(5, 11) {
        return;
    }
    if let Err(error) = setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None }) {
        log::warn!("cannot raise RLIMIT_MEMLOCK: {error}");
    }
}

//! The running kernel as a source: loads the programs, attaches them, and yields
//! the records that they write.

use std::os::fd::{AsFd, BorrowedFd};

use aya::{
    Btf as AyaBtf, Ebpf, EbpfLoader, Pod,
    maps::{HashMap, MapData, PerCpuArray, RingBuf},
    programs::{
        BtfTracePoint, FEntry, FExit, KProbe, ProgramError, RawTracePoint, fentry::FEntryLink,
        fexit::FExitLink, kprobe::KProbeLink, raw_trace_point::RawTracePointLink,
        tp_btf::BtfTracePointLink,
    },
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
    hooks::{AUTO, Attachment, Hook, Kind, Plan},
    object,
    offsets::{self, Layout},
};

/// Memory for what is remembered of threads, in bytes.
const THREADS_MEMORY: usize = 16 << 20;
/// Most threads remembered between calls.
const MAX_THREADS: usize = 32 << 10;
/// Most thread groups that can be followed at once.
const MAX_FOLLOWED: u32 = 16 << 10;

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
    plan: Plan,
    /// Needed to load programs that are made for one function each.
    btf: Option<AyaBtf>,
    links: Vec<Link>,
}

/// Something attached; dropping it detaches.
#[expect(dead_code, reason = "held for its drop")]
enum Link {
    Typed(BtfTracePointLink),
    Raw(RawTracePointLink),
    Fentry(FEntryLink),
    Fexit(FExitLink),
    Kprobe(KProbeLink),
}

/// A hook that was tried and passed over.
#[derive(Debug)]
pub struct PassedOver {
    /// The hook.
    pub hook: Hook,
    /// Why.
    pub error: SourceError,
}

#[derive(Clone, Copy)]
#[repr(transparent)]
struct KernelStats(Stats);

// SAFETY: plain integers without padding.
unsafe impl Pod for KernelStats {}

impl Live {
    /// Attaches with the given hook, or with the first that works here; what was
    /// tried before it is said in the second part.
    ///
    /// # Errors
    /// [`SourceError`]: of the given hook, or of the last one tried.
    pub fn attached(
        options: &Options,
        hook: Option<Hook>,
    ) -> Result<(Self, Vec<PassedOver>), SourceError> {
        let mut passed_over = Vec::new();
        let tried: &[Hook] = hook.as_ref().map_or(&AUTO, std::slice::from_ref);
        for hook in tried {
            let attached = hook.check(&Kernel::running().release).and_then(|()| {
                let mut live = Self::load(options, *hook)?;
                live.attach()?;
                Ok(live)
            });
            match attached {
                Ok(live) => return Ok((live, passed_over)),
                // Another hook would not help.
                Err(error) if tried.len() == passed_over.len() + 1 || !error.is_about_hook() => {
                    return Err(error);
                }
                Err(error) => passed_over.push(PassedOver { hook: *hook, error }),
            }
        }
        unreachable!("the last hook that is tried returns")
    }

    /// Loads the object for a hook; nothing is attached yet.
    ///
    /// # Errors
    /// [`SourceError`]
    pub fn load(options: &Options, hook: Hook) -> Result<Self, SourceError> {
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
        if !helpers.ancestor_cgroup && !options.filters.cgroups.is_empty() {
            return Err(SourceError::NeedsHelper {
                what: "--cgroup",
                helper: "bpf_get_current_ancestor_cgroup_id",
                kernel: kernel.release,
            });
        }
        let layout = offsets::resolve(btf.as_ref().ok(), &kernel)?;
        let plan = Plan::new(
            hook,
            aya_btf.is_some(),
            helpers,
            &options.events,
            options.filters.follow,
            &kernel.release,
        )?;
        Self::load_as(options, kernel, helpers, &layout, plan, aya_btf)
    }

    fn load_as(
        options: &Options,
        kernel: Kernel,
        helpers: Helpers,
        layout: &Layout,
        plan: Plan,
        btf: Option<AyaBtf>,
    ) -> Result<Self, SourceError> {
        let config = configure(options, helpers, layout, &plan)?;
        let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let thread = size(entry_size(options.messages, plan.hook));
        let object = object::resized(&[
            ("THREADS", thread),
            ("BLANK", thread),
            ("SCRATCH", size(scratch_size(options.messages))),
        ])?;
        let filters = &options.filters;
        let entries = |keys: usize| size(keys.max(1));
        let mut loader = EbpfLoader::new();
        loader
            .btf(btf.as_ref())
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
        drop(loader);
        fill(&mut ebpf, "TIDS", &filters.tids)?;
        fill(&mut ebpf, "UIDS", &filters.uids)?;
        fill(&mut ebpf, "COMMS", &filters.comms)?;
        fill(&mut ebpf, "CGROUPS", &filters.cgroups)?;
        let mut live = Self {
            ring: take(&mut ebpf, "RING")?,
            stats: take(&mut ebpf, "STATS")?,
            pids: take(&mut ebpf, "PIDS")?,
            ebpf,
            kernel,
            plan,
            btf,
            links: Vec::new(),
        };
        for (pid, include) in &filters.pids {
            live.set_pid(*pid, *include)?;
        }
        Ok(live)
    }

    /// Verifies and attaches every program. A call that begins after this has
    /// returned is seen from its beginning.
    ///
    /// # Errors
    /// [`SourceError::Attach`]; what was attached by then is detached again when
    /// `self` is dropped.
    pub fn attach(&mut self) -> Result<(), SourceError> {
        let btf = self.btf.take();
        // Verifying takes long beside attaching: all of it comes first where a
        // program is not made for one function.
        for attachment in &self.plan.attachments {
            self.ebpf
                .verify(attachment, btf.as_ref())
                .map_err(|error| self.wrap(attachment, error))?;
        }
        for attachment in &self.plan.attachments {
            match self.ebpf.attach(attachment, btf.as_ref()) {
                Ok(link) => self.links.push(link),
                Err(error) if attachment.optional => {
                    log::info!("{}", self.wrap(attachment, error));
                }
                Err(error) => return Err(self.wrap(attachment, error)),
            }
        }
        drop(btf);
        #[cfg(target_env = "gnu")]
        // SAFETY: gives memory back that nobody holds any more: the kernel's type
        // information takes more than all the rest of the daemon.
        unsafe {
            libc::malloc_trim(0)
        };
        Ok(())
    }

    fn wrap(&self, attachment: &Attachment, error: ProgramError) -> SourceError {
        SourceError::Attach {
            program: attachment.program,
            target: attachment.target.clone(),
            kernel: self.kernel.release.clone(),
            error: Box::new(error),
        }
    }

    /// Detaches every program, exits before entries, so that no call looks as if
    /// it had begun unseen.
    pub fn detach(&mut self) {
        self.links.drain(..).for_each(drop);
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

    /// Where the programs are attached.
    pub fn hook(&self) -> Hook {
        self.plan.hook
    }

    /// Whether the tracepoints' arguments are typed (tp_btf).
    pub fn typed(&self) -> bool {
        self.plan.typed && self.plan.hook == Hook::RawTracepoint
    }
}

/// Verifying and attaching by kind.
trait Attach {
    fn verify(&mut self, what: &Attachment, btf: Option<&AyaBtf>) -> Result<(), ProgramError>;
    fn attach(&mut self, what: &Attachment, btf: Option<&AyaBtf>) -> Result<Link, ProgramError>;
}

impl Attach for Ebpf {
    fn verify(&mut self, what: &Attachment, btf: Option<&AyaBtf>) -> Result<(), ProgramError> {
        let program = self.program_mut(what.program).ok_or(ProgramError::NotLoaded)?;
        let loaded = match what.kind {
            Kind::Typed => {
                let btf = btf.ok_or(ProgramError::UnexpectedProgramType)?;
                <&mut BtfTracePoint>::try_from(program)?.load(&what.target, btf)
            }
            Kind::Raw => <&mut RawTracePoint>::try_from(program)?.load(),
            Kind::Kprobe => <&mut KProbe>::try_from(program)?.load(),
            Kind::Fentry | Kind::Fexit => Ok(()),
        };
        match loaded {
            // It goes to several places.
            Err(ProgramError::AlreadyLoaded) => Ok(()),
            loaded => loaded,
        }
    }

    fn attach(&mut self, what: &Attachment, btf: Option<&AyaBtf>) -> Result<Link, ProgramError> {
        let program = self.program_mut(what.program).ok_or(ProgramError::NotLoaded)?;
        let target = what.target.as_str();
        let typed = btf.ok_or(ProgramError::UnexpectedProgramType);
        match what.kind {
            Kind::Typed => {
                let program = <&mut BtfTracePoint>::try_from(program)?;
                let link = program.attach()?;
                program.take_link(link).map(Link::Typed)
            }
            Kind::Raw => {
                let program = <&mut RawTracePoint>::try_from(program)?;
                let link = program.attach(target)?;
                program.take_link(link).map(Link::Raw)
            }
            Kind::Kprobe => {
                let program = <&mut KProbe>::try_from(program)?;
                let link = program.attach(target, 0)?;
                program.take_link(link).map(Link::Kprobe)
            }
            // These are verified for one function, and then again for the next; the
            // link keeps the kernel's copy.
            Kind::Fentry => {
                let program = <&mut FEntry>::try_from(program)?;
                program.load(target, typed?)?;
                let link = program.attach()?;
                let link = program.take_link(link)?;
                program.unload()?;
                Ok(Link::Fentry(link))
            }
            Kind::Fexit => {
                let program = <&mut FExit>::try_from(program)?;
                program.load(target, typed?)?;
                let link = program.attach()?;
                let link = program.take_link(link)?;
                program.unload()?;
                Ok(Link::Fexit(link))
            }
        }
    }
}

/// Size of a thread's entry: with space to put a record together where programs
/// can be preempted.
fn entry_size(messages: u32, hook: Hook) -> usize {
    let size = thread_size(messages);
    if hook == Hook::Fentry { size + scratch_size(messages) } else { size }
}

/// The configuration that the programs are loaded with.
fn configure(
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
    let threads = THREADS_MEMORY / entry_size(options.messages, plan.hook);
    let preemptible = plan.hook == Hook::Fentry;
    Ok(Config {
        rules,
        rule_count: u32::try_from(count).unwrap_or(0),
        filters: options.filters.bits(),
        messages: options.messages.min(MAX_MESSAGES),
        max_threads: u32::try_from(threads.min(MAX_THREADS)).unwrap_or(1),
        wake_mark: u64::from(options.buffer / 4),
        wake_shift: (options.buffer / 8).ilog2(),
        task_direct: u32::from(plan.typed && helpers.current_task_btf),
        task_unknown: layout.task_unknown,
        preemptible: u32::from(preemptible),
        scratch_at: if preemptible {
            u32::try_from(thread_size(options.messages)).unwrap_or(0)
        } else {
            0
        },
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

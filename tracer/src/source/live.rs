//! The running kernel as a source: loads the programs, attaches them, and yields
//! the records that they write.

use std::os::fd::BorrowedFd;

use aya::{
    Btf as AyaBtf, Ebpf, EbpfLoader, Endianness, Pod,
    maps::{Array, HashMap, MapData, PerCpuArray},
    programs::ProgramError,
};
use sha2::{Digest, Sha256};
use tracer_common::{
    config::{Config, scratch_size, verdict},
    copies::Copies,
    hint::{self, HINTS},
    record::{MAX_MESSAGES_UNROLLED, unknown},
    stats::Stats,
};
use zerocopy::IntoBytes;

use super::{
    attach::{self, Link, Verified},
    btf::Btf,
    config::{Options, configure, entry_size},
    error::{SourceError, chain, is_for_lockdown},
    features::{self, Helpers, Kernel},
    hooks::{AUTO, Addition, Attachment, Hook, Plan},
    object,
    offsets::{self, Layout},
    rings::{Drained, Rings},
    said::{self, Said},
};

/// Most thread groups that can be followed at once.
const MAX_FOLLOWED: u32 = 16 << 10;

/// The programs, loaded, and attached once [`Live::attach`] has returned.
pub struct Live {
    ebpf: Ebpf,
    rings: Rings,
    stats: PerCpuArray<MapData, KernelStats>,
    pids: HashMap<MapData, u32, u32>,
    pid_hints: Array<MapData, u64>,
    kernel: Kernel,
    plan: Plan,
    config: Box<Config>,
    links: Vec<Link>,
    verified: Vec<Verified>,
    said: Said,
}

/// A program that could not be verified or attached.
struct Refused {
    /// What it would have added.
    adds: Option<Addition>,
    error: SourceError,
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

/// What the running kernel offers, whatever the hook.
struct Ground {
    kernel: Kernel,
    helpers: Helpers,
    layout: Layout,
    /// Needed to load programs that are made for one function or tracepoint each.
    btf: Option<AyaBtf>,
}

impl Ground {
    /// Looks at the kernel, and makes the loader that the first attempt takes.
    fn survey(options: &Options) -> Result<(Self, EbpfLoader<'static>), SourceError> {
        let kernel = Kernel::running();
        features::check(&kernel)?;
        raise_memlock(&kernel);
        // The loader parses the kernel's BTF whether it is given one or not, and each
        // parse takes a while.
        let (loader, (ours, btf)) = std::thread::scope(|scope| {
            let parsed = scope.spawn(|| {
                let ours = Btf::of_kernel();
                let blob = ours.as_ref().ok();
                let btf =
                    blob.and_then(|btf| AyaBtf::parse(btf.blob(), Endianness::default()).ok());
                (ours, btf)
            });
            (EbpfLoader::new(), joined(parsed))
        });
        if options.filters.follow
            && let Err(error) = ours
        {
            return Err(SourceError::NeedsBtf { what: "--follow", source: Box::new(error) });
        }
        let mut helpers = Helpers::probe();
        helpers.bpf_loop &= !options.unrolled;
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
        let layout = offsets::resolve(ours.as_ref().ok(), &kernel)?;
        Ok((Self { kernel, helpers, layout, btf }, loader))
    }
}

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
        let attached = Self::first_that_works(options, hook);
        #[cfg(target_env = "gnu")]
        // SAFETY: gives memory back that nobody holds any more: the kernel's type
        // information takes more than all the rest of the daemon.
        unsafe {
            libc::malloc_trim(0)
        };
        attached
    }

    fn first_that_works(
        options: &Options,
        hook: Option<Hook>,
    ) -> Result<(Self, Vec<PassedOver>), SourceError> {
        let (ground, loader) = Ground::survey(options)?;
        let mut loader = Some(loader);
        let mut passed_over = Vec::new();
        let tried: &[Hook] = hook.as_ref().map_or(&AUTO, std::slice::from_ref);
        for hook in tried {
            let by_auto = tried.len() > 1;
            let fit = match hook.unfit().filter(|_| by_auto) {
                Some(reason) => Err(SourceError::NoHook {
                    hook: hook.name(),
                    kernel: ground.kernel.release.clone(),
                    reason: reason.to_owned(),
                }),
                None => hook.check(&options.events, &ground.kernel.release),
            };
            let attached = fit.and_then(|()| {
                let mut copies = options.copies(ground.layout.copies);
                loop {
                    let loader = loader.take().unwrap_or_default();
                    let mut live = Self::load(options, *hook, &ground, loader, copies)?;
                    match live.attach(ground.btf.as_ref()) {
                        Ok(()) => return Ok(live),
                        // Records would say that they had failed, where there are none.
                        Err(Refused { adds: Some(Addition::Copies), error }) => {
                            log::info!("{error}");
                            copies = Copies::NONE;
                        }
                        Err(refused) => return Err(refused.error),
                    }
                }
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
    fn load(
        options: &Options,
        hook: Hook,
        ground: &Ground,
        loader: EbpfLoader<'static>,
        copies: Copies,
    ) -> Result<Self, SourceError> {
        let Ground { kernel, helpers, layout, btf } = ground;
        let plan = Plan::new(
            hook,
            btf.is_some(),
            *helpers,
            &options.events,
            options.filters.follow,
            &kernel.release,
            copies,
        )?;
        let config = configure(options, *helpers, layout, &plan)?;
        let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let thread = size(entry_size(options, &plan));
        let object = object::fitted(
            &[
                ("THREADS", thread),
                ("SCRATCH", size(scratch_size(options.messages, &options.detail, &plan.copies))),
            ],
            layout.casts.map(|casts| casts.function),
        )?;
        let cpus = size(features::possible_cpus()?);
        let filters = &options.filters;
        let entries = |keys: usize| size(keys.max(1));
        let hints = |used: bool| if used { HINTS } else { 1 };
        let level = said::level(options.talkative);
        // It borrows the configuration from here on.
        let mut loader: EbpfLoader<'_> = loader;
        let mut ebpf = loader
            .override_global("CONFIG", config.as_bytes(), true)
            .override_global(said::LEVEL, &level, true)
            .map_max_entries(said::RING, said::ring_size(options.talkative))
            .map_max_entries("RINGS", options.rings.count)
            .map_max_entries("THREADS", config.max_threads + cpus)
            .map_max_entries("OWNED", config.max_threads)
            .map_max_entries("SCRATCH", cpus)
            .map_max_entries(
                "PIDS",
                if filters.follow { MAX_FOLLOWED } else { entries(filters.pids.len()) },
            )
            .map_max_entries("TIDS", entries(filters.tids.len()))
            .map_max_entries("PID_HINTS", hints(filters.follow || !filters.pids.is_empty()))
            .map_max_entries("COMM_HINTS", hints(!filters.comms.is_empty()))
            .map_max_entries("UIDS", entries(filters.uids.len()))
            .map_max_entries("COMMS", entries(filters.comms.len()))
            .map_max_entries("CGROUPS", entries(filters.cgroups.len()))
            .load(&object)
            .map_err(|error| SourceError::Load {
                kernel: kernel.release.clone(),
                error: Box::new(error),
            })?;
        drop(loader);
        fill(&mut ebpf, "TIDS", &filters.tids)?;
        fill(&mut ebpf, "UIDS", &filters.uids)?;
        hint_at(&mut ebpf, filters.comms.iter().map(|(comm, _)| hint::of_name(comm)))?;
        fill(&mut ebpf, "COMMS", &filters.comms)?;
        fill(&mut ebpf, "CGROUPS", &filters.cgroups)?;
        let mut live = Self {
            rings: Rings::create(options.rings, &mut ebpf)?,
            stats: take(&mut ebpf, "STATS")?,
            pids: take(&mut ebpf, "PIDS")?,
            pid_hints: take(&mut ebpf, "PID_HINTS")?,
            said: Said::take(&mut ebpf, options.talkative)?,
            ebpf,
            kernel: kernel.clone(),
            plan,
            config: Box::new(config),
            links: Vec::new(),
            verified: Vec::new(),
        };
        for (pid, include) in &filters.pids {
            live.set_pid(*pid, *include)?;
        }
        Ok(live)
    }

    /// Verifies and attaches every program. A call that begins after this has returned
    /// is seen from its beginning. What was attached when it fails is detached again
    /// as `self` is dropped.
    fn attach(&mut self, btf: Option<&AyaBtf>) -> Result<(), Refused> {
        // Verifying takes long beside attaching: all of it comes first where a
        // program is not made for one function.
        let (placed, verified) = std::thread::scope(|scope| {
            let placed = scope.spawn(|| self.rings.place());
            let verified = attach::verify(&mut self.ebpf, &self.plan.attachments, btf);
            (joined(placed), verified)
        });
        placed.map_err(|error| Refused { adds: None, error })?;
        match verified {
            Ok(verified) => self.verified.extend(verified),
            Err((attachment, error)) => return Err(self.refused(attachment, error)),
        }
        for attachment in &self.plan.attachments {
            match attach::attach(&mut self.ebpf, attachment, btf) {
                Ok((link, verified)) => {
                    self.links.push(link);
                    self.verified.extend(verified);
                }
                Err(error) if attachment.adds == Some(Addition::Timeout) => {
                    log::info!("{}", self.wrap(attachment, error));
                    self.plan.kernel_timeout = false;
                }
                Err(error) => return Err(self.refused(attachment, error)),
            }
        }
        Ok(())
    }

    fn refused(&self, attachment: &Attachment, error: ProgramError) -> Refused {
        Refused { adds: attachment.adds, error: self.wrap(attachment, error) }
    }

    fn wrap(&self, attachment: &Attachment, error: ProgramError) -> SourceError {
        let kernel = self.kernel.release.clone();
        if is_for_lockdown(&chain(&error)) {
            return SourceError::Lockdown { kernel };
        }
        SourceError::Attach {
            program: attachment.program,
            target: attachment.target.clone(),
            kernel,
            error: Box::new(error),
        }
    }

    /// Detaches every program, exits before entries, so that no call looks as if
    /// it had begun unseen.
    pub fn detach(&mut self) {
        self.links.drain(..).for_each(drop);
    }

    /// Hands over the records that are in the rings now, in the order of time, until `each`
    /// returns false: it wants no more for now.
    pub fn drain(&mut self, each: impl FnMut(&[u8]) -> bool) -> Drained {
        self.rings.drain(each)
    }

    /// Hands over every record that is left after [`Live::detach`], likewise; whether that
    /// was all.
    pub fn drain_last(&mut self, each: impl FnMut(&[u8]) -> bool) -> bool {
        self.rings.drain_last(each)
    }

    /// Hands what the programs say for themselves to the log.
    pub fn pass_on_said(&mut self) {
        self.said.pass_on();
    }

    /// The descriptors that become readable when the kernel asks to be drained.
    pub fn wakeups(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.rings.wakeups()
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

    /// Calls that were not seen at all: the kernel left out the program at their
    /// beginning, and the hook's other end can't tell.
    pub fn missed(&self) -> u64 {
        let begins = self.plan.only_beginnings();
        let missed = self.verified.iter().filter(|verified| begins.contains(&verified.program));
        missed.map(Verified::left_out).sum()
    }

    /// How often the kernel left a program out where it should have run. Calls that this
    /// hit are shown without their beginning or their return, if at all.
    pub fn left_out(&self) -> u64 {
        self.verified.iter().map(Verified::left_out).sum()
    }

    /// Includes (or excludes) a thread group while running.
    ///
    /// # Errors
    /// [`SourceError::Map`]
    pub fn set_pid(&mut self, pid: u32, include: bool) -> Result<(), SourceError> {
        // First, since without it nobody looks for the verdict.
        self.pid_hints
            .set(hint::of_pid(pid), 1, 0)
            .map_err(|error| SourceError::Map { name: "PID_HINTS", error })?;
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

    /// SHA-256, in hex, of the offsets that the programs were told.
    pub fn offsets_sha256(&self) -> String {
        sha256(self.config.offsets.as_bytes())
    }

    /// SHA-256, in hex, of all that the programs were told.
    pub fn config_sha256(&self) -> String {
        sha256(self.config.as_bytes())
    }

    /// Whether records say which executables callers run.
    pub fn tells_exe(&self) -> bool {
        self.config.task_unknown & unknown::EXE == 0
    }

    /// Where the programs are attached.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The programs that the kernel has verified for it.
    pub fn verified(&self) -> &[Verified] {
        &self.verified
    }
}

pub(super) fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
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

/// Says of which names there are verdicts.
fn hint_at(ebpf: &mut Ebpf, elements: impl Iterator<Item = u32>) -> Result<(), SourceError> {
    const NAME: &str = "COMM_HINTS";
    let wrap = |error| SourceError::Map { name: NAME, error };
    let map = ebpf.map_mut(NAME).ok_or_else(|| SourceError::Object(format!("map {NAME}")))?;
    let mut hints = Array::<_, u64>::try_from(map).map_err(wrap)?;
    for element in elements {
        hints.set(element, 1, 0).map_err(wrap)?;
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

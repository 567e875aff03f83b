//! What no record of a call says of its caller: the executable, from the record of its
//! program image; the path of its cgroup and the container; and what else has to be
//! looked up while the process or the cgroup is still there.
//!
//! Nothing is known by a pid alone, since it may be another's by then: see [`Image`]. A
//! cgroup's id is never another's: the kernel counts the times that its 32-bit numbers
//! wrapped in the upper half (fs/kernfs/dir.c, `__kernfs_new_node`, since 5.5), and a
//! cgroup of the v2 hierarchy can't be renamed. So a path holds for the id of any record,
//! whatever process it is of and wherever that was moved to since.

mod cache;
mod container;
mod facts;
mod lookup;
mod proc;

use std::{ops::RangeInclusive, sync::Arc};

pub use container::{is_hex, is_id};
pub use facts::{CgroupPath, Fact, Image, Looked};
pub use proc::{count, descendants};

use crate::{
    event::{Container, Event, Reason, Text},
    record::Record,
    source::ROOT_CGROUP,
};
use cache::Cache;
use lookup::{Caller, Lookup};

/// Program images and cgroups kept: twice as many at most.
const MOST: usize = 16 << 10;

/// What is known of a program image.
#[derive(Default)]
struct Known {
    exe: Option<Looked<Arc<[u8]>>>,
    /// By a cgroup of a v1 hierarchy.
    container: Option<Looked<Option<Container>>>,
    /// Where the kernel does not say when a process started: the calls, by
    /// CLOCK_BOOTTIME in ns, that are known to be of the process that was looked at.
    calls: Option<RangeInclusive<u64>>,
}

/// What is known of a cgroup.
#[derive(Clone)]
enum Group {
    Path {
        path: Arc<[u8]>,
        whole: bool,
        container: Option<Container>,
    },
    /// It can't be known any more, or could not be by way of one image.
    Unknown(Reason, Option<Image>),
}

/// What is known of callers.
pub struct Processes {
    images: Cache<Image, Known>,
    groups: Cache<u64, Group>,
    /// None where nothing is looked up.
    lookup: Option<Lookup>,
    /// Whether processes are in cgroups of v1 hierarchies too, where that is known.
    has_v1: Option<bool>,
    /// What was looked up since it was last taken; none where nobody takes it.
    facts: Option<Vec<Fact>>,
}

impl Default for Processes {
    /// Of another machine or time: nothing is known but what the records say and what
    /// is [given](Processes::preload).
    fn default() -> Self {
        Self {
            images: Cache::new(MOST),
            groups: Cache::new(MOST),
            lookup: None,
            has_v1: None,
            facts: None,
        }
    }
}

impl Processes {
    /// Of this machine, now: what the records do not say is looked up.
    pub fn live() -> Self {
        let has_v1 = Some(Lookup::has_v1());
        Self { lookup: Some(Lookup::new()), has_v1, ..Self::default() }
    }

    /// Keeps what is looked up for [`Processes::take_facts`].
    pub fn keep_facts(&mut self) {
        let hierarchies = self.has_v1.map(|v1| Fact::Hierarchies { v1 });
        self.facts = Some(hierarchies.into_iter().collect());
    }

    /// What was looked up since the last time, in that order. Taken after each
    /// [`Processes::complete`] and given to [`Processes::preload`] before the same record,
    /// it makes the same event.
    pub fn take_facts(&mut self) -> Vec<Fact> {
        self.facts.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Takes a fact on trust.
    pub fn preload(&mut self, fact: Fact) {
        match fact {
            Fact::Exe { image, exe } => {
                self.images.get_or_default(image).exe = Some(exe.map(Arc::from));
            }
            Fact::Container { image, container } => {
                self.images.get_or_default(image).container = Some(container);
            }
            Fact::Hierarchies { v1 } => self.has_v1 = Some(v1),
            Fact::Cgroup { id, path } => self.groups.insert(id, Group::of(path, None)),
        }
    }

    /// Learns from a record of a program image.
    pub fn learn(&mut self, record: &Record<'_>) {
        if let Some(path) = record.exe.and_then(|exe| exe.path()) {
            self.images.get_or_default(Image::of(record.task())).exe = Some(Ok(path.into()));
        }
    }

    /// Fills in the executable, the cgroup's path and the container of the caller of an
    /// event.
    pub fn complete(&mut self, record: &Record<'_>, event: &mut Event) {
        let image = Image::of(record.task());
        let caller = self.lookup.as_ref().map(|lookup| lookup.caller(record));
        let mut missing = |field: &str, reason: Reason| {
            event.missing.insert(format!("process.{field}"), reason);
        };
        if let Some(caller) = &caller {
            self.forget_unproven(image, caller);
        }
        match self.exe(image, caller.as_ref()) {
            Ok(path) => event.process.exe = Text::new(&*path),
            Err(reason) => missing("exe", reason),
        }
        let by_path = match self.group(image, record.task().cgroup_id, caller.as_ref()) {
            Group::Path { path, whole, container } => {
                event.process.cgroup.path = Text::new(&*path);
                match container {
                    None if !whole => Err(Reason::NotCaptured),
                    container => Ok(container),
                }
            }
            Group::Unknown(reason, _) => {
                missing("cgroup.path", reason);
                Err(reason)
            }
        };
        let container = match by_path {
            Ok(Some(container)) => Ok(Some(container)),
            by_path => match self.container(image, caller.as_ref()) {
                Ok(None) => by_path,
                by_v1 => by_v1,
            },
        };
        match container {
            Ok(container) => event.process.container = container,
            Err(reason) => missing("container", reason),
        }
        if event.process.container.as_ref().is_some_and(|found| found.runtime.is_none()) {
            missing("container.runtime", Reason::NotCaptured);
        }
    }

    /// Where a pid is all that there is, it may be another's since it was looked at.
    fn forget_unproven(&mut self, image: Image, caller: &Caller) {
        if caller.start.is_none()
            && let Some(known) = self.images.get(image)
            && known.calls.as_ref().is_none_or(|calls| !calls.contains(&caller.at))
        {
            *known = Known::default();
        }
    }

    fn exe(&mut self, image: Image, caller: Option<&Caller>) -> Looked<Arc<[u8]>> {
        let known = self.images.get_or_default(image);
        if let Some(exe) = &known.exe {
            return exe.clone();
        }
        let Some(caller) = caller else { return Err(Reason::NotCaptured) };
        let exe = caller.exe();
        known.calls = caller.proven();
        known.exe = Some(exe.clone().map(Arc::from));
        self.tell(Fact::Exe { image, exe: exe.clone() });
        exe.map(Arc::from)
    }

    /// The container by a v1 hierarchy.
    fn container(&mut self, image: Image, caller: Option<&Caller>) -> Looked<Option<Container>> {
        if self.has_v1 == Some(false) {
            return Ok(None);
        }
        let known = self.images.get_or_default(image);
        if let Some(container) = &known.container {
            return container.clone();
        }
        let Some(caller) = caller else { return Err(Reason::NotCaptured) };
        let container = caller.container();
        known.container = Some(container.clone());
        self.tell(Fact::Container { image, container: container.clone() });
        container
    }

    fn group(&mut self, image: Image, id: u64, caller: Option<&Caller>) -> Group {
        if id == ROOT_CGROUP {
            let path = CgroupPath { path: b"/".to_vec(), whole: true };
            return Group::of(Ok(path), None);
        }
        match self.groups.get(id) {
            Some(Group::Unknown(_, Some(by))) if *by != image => {}
            Some(group) => return group.clone(),
            None => {}
        }
        let (Some(lookup), Some(caller)) = (&self.lookup, caller) else {
            return Group::Unknown(Reason::NotCaptured, None);
        };
        let (path, final_) = lookup.cgroup(id, caller);
        let group = Group::of(path.clone(), (!final_).then_some(image));
        self.groups.insert(id, group.clone());
        self.tell(Fact::Cgroup { id, path });
        group
    }

    fn tell(&mut self, fact: Fact) {
        if let Some(facts) = &mut self.facts {
            facts.push(fact);
        }
    }
}

impl Group {
    fn of(path: Looked<CgroupPath>, by: Option<Image>) -> Self {
        match path {
            Ok(CgroupPath { path, whole }) => {
                let container = container::of(&path);
                Self::Path { path: path.into(), whole, container }
            }
            Err(reason) => Self::Unknown(reason, by),
        }
    }
}

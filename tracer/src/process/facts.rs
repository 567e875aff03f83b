//! What was looked up, as plain data: a recording carries it, and a replay is given it.
//!
//! Facts hold from the record on that they were looked up for. A later fact of the same
//! image or cgroup takes the earlier one's place.

use serde::{Deserialize, Serialize};
use tracer_common::record::Task;

use crate::event::{Container, Reason};

/// One program image: a pid may be used again, and a process may execute another
/// program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Image {
    /// Thread group id, in the initial pid namespace.
    pub pid: u32,
    /// CLOCK_BOOTTIME when it started, ns; 0 where the kernel does not say.
    pub start: u64,
    /// How many programs the thread has executed; 0 where the kernel does not say.
    pub exec_id: u32,
}

impl Image {
    /// That of the caller.
    pub fn of(task: &Task) -> Self {
        Self { pid: task.pid, start: task.start_boottime_ns, exec_id: task.exec_id }
    }
}

/// What a look-up came to: a value, or why there is none.
pub type Looked<T> = Result<T, Reason>;

/// Something that no record says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Fact {
    /// The executable, where the record of the image did not have it: the bytes of its
    /// path.
    Exe {
        /// Whose.
        image: Image,
        /// Its path.
        exe: Looked<Vec<u8>>,
    },
    /// The container that an image runs in, where its cgroup in the v2 hierarchy does not
    /// tell but one of v1 may.
    Container {
        /// Whose.
        image: Image,
        /// The container, if it runs in one.
        container: Looked<Option<Container>>,
    },
    /// Which cgroups there are.
    Hierarchies {
        /// Whether processes are in cgroups of v1 hierarchies too.
        v1: bool,
    },
    /// A cgroup of the v2 hierarchy.
    Cgroup {
        /// Its id.
        id: u64,
        /// Where it lies.
        path: Looked<CgroupPath>,
    },
}

/// Where a cgroup lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupPath {
    /// The bytes of its path.
    pub path: Vec<u8>,
    /// Whether that is all of it. Else it begins at the root of the tracer's own cgroup
    /// namespace, and what lies above is not known.
    pub whole: bool,
}

//! Who calls.

use std::borrow::Cow;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::{CgroupPath, Comm, Exe, Text, with_precision};

/// The calling process.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Process {
    /// Process (thread group) id, as the initial pid namespace numbers it.
    pub pid: u32,
    /// Thread id, likewise.
    pub tid: u32,
    /// The parent's process id.
    pub ppid: Option<u32>,
    /// The thread's name.
    #[serde(flatten)]
    pub comm: Text<Comm>,
    /// The executable's path.
    #[serde(flatten)]
    pub exe: Text<Exe>,
    /// Real user id.
    pub uid: u32,
    /// Real group id.
    pub gid: u32,
    /// When the process started, to 10 ms.
    #[serde(serialize_with = "optional_start")]
    #[schemars(extend("pattern" = r"^[-0-9]+T[0-9:]+\.[0-9]{2}Z$"))]
    pub start_time: Option<Timestamp>,
    /// Its cgroup.
    pub cgroup: Cgroup,
    /// The container that it runs in; null for none.
    pub container: Option<Container>,
    /// Its namespaces.
    pub ns: Namespaces,
    /// Thread group id in its own pid namespace, the innermost one.
    pub ns_pid: Option<u32>,
    /// Thread id there.
    pub ns_tid: Option<u32>,
}

/// A cgroup of the v2 hierarchy.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Cgroup {
    /// Its id: the inode number of its directory.
    pub id: u64,
    /// Its path below the hierarchy's root.
    #[serde(flatten)]
    pub path: Text<CgroupPath>,
}

/// A container, as the path of its cgroup tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Container {
    /// Its id, or its name where it has no other.
    pub id: String,
    /// What runs it; null where the path does not tell.
    pub runtime: Option<Cow<'static, str>>,
}

/// Inode numbers of namespaces.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Namespaces {
    /// pid namespace.
    pub pid: Option<u32>,
    /// Mount namespace.
    pub mnt: Option<u32>,
    /// Network namespace.
    pub net: Option<u32>,
}

/// A start time has the resolution that /proc shows: hundredths of a second.
pub(crate) fn optional_start<S: Serializer>(
    time: &Option<Timestamp>,
    to: S,
) -> Result<S::Ok, S::Error> {
    time.map(|time| with_precision(time, 2)).serialize(to)
}

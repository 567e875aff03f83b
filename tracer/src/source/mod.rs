//! Where records come from. The only place that names aya, and the only one with
//! `unsafe`.

mod attach;
mod btf;
mod cgroup;
mod command;
mod config;
mod error;
mod features;
mod hooks;
mod live;
mod object;
mod offsets;
mod rings;
mod said;

pub use attach::Verified;
pub use cgroup::{Found, Hierarchy, ROOT as ROOT_CGROUP, holds};
pub use command::{Running, Stopped};
pub use config::{KernelChecks, KernelFilters, Options};
pub use error::SourceError;
pub use features::{Helpers, Kernel, arch, check, lockdown, missing_capabilities, mounted};
pub use hooks::{AUTO, Hook};
pub use live::{Live, PassedOver};
pub use rings::{Drained, Shape};

//! Every call is one event, field by field. Modules under `compat` are of the ABIs that
//! they are named after; all others make the architecture's own call.

mod blocking;
#[cfg_attr(target_arch = "aarch64", path = "compat_arm.rs")]
mod compat;
#[cfg(target_arch = "x86_64")]
mod confusion;
mod errors;
mod family;
mod findings;
mod processes;
mod signals;
mod sockets;
mod udp;
mod unix_netlink;

use tests::tracer::Traced;

use crate::WORKLOAD;

/// Runs a scenario and compares every call with exactly one event; None where nothing
/// can be attached.
fn exact(scenario: &[&str]) -> Option<Traced> {
    tests::tracer::exact(module_path!(), WORKLOAD, scenario)
}

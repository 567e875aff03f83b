//! AF_UNIX datagrams and netlink.

use tests::skip::require_root_bpf;
use tests::tracer::around;

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

/// Runs a scenario and compares every call with exactly one event.
fn exact(scenario: &[&str]) {
    if require_root_bpf("native_unix_netlink") {
        around(WORKLOAD, &[], scenario).assert_exact();
    }
}

#[test]
fn unix_paths_abstract_names_and_no_names() {
    exact(&["unix"]);
}

#[test]
fn netlink_from_the_kernel_and_from_processes() {
    exact(&["netlink"]);
}

//! AF_UNIX datagrams and netlink.

use super::exact;

#[test]
fn unix_paths_abstract_names_and_no_names() {
    exact(&["unix"]);
}

#[test]
fn netlink_from_the_kernel_and_from_processes() {
    exact(&["netlink"]);
}

//! UDP over IPv4 and IPv6, batches of every size, and what messages can look like.

use super::exact;

#[test]
fn ipv4_one_message() {
    exact(&["udp4", "--vlen", "1", "--count", "5"]);
}

#[test]
fn ipv4_ten_messages() {
    exact(&["udp4", "--vlen", "10", "--count", "5"]);
}

#[test]
fn ipv6_ten_messages() {
    exact(&["udp6", "--vlen", "10", "--count", "5"]);
}

#[test]
fn ipv6_more_messages_than_fit_the_default() {
    exact(&["udp6", "--vlen", "70"]);
}

/// A full batch of `vlen` and a half-full one.
fn batch(vlen: u32) {
    let vlen = vlen.to_string();
    if let Some(traced) = exact(&["vlen", "--vlen", &vlen]) {
        assert_eq!(traced.truth[0]["ret"].to_string(), vlen, "the scenario filled the batch");
    }
}

#[test]
fn batches_within_the_default() {
    batch(1);
    batch(10);
    batch(64);
}

#[test]
fn batches_beyond_the_default_are_counted() {
    batch(65);
    batch(200);
    batch(2000);
}

#[test]
fn no_name_buffers() {
    exact(&["null-name"]);
}

#[test]
fn names_longer_than_their_buffers() {
    exact(&["short-name"]);
}

#[test]
fn datagrams_longer_than_their_buffers() {
    exact(&["cut"]);
}

#[test]
fn control_lengths_differ_between_entry_and_exit() {
    exact(&["control"]);
}

#[test]
fn an_error_after_the_first_message() {
    exact(&["partial"]);
}

#[test]
fn the_cpu_is_the_one_that_the_workload_stays_on() {
    let _stay = tests::cpus::stay();
    for cpu in 0..std::thread::available_parallelism().map_or(1, usize::from).min(4) {
        exact(&["udp4", "--cpu", &cpu.to_string()]);
    }
}

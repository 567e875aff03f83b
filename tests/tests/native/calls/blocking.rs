//! Calls that wait for their datagrams.

use super::exact;

#[test]
fn served_before_its_timeout() {
    exact(&["blocking"]);
}

#[test]
fn without_a_timeout() {
    exact(&["no-timeout"]);
}

#[test]
fn served_after_its_timeout() {
    exact(&["expired"]);
}

#[test]
fn waitforone() {
    exact(&["waitforone"]);
}

#[test]
fn a_header_that_changes_meanwhile() {
    exact(&["swapped"]);
}

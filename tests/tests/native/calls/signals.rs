//! Calls that are interrupted, restarted or stopped.

use super::exact;

#[test]
fn eintr() {
    exact(&["eintr"]);
}

#[test]
fn eintr_and_the_same_call_again() {
    exact(&["eintr-retry"]);
}

#[test]
fn eintr_despite_sa_restart() {
    exact(&["eintr-rcvtimeo"]);
}

#[test]
fn restarted_is_one_call() {
    exact(&["restarted"]);
}

#[test]
fn a_call_within_the_handler_of_a_restarted_call() {
    exact(&["nested"]);
}

#[test]
fn stopped_and_continued_is_one_call() {
    exact(&["stopped"]);
}

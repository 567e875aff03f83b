//! Calls that fail, or look as if they would.

use super::exact;

#[test]
fn eagain() {
    exact(&["eagain", "--count", "20"]);
}

#[test]
fn ebadf() {
    exact(&["ebadf"]);
}

#[test]
fn enotsock() {
    exact(&["enotsock"]);
}

#[test]
fn efault() {
    exact(&["efault"]);
}

#[test]
fn einval() {
    exact(&["einval"]);
}

#[test]
fn no_messages_asked_for() {
    exact(&["vlen0"]);
}

#[test]
fn flags_without_a_name_are_in_hex() {
    exact(&["unknown-flags"]);
}

#[test]
fn bits_that_the_kernel_does_not_look_at() {
    exact(&["high-bits"]);
}

/// What could not be read is null and said to be missing, never zeros.
#[test]
fn memory_that_is_not_present_at_entry() {
    exact(&["cold"]);
}

#[test]
fn headers_and_names_that_end_where_memory_does() {
    exact(&["edge"]);
}

#[test]
fn control_characters_in_the_threads_name() {
    exact(&["eagain", "--comm", "\u{1b}[31m\"\\\n\u{7f}é"]);
}

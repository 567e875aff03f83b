//! The socket that a call is made on.

use super::exact;

#[test]
fn of_every_kind() {
    exact(&["kinds"]);
}

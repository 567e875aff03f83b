//! Numbers of one ABI that are recvmmsg's under another.

use tests::child;
use tests::skip::skip;

use super::exact;
use crate::WORKLOAD;

/// One event, the true call.
#[test]
fn numbers_are_never_confused() {
    if !child::run(WORKLOAD, &["probe-int80"]).status.success() {
        return skip(module_path!(), "this kernel has no int $0x80");
    }
    if let Some(traced) = exact(&["confusion"]) {
        assert_eq!(traced.stream.events.len(), 1, "{:#?}", traced.stream.events);
    }
}

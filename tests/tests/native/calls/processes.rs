//! Whose calls they are, where ids alone do not tell.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use tests::skip::skip;
use tests::tracer::Traced;

use super::exact;

fn distinct<'a>(traced: &'a Traced, field: &str) -> BTreeSet<&'a str> {
    traced.truth.iter().filter_map(|call| call["process"][field].as_str()).collect()
}

/// The ids that a process has for itself, beside those that it has for all others.
#[test]
fn ids_in_a_pid_namespace_and_in_one_within() {
    let Some(traced) = exact(&["pid-namespaces"]) else { return };
    let ids: Vec<_> = traced
        .truth
        .iter()
        .map(|call| (&call["process"]["ns_pid"], &call["process"]["ns_tid"]))
        .collect();
    let firsts = ids.iter().filter(|ids| **ids == (&Value::from(1), &Value::from(1))).count();
    assert_eq!((ids.len(), firsts), (8, 2), "{ids:?}");
    let namespaces: BTreeSet<_> =
        traced.truth.iter().map(|call| call["process"]["ns"]["pid"].as_u64()).collect();
    assert_eq!(namespaces.len(), 3, "{namespaces:?}");
}

#[test]
fn a_pid_that_is_used_again() {
    let Some(traced) = exact(&["reused-pid"]) else { return };
    assert!(distinct(&traced, "comm").len() == 3, "{:?}", traced.truth);
    assert_eq!(distinct(&traced, "exe").len(), 2, "{:?}", traced.truth);
}

#[test]
fn a_thread_id_that_is_used_again_after_exec() {
    if !Path::new("/proc/sys/kernel/ns_last_pid").exists() {
        let test = concat!(module_path!(), "::a_thread_id_that_is_used_again_after_exec");
        return skip(test, "the kernel lets nobody choose ids (CONFIG_CHECKPOINT_RESTORE)");
    }
    let Some(traced) = exact(&["reused-thread"]) else { return };
    let tids: BTreeSet<_> =
        traced.truth.iter().map(|call| call["process"]["tid"].as_u64()).collect();
    assert_eq!((traced.truth.len(), tids.len()), (3, 2), "{:?}", traced.truth);
}

//! Whether the kernel's filters let everything pass that other criteria ask for: these can
//! then take the place of the first without anything being missed.

use std::collections::{BTreeMap, BTreeSet};

use super::Divided;

impl Divided {
    /// Whether all that passes these other criteria passes the kernel's filters here as well.
    /// The daemon does not know what the kernel left out.
    ///
    /// # Errors
    /// The options and conditions by which it can't be said.
    pub fn covers(&self, other: &Self) -> Result<(), String> {
        let (ours, theirs) = (&self.kernel, &other.kernel);
        let mut wider = Vec::new();
        let mut need = |holds: bool, what: &str| {
            if !holds {
                wider.push(what.to_owned());
            }
        };
        need(ours.follow == theirs.follow, "follow");
        let pids = if ours.follow {
            // Children are among them by now.
            verdicts(&ours.pids) == verdicts(&theirs.pids)
        } else {
            within(&ours.pids, &theirs.pids)
        };
        need(pids, "pid");
        need(within(&ours.tids, &theirs.tids), "tid");
        need(within(&ours.uids, &theirs.uids), "uid");
        need(within(&ours.comms, &theirs.comms), "comm");
        // They hold for all cgroups below, and the nearest one decides.
        need(verdicts(&ours.cgroups) == verdicts(&theirs.cgroups), "cgroup");
        let (checks, others) = (&ours.checks, &theirs.checks);
        let kept = checks.entry.iter().all(|check| others.entry.contains(check))
            && checks.exit.iter().all(|check| others.exit.contains(check));
        need(kept, "filter");
        if wider.is_empty() { Ok(()) } else { Err(wider.join(", ")) }
    }
}

/// What becomes of each key: a later entry wins.
fn verdicts<K: Copy + Ord>(keys: &[(K, bool)]) -> BTreeMap<K, bool> {
    keys.iter().copied().collect()
}

/// The keys of that verdict.
fn of<K: Copy + Ord>(verdicts: &BTreeMap<K, bool>, wanted: bool) -> BTreeSet<K> {
    verdicts.iter().filter(|(_, included)| **included == wanted).map(|(key, _)| *key).collect()
}

/// Whether what passes the second filter passes the first: a filter with included keys lets
/// these pass, and one without, all but the excluded ones.
fn within<K: Copy + Ord>(ours: &[(K, bool)], theirs: &[(K, bool)]) -> bool {
    let asks = |keys: &[(K, bool)]| keys.iter().any(|(_, included)| *included);
    let (own, other) = (verdicts(ours), verdicts(theirs));
    match (asks(ours), asks(theirs)) {
        (true, true) => of(&other, true).is_subset(&of(&own, true)),
        (true, false) => false,
        (false, true) => of(&other, true).is_disjoint(&of(&own, false)),
        (false, false) => of(&own, false).is_subset(&of(&other, false)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::filter::{
        Criteria,
        expr::Expression,
        pushdown::{divide, divide_for_daemon},
    };

    fn of_filters(filters: &[&str]) -> Criteria {
        let read = |text: &&str| Expression::new(text).unwrap().0;
        Criteria { conditions: filters.iter().flat_map(read).collect(), ..Criteria::default() }
    }

    #[test]
    fn only_what_the_kernel_lets_pass_can_be_asked_for() {
        for (old, new, covered) in [
            (&[][..], &["process.uid == 1"][..], Ok(())),
            (&["process.uid == 1"], &[], Err("uid")),
            (&["process.uid in (1, 2)"], &["process.uid == 2", "cpu == 1"], Ok(())),
            (&["process.uid in (1, 2)"], &["process.uid == 3"], Err("uid")),
            (&["process.comm != 'a'"], &["process.comm == 'b'"], Ok(())),
            (&["process.comm != 'a'"], &["process.comm ~ 'b*'"], Err("comm")),
            (&["ret < 0"], &["ret < 0", "process.tid == 5"], Ok(())),
            (&["ret < 0"], &["ret < 5"], Err("filter")),
            (&["ret < 0", "process.pid == 1"], &["cpu == 0"], Err("pid, filter")),
            (&["cpu == 0"], &["cpu == 1"], Ok(())),
        ] {
            let divided = divide(of_filters(old), false);
            let said = divided.covers(&divide(of_filters(new), false));
            assert_eq!(said, covered.map_err(str::to_owned), "{old:?} {new:?}");
            let divided = divide_for_daemon(of_filters(old), false);
            assert_eq!(divided.covers(&divide_for_daemon(of_filters(new), false)), Ok(()));
        }
    }

    /// Whether a filter of the kernel lets a key pass (tracer-ebpf/src/gate.rs).
    fn passes(keys: &[(u8, bool)], key: u8) -> bool {
        let asks = keys.iter().any(|(_, included)| *included);
        verdicts(keys).get(&key).copied().unwrap_or(!asks)
    }

    proptest! {
        #[test]
        fn what_is_within_passes(
            ours in prop::collection::vec((0..4_u8, any::<bool>()), 0..5),
            theirs in prop::collection::vec((0..4_u8, any::<bool>()), 0..5),
        ) {
            let all = (0..6).all(|key| !passes(&theirs, key) || passes(&ours, key));
            if within(&ours, &theirs) {
                prop_assert!(all);
            } else if !ours.iter().any(|(_, included)| *included) {
                // With included keys what passes is all of few, which it is not here.
                prop_assert!(!all);
            }
        }
    }
}

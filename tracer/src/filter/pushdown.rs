//! What of the criteria the kernel decides. The only place that knows what it can.

use tracer_common::record::COMM_LEN;

use super::{Criteria, Pattern, Term};
use crate::source::KernelFilters;

/// The criteria, divided.
#[derive(Clone, Debug, Default)]
pub struct Divided {
    /// Decided in the kernel.
    pub kernel: KernelFilters,
    /// Decided on the decoded event.
    pub user: Criteria,
}

impl Divided {
    /// The options by where they are decided, for diagnostics.
    pub fn describe(&self) -> String {
        let kernel = [
            ("pid", !self.kernel.pids.is_empty() || self.kernel.follow),
            ("tid", !self.kernel.tids.is_empty()),
            ("uid", !self.kernel.uids.is_empty()),
            ("comm", !self.kernel.comms.is_empty()),
            ("cgroup", !self.kernel.cgroups.is_empty()),
        ];
        let user = [
            ("ppid", !self.user.ppids.is_empty()),
            ("comm", !self.user.comms.is_empty()),
            ("exe", !self.user.exes.is_empty()),
        ];
        let names = |options: &[(&'static str, bool)]| {
            let used: Vec<_> =
                options.iter().filter(|(_, used)| *used).map(|(name, _)| *name).collect();
            if used.is_empty() { "nothing".to_owned() } else { used.join(", ") }
        };
        format!("filters: the kernel decides {}, the daemon {}", names(&kernel), names(&user))
    }
}

/// Divides the criteria. Names are alternatives, so that the kernel can decide
/// them only if all that are asked for are plain; what is excluded plainly it can
/// always decide.
pub fn divide(criteria: Criteria, follow: bool) -> Divided {
    let (exact, rest): (Vec<_>, Vec<_>) =
        criteria.comms.into_iter().partition(|term| matches!(term.value, Pattern::Exact(_)));
    let pushed = |term: &Term<Pattern>| match &term.value {
        Pattern::Exact(name) => {
            let mut padded = [0; COMM_LEN];
            padded.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
            Some((padded, !term.negated))
        }
        Pattern::Glob(_) => None,
    };
    let globs_asked_for = rest.iter().any(|term| !term.negated);
    let (push, keep): (Vec<_>, Vec<_>) =
        exact.into_iter().partition(|term| term.negated || !globs_asked_for);
    Divided {
        kernel: KernelFilters {
            pids: included(&criteria.pids),
            tids: included(&criteria.tids),
            uids: included(&criteria.uids),
            comms: push.iter().filter_map(pushed).collect(),
            cgroups: included(&criteria.cgroups),
            follow,
        },
        user: Criteria {
            ppids: criteria.ppids,
            comms: rest.into_iter().chain(keep).collect(),
            exes: criteria.exes,
            ..Criteria::default()
        },
    }
}

/// Keys with whether they are included. A key that is both asked for and excluded
/// is excluded: the later entry wins in the kernel's map.
fn included<K: Copy>(terms: &[Term<K>]) -> Vec<(K, bool)> {
    let by = |negated: bool| {
        terms
            .iter()
            .filter(move |term| term.negated == negated)
            .map(move |term| (term.value, !negated))
    };
    by(false).chain(by(true)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comms(names: &[&str]) -> Criteria {
        let comms = names
            .iter()
            .map(|name| {
                let (negated, name) =
                    name.strip_prefix('!').map_or((false, *name), |name| (true, name));
                Term { negated, value: Pattern::new(name).unwrap() }
            })
            .collect();
        Criteria { comms, ..Criteria::default() }
    }

    #[test]
    fn names_go_down_only_where_that_gives_the_same_answer() {
        for (names, kernel, user) in [
            (&["a", "b"][..], 2, 0),
            (&["a", "b*"], 0, 2),
            (&["!a", "b*"], 1, 1),
            (&["!a*", "b"], 1, 1),
            (&["!a", "b"], 2, 0),
        ] {
            let divided = divide(comms(names), false);
            assert_eq!(divided.kernel.comms.len(), kernel, "{names:?}");
            assert_eq!(divided.user.comms.len(), user, "{names:?}");
        }
    }
}

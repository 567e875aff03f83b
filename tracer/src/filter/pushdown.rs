//! What of the criteria the kernel decides. The only place that knows what it can.

mod checks;
mod covers;

use tracer_common::record::COMM_LEN;

use super::{
    Criteria, Pattern, Term,
    expr::{Condition, Conjunct, Side, Test, Wanted},
};
use crate::source::{KernelChecks, KernelFilters};

/// The criteria, divided.
#[derive(Clone, Debug, Default)]
pub struct Divided {
    /// Decided in the kernel.
    pub kernel: KernelFilters,
    /// Decided on the decoded event.
    pub user: Criteria,
    /// Options and conditions that the kernel decides.
    by_kernel: Vec<String>,
}

impl Divided {
    /// The options and conditions by where they are decided, for diagnostics.
    pub fn describe(&self) -> String {
        let options = [
            ("pid", !self.user.pids.is_empty()),
            ("tid", !self.user.tids.is_empty()),
            ("ppid", !self.user.ppids.is_empty()),
            ("uid", !self.user.uids.is_empty()),
            ("comm", !self.user.comms.is_empty()),
            ("exe", !self.user.exes.is_empty()),
            ("container", !self.user.containers.is_empty()),
        ];
        let by_user: Vec<_> =
            used(&options).chain(self.user.conditions.iter().map(quoted)).collect();
        let list = |names: &[String]| {
            if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
        };
        format!(
            "filters: the kernel decides {}, the daemon {}",
            list(&self.by_kernel),
            list(&by_user)
        )
    }
}

fn used(options: &[(&str, bool)]) -> impl Iterator<Item = String> {
    options.iter().filter(|(_, used)| *used).map(|(name, _)| (*name).to_owned())
}

/// On one line, whatever its texts hold.
fn quoted(conjunct: &Conjunct) -> String {
    let mut quoted = String::from('`');
    for c in conjunct.text.chars() {
        if c.is_control() { quoted.extend(c.escape_default()) } else { quoted.push(c) }
    }
    quoted + "`"
}

/// Divides the criteria. Names are alternatives, so that the kernel can decide
/// them only if all that are asked for are plain; what is excluded plainly it can
/// always decide.
pub fn divide(criteria: Criteria, follow: bool) -> Divided {
    let (exact, rest): (Vec<_>, Vec<_>) =
        criteria.comms.into_iter().partition(|term| matches!(term.value, Pattern::Exact(_)));
    let pushed = |term: &Term<Pattern>| match &term.value {
        Pattern::Exact(name) => Some(Term { negated: term.negated, value: padded(name) }),
        Pattern::Glob(_) => None,
    };
    let globs_asked_for = rest.iter().any(|term| !term.negated);
    let (push, keep): (Vec<_>, Vec<_>) =
        exact.into_iter().partition(|term| term.negated || !globs_asked_for);
    let mut kernel = KernelFilters {
        pids: included(&criteria.pids),
        tids: included(&criteria.tids),
        uids: included(&criteria.uids),
        comms: included(&push.iter().filter_map(pushed).collect::<Vec<_>>()),
        cgroups: included(&criteria.cgroups),
        follow,
        checks: KernelChecks::default(),
    };
    let options = [
        ("pid", !kernel.pids.is_empty() || follow),
        ("tid", !kernel.tids.is_empty()),
        ("uid", !kernel.uids.is_empty()),
        ("comm", !kernel.comms.is_empty()),
        ("cgroup", !kernel.cgroups.is_empty()),
    ];
    let mut by_kernel: Vec<_> = used(&options).collect();
    let (pushed, conditions): (Vec<_>, Vec<_>) =
        criteria.conditions.into_iter().partition(|conjunct| {
            let condition = &conjunct.condition;
            push_down(condition, &mut kernel) || checks::push(condition, &mut kernel.checks)
        });
    by_kernel.extend(pushed.iter().map(quoted));
    Divided {
        kernel,
        user: Criteria {
            ppids: criteria.ppids,
            comms: rest.into_iter().chain(keep).collect(),
            exes: criteria.exes,
            containers: criteria.containers,
            conditions,
            ..Criteria::default()
        },
        by_kernel,
    }
}

/// Leaves to the daemon what it can decide as well: what is asked for can then change. What
/// it can't are cgroups, whose children it does not know, and processes that are followed.
pub fn divide_for_daemon(criteria: Criteria, follow: bool) -> Divided {
    let mut kernel =
        KernelFilters { cgroups: included(&criteria.cgroups), follow, ..KernelFilters::default() };
    let mut user = Criteria { cgroups: Vec::new(), ..criteria };
    if follow {
        kernel.pids = included(&std::mem::take(&mut user.pids));
    }
    let options = [("pid", follow), ("cgroup", !kernel.cgroups.is_empty())];
    Divided { by_kernel: used(&options).collect(), kernel, user }
}

/// Makes a condition one of the kernel's filters, if it has that.
fn push_down(condition: &Condition, kernel: &mut KernelFilters) -> bool {
    let (test, included) = match condition {
        Condition::Test(test) => (test, true),
        Condition::Not(negated) => match &**negated {
            Condition::Test(test) => (test, false),
            _ => return false,
        },
        Condition::Any(_) | Condition::All(_) => return false,
    };
    let Test::OneOf { side: Side { field, mask: None }, wanted } = test else { return false };
    match field.path.as_str() {
        // The programs add the children that they follow to the same keys, and remove
        // processes that have ended from them: those keys are for --pid alone then.
        "process.pid" if !kernel.follow => restrict(&mut kernel.pids, numbers(wanted), included),
        "process.tid" => restrict(&mut kernel.tids, numbers(wanted), included),
        "process.uid" => restrict(&mut kernel.uids, numbers(wanted), included),
        "process.comm" => restrict(&mut kernel.comms, names(wanted), included),
        _ => false,
    }
}

/// The values as keys, if the kernel can have them all.
fn numbers(wanted: &[Wanted]) -> Option<Vec<u32>> {
    let number = |wanted: &Wanted| match wanted {
        Wanted::Int(value) => u32::try_from(*value).ok(),
        Wanted::Text(_) | Wanted::Net(_) => None,
    };
    wanted.iter().map(number).collect()
}

fn names(wanted: &[Wanted]) -> Option<Vec<[u8; COMM_LEN]>> {
    let name = |wanted: &Wanted| match wanted {
        Wanted::Text(Pattern::Exact(name)) if name.len() < COMM_LEN && !name.contains(&0) => {
            Some(padded(name))
        }
        Wanted::Int(_) | Wanted::Text(_) | Wanted::Net(_) => None,
    };
    wanted.iter().map(name).collect()
}

/// Restricts a filter further: to these keys, or to others than these. The kernel's
/// filter passes what is among the included keys, if there are any, and is not
/// among the excluded ones.
fn restrict<K: Copy + Eq>(
    keys: &mut Vec<(K, bool)>,
    wanted: Option<Vec<K>>,
    include: bool,
) -> bool {
    let Some(wanted) = wanted else { return false };
    if !include {
        // Later entries win.
        keys.extend(wanted.into_iter().map(|key| (key, false)));
        return true;
    }
    if !keys.iter().any(|(_, included)| *included) {
        let excluded = std::mem::take(keys);
        keys.extend(wanted.into_iter().map(|key| (key, true)));
        keys.extend(excluded);
        return true;
    }
    let both = |(key, included): &(K, bool)| *included && wanted.contains(key);
    if keys.iter().any(both) {
        keys.retain(|key| !key.1 || both(key));
    } else {
        // Nothing passes; a filter without included keys would pass everything.
        let unwanted: Vec<_> = keys.iter().map(|(key, _)| (*key, false)).collect();
        keys.extend(unwanted);
    }
    true
}

/// A name as the kernel keeps it.
fn padded(name: &[u8]) -> [u8; COMM_LEN] {
    let mut padded = [0; COMM_LEN];
    padded.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
    padded
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
    use crate::filter::expr::Expression;

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
        // A name that is asked for and excluded is excluded.
        let excluded = divide(comms(&["!a", "a"]), false).kernel.comms;
        assert_eq!(excluded, [(padded(b"a"), true), (padded(b"a"), false)]);
    }

    fn divided(filters: &[&str], criteria: Criteria, follow: bool) -> Divided {
        let read = |text: &&str| Expression::new(text).unwrap().0;
        let conditions = filters.iter().flat_map(read).collect();
        divide(Criteria { conditions, ..criteria }, follow)
    }

    #[test]
    fn conditions_go_down_only_where_that_gives_the_same_answer() {
        for (filter, kernel, daemon) in [
            ("process.pid == 5", "`process.pid == 5`", "nothing"),
            ("process.pid in (5, 6)", "`process.pid in (5, 6)`", "nothing"),
            ("5 != process.tid", "`5 != process.tid`", "nothing"),
            ("!(process.uid in (0, 1))", "`!(process.uid in (0, 1))`", "nothing"),
            ("process.comm == 'x'", "`process.comm == \"x\"`", "nothing"),
            ("process.comm != \"x\" && cpu < 2", "`process.comm != \"x\"`", "`cpu < 2`"),
            ("process.comm ~ \"x\"", "`process.comm ~ \"x\"`", "nothing"),
            ("process.comm ~ \"x*\"", "nothing", "`process.comm ~ \"x*\"`"),
            ("process.pid > 5", "nothing", "`process.pid > 5`"),
            ("process.pid & 1 == 1", "nothing", "`process.pid & 1 == 1`"),
            ("process.pid == 4294967296", "nothing", "`process.pid == 4294967296`"),
            ("process.pid == process.tid", "nothing", "`process.pid == process.tid`"),
            ("process.pid == 5 || ret < 0", "nothing", "`process.pid == 5 || ret < 0`"),
            (
                "(process.pid == 5 && cpu == 1) && (ret < 0)",
                "`process.pid == 5`, `ret < 0`",
                "`cpu == 1`",
            ),
        ] {
            let told = divided(&[filter], Criteria::default(), false).describe();
            assert_eq!(told, format!("filters: the kernel decides {kernel}, the daemon {daemon}"));
        }
    }

    #[test]
    fn what_must_all_hold_is_one_filter_of_the_kernel() {
        let pids = |filters: &[&str], options: &[u32], follow: bool| {
            let pids = options.iter().map(|value| Term { negated: false, value: *value }).collect();
            divided(filters, Criteria { pids, ..Criteria::default() }, follow).kernel.pids
        };
        let both = ["process.pid in (1, 2)", "process.pid in (2, 3)"];
        assert_eq!(pids(&both, &[], false), [(2, true)]);
        assert_eq!(pids(&both, &[2, 4], false), [(2, true)]);
        // Nothing is in all of them: what is included is excluded as well.
        assert_eq!(pids(&["process.pid == 1"], &[4], false), [(4, true), (4, false)]);
        assert_eq!(pids(&["process.pid != 1"], &[1, 2], false), [(1, true), (2, true), (1, false)]);
        assert_eq!(
            pids(&["process.pid != 1", "process.pid == 1"], &[], false),
            [(1, true), (1, false)]
        );
        // Children that are followed have the keys to themselves.
        assert_eq!(pids(&["process.pid == 1"], &[4], true), [(4, true)]);
    }
}

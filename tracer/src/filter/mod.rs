//! Which calls are wanted: by event, process, thread, parent, user, name,
//! executable, cgroup and container, and by conditions on any field ([`expr`]).
//!
//! Several values of one option are alternatives; several options must all hold;
//! a negated value excludes. Conditions must all hold. What the kernel can decide is decided there
//! ([`pushdown`]); the rest is decided here, on the decoded event.

pub mod expr;
pub mod pushdown;

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, sync::Arc};

use globset::{GlobBuilder, GlobMatcher};

use crate::{
    event::Event,
    process::{is_hex, is_id},
};
use expr::Conjunct;

/// One value of an option, perhaps negated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term<T> {
    /// Written with a leading `!`.
    pub negated: bool,
    /// The value.
    pub value: T,
}

/// A name, or a glob over names.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// These bytes.
    Exact(Vec<u8>),
    /// What the glob matches.
    Glob(Arc<GlobMatcher>),
}

impl Pattern {
    /// A glob with `* ? [ ] { }` and `\`, or, without any of them, a plain name.
    ///
    /// # Errors
    /// What is wrong with the glob.
    pub fn new(text: &str) -> Result<Self, globset::Error> {
        if !text.contains(['*', '?', '[', ']', '{', '}', '\\']) {
            return Ok(Self::Exact(text.into()));
        }
        let glob = GlobBuilder::new(text).literal_separator(false).build()?;
        Ok(Self::Glob(Arc::new(glob.compile_matcher())))
    }

    /// Whether it matches a name.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Exact(name) => name == bytes,
            Self::Glob(glob) => glob.is_match(OsStr::from_bytes(bytes)),
        }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(a), Self::Exact(b)) => a == b,
            (Self::Glob(a), Self::Glob(b)) => a.glob() == b.glob(),
            _ => false,
        }
    }
}

/// All selecting options but the events.
#[derive(Clone, Debug, Default)]
pub struct Criteria {
    /// `--pid`
    pub pids: Vec<Term<u32>>,
    /// `--tid`
    pub tids: Vec<Term<u32>>,
    /// `--ppid`
    pub ppids: Vec<Term<u32>>,
    /// `--uid`
    pub uids: Vec<Term<u32>>,
    /// `--comm`
    pub comms: Vec<Term<Pattern>>,
    /// `--exe`
    pub exes: Vec<Term<Pattern>>,
    /// `--cgroup`, as ids
    pub cgroups: Vec<Term<u64>>,
    /// `--container`
    pub containers: Vec<Term<String>>,
    /// `--filter`
    pub conditions: Vec<Conjunct>,
}

impl Criteria {
    /// Whether a decoded event is wanted.
    ///
    /// What is unknown of an event (an executable that could no longer be looked
    /// up) excludes nothing: better one event too many than one too few.
    pub fn matches(&self, event: &Event) -> bool {
        let process = &event.process;
        let bytes = |terms: &[Term<Pattern>], bytes: Option<&[u8]>| {
            bytes.is_none_or(|bytes| passes(terms, |pattern| pattern.matches(bytes)))
        };
        passes(&self.pids, |pid| *pid == process.pid)
            && passes(&self.tids, |tid| *tid == process.tid)
            && process.ppid.is_none_or(|ppid| passes(&self.ppids, |wanted| *wanted == ppid))
            && passes(&self.uids, |uid| *uid == process.uid)
            && passes(&self.cgroups, |id| *id == process.cgroup.id)
            && (event.missing.contains_key("process.container")
                || passes(&self.containers, |wanted| {
                    process.container.as_ref().is_some_and(|found| is_called(&found.id, wanted))
                }))
            && bytes(&self.comms, process.comm.bytes.as_deref())
            && bytes(&self.exes, process.exe.bytes.as_deref())
            && self.conditions.iter().all(|conjunct| conjunct.condition.holds(event))
    }

    /// Whether nothing is filtered.
    pub fn is_empty(&self) -> bool {
        self.pids.is_empty()
            && self.tids.is_empty()
            && self.ppids.is_empty()
            && self.uids.is_empty()
            && self.comms.is_empty()
            && self.exes.is_empty()
            && self.cgroups.is_empty()
            && self.containers.is_empty()
            && self.conditions.is_empty()
    }
}

/// Digits that a container's id must be given by at least; runtimes show as many.
const SHORT_ID: usize = 12;

/// Whether a container is meant: by its id or name, or by the beginning of its id.
fn is_called(id: &str, wanted: &str) -> bool {
    let short = wanted.len() >= SHORT_ID && is_hex(wanted) && is_id(id);
    id == wanted || (short && id.starts_with(wanted))
}

/// Whether one option's values let something pass.
fn passes<T>(terms: &[Term<T>], matches: impl Fn(&T) -> bool) -> bool {
    let mut wanted = terms.iter().all(|term| term.negated);
    for term in terms {
        if matches(&term.value) {
            if term.negated {
                return false;
            }
            wanted = true;
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(values: &[(bool, u32)]) -> Vec<Term<u32>> {
        values.iter().map(|(negated, value)| Term { negated: *negated, value: *value }).collect()
    }

    #[test]
    fn values_are_alternatives_and_negations_exclude() {
        for (values, passing, failing) in [
            (terms(&[]), vec![1, 2], vec![]),
            (terms(&[(false, 1), (false, 2)]), vec![1, 2], vec![3]),
            (terms(&[(true, 1)]), vec![2, 3], vec![1]),
            (terms(&[(false, 1), (false, 2), (true, 2)]), vec![1], vec![2, 3]),
        ] {
            for value in passing {
                assert!(passes(&values, |wanted| *wanted == value), "{values:?} {value}");
            }
            for value in failing {
                assert!(!passes(&values, |wanted| *wanted == value), "{values:?} {value}");
            }
        }
    }

    #[test]
    fn containers_are_known_by_name_and_by_the_beginning_of_their_id() {
        let id = "0123456789abcdef".repeat(4);
        for wanted in [id.as_str(), &id[..12], &id[..40]] {
            assert!(is_called(&id, wanted), "{wanted}");
        }
        for wanted in ["0123456789a", "0123456789AB", "123456789abcd", "0123456789abx", ""] {
            assert!(!is_called(&id, wanted), "{wanted}");
        }
        assert!(is_called("debian", "debian"));
        // A name is a name, even one that looks like the beginning of an id.
        assert!(is_called("0123456789ab", "0123456789ab"));
        assert!(!is_called("0123456789abcdef", "0123456789ab"));
        assert!(!is_called("debian", "deb"));
    }

    #[test]
    fn globs_match_bytes_that_are_no_text() {
        let glob = Pattern::new("ab*").unwrap();
        assert!(glob.matches(b"ab\xff\n"));
        assert!(!glob.matches(b"xab"));
        assert!(Pattern::new("/usr/*").unwrap().matches(b"/usr/sbin/chronyd"));
        assert!(Pattern::new("plain").unwrap().matches(b"plain"));
    }
}

//! Holds every call of strace's against exactly one event.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Both;
use super::known;
use super::log::{self, Call};
use super::told;
use crate::compare::{Difference, differences};

/// What a comparison showed.
#[derive(Debug, Default)]
pub struct Met {
    /// Calls that both saw.
    pub calls: usize,
    /// How often each field was compared; lists without their indices.
    pub compared: BTreeMap<String, u64>,
    /// How often each row of [`known::TABLE`] was met.
    pub known: BTreeMap<&'static str, u64>,
}

impl Met {
    /// Adds what another comparison showed.
    pub fn add(&mut self, other: Self) {
        self.calls += other.calls;
        for (field, count) in other.compared {
            *self.compared.entry(field).or_default() += count;
        }
        for (row, count) in other.known {
            *self.known.entry(row).or_default() += count;
        }
    }
}

/// Compares a run, thread by thread in the order of returns. Panics with every
/// difference that has no reason.
pub fn compare(what: &str, both: &Both) -> Met {
    let calls = log::calls(&both.log).unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut events = BTreeMap::<u64, Vec<&Value>>::new();
    for event in &both.stream.events {
        let tid = event["process"]["tid"].as_u64().expect("a thread's id");
        events.entry(tid).or_default().push(event);
    }
    let mut events: BTreeMap<_, _> =
        events.into_iter().map(|(tid, events)| (tid, events.into_iter())).collect();
    let mut met = Met::default();
    let mut wrong = String::new();
    for call in &calls {
        let told = told::tell(call).unwrap_or_else(|error| panic!("{what}: {error}: {call:?}"));
        let Some(told) = told else { continue };
        let event = events.get_mut(&u64::from(call.tid)).and_then(Iterator::next);
        let event = event.unwrap_or_else(|| panic!("{what}: no event of {}", told.truth));
        met.calls += 1;
        told.untold.iter().for_each(|row| *met.known.entry(row).or_default() += 1);
        leaves(String::new(), &told.truth, &mut met.compared);
        let (mut rows, mut unknown) = (BTreeSet::new(), Vec::new());
        for difference in differences(&told.truth, event) {
            match known::explain(event, &difference) {
                Some(row) => _ = rows.insert(row),
                None => unknown.push(difference),
            }
        }
        rows.into_iter().for_each(|row| *met.known.entry(row).or_default() += 1);
        if !unknown.is_empty() {
            wrong += &report(call, &told.truth, event, &unknown);
        }
    }
    assert!(wrong.is_empty(), "{what}: strace and the tracer differ:{wrong}");
    for (tid, rest) in events {
        let rest: Vec<_> = rest.map(Value::to_string).collect();
        assert!(rest.is_empty(), "{what}: strace saw no such call of thread {tid}: {rest:#?}");
    }
    met
}

fn report(call: &Call, truth: &Value, event: &Value, unknown: &[Difference]) -> String {
    let mut text = String::new();
    for Difference { path, expected, got } in unknown {
        text += &format!("\n  {path}\n    strace {expected}\n    tracer {got}");
    }
    let restarts = call.restarts;
    format!("{text}\n  strace ({restarts} restarts) {truth}\n  tracer {event}")
}

/// Counts the fields that a truth has.
fn leaves(path: String, value: &Value, counts: &mut BTreeMap<String, u64>) {
    match value {
        Value::Object(fields) if !fields.keys().any(|key| key == "min" || key.starts_with('$')) => {
            for (key, value) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaves(path, value, counts);
            }
        }
        Value::Array(list) if list.iter().any(Value::is_object) => {
            list.iter().for_each(|value| leaves(format!("{path}[]"), value, counts));
        }
        _ => *counts.entry(path).or_default() += 1,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::stream::Stream;

    const LOG: &str = "7 [ 299] recvmmsg(4, 0x40, 3, 0x40 /* MSG_DONTWAIT */, NULL) = \
                       -1 EAGAIN (Resource temporarily unavailable)\n";

    fn event(vlen: u32) -> Value {
        json!({"syscall": {"nr": 299}, "process": {"tid": 7}, "ret": -11,
               "error": {"name": "EAGAIN", "errno": 11},
               "args": {"sockfd": {"value": 4}, "msgvec": {"value": "0x40"},
                        "vlen": {"value": vlen},
                        "flags": {"value": 64, "names": ["MSG_DONTWAIT"]},
                        "timeout": {"value": null}}})
    }

    fn both(events: Vec<Value>) -> Both {
        Both { log: LOG.to_owned(), stream: Stream { events, ..Stream::default() } }
    }

    #[test]
    fn the_same_call() {
        let met = compare("the same", &both(vec![event(3)]));
        assert_eq!((met.calls, met.compared["args.vlen.value"]), (1, 1));
        assert_eq!(met.known.keys().copied().collect::<Vec<_>>(), ["failed-call"]);
    }

    #[test]
    #[should_panic(expected = "args.vlen.value\n    strace 3\n    tracer 4")]
    fn another_value() {
        compare("another", &both(vec![event(4)]));
    }

    #[test]
    #[should_panic(expected = "no event of")]
    fn a_call_that_the_tracer_did_not_see() {
        compare("none", &both(vec![]));
    }

    #[test]
    #[should_panic(expected = "strace saw no such call of thread 7")]
    fn a_call_that_strace_did_not_see() {
        compare("two", &both(vec![event(3), event(3)]));
    }
}

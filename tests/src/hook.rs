//! The hook that the tests run with: the environment variable `TRACER_TEST_HOOK`, or
//! the one that the tracer takes by itself. What a hook sees is the same but for
//! what is said here.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::workload::truth::absent;
use crate::{child, tracer};

/// The hook that was asked for.
fn asked_for() -> Option<String> {
    std::env::var("TRACER_TEST_HOOK").ok()
}

/// The hook of a tracer that is started with [`options`].
fn in_use() -> &'static str {
    static HOOK: OnceLock<String> = OnceLock::new();
    HOOK.get_or_init(|| {
        asked_for().unwrap_or_else(|| {
            let report = tracer::run(&["doctor", "-o", "json"]).stdout;
            let report: Value = serde_json::from_str(&report).expect("a report in JSON");
            report["hook"].as_str().unwrap_or_else(|| panic!("no hook in {report}")).to_owned()
        })
    })
}

/// The tracer's options for it.
pub fn options() -> Vec<String> {
    asked_for().map_or_else(Vec::new, |hook| vec!["--hook".to_owned(), hook])
}

/// Whether the programs are on the syscalls' entry functions (fentry, kprobe). They
/// do not see calls that were under way when they were attached, nor numbers for
/// which the kernel has no function (x32); and the timeout is the kernel's own copy.
pub fn on_functions() -> bool {
    is_on_functions(in_use())
}

fn is_on_functions(hook: &str) -> bool {
    matches!(hook, "fentry" | "kprobe")
}

/// Why calls by `int $0x80` can't be traced here; None where they can.
pub fn no_int80(workload: &str) -> Option<&'static str> {
    if in_use() == "tracepoint" {
        return Some("the syscalls' tracepoints do not fire for 32-bit calls");
    }
    let works = child::run(workload, &["probe-int80"]).status.success();
    (!works).then_some("this kernel has no int $0x80")
}

/// Whether the kernel may miss returns: it keeps room for those of few calls at the same
/// time, ten or two for each CPU, and before Linux 5.13 one for each CPU.
pub fn misses_returns() -> bool {
    in_use() == "kprobe"
}

/// Where the kernel may miss returns, the truth without what only they tell, for calls
/// whose events say that theirs was missed; returns how many.
pub fn forget_missed_returns(truth: &mut [Value], events: &[Value]) -> usize {
    if !misses_returns() {
        return 0;
    }
    let mut threads = BTreeMap::<Option<u64>, Vec<&Value>>::new();
    let tid = |call: &Value| call["process"]["tid"].as_u64();
    // A thread's events are in the order of its calls.
    events.iter().rev().for_each(|event| threads.entry(tid(event)).or_default().push(event));
    let mut missed = 0;
    for call in truth {
        let event = threads.get_mut(&tid(call)).and_then(Vec::pop);
        if event.is_some_and(|event| event["missing"]["ret"] == "not_captured") {
            missed += 1;
            for field in ["ret", "error", "latency_ns"] {
                call[field] = Value::Null;
            }
            let gone = "not_captured";
            call["missing"] = json!({"ret": gone, "latency_ns": gone, "socket": gone});
            call["socket"] = Value::Null;
            call["findings"] = json!([]);
            call["args"]["timeout"]["remaining"] = absent();
            call["messages"] = absent();
        }
    }
    missed
}

/// What a call must look like with a hook, or with the one in use, for a tracer that says
/// that it captures these copies of the kernel's own.
///
/// `$with` beside an event's fields says what is different with each of them, and with
/// `timeout`, the kernel's own timeout. Fields of objects, and elements of lists by their
/// number, are changed one by one; those of `$all` as a whole.
pub fn adapted(call: &Value, hook: Option<&str>, copies: &[&str]) -> Value {
    let on_functions = is_on_functions(hook.unwrap_or_else(|| in_use()));
    let mut call = call.clone();
    let with = call.as_object_mut().and_then(|call| call.remove("$with"));
    for source in on_functions.then_some("timeout").iter().chain(copies) {
        if let Some(patch) = with.as_ref().and_then(|with| with.get(source)) {
            change(&mut call, patch);
        }
    }
    let copy = call.as_object_mut().and_then(|call| call.remove("$kernel_copy"));
    call.as_object_mut().map(|call| call.remove("$seen"));
    if let Some(copy) = copy.filter(|_| on_functions) {
        call["args"]["timeout"]["requested"] = copy;
        call["missing"] = json!({});
    }
    let received = call["ret"].as_i64().is_some_and(|ret| ret > 0);
    // Where the beginning is not known, the kernel's copy is not either.
    let began = !call["time"].is_null();
    let Some(timeout) = call.pointer_mut("/args/timeout") else { return call };
    if on_functions && began && timeout["value"].is_string() {
        let kernel = json!(["K", "OPT"]);
        // A call may fail before it comes to the function with the timeout.
        timeout["tags"] =
            if received { kernel } else { json!({"$one_of": [kernel, ["U", "TOCTOU", "OPT"]]}) };
    }
    call
}

/// Changes what a patch of `$with` says.
fn change(value: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *value = patch.clone();
        return;
    };
    for (key, patch) in fields {
        match (key.as_str(), key.parse::<usize>()) {
            ("$all", _) => {
                let all = patch.as_object().expect("fields");
                all.iter().for_each(|(key, whole)| value[key] = whole.clone());
            }
            (_, Ok(i)) => change(&mut value[i], patch),
            _ => change(&mut value[key], patch),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_some_sources() {
        let call = json!({
            "a": [1, {"b": 2}], "args": {"timeout": {}}, "c": {"d": 3},
            "$with": {"one": {"a": {"1": {"b": 4, "e": {"f": 5}}}}, "two": {"$all": {"c": null}}},
        });
        let seen = |copies: &[&str]| {
            let mut call = adapted(&call, Some("raw-tracepoint"), copies);
            call.as_object_mut().expect("an object").remove("args");
            call
        };
        let one = json!([1, {"b": 4, "e": {"f": 5}}]);
        assert_eq!(seen(&[]), json!({"a": [1, {"b": 2}], "c": {"d": 3}}));
        assert_eq!(seen(&["one"]), json!({"a": one, "c": {"d": 3}}));
        assert_eq!(seen(&["one", "two"]), json!({"a": one, "c": null}));
    }
}

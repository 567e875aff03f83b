//! The queries of the recipe for DuckDB, out of its text, over traced calls: what they
//! count is what the workload counted.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::child::Running;
use tests::far::ended;
use tests::skip::{require_root_bpf, skip};
use tests::stream::count;
use tests::tools;
use tests::tracer::{Attached, Waiting};

use crate::{WORKLOAD, recipe};

/// Calls of which more are made than the buffer holds.
const FLOOD: u64 = 20_000;

/// Traces a scenario into both files; a tracer that is stopped meanwhile loses calls.
fn trace(folder: &Path, stopped: bool, scenario: &[&str]) -> Vec<Value> {
    let waiting = Waiting::start(WORKLOAD, scenario);
    let json =
        format!("json=file:{}?size=100K&compress=gzip", folder.join("events.json").display());
    let ecs = format!("ecs=file:{}", folder.join("ecs.json").display());
    let buffer = if stopped { "64K" } else { "16M" };
    let own = ["--buffer", buffer, "--pid", &waiting.pid()];
    let attached = Attached::start(&[&own[..], &["-w", &json, "-w", &ecs]].concat());
    if stopped {
        attached.tracer.signal(libc::SIGSTOP);
    }
    let truth = waiting.go();
    attached.tracer.signal(libc::SIGCONT);
    ended(attached, 0);
    truth
}

#[test]
fn queries_count_what_was_called() {
    let group = "recipes duckdb";
    if !require_root_bpf(group) {
        return;
    }
    let Some(python) = tools::python("duckdb") else {
        return skip(group, "no duckdb: `cargo xtask setup` fetches it where it can");
    };
    let folder = TempDir::new().expect("a temporary folder");
    let mut truth = trace(folder.path(), false, &["mixed", "--count", "300", "--threads", "2"]);
    let mixed = truth.len() as u64;
    truth.extend(trace(folder.path(), false, &["vlen", "--vlen", "50"]));
    let batches = truth.len() as u64;
    truth.extend(trace(folder.path(), false, &["fit"]));
    let told = truth.len() as u64;
    trace(folder.path(), true, &["flood", "--count", &FLOOD.to_string()]);

    let text = recipe("duckdb/README.md", &[]);
    let blocks = text.split("```sql\n").skip(1);
    let queries: Vec<_> = blocks.map(|block| block.split("```").next().expect("SQL")).collect();
    assert_eq!(queries.len(), 6, "{queries:#?}");
    let mut command = Command::new(python);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recipes/queries.py");
    command.arg(script).args(&queries).current_dir(&folder);
    let finished = Running::start(command).finish();
    finished.expect_code(0);
    let said: Vec<Vec<Value>> = serde_json::from_str(&finished.stdout).expect("what was said");

    let runs = &said[1];
    assert_eq!(runs.len(), 4, "{runs:?}");
    let lost = count(&runs[3], "lost");
    assert!(lost > 0, "{runs:?}");
    let events = [mixed, batches - mixed, told - batches, FLOOD - lost];
    for (run, events) in runs.iter().zip(events) {
        assert_eq!((count(run, "events"), count(run, "emitted")), (events, events), "{run}");
        assert_eq!(count(run, "missing"), 0, "what the ring lost has no number: {run}");
    }
    assert!(runs[..3].iter().all(|run| run["lost"] == 0), "{runs:?}");

    let batched = truth.iter().filter(|call| call["ret"].as_i64() > Some(0));
    let (mut calls, mut got, mut asked) = (0, 0, 0);
    for call in batched {
        (calls, got) = (calls + 1, got + count(call, "ret"));
        asked += count(&call["args"]["vlen"], "value");
    }
    assert!(got < asked, "one batch is not full");
    let fill = json!([{"comm": "workload", "calls": calls,
                       "messages": got as f64 / calls as f64, "fill": got as f64 / asked as f64}]);
    assert_eq!(json!(said[2]), fill);

    let took = said[3].iter().map(|row| {
        let number = |name: &str| row[name].as_f64().unwrap_or_else(|| panic!("{name} of {row}"));
        assert!(0.0 < number("median") && number("median") <= number("p99"), "{row}");
        assert!(number("p99") <= number("longest"), "{row}");
        (row["received"].as_bool().expect("a boolean"), count(row, "calls"))
    });
    let empty = told - calls + FLOOD - lost;
    assert_eq!(took.collect::<BTreeMap<_, _>>(), [(false, empty), (true, calls)].into());

    let found: u64 = said[4].iter().map(|row| count(row, "calls")).sum();
    let told = truth.iter().map(|call| call["findings"].as_array().expect("a list").len() as u64);
    assert_eq!(found, told.sum::<u64>());
    assert!(found > 0, "some are provoked");

    for (own, ecs) in said[1].iter().zip(&said[5]) {
        for field in ["run_id", "events", "lost"] {
            assert_eq!(own[field], ecs[field], "{own} and {ecs}");
        }
    }
    assert_eq!(said[5].len(), 4, "{:?}", said[5]);
    println!("{runs:?}");
}

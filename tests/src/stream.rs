//! What the tracer wrote: lines of JSON, events and health records, and what must
//! hold of every such stream.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::compare::assert_matches;
use crate::{hook, schema};

/// A stream, from the start record to the end record, or some of its events.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// Every line.
    pub lines: Vec<Value>,
    /// The events among them.
    pub events: Vec<Value>,
    /// The health records among them.
    pub health: Vec<Value>,
    /// These are events of some processes out of a shared tracer's stream.
    pub is_part: bool,
}

impl Stream {
    /// Reads lines of JSON, all of which must be events or health records.
    pub fn parse(text: &str) -> Self {
        assert!(text.is_empty() || text.ends_with('\n'), "the last line is cut: {text}");
        let mut stream = Self::default();
        for line in text.lines() {
            let value: Value = serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("no line of JSON ({error}): {line}"));
            schema::assert_valid(&value);
            if value["schema"] == "tracer.event/1" {
                check_process(&value);
                stream.events.push(value.clone());
            } else {
                stream.health.push(value.clone());
            }
            stream.lines.push(value);
        }
        stream
    }

    /// Reads lines of JSON that were taken out of a stream.
    pub fn part(text: &str) -> Self {
        Self { is_part: true, ..Self::parse(text) }
    }

    /// The events without their place in the stream, and without what was looked up, which
    /// no record holds.
    pub fn recorded(&self) -> Vec<Value> {
        let mut events = self.events.clone();
        for event in &mut events {
            let fields = event.as_object_mut().expect("an object");
            fields.remove("seq");
            fields.remove("run_id");
            event["process"].as_object_mut().expect("an object").remove("container");
            event["process"]["cgroup"].as_object_mut().expect("an object").remove("path");
            let missing = event["missing"].as_object_mut().expect("an object");
            let looked_up = ["process.cgroup.path", "process.container"];
            missing.retain(|path, _| !looked_up.contains(&path.as_str()));
        }
        events
    }

    /// The last health record.
    pub fn end(&self) -> &Value {
        let end = self.health.last().expect("a health record");
        assert_eq!(end["kind"], "end", "the last health record: {end}");
        end
    }

    /// The hook that it says it is from; a part of a stream does not say.
    pub fn hook(&self) -> Option<&str> {
        self.health.first().and_then(|record| record["hook"].as_str())
    }

    /// What it says it captures of the kernel's own copies.
    pub fn copies(&self) -> Vec<&str> {
        let copies = self.health.first().and_then(|record| record["kernel_copies"].as_array());
        copies.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// A count of the end record.
    pub fn total(&self, field: &str) -> u64 {
        count(self.end(), field)
    }

    /// Events lost, of the end record.
    pub fn lost(&self) -> u64 {
        count(&self.end()["lost"], "total")
    }

    /// Checks the numbering, the first and the last record, and that the totals add
    /// up and agree with what is in the stream.
    pub fn check(&self) {
        assert_eq!(self.check_but_gaps(), 0, "lines are missing: {}", self.end());
    }

    /// The same, but that lines may be missing; how many.
    pub fn check_but_gaps(&self) -> u64 {
        let first = self.lines.first().expect("a stream is never empty");
        assert_eq!(first["schema"], "tracer.health/1", "the first line: {first}");
        assert_eq!(first["kind"], "start", "the first line: {first}");
        let last = self.lines.last().expect("a stream is never empty");
        assert_eq!(last, self.end(), "the last line");
        let mut gaps = 0;
        for pair in self.lines.windows(2) {
            let (one, next) = (count(&pair[0], "seq"), count(&pair[1], "seq"));
            assert!(next > one, "seq from {} to {}", pair[0], pair[1]);
            gaps += next - one - 1;
        }
        for (i, record) in self.health.iter().enumerate() {
            check_health(record);
            let kind = match i {
                0 => "start",
                _ if i + 1 == self.health.len() => "end",
                _ => "loss",
            };
            assert_eq!(record["kind"], kind, "health record {i} of {}", self.health.len());
        }
        let emitted = self.events.len() as u64;
        assert_eq!(self.total("emitted"), emitted, "events in the stream, and {}", self.end());
        let losses: u64 = self
            .health
            .iter()
            .filter(|record| record["kind"] == "loss")
            .map(|record| count(&record["lost"], "total"))
            .sum();
        assert!(losses <= self.lost(), "{losses} lost by loss records, then {}", self.end());
        self.check_cpus();
        gaps
    }

    /// What the end record says of each CPU is what is in the stream, and adds up.
    fn check_cpus(&self) {
        let mut events = BTreeMap::<u64, u64>::new();
        for event in &self.events {
            *events.entry(count(event, "cpu")).or_default() += 1;
        }
        let cpus = self.end()["by_cpu"].as_array().expect("a list of CPUs");
        let told: BTreeMap<_, _> = cpus
            .iter()
            .map(|cpu| (count(cpu, "cpu"), count(cpu, "emitted")))
            .filter(|(_, emitted)| *emitted > 0)
            .collect();
        assert_eq!(told, events, "emitted by each CPU, and events; {}", self.end());
        let lost = &self.end()["lost"];
        let nowhere = ["missed", "malformed"]
            .map(|cause| lost[cause].as_u64().unwrap_or(0))
            .iter()
            .sum::<u64>();
        let seen: u64 = cpus.iter().map(|cpu| count(cpu, "seen")).sum();
        assert_eq!(seen + nowhere, self.total("seen"), "seen by each CPU; {}", self.end());
    }

    /// Compares every call of the truth with exactly one event, thread by thread in
    /// the order of their returns, and accepts no other event.
    pub fn assert_exactly(&self, truth: &[Value]) {
        let by_thread = |values: &[Value]| {
            let mut threads = BTreeMap::<u64, Vec<Value>>::new();
            for value in values {
                let tid = count(&value["process"], "tid");
                threads.entry(tid).or_default().push(value.clone());
            }
            threads
        };
        let (truths, events) = (by_thread(truth), by_thread(&self.events));
        let counts = |threads: &BTreeMap<u64, Vec<Value>>| -> BTreeMap<u64, usize> {
            threads.iter().map(|(tid, values)| (*tid, values.len())).collect()
        };
        assert_eq!(
            counts(&truths),
            counts(&events),
            "calls made (left) and events (right) by thread; {}; events:\n{}",
            self.health.last().map(Value::to_string).unwrap_or_default(),
            self.events.iter().map(|event| format!("  {event}\n")).collect::<String>()
        );
        for (tid, truths) in truths {
            for (truth, event) in truths.iter().zip(&events[&tid]) {
                assert_matches(&hook::adapted(truth, self.hook(), &self.copies()), event);
            }
        }
    }
}

/// An unsigned field.
pub fn count(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_else(|| panic!("no count {field} in {value}"))
}

/// What is null of a process is named; what else holds of every event, the schema says.
fn check_process(event: &Value) {
    let missing = event["missing"].as_object().unwrap_or_else(|| panic!("missing of {event}"));
    let process = event["process"].as_object().unwrap_or_else(|| panic!("process of {event}"));
    for (field, value) in process {
        let named = missing.keys().any(|path| path.contains(field) || path == "process");
        let may = field == "container" || named;
        assert!(!value.is_null() || may, "process.{field} is null in silence: {event}");
    }
    check_cgroup(event, missing);
}

/// The cgroup's path, and the container that it tells of; that is null where there is
/// none.
fn check_cgroup(event: &Value, missing: &Map<String, Value>) {
    let process = &event["process"];
    let is_missing = |field: &str| missing.contains_key(&format!("process.{field}"));
    let path = &process["cgroup"]["path"];
    assert_eq!(path.is_null(), is_missing("cgroup.path"), "process.cgroup.path of {event}");
    let whole = path.as_str().is_none_or(|path| path.starts_with('/'));
    assert!(whole, "process.cgroup.path of {event}");
    let container = &process["container"];
    assert!(container.is_null() || !is_missing("container"), "process.container of {event}");
    if container.is_object() {
        let silent = is_missing("container.runtime");
        assert_eq!(container["runtime"].is_null(), silent, "container.runtime of {event}");
    }
}

/// How the numbers of a health record belong together.
fn check_health(record: &Value) {
    check_lost(&record["lost"]);
    let (seen, emitted) = (count(record, "seen"), count(record, "emitted"));
    let (filtered, lost) = (count(record, "filtered"), count(&record["lost"], "total"));
    assert_eq!(seen, emitted + filtered + lost, "seen = emitted + filtered + lost: {record}");
    let cpus = record["by_cpu"].as_array().unwrap_or_else(|| panic!("by_cpu of {record}"));
    let mut by_cpu = 0;
    for cpu in cpus {
        check_lost(&cpu["lost"]);
        let parts = count(cpu, "emitted") + count(cpu, "filtered") + count(&cpu["lost"], "total");
        assert_eq!(count(cpu, "seen"), parts, "seen = emitted + filtered + lost: {record}");
        by_cpu += count(&cpu["lost"], "total");
    }
    assert!(by_cpu <= lost, "more lost on the CPUs than in total: {record}");
}

/// The total is the sum of the causes beside it.
fn check_lost(lost: &Value) {
    let causes = lost.as_object().unwrap_or_else(|| panic!("lost: {lost}"));
    let sum: u64 = causes
        .iter()
        .filter(|(cause, _)| *cause != "total")
        .map(|(_, n)| n.as_u64().unwrap_or(0))
        .sum();
    assert_eq!(count(lost, "total"), sum, "the sum of the causes: {lost}");
}

//! What kernels before 5.17 get, tried on this one: loops that are walked by the
//! verifier, and steps that are functions of their own.

use tempfile::TempDir;
use tests::compare::assert_matches;
use tests::schema;
use tests::skip::require_root_bpf;
use tests::tracer::read_truth;
use tests::workload::truth::Recorder;
use tests::workload::{Context, detail, options};
use tracer::decode::{Clock, decode};
use tracer::source::{KernelFilters, Live, Options, Shape};
use tracer::{encode::json, record};
use tracer_common::detail::Detail;
use tracer_common::record::{MAX_MESSAGES_UNROLLED, RecordKind};
use tracer_common::registry::EVENTS;

#[test]
fn messages_in_full() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    // SAFETY: no memory is passed.
    let tid = unsafe { libc::gettid() } as u32;
    let options = Options {
        events: EVENTS.iter().filter(|event| event.name == "recvmmsg").collect(),
        messages: MAX_MESSAGES_UNROLLED,
        detail: Detail::full(detail::PAYLOAD as u32),
        rings: Shape { count: 1, size: 1 << 20 },
        filters: KernelFilters { tids: vec![(tid, true)], ..KernelFilters::default() },
        unrolled: true,
        talkative: false,
    };
    let (mut live, _) = Live::attached(&options, None).unwrap_or_else(|error| panic!("{error}"));
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("truth");
    let scenario = ["detail".to_owned()].into_iter();
    let context = Context {
        options: options::Options::parse(scenario).expect("options"),
        recorder: Recorder::new(Some(&path)),
    };
    for scenario in [detail::buffers::native, detail::control::native, detail::unix::native] {
        scenario(&context);
    }
    let mut events = Vec::new();
    live.drain(|bytes| {
        let record = record::parse(bytes).unwrap_or_else(|error| panic!("{error}"));
        if record.kind == RecordKind::Image {
            return true;
        }
        let mut line = Vec::new();
        json::line(&decode(&record, &Clock::now()), &mut line).expect("JSON");
        let event = serde_json::from_slice(&line).expect("JSON");
        schema::assert_valid(&event);
        events.push(event);
        true
    });
    let truth = read_truth(&path);
    assert_eq!(events.len(), truth.len());
    for (mut truth, event) in truth.into_iter().zip(events) {
        for field in ["messages", "truncated"] {
            assert_matches(&truth[field], &event[field]);
        }
        // The executable is the pipeline's affair.
        if truth["missing"].as_object().is_some_and(|missing| !missing.is_empty()) {
            assert_matches(&truth["missing"].take(), &event["missing"]);
        }
    }
}

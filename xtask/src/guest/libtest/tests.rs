//! What guests say, in pieces.

use super::*;

fn read(text: &str) -> Results {
    let mut results = Results::default();
    for line in text.lines() {
        results.line(line);
    }
    results
}

fn names(results: &Results) -> Vec<(&str, &Verdict)> {
    results.tests.iter().map(|test| (test.name.as_str(), &test.verdict)).collect()
}

const FAILING: &str = "@guest up 6.1.0-56-cloud-amd64 1.90\r
@guest section kprobe\r
@guest attached kprobe 1.2\r
@guest suite kprobe\r

running 3 tests\r
test udp::one ... ok\r
test udp::two has been running for over 60 seconds\r
test udp::three ... ignored, no IPv6\r
test udp::two ... FAILED\r

failures:\r

---- udp::two stdout ----\r
the event is not what happened:\r

  time\r


failures:\r
    udp::two\r

test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 4 filtered out; finished in 1s\r

@guest ended kprobe exit 101\r
@guest skip kprobe SKIP native::calls: no reason\r

@guest stopped kprobe exit 0\r
@guest tainted 0\r
@guest done\r
";

#[test]
fn a_suite_with_a_failure() {
    let results = read(FAILING);
    let ignored = Verdict::Ignored("no IPv6".to_owned());
    assert_eq!(
        names(&results),
        [
            ("kprobe::udp::one", &Verdict::Ok),
            ("kprobe::udp::three", &ignored),
            ("kprobe::udp::two", &Verdict::Failed)
        ]
    );
    assert_eq!(results.outputs.len(), 1);
    assert_eq!(results.outputs[0].0, "kprobe::udp::two");
    assert!(results.outputs[0].1.starts_with("the event is not what happened:\n\n  time\n"));
    assert!(results.done && results.tainted == Some(0) && results.running().is_none());
    let skip = ("kprobe".to_owned(), "SKIP native::calls: no reason".to_owned());
    assert_eq!(results.skips, [skip]);
    assert_eq!(
        results.closing(Duration::from_millis(1500)),
        "test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 4 filtered out; \
         finished in 1.50s"
    );
}

#[test]
fn suites_that_do_not_end_by_themselves() {
    let start = "@guest section a\n@guest suite a\n";
    let killed = read(&format!("{start}test x ... ok\nhalf a li\n\n@guest ended a deadline 90\n"));
    assert_eq!(names(&killed), [("a::x", &Verdict::Ok), ("a::suite", &Verdict::Failed)]);
    let expected = "the suite still running after 90 s, killed; it said:\nhalf a li";
    assert_eq!(killed.outputs, [("a::suite".to_owned(), expected.to_owned())]);
    for how in ["signal 11", "exit 0", "error no such file"] {
        let ended = read(&format!("{start}@guest ended a {how}\n"));
        assert_eq!(names(&ended), [("a::suite", &Verdict::Failed)], "{how}");
    }
    assert_eq!(read(&format!("{start}test x ... ok\n")).running(), Some("a"));
}

#[test]
fn a_section_that_is_called_as_its_module() {
    let results = read("@guest section options\n@guest suite options\ntest options::x ... ok\n");
    assert_eq!(names(&results), [("options::x", &Verdict::Ok)]);
}

#[test]
fn tracers_that_do_not_run() {
    let refused = read("@guest section a\ntracer: no BTF\n\n@guest refused a exit 3\n");
    let said = "tracer: no BTF\n(the tracer: exit 3)".to_owned();
    assert_eq!(refused.refused, [("a".to_owned(), said)]);
    assert!(refused.tests.is_empty());
    let died = read("@guest section a\noh\n\n@guest stopped a early exit 1\n");
    assert_eq!(names(&died), [("a::tracer", &Verdict::Failed)]);
    assert!(died.outputs[0].1.ends_with("early exit 1; it said:\noh"), "{died:?}");
}

#[test]
fn verified_instructions_among_other_lines() {
    let results = read("@guest suite a\ntest x ... @verified kprobe enter - 412\n");
    assert_eq!(results.verified.len(), 1);
    assert_eq!(results.verified[0].count, Some(412));
}

#[test]
fn lines_that_only_look_like_results() {
    for line in ["test x ... okay", "test x", "tests x ... ok", "test result: ok"] {
        assert_eq!(test_line(line), None, "{line}");
    }
    assert_eq!(test_line("test a::b - should panic ... ok"), Some(("a::b", Verdict::Ok)));
}

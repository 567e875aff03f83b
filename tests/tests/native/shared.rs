//! What must hold of a shared tracer's stream as a whole, once it has ended.

use tests::shared;
use tests::stream::Stream;

#[test]
#[ignore = "run after a shared tracer's end, with TRACER_TEST_SHARED"]
fn the_stream_is_sound() {
    let path = shared::file().expect("TRACER_TEST_SHARED, the file of a tracer that has ended");
    let text = std::fs::read_to_string(&path).expect("what the tracer wrote");
    let stream = Stream::parse(&text);
    stream.check();
    assert!(!stream.events.is_empty(), "tests made calls");
    assert_eq!(stream.lost(), 0, "nothing is lost: {}", stream.end());
}

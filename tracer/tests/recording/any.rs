//! Any bytes, and any frames with the right checksums.

use proptest::prelude::*;
use serde_json::{Value, json};
use tracer::{
    decode::Clock,
    recording::format::{Preamble, VERSION},
};
use zerocopy::IntoBytes;

use crate::{
    assembled, parts, replay,
    sample::{bodies, sample},
};

fn any_frame() -> impl Strategy<Value = (u8, u8, u16, Vec<u8>)> {
    let clock = serde_json::to_vec(&Clock::default()).unwrap();
    let huge = json!({"kind": "end", "time": "2026-01-01T00:00:00Z", "counts": {
        "emitted": u64::MAX, "filtered": u64::MAX, "lost": {"total": u64::MAX, "sink": 1},
        "entry_no_room": u64::MAX, "entry_missed": 1, "by_cpu": [{"total": u64::MAX}]}});
    let body = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..400),
        Just(clock),
        Just(huge.to_string().into_bytes()),
        Just(huge.to_string().replace("end", "loss").into_bytes()),
        Just(br#"{"of":"exe","image":{"pid":1,"start":2,"exec_id":3},"exe":{"Ok":[1]}}"#.to_vec()),
        prop::sample::select(bodies()),
    ];
    (0u8..9, any::<u8>(), 0u16..5, body)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        replay(&bytes, |_| true);
        let after = [Preamble::new(VERSION).as_bytes(), &bytes].concat();
        replay(&after, |_| true);
    }

    /// What has the right checksums gets further.
    #[test]
    fn any_frames_are_read_or_refused(frames in prop::collection::vec(any_frame(), 0..12)) {
        let good = sample();
        let header = parts(&good)[0];
        let frames = frames.iter().map(|(kind, flags, info, body)| (*kind, *flags, *info, &body[..]));
        let bytes = assembled(&std::iter::once(header).chain(frames).collect::<Vec<_>>());
        let (shown, _) = replay(&bytes, |_| true);
        for line in shown.lines() {
            prop_assert!(serde_json::from_str::<Value>(line).is_ok(), "{}", line);
        }
    }
}

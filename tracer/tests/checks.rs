//! What the kernel programs decide of arguments and return values, by the very function
//! that they call, against what the daemon would have decided on the decoded event.

use std::path::Path;

use proptest::{prelude::*, strategy::ValueTree};
use tracer::{
    decode,
    event::Event,
    filter::{Criteria, expr::Expression, pushdown},
    record,
    recording::{Fate, Frame, Reader},
    source::KernelChecks,
};
use tracer_common::{
    check::{Call, Check, hold},
    flags::{ERRNO, MSG},
    record::{MAX_ARGS, flags},
};
use zerocopy::FromBytes;

/// What a call was like.
#[derive(Clone, Copy, Debug)]
struct Made {
    args: [u64; MAX_ARGS],
    ret: i64,
    faulted: bool,
    returned: bool,
}

/// The event of such a call: a recorded one with other numbers, decoded.
fn event(made: Made) -> Event {
    static RECORD: std::sync::OnceLock<(Vec<u8>, decode::Clock)> = std::sync::OnceLock::new();
    let (bytes, clock) = RECORD.get_or_init(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/enotsock.rec");
        let mut reader = Reader::open(&path).unwrap();
        let clock = reader.header.clock;
        loop {
            let frame = reader.next_frame().unwrap().expect("a call");
            if let Frame::Record(Fate::Shown, bytes) = frame {
                return (bytes.to_vec(), clock);
            }
        }
    });
    let mut bytes = bytes.clone();
    let (call, _) = tracer_common::record::Call::mut_from_prefix(&mut bytes).unwrap();
    call.header.args = made.args;
    call.header.ret = made.ret;
    for (set, flag) in [(made.faulted, flags::ARGS_FAULTED), (!made.returned, flags::NO_RETURN)] {
        call.header.flags |= if set { flag } else { 0 };
    }
    decode::decode(&record::parse(&bytes).unwrap(), clock)
}

/// What the programs do.
fn passes(checks: &KernelChecks, made: Made) -> bool {
    let known = Call {
        args_known: u64::from(!made.faulted),
        ret: made.ret,
        ret_known: u64::from(made.returned),
    };
    let all = |list: &[Check], call| {
        let count = u32::try_from(list.len()).unwrap();
        hold(count, |i| list[i], call, |index| made.args[index as usize])
    };
    // When it begins nothing is known of its end.
    all(&checks.entry, Call { ret: 0, ret_known: 0, ..known }) && all(&checks.exit, known)
}

fn number() -> impl Strategy<Value = i128> {
    let edges = [
        -1i128,
        0,
        1,
        i32::MAX.into(),
        i32::MIN.into(),
        u32::MAX.into(),
        i64::MAX.into(),
        i64::MIN.into(),
        u64::MAX.into(),
        -i128::from(u64::MAX),
    ];
    prop_oneof![
        4 => -20i128..70,
        1 => (prop::sample::select(edges.to_vec()), -1i128..2).prop_map(|(edge, by)| edge + by),
        1 => any::<u32>().prop_map(i128::from),
    ]
}

fn op() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="])
}

/// A number's field, perhaps with bits.
fn side() -> impl Strategy<Value = String> {
    let field = prop::sample::select(vec![
        "args.sockfd",
        "args.vlen",
        "args.flags",
        "args.flags.value",
        "ret",
        "error.errno",
        "cpu",
    ]);
    let mask =
        prop_oneof![3 => 1u64..0x80, 1 => any::<u64>().prop_filter("bits", |bits| *bits > 0)];
    (field, prop::option::weighted(0.3, mask)).prop_map(|(field, mask)| match mask {
        Some(mask) => format!("{field} & {mask:#x}"),
        None => field.to_owned(),
    })
}

fn flag() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(MSG.split(u32::MAX).0.collect::<Vec<_>>()).prop_map(str::to_owned),
        1 => any::<u32>().prop_map(|bits| format!("{bits:#x}")),
        1 => prop::sample::select(vec!["0x80000", "0x40", "0x080000", "0x0"]).prop_map(str::to_owned),
    ]
}

fn error() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(ERRNO).prop_map(|(_, name)| name.to_owned()),
        1 => (0u64..600).prop_map(|errno| errno.to_string()),
    ]
}

/// A condition; some are none, such as that a number from 0 up is negative.
fn condition() -> impl Strategy<Value = String> {
    let nullable = vec![
        "args.sockfd",
        "args.vlen",
        "args.flags",
        "args.flags.names",
        "ret",
        "error",
        "error.name",
        "error.errno",
    ];
    let one = prop_oneof![
        4 => (side(), op(), number()).prop_map(|(side, op, n)| format!("{side} {op} {n}")),
        1 => (number(), op(), side()).prop_map(|(n, op, side)| format!("{n} {op} {side}")),
        2 => (side(), prop::collection::vec(number(), 1..5)).prop_map(|(side, numbers)| {
            let numbers: Vec<_> = numbers.iter().map(i128::to_string).collect();
            format!("{side} in ({})", numbers.join(", "))
        }),
        1 => (prop::sample::select(nullable), any::<bool>()).prop_map(|(field, is)| {
            format!("{field} {} null", if is { "==" } else { "!=" })
        }),
        2 => flag().prop_map(|flag| format!("\"{flag}\" in args.flags.names")),
        1 => flag().prop_map(|flag| format!("args.flags.names != \"{flag}\"")),
        2 => prop::collection::vec(error(), 1..4)
            .prop_map(|names| format!("error.name in (\"{}\")", names.join("\", \""))),
        1 => error().prop_map(|name| format!("error.name != \"{name}\"")),
        1 => Just("ret < args.vlen".to_owned()),
    ];
    one.prop_recursive(3, 8, 3, |inner| {
        let many = || prop::collection::vec(inner.clone(), 2..4);
        let joined = |terms: Vec<String>, by: &str| format!("({})", terms.join(by));
        prop_oneof![
            many().prop_map(move |terms| joined(terms, " && ")),
            many().prop_map(move |terms| joined(terms, " || ")),
            inner.clone().prop_map(|term| format!("!({term})")),
        ]
    })
}

fn made() -> impl Strategy<Value = Made> {
    let register = || {
        prop_oneof![
            4 => (-20i64..70).prop_map(i64::cast_unsigned),
            2 => number().prop_map(|number| number as u64),
            1 => prop::sample::select(vec![0x40, 0x80000, 0x80040, 0x10002]),
            1 => any::<u64>(),
        ]
    };
    let ret = prop_oneof![
        3 => -20i64..70,
        1 => -600i64..0,
        1 => number().prop_map(|number| number as i64),
    ];
    let args = (register(), register(), register());
    let often = || prop::bool::weighted(0.8);
    (args, ret, often(), often()).prop_map(|((fd, vlen, flags), ret, read, returned)| Made {
        args: [fd, 0x1000, vlen, flags, 0, 0],
        ret,
        faulted: !read,
        returned,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// The kernel and the daemon together pass what the daemon alone would.
    #[test]
    fn the_kernel_checks_what_the_daemon_would(
        texts in prop::collection::vec(condition(), 1..4),
        calls in prop::collection::vec(made(), 24),
    ) {
        let read = |text: &String| Expression::new(text).ok();
        let conditions: Vec<_> = texts.iter().filter_map(read).flat_map(|read| read.0).collect();
        let criteria = Criteria { conditions, ..Criteria::default() };
        let divided = pushdown::divide(criteria.clone(), false);
        for made in calls {
            let event = event(made);
            prop_assert_eq!(
                passes(&divided.kernel.checks, made) && divided.user.matches(&event),
                criteria.matches(&event),
                "{:?} of {:x?}: {}", texts, made, divided.describe()
            );
        }
    }
}

/// Conditions of every kind are in fact decided by the checks.
#[test]
fn conditions_are_pushed_down() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut pushed = [0; 2];
    for _ in 0..1000 {
        let text = condition().new_tree(&mut runner).unwrap().current();
        let Ok(expression) = Expression::new(&text) else { continue };
        let criteria = Criteria { conditions: expression.0, ..Criteria::default() };
        let divided = pushdown::divide(criteria, false);
        pushed[usize::from(divided.user.conditions.is_empty())] += 1;
    }
    assert!(pushed[0] > 50 && pushed[1] > 300, "{pushed:?}");
}

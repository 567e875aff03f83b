//! Filters: the table of fields against the JSON of real events and against its
//! documentation; properties that hold for any expression, and what the kernel decides
//! against what the daemon would have decided.

mod common;

use std::{collections::HashMap, fs, path::Path};

use proptest::prelude::*;
use tracer::{
    decode,
    event::{Event, Text},
    filter::{
        Criteria, Pattern, Term,
        expr::{
            Expression,
            ast::{At, Expr, Literal, Number, Op, Operand, Set, UNITS},
            field::FIELDS,
            parse::parse,
        },
        pushdown,
    },
    process::Processes,
    record,
    recording::{Frame, Reader},
};
use tracer_common::record::RecordKind;

/// The events of the golden recordings.
fn events() -> Vec<Event> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut events = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rec") {
            continue;
        }
        let mut reader = Reader::open(&path).unwrap();
        let clock = reader.header.clock;
        let mut processes = Processes::default();
        while let Some(frame) = reader.next_frame().unwrap() {
            let Frame::Record(_, bytes) = frame else { panic!("{}: {frame:?}", path.display()) };
            let parsed = record::parse(bytes).unwrap();
            if parsed.kind == RecordKind::Image {
                processes.learn(&parsed);
                continue;
            }
            let mut event = decode::decode(&parsed, &clock);
            processes.complete(&parsed, &mut event);
            events.push(event);
        }
    }
    assert!(!events.is_empty(), "no events in {}", folder.display());
    events
}

#[test]
fn filters_see_what_the_json_shows() {
    let mut events = events();
    let mut stranger = events[0].clone();
    stranger.process.comm = Text::new(&b"a\xff"[..]);
    stranger.process.exe = Text::new(&b"/\xff"[..]);
    events.push(stranger);
    events.iter().for_each(common::assert_fields);
}

/// Every expression in the documentation is one, and those that it says are wrong are.
#[test]
fn documented_expressions_are_expressions() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for path in ["docs/FILTER.md", "../README.md"] {
        let text = fs::read_to_string(root.join(path)).unwrap();
        for line in text.lines() {
            let Some((_, rest)) = line.split_once("--filter '") else { continue };
            let (expression, _) = rest.split_once('\'').expect("a closing quote");
            let read = Expression::new(expression);
            assert_eq!(read.is_err(), line.contains("# wrong"), "{path}: {line}");
            count += 1;
        }
    }
    assert!(count > 10, "{count} expressions");
}

fn placed<T>(it: T) -> At<T> {
    At { it, at: 0..0 }
}

fn number() -> impl Strategy<Value = Number> {
    let value = prop_oneof![-20i128..600, any::<u64>().prop_map(i128::from)];
    (value, any::<bool>()).prop_map(|(value, hex)| Number { value, hex })
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        Just(Literal::Null),
        any::<bool>().prop_map(Literal::Bool),
        number().prop_map(Literal::Number),
        (any::<u64>(), prop::sample::select(&UNITS[..]))
            .prop_map(|(n, unit)| Literal::Span(n, unit)),
        any::<String>().prop_map(Literal::Text),
        "[a-z\"'\\\\* ]{0,6}".prop_map(Literal::Text),
    ]
}

/// Known fields and words that are none, but no keywords.
fn path() -> impl Strategy<Value = String> {
    let known: Vec<_> = FIELDS.iter().map(|field| field.path.clone()).collect();
    let other = "[a-zA-Z_][a-z0-9_.]{0,8}";
    let other = other.prop_filter("a keyword", |word| word != "null" && word != "in");
    prop_oneof![prop::sample::select(known), other]
}

fn operand() -> impl Strategy<Value = Operand> {
    let mask = number().prop_filter("bits", |number| number.value > 0);
    prop_oneof![
        (path(), prop::option::of(mask)).prop_map(|(path, mask)| Operand::Field(path, mask)),
        literal().prop_map(Operand::Literal),
    ]
}

fn expr() -> impl Strategy<Value = Expr> {
    let op = prop::sample::select(vec![
        Op::Equal,
        Op::NotEqual,
        Op::Less,
        Op::LessEqual,
        Op::Greater,
        Op::GreaterEqual,
        Op::Glob,
    ]);
    let compare = (operand(), op, operand())
        .prop_map(|(left, op, right)| Expr::Compare(placed(left), placed(op), placed(right)));
    let list = prop::collection::vec(literal().prop_map(placed), 1..4);
    let set = prop_oneof![list.prop_map(Set::List), operand().prop_map(Set::One)];
    let member = (operand(), set).prop_map(|(item, set)| Expr::In(placed(item), placed(set)));
    prop_oneof![compare, member].prop_recursive(5, 24, 4, |inner| {
        let many = || prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            many().prop_map(Expr::Or),
            many().prop_map(Expr::And),
            inner.clone().prop_map(|expr| Expr::Not(Box::new(expr))),
        ]
    })
}

/// A condition on what the kernel knows, or on something that it does not.
fn condition() -> impl Strategy<Value = String> {
    let numbers = prop::collection::vec(0u64..4, 1..3);
    let numbers = (prop::sample::select(vec!["pid", "tid", "uid", "gid"]), numbers);
    let names = prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..3);
    let one = prop_oneof![
        (numbers, any::<bool>()).prop_map(|((field, values), list)| {
            let texts: Vec<_> = values.iter().map(u64::to_string).collect();
            if list {
                format!("process.{field} in ({})", texts.join(", "))
            } else {
                format!("process.{field} == {}", texts[0])
            }
        }),
        (0u64..4).prop_map(|value| format!("process.pid != {value}")),
        names.prop_map(|names| format!("process.comm in (\"{}\")", names.join("\", \""))),
        prop::sample::select(vec!["a", "b"]).prop_map(|name| format!("process.comm != \"{name}\"")),
        prop::sample::select(vec!["a", "*"]).prop_map(|glob| format!("process.comm ~ \"{glob}\"")),
        Just("process.pid == 4294967296".to_owned()),
        Just("process.uid & 1 == 1".to_owned()),
        Just("process.pid > 1".to_owned()),
        Just("process.pid == process.tid".to_owned()),
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

/// Values of an option.
fn terms<T: std::fmt::Debug>(
    value: impl Strategy<Value = T>,
) -> impl Strategy<Value = Vec<Term<T>>> {
    let term = (any::<bool>(), value).prop_map(|(negated, value)| Term { negated, value });
    prop::collection::vec(term, 0..3)
}

/// What the kernel's programs do with one of their filters (`gate::passes`).
fn passes<K: Copy + Eq + std::hash::Hash>(keys: &[(K, bool)], key: K) -> bool {
    let map: HashMap<_, _> = keys.iter().copied().collect();
    map.get(&key).copied().unwrap_or(!keys.iter().any(|(_, included)| *included))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_is_refused_or_read(text in any::<String>()) {
        if let Err(error) = Expression::new(&text) {
            prop_assert!(error.to_string().lines().count() == 3);
        }
    }

    /// Texts that look like expressions.
    #[test]
    fn any_words_are_refused_or_read(words in prop::collection::vec(prop_oneof![
        prop::sample::select(vec![
            "==", "!=", "<", "<=", "~", "in", "&&", "||", "!", "(", ")", ",", "&", "null", " ", "\\",
            "\"", "'", "-", ".", "µ", "日本", "ret", "args.vlen", "messages.len", "5ms", "0x", "[",
        ]).prop_map(str::to_owned),
        operand().prop_map(|operand| operand.to_string()),
    ], 0..12)) {
        let text = words.concat();
        if let Err(error) = Expression::new(&text) {
            prop_assert!(text.get(error.problem.at.clone()).is_some(), "{:?} of {text}", error.problem.at);
            prop_assert!(!error.problem.message.is_empty(), "{}", text);
        }
        let _ = Expression::new(&words.join(" "));
    }

    #[test]
    fn what_is_printed_is_read_as_the_same(expr in expr()) {
        let text = expr.to_string();
        match parse(&text) {
            Ok(again) => prop_assert_eq!(again, expr, "{}", text),
            Err(problem) => prop_assert!(false, "{}: {:?}", text, problem),
        }
    }

    /// The kernel and the daemon together pass what the daemon alone would.
    #[test]
    fn what_the_kernel_decides_it_decides_alike(
        texts in prop::collection::vec(condition(), 1..4),
        follow in any::<bool>(),
        (tids, uids) in (terms(0u32..4), terms(0u32..4)),
        comms in terms(prop::sample::select(vec!["a", "b", "c*"])),
        callers in prop::collection::vec((0u32..4, 0u32..4, 0u32..4, 0u32..4, "[abc]"), 16),
    ) {
        let read = |text: &String| Expression::new(text).unwrap_or_else(|error| panic!("{error}")).0;
        let conditions: Vec<_> = texts.iter().flat_map(read).collect();
        let pattern = |term: Term<&str>| Term {
            negated: term.negated,
            value: Pattern::new(term.value).expect("a glob"),
        };
        let comms = comms.into_iter().map(pattern).collect();
        let criteria = Criteria { tids, uids, comms, conditions, ..Criteria::default() };
        let divided = pushdown::divide(criteria.clone(), follow);
        let kernel = &divided.kernel;
        prop_assert!(!follow || kernel.pids.is_empty(), "followed processes have the keys to themselves");
        let mut event = events_once()[0].clone();
        for (pid, tid, uid, gid, comm) in callers {
            event.process.pid = pid;
            event.process.tid = tid;
            event.process.uid = uid;
            event.process.gid = gid;
            event.process.comm = Text::new(comm.as_bytes());
            let mut name = [0; 16];
            name[..comm.len()].copy_from_slice(comm.as_bytes());
            let passed = passes(&kernel.pids, pid)
                && passes(&kernel.tids, tid)
                && passes(&kernel.uids, uid)
                && passes(&kernel.comms, name);
            prop_assert_eq!(
                passed && divided.user.matches(&event),
                criteria.matches(&event),
                "{:?} of {} {} {} {} {}: {}", texts, pid, tid, uid, gid, comm, divided.describe()
            );
        }
    }
}

fn events_once() -> &'static [Event] {
    static EVENTS: std::sync::OnceLock<Vec<Event>> = std::sync::OnceLock::new();
    EVENTS.get_or_init(events)
}

//! Text to tree and back.

use crate::filter::expr::{
    ast::{Expr, Literal, Number, Op, Operand, Set},
    parse::parse,
};

/// The tree in a notation without precedence.
fn shape(expr: &Expr) -> String {
    let list = |name: &str, terms: &[Expr]| {
        let terms: Vec<_> = terms.iter().map(shape).collect();
        format!("{name}({})", terms.join(","))
    };
    match expr {
        Expr::Or(terms) => list("or", terms),
        Expr::And(terms) => list("and", terms),
        Expr::Not(term) => format!("not({})", shape(term)),
        Expr::Compare(left, ..) => left.it.to_string(),
        Expr::In(item, _) => item.it.to_string(),
    }
}

#[test]
fn and_binds_more_than_or_and_not_more_than_both() {
    for (text, expected) in [
        ("a == 1", "a"),
        ("a == 1 || b == 1 && c == 1", "or(a,and(b,c))"),
        ("a == 1 && b == 1 || c == 1", "or(and(a,b),c)"),
        ("a == 1 || b == 1 || c == 1", "or(a,b,c)"),
        ("(a == 1 || b == 1) && c == 1", "and(or(a,b),c)"),
        ("(a == 1 && b == 1) && c == 1", "and(and(a,b),c)"),
        ("!a == 1 && b == 1", "and(not(a),b)"),
        ("!(a == 1 && b == 1)", "not(and(a,b))"),
        ("!!a == 1", "not(not(a))"),
        ("((a == 1))", "a"),
        ("a in (1, 2) && !b in (3)", "and(a,not(b))"),
        ("a & 1 != 0 && b == 1", "and(a & 1,b)"),
        ("a&0x1!=0&&b==1", "and(a & 0x1,b)"),
        ("inside == 1 && nullable == 1", "and(inside,nullable)"),
    ] {
        assert_eq!(shape(&parse(text).unwrap()), expected, "{text}");
    }
}

fn compared(text: &str) -> (Operand, Op, Operand) {
    match parse(text).unwrap() {
        Expr::Compare(left, op, right) => (left.it, op.it, right.it),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn operators() {
    for (text, op) in [
        ("a == 1", Op::Equal),
        ("a != 1", Op::NotEqual),
        ("a<1", Op::Less),
        ("a<=1", Op::LessEqual),
        ("a>1", Op::Greater),
        ("a>=1", Op::GreaterEqual),
        ("a~1", Op::Glob),
    ] {
        assert_eq!(compared(text).1, op, "{text}");
    }
}

fn value(text: &str) -> Literal {
    match compared(&format!("field == {text}")).2 {
        Operand::Literal(literal) => literal,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn values() {
    let number = |value, hex| Literal::Number(Number { value, hex });
    assert_eq!(value("0"), number(0, false));
    assert_eq!(value("-11"), number(-11, false));
    assert_eq!(value("0x40"), number(64, true));
    assert_eq!(value("-0X1f"), number(-31, true));
    assert_eq!(value("18446744073709551615"), number(u64::MAX.into(), false));
    assert_eq!(value("null"), Literal::Null);
    for (text, expected) in [
        (r#""""#, ""),
        (r#""a b""#, "a b"),
        (r#"'a "b"'"#, "a \"b\""),
        (r#""a \"b\"""#, "a \"b\""),
        (r#""a 'b'""#, "a 'b'"),
        (r#""\\*""#, "\\*"),
        ("\"ä\n\u{1b}\"", "ä\n\u{1b}"),
    ] {
        assert_eq!(value(text), Literal::Text(expected.to_owned()), "{text}");
    }
    for (text, ns) in [
        ("5ns", 5),
        ("5us", 5_000),
        ("5µs", 5_000),
        ("5ms", 5_000_000),
        ("5s", 5_000_000_000),
        ("2m", 120_000_000_000),
        ("1h", 3_600_000_000_000),
    ] {
        let Literal::Span(count, unit) = value(text) else { panic!("{text}") };
        assert_eq!(i128::from(count) * unit.ns, ns, "{text}");
    }
}

#[test]
fn lists() {
    let list = |text: &str| match parse(text).unwrap() {
        Expr::In(_, set) => set.it,
        other => panic!("{text}: {other:?}"),
    };
    assert!(matches!(list("a in (1)"), Set::List(values) if values.len() == 1));
    assert!(matches!(list("a in(1,2 , \"x\")"), Set::List(values) if values.len() == 3));
    assert!(matches!(list("\"x\" in a.b"), Set::One(Operand::Field(path, None)) if path == "a.b"));
    assert!(matches!(list("a in \"::/0\""), Set::One(Operand::Literal(_))));
}

#[test]
fn what_is_printed_says_the_same() {
    for text in [
        "a == 1",
        "a == 1 || b == -2 && !(c < 0x3)",
        "(a == 1 || b == 1) && (c == 1 && d == 1)",
        "!!(a == 1)",
        "!(a in (1, 2) && b == null)",
        "a & 0x40 != 0",
        "\"x\\\"\\\\\" in a.b",
        "a > 5ms && a <= 10µs",
    ] {
        let expr = parse(text).unwrap();
        assert_eq!(expr.to_string(), text);
        assert_eq!(parse(&expr.to_string()).unwrap(), expr, "{text}");
    }
    // Another notation of the same.
    assert_eq!(parse(" !a==1||('x'in b) ").unwrap().to_string(), "!(a == 1) || \"x\" in b");
}

#[test]
fn nesting_has_an_end() {
    let nested = |depth: usize| format!("{}a == 1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&nested(64)).is_ok());
    let problem = parse(&nested(65)).unwrap_err();
    assert_eq!(problem.at, 64..65);
    assert_eq!(problem.message, "more than 64 parentheses and negations within each other");
    assert!(parse(&"!".repeat(1 << 20)).is_err());
    assert!(parse(&"(".repeat(1 << 20)).is_err());
    // One after the other they are no nesting.
    assert!(parse(&["(!a == 1)"; 1000].join(" && ")).is_ok());
}

//! Conditions on arguments and the return value as what the kernel programs make of them:
//! a list of [`Check`]s.
//!
//! A condition becomes clauses that must all hold, each of them checks of which one must
//! hold; that has the same answer for every call, also where something is not known:
//! a check of it fails, and a negated one does not.

use tracer_common::{
    check::{Check, MAX_CHECKS, RET, bits},
    flags::{ERRNO, MSG, errno_name},
    registry::{EVENTS, Kind},
};

use crate::{
    filter::{
        Pattern,
        expr::{Condition, Order, Side, Test, Wanted, field::Field},
    },
    source::KernelChecks,
};

/// Alternatives.
type Clause = Vec<Check>;

/// Makes a condition part of the kernel's checks, if they can say it and have room.
pub fn push(condition: &Condition, checks: &mut KernelChecks) -> bool {
    let Some(clauses) = clauses(condition, false) else { return false };
    let mut pushed = checks.clone();
    for mut clause in clauses {
        for check in clause.iter_mut().rev().skip(1) {
            check.bits |= bits::OR;
        }
        let at_exit = clause.iter().any(|check| check.field == RET);
        if at_exit { &mut pushed.exit } else { &mut pushed.entry }.extend(clause);
    }
    let fits = pushed.entry.len() <= MAX_CHECKS && pushed.exit.len() <= MAX_CHECKS;
    if fits {
        *checks = pushed;
    }
    fits
}

/// What must all hold for a condition, or for its opposite.
fn clauses(condition: &Condition, negated: bool) -> Option<Vec<Clause>> {
    let clauses = match (condition, negated) {
        (Condition::Not(term), _) => clauses(term, !negated)?,
        (Condition::All(terms), false) | (Condition::Any(terms), true) => {
            let each = terms.iter().map(|term| clauses(term, negated));
            each.collect::<Option<Vec<_>>>()?.concat()
        }
        (Condition::Any(terms), false) | (Condition::All(terms), true) => {
            terms.iter().try_fold(vec![Vec::new()], |all, term| {
                let next = clauses(term, negated)?;
                let both = |one: &Clause| {
                    next.iter().map(|other| [&one[..], other].concat()).collect::<Vec<_>>()
                };
                within_room(all.iter().flat_map(both).collect())
            })?
        }
        (Condition::Test(test), false) => vec![test_checks(test)?],
        (Condition::Test(test), true) => test_checks(test)?.into_iter().map(opposite).collect(),
    };
    within_room(clauses)
}

/// Clauses that have grown past all room are given up.
fn within_room(clauses: Vec<Clause>) -> Option<Vec<Clause>> {
    (clauses.iter().map(Vec::len).sum::<usize>() <= 2 * MAX_CHECKS).then_some(clauses)
}

fn opposite(check: Check) -> Vec<Check> {
    vec![Check { bits: check.bits ^ bits::NEGATED, ..check }]
}

/// A number that the kernel programs know.
#[derive(Clone, Copy)]
struct Place {
    /// Index of an argument, or [`RET`].
    field: u32,
    /// The argument may be negative.
    signed: bool,
    /// The bits that count.
    mask: i64,
    /// The number is an errno: what the return value is below 0.
    errno: bool,
}

/// Every number.
const ANY: (i128, i128) = (i128::MIN, i128::MAX);

/// The checks of which one must hold for a test.
fn test_checks(test: &Test) -> Option<Clause> {
    match test {
        Test::Null(field) => nothing(field),
        Test::OneOf { side, wanted } => match side.field.path.as_str() {
            "args.flags.names" => wanted.iter().map(flag).collect(),
            "error.name" => among(errno(), wanted.iter().map(error)),
            _ => among(place(side)?, wanted.iter().map(|wanted| number(wanted).map(Some))),
        },
        Test::Ordered { side, order, limit } => {
            let place = place(side)?;
            let ranges = match order {
                Order::Equal => vec![(*limit, *limit)],
                Order::Different => vec![(ANY.0, limit - 1), (limit + 1, ANY.1)],
                Order::Less => vec![(ANY.0, limit - 1)],
                Order::LessEqual => vec![(ANY.0, *limit)],
                Order::Greater => vec![(limit + 1, ANY.1)],
                Order::GreaterEqual => vec![(*limit, ANY.1)],
            };
            Some(ranges.into_iter().map(|range| place.check(range)).collect())
        }
        Test::Fields { .. } => None,
    }
}

impl Place {
    /// The check that the number lies in a range, both ends included.
    fn check(self, (low, high): (i128, i128)) -> Check {
        // An errno is 1 at least, and stands for the return value below 0.
        let (low, high) =
            if self.errno { (-high.max(i64::MIN.into()), -low.max(1)) } else { (low, high) };
        let (low, high) = (low.max(i64::MIN.into()), high.min(i64::MAX.into()));
        let check = Check { mask: self.mask, field: self.field, bits: 0, low: 0, span: 0 };
        let bits = if self.signed { bits::SIGNED } else { 0 };
        match (i64::try_from(low), u64::try_from(high - low)) {
            (Ok(low), Ok(span)) => Check { low, span, bits, ..check },
            // Nothing lies there: no bits are never 1.
            _ => Check { mask: 0, low: 1, ..check },
        }
    }
}

/// Whether a field has no value.
fn nothing(field: &'static Field) -> Option<Clause> {
    let place = match field.path.as_str() {
        "error" | "error.name" | "error.errno" => errno(),
        // Without a flag there are no names.
        "args.flags.names" => return Some(opposite(flags(!0)?)),
        _ => place(&Side { field, mask: None })?,
    };
    Some(opposite(place.check(ANY)))
}

fn errno() -> Place {
    Place { field: RET, signed: false, mask: !0, errno: true }
}

/// Where a field's number lies.
fn place(side: &Side) -> Option<Place> {
    let place = match side.field.path.as_str() {
        "ret" => Place { field: RET, signed: false, mask: !0, errno: false },
        "error.errno" if side.mask.is_none() => return Some(errno()),
        path => {
            let (field, kind) = argument(path.strip_prefix("args.")?.strip_suffix(".value")?)?;
            let signed = match kind {
                Kind::Fd => true,
                Kind::Count | Kind::MsgFlags => false,
                Kind::Mmsghdrs | Kind::Timespec64 | Kind::Timespec32 => return None,
            };
            Place { field, signed, mask: !0, errno: false }
        }
    };
    match side.mask {
        None => Some(place),
        Some(mask) => Some(Place { mask: i64::try_from(mask).ok()?, ..place }),
    }
}

/// The argument that every event has by that name, and at the same place.
fn argument(name: &str) -> Option<(u32, Kind)> {
    let found = EVENTS.iter().map(|event| {
        let (index, arg) = event.args.iter().enumerate().find(|(_, arg)| arg.name == name)?;
        Some((u32::try_from(index).ok()?, arg.kind))
    });
    let found: Vec<_> = found.collect::<Option<_>>()?;
    found.windows(2).all(|pair| pair[0] == pair[1]).then(|| found.first().copied())?
}

/// The number that is wanted.
fn number(wanted: &Wanted) -> Option<i128> {
    match wanted {
        Wanted::Int(value) => Some(*value),
        Wanted::Text(_) | Wanted::Net(_) => None,
    }
}

/// A text, if it is no glob.
fn text(wanted: &Wanted) -> Option<&str> {
    match wanted {
        Wanted::Text(Pattern::Exact(text)) => std::str::from_utf8(text).ok(),
        Wanted::Text(Pattern::Glob(_)) | Wanted::Int(_) | Wanted::Net(_) => None,
    }
}

/// The checks that a number is one of several; none of them where one can't be told.
/// A number that is never there is left out.
fn among(place: Place, numbers: impl Iterator<Item = Option<Option<i128>>>) -> Option<Clause> {
    let mut numbers: Vec<_> = numbers.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect();
    numbers.sort_unstable();
    let mut ranges: Vec<(i128, i128)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, high)) if number <= *high + 1 => *high = number,
            _ => ranges.push((number, number)),
        }
    }
    if ranges.is_empty() {
        // Nothing is between 1 and 0.
        ranges.push((1, 0));
    }
    Some(ranges.into_iter().map(|range| place.check(range)).collect())
}

/// The errno of a name; none inside where there is no such one.
#[expect(clippy::option_option, reason = "what can't be told, and what is never there")]
fn error(wanted: &Wanted) -> Option<Option<i128>> {
    let name = text(wanted)?;
    if let Some((errno, _)) = ERRNO.iter().find(|(_, known)| *known == name) {
        return Some(Some((*errno).into()));
    }
    // What has no name is shown as its number.
    let unnamed = |errno: &u64| {
        errno.to_string() == name && u32::try_from(*errno).ok().and_then(errno_name).is_none()
    };
    Some(name.parse().ok().filter(unnamed).map(i128::from))
}

/// The check that some of these flags are set.
fn flags(of: u32) -> Option<Check> {
    let (field, _) = argument("flags")?;
    Some(Place { field, signed: false, mask: of.into(), errno: false }.check((1, ANY.1)))
}

/// The check that a name is among those of the flags.
fn flag(wanted: &Wanted) -> Option<Check> {
    let name = text(wanted)?;
    let bit = (0..u32::BITS).map(|shift| 1 << shift).find(|bit| MSG.split(*bit).0.eq([name]));
    if let Some(bit) = bit {
        return flags(bit);
    }
    // All bits without a name are shown as one number.
    let (_, unnamed) = MSG.split(u32::MAX);
    let value = u32::from_str_radix(name.strip_prefix("0x")?, 16).ok()?;
    let (field, _) = argument("flags")?;
    let place = Place { field, signed: false, mask: unnamed.into(), errno: false };
    let shown = value != 0 && format!("{value:#x}") == name;
    let value = i128::from(value);
    Some(place.check(if shown { (value, value) } else { (1, 0) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::expr::Expression;

    /// The clauses of a condition as `field&mask:low..=high` and `!` before it; those of
    /// one clause with `|` between them.
    fn shown(checks: &[Check]) -> String {
        let one = |check: &Check| {
            let mark = |set: u32, text: &'static str| if check.bits & set != 0 { text } else { "" };
            let mask = if check.mask == !0 { String::new() } else { format!("&{:#x}", check.mask) };
            let high = i128::from(check.low) + i128::from(check.span);
            format!(
                "{}{}{}{mask}:{}..={high}{}",
                mark(bits::NEGATED, "!"),
                mark(bits::SIGNED, "-"),
                check.field,
                check.low,
                mark(bits::OR, " |")
            )
        };
        checks.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn conditions_become_ranges() {
        let (_, unnamed) = MSG.split(u32::MAX);
        const LOW: i64 = i64::MIN;
        const HIGH: i64 = i64::MAX;
        for (filter, entry, exit) in [
            ("args.sockfd == 5", "-0:5..=5".to_owned(), String::new()),
            ("args.sockfd != -1", "!-0:-1..=-1".into(), "".into()),
            ("args.sockfd in (7, 3, 4, 5, 4)", "-0:3..=5 | -0:7..=7".into(), "".into()),
            ("!(args.sockfd in (3, 9))", "!-0:3..=3 !-0:9..=9".into(), "".into()),
            ("args.vlen > 16 && args.vlen <= 64", format!("2:17..={HIGH} 2:{LOW}..=64"), "".into()),
            (
                "!(args.vlen > 16 && 4 > args.vlen)",
                format!("!2:17..={HIGH} | !2:{LOW}..=3"),
                "".into(),
            ),
            ("args.vlen < 18446744073709551615", format!("2:{LOW}..={HIGH}"), "".into()),
            ("args.vlen > 18446744073709551615", "2&0x0:1..=1".into(), "".into()),
            ("args.flags & 0x40 != 0", format!("3&0x40:{LOW}..=-1 | 3&0x40:1..={HIGH}"), "".into()),
            ("args.flags & 0x42 == 0x42", "3&0x42:66..=66".into(), "".into()),
            ("\"MSG_DONTWAIT\" in args.flags.names", format!("3&0x40:1..={HIGH}"), "".into()),
            ("args.flags.names != \"MSG_PEEK\"", format!("!3&0x2:1..={HIGH}"), "".into()),
            (
                "\"0x80000\" in args.flags.names",
                format!("3&{unnamed:#x}:524288..=524288"),
                "".into(),
            ),
            ("args.flags.names == null", format!("!3&0xffffffff:1..={HIGH}"), "".into()),
            ("args.vlen == null", format!("!2:{LOW}..={HIGH}"), "".into()),
            ("ret != null && ret >= 0", "".into(), format!("6:{LOW}..={HIGH} 6:0..={HIGH}")),
            ("ret == 1 || args.vlen == 1", "".into(), "6:1..=1 | 2:1..=1".into()),
            ("error.name in (\"EAGAIN\", \"EINTR\")", "".into(), "6:-4..=-4 | 6:-11..=-11".into()),
            ("error.name != \"EAGAIN\"", "".into(), "!6:-11..=-11".into()),
            ("error.name == \"530\"", "".into(), "6:-530..=-530".into()),
            ("error.errno >= 100", "".into(), format!("6:{LOW}..=-100")),
            ("error == null", "".into(), format!("!6:{LOW}..=-1")),
        ] {
            let mut checks = KernelChecks::default();
            for conjunct in Expression::new(filter).unwrap().0 {
                assert!(push(&conjunct.condition, &mut checks), "{filter}");
            }
            let (entry_shown, exit_shown) = (shown(&checks.entry), shown(&checks.exit));
            assert_eq!((entry_shown, exit_shown), (entry, exit), "{filter}");
        }
    }

    #[test]
    fn what_checks_can_not_say_stays() {
        for filter in [
            "ret < args.vlen",
            "args.timeout == null",
            "args.msgvec == 0x10",
            "args.flags.names ~ \"MSG_*\"",
            "error.name ~ \"E*\"",
            "args.sockfd.tags == \"K\"",
            "args.sockfd & 0x8000000000000000 == 0",
            "ret == 1 || latency_ns > 5ms",
            "ret == 1 || process.pid == 1",
        ] {
            let mut checks = KernelChecks::default();
            for conjunct in Expression::new(filter).unwrap().0 {
                assert!(!push(&conjunct.condition, &mut checks), "{filter}");
            }
            assert_eq!(checks, KernelChecks::default(), "{filter}");
        }
    }

    #[test]
    fn what_has_no_room_stays() {
        let list = |from: usize, count: usize| {
            let numbers: Vec<_> = (0..count).map(|i| (from + 2 * i).to_string()).collect();
            format!("args.sockfd in ({})", numbers.join(", "))
        };
        let mut checks = KernelChecks::default();
        let mut pushed =
            |filter: &str| push(&Expression::new(filter).unwrap().0[0].condition, &mut checks);
        assert!(!pushed(&list(0, MAX_CHECKS + 1)));
        assert!(pushed(&list(0, MAX_CHECKS - 1)));
        assert!(!pushed(&list(0, 2)));
        assert!(pushed(&list(0, 1)));
        assert!(!pushed("args.vlen == 0"));
        assert!(pushed("ret == 0"));
        // Not all at once: 2 to the power of 40 clauses.
        let pair = "(ret == 1 && args.vlen == 2)";
        assert!(!pushed(&vec![pair; 40].join(" || ")));
    }
}

//! Gives an expression its types, or says why it has none.

use std::ops::Range;

use jiff::Timestamp;
use tracer_common::flags::{ERRNO, MSG, errno_name};

use super::{
    ast::{At, Expr, Literal, Op, Operand, Set},
    error::Problem,
    eval::{Condition, Order, Side, Test, Wanted},
    field::{self, Field, Type},
    words::{
        article, misfit, no_list, only_null, too_long, unknown, unknown_errno, unknown_flag,
        unquoted,
    },
};
use crate::filter::Pattern;

type Checked<T> = Result<T, Problem>;

/// The condition that an expression stands for.
///
/// # Errors
/// A field that is not known, or a value that does not fit.
pub fn check(expr: &Expr) -> Checked<Condition> {
    let all = |terms: &[Expr]| terms.iter().map(check).collect::<Checked<Vec<_>>>();
    Ok(match expr {
        Expr::Or(terms) => Condition::Any(all(terms)?),
        Expr::And(terms) => Condition::All(all(terms)?),
        Expr::Not(term) => negated(check(term)?),
        Expr::Compare(left, op, right) => compare(left, op, right)?,
        Expr::In(item, set) => Condition::Test(member(item, set)?),
    })
}

fn negated(condition: Condition) -> Condition {
    Condition::Not(Box::new(condition))
}

fn compare(left: &At<Operand>, op: &At<Op>, right: &At<Operand>) -> Checked<Condition> {
    let (sided, literal, flipped) = match (&left.it, &right.it) {
        (Operand::Literal(_), Operand::Literal(_)) => {
            let at = left.at.start..right.at.end;
            return Err(Problem::new(&at, "one side of a comparison is a field"));
        }
        (Operand::Field(..), Operand::Field(..)) => return fields(left, op, right),
        (_, Operand::Literal(literal)) => {
            (side(left)?, At { it: literal, at: right.at.clone() }, false)
        }
        (Operand::Literal(literal), _) => {
            (side(right)?, At { it: literal, at: left.at.clone() }, true)
        }
    };
    if *literal.it == Literal::Null {
        return null(sided, op, &literal.at);
    }
    Ok(match op.it {
        Op::Equal => Condition::Test(one_of(sided, [literal])?),
        Op::NotEqual if sided.mask.is_none() => negated(Condition::Test(one_of(sided, [literal])?)),
        Op::Glob if flipped => {
            return Err(Problem::new(
                &op.at,
                "~ takes the field on its left and the glob on its right",
            ));
        }
        Op::Glob => Condition::Test(Test::OneOf {
            side: sided,
            wanted: vec![glob(sided.field, op, &literal)?],
        }),
        _ => {
            let order = order(sided.field, op, flipped)?;
            match wanted(sided.field, &literal, false)? {
                Wanted::Int(limit) => Condition::Test(Test::Ordered { side: sided, order, limit }),
                _ => return Err(unordered(sided.field, op)),
            }
        }
    })
}

fn null(side: Side, op: &At<Op>, at: &Range<usize>) -> Checked<Condition> {
    let path = side.field.short();
    if !side.field.nullable {
        return Err(Problem::new(at, format!("{path} is never null")));
    }
    let is_null = Condition::Test(Test::Null(side.field));
    match op.it {
        _ if side.mask.is_some() => {
            Err(Problem::new(at, format!("bits are never null; {path} may be")))
        }
        Op::Equal => Ok(is_null),
        Op::NotEqual => Ok(negated(is_null)),
        _ => Err(Problem::new(&op.at, "null is compared with == and != only")),
    }
}

/// Two fields with each other.
fn fields(left: &At<Operand>, op: &At<Op>, right: &At<Operand>) -> Checked<Condition> {
    let first = side(left)?;
    let second = side(right).map_err(|mut problem| {
        if let Operand::Field(word, None) = &right.it
            && let Some(message) = unquoted(first.field, word)
        {
            problem.message = message;
        }
        problem
    })?;
    let (a, b) = (first.field, second.field);
    if a.many && b.many {
        let message = format!(
            "{} and {} may both have several values, and which would be compared is not clear",
            a.short(),
            b.short()
        );
        return Err(Problem::new(&(left.at.start..right.at.end), message));
    }
    if a.ty == Type::Object || b.ty == Type::Object {
        let (object, at) = if a.ty == Type::Object { (a, &left.at) } else { (b, &right.at) };
        return Err(Problem::new(at, only_null(object)));
    }
    if !a.ty.compares_with(b.ty) {
        let message =
            format!("{} is {}, {} {}", a.short(), article(a.ty), b.short(), article(b.ty));
        return Err(Problem::new(&(left.at.start..right.at.end), message));
    }
    let test = |order| Condition::Test(Test::Fields { left: first, order, right: second });
    Ok(match op.it {
        Op::Equal => test(Order::Equal),
        Op::NotEqual if first.mask.is_none() && second.mask.is_none() => {
            negated(test(Order::Equal))
        }
        Op::Glob => return Err(Problem::new(&right.at, "after ~ comes a glob in quotes")),
        _ => test(order(a, op, false)?),
    })
}

fn member(item: &At<Operand>, set: &At<Set>) -> Checked<Test> {
    match (&item.it, &set.it) {
        (Operand::Field(..), Set::List(values)) => one_of(
            side(item)?,
            values.iter().map(|value| At { it: &value.it, at: value.at.clone() }),
        ),
        (Operand::Field(..), Set::One(Operand::Literal(literal @ Literal::Text(text))))
            if text.contains('/') =>
        {
            one_of(side(item)?, [At { it: literal, at: set.at.clone() }])
        }
        (Operand::Field(..), Set::One(_)) => {
            let message =
                "after in come values in parentheses, as in (1, 2), or a network in quotes";
            Err(Problem::new(&set.at, message))
        }
        (Operand::Literal(literal), Set::One(many @ Operand::Field(..))) => {
            let many = side(&At { it: many.clone(), at: set.at.clone() })?;
            if !many.field.many {
                return Err(Problem::new(&set.at, no_list(many.field, literal)));
            }
            one_of(many, [At { it: literal, at: item.at.clone() }])
        }
        (Operand::Literal(_), _) => {
            let message = "before or after in comes a field";
            Err(Problem::new(&(item.at.start..set.at.end), message))
        }
    }
}

/// The field of an operand, which is one.
fn side(operand: &At<Operand>) -> Checked<Side> {
    let Operand::Field(path, mask) = &operand.it else {
        return Err(Problem::new(&operand.at, "here goes a field"));
    };
    let at = operand.at.start..operand.at.start + path.len();
    let field = field::find(path).ok_or_else(|| Problem::new(&at, unknown(path)))?;
    if mask.is_some() && !field.ty.is_number() {
        let message = format!("{} is {}, which has no bits", field.short(), article(field.ty));
        return Err(Problem::new(&operand.at, message));
    }
    Ok(Side { field, mask: mask.map(|mask| mask.value) })
}

fn one_of<'a>(side: Side, literals: impl IntoIterator<Item = At<&'a Literal>>) -> Checked<Test> {
    let wanted = literals.into_iter().map(|literal| wanted(side.field, &literal, true));
    Ok(Test::OneOf { side, wanted: wanted.collect::<Checked<_>>()? })
}

fn order(field: &Field, op: &At<Op>, flipped: bool) -> Checked<Order> {
    if !field.ty.is_ordered() {
        return Err(unordered(field, op));
    }
    Ok(match (op.it, flipped) {
        (Op::NotEqual, _) => Order::Different,
        (Op::Less, false) | (Op::Greater, true) => Order::Less,
        (Op::LessEqual, false) | (Op::GreaterEqual, true) => Order::LessEqual,
        (Op::Greater, false) | (Op::Less, true) => Order::Greater,
        (Op::GreaterEqual, false) | (Op::LessEqual, true) => Order::GreaterEqual,
        (Op::Equal | Op::Glob, _) => Order::Equal,
    })
}

fn unordered(field: &Field, op: &At<Op>) -> Problem {
    let message = match field.ty {
        Type::Object => only_null(field),
        ty => format!("{} is {}, which {} does not order", field.short(), article(ty), op.it),
    };
    Problem::new(&op.at, message)
}

fn glob(field: &Field, op: &At<Op>, literal: &At<&Literal>) -> Checked<Wanted> {
    if !field.ty.is_text() {
        let message = format!("{} is {}, and ~ matches texts", field.short(), article(field.ty));
        return Err(Problem::new(&op.at, message));
    }
    let Literal::Text(text) = literal.it else {
        return Err(Problem::new(&literal.at, "after ~ comes a glob in quotes"));
    };
    match Pattern::new(text) {
        // Without a wildcard it is what == takes.
        Ok(Pattern::Exact(_)) => wanted(field, literal, false),
        Ok(pattern) => Ok(Wanted::Text(pattern)),
        Err(error) => Err(Problem::new(&literal.at, format!("not a glob: {}", error.kind()))),
    }
}

/// What a literal means to a field.
fn wanted(field: &Field, literal: &At<&Literal>, networks: bool) -> Checked<Wanted> {
    let fail = |message: String| Err(Problem::new(&literal.at, message));
    let path = field.short();
    match (field.ty, literal.it) {
        (_, Literal::Null) => fail("null is compared with == and != only".to_owned()),
        (Type::Unsigned | Type::Pointer, Literal::Number(number)) if number.value < 0 => {
            fail(format!("{path} is never negative"))
        }
        (Type::Signed | Type::Unsigned | Type::Pointer | Type::Span, Literal::Number(number)) => {
            Ok(Wanted::Int(number.value))
        }
        (Type::Bool, Literal::Bool(value)) => Ok(Wanted::Int((*value).into())),
        (Type::Span, Literal::Span(count, unit)) => Ok(Wanted::Int(i128::from(*count) * unit.ns)),
        (Type::Time, Literal::Text(text)) => match text.parse::<Timestamp>() {
            Ok(time) => Ok(Wanted::Int(time.as_nanosecond())),
            Err(_) => fail(misfit(field, literal.it)),
        },
        (Type::ShortText(most), Literal::Text(text)) if text.len() > most => {
            fail(too_long(field, text, most))
        }
        (Type::Flag, Literal::Text(text)) if !is_flag(text) => fail(unknown_flag(text)),
        (Type::Errno, Literal::Text(text)) if !is_errno(text) => fail(unknown_errno(text)),
        (Type::Text | Type::ShortText(_) | Type::Flag | Type::Errno, Literal::Text(text)) => {
            Ok(Wanted::Text(Pattern::Exact(text.as_bytes().to_vec())))
        }
        (Type::Ip, Literal::Text(text)) => match text.parse() {
            Ok(net) if networks || !text.contains('/') => Ok(Wanted::Net(net)),
            _ => fail(misfit(field, literal.it)),
        },
        _ => fail(misfit(field, literal.it)),
    }
}

/// What has no name is shown as its number.
fn is_errno(text: &str) -> bool {
    let unnamed = |errno: &u64| {
        errno.to_string() == text && u32::try_from(*errno).ok().and_then(errno_name).is_none()
    };
    ERRNO.iter().any(|(_, name)| *name == text) || text.parse().ok().filter(unnamed).is_some()
}

fn is_flag(text: &str) -> bool {
    let bits = text.strip_prefix("0x").map(|hex| u32::from_str_radix(hex, 16).is_ok());
    bits.unwrap_or_else(|| MSG.split(u32::MAX).0.any(|name| name == text))
}

//! What an expression says, before anything is known of its fields. Printing it and
//! parsing that gives the same again.

use std::{fmt, ops::Range};

/// A part of an expression and its place in the text. Places do not count when
/// parts are compared.
#[derive(Clone, Debug)]
pub struct At<T> {
    /// The part.
    pub it: T,
    /// Its bytes in the text.
    pub at: Range<usize>,
}

impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.it == other.it
    }
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// At least two, of which one must hold.
    Or(Vec<Expr>),
    /// At least two, all of which must hold.
    And(Vec<Expr>),
    /// Must not hold.
    Not(Box<Expr>),
    /// `left op right`
    Compare(At<Operand>, At<Op>, At<Operand>),
    /// `item in set`
    In(At<Operand>, At<Set>),
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `~`
    Glob,
}

/// A side of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// A field's path, and the bits of it that count.
    Field(String, Option<Number>),
    /// A value.
    Literal(Literal),
}

/// The right side of `in`.
#[derive(Clone, Debug, PartialEq)]
pub enum Set {
    /// Values in parentheses; at least one.
    List(Vec<At<Literal>>),
    /// A field with many values, or a network.
    One(Operand),
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// `-11`, `0x40`
    Number(Number),
    /// `5ms`
    Span(u64, Unit),
    /// `"text"`
    Text(String),
}

/// A number as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// Its value.
    pub value: i128,
    /// In hex.
    pub hex: bool,
}

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// As it is written.
    pub name: &'static str,
    /// Its length in nanoseconds.
    pub ns: i128,
}

/// The units of time.
pub const UNITS: [Unit; 7] = [
    Unit { name: "ns", ns: 1 },
    Unit { name: "us", ns: 1_000 },
    Unit { name: "µs", ns: 1_000 },
    Unit { name: "ms", ns: 1_000_000 },
    Unit { name: "s", ns: 1_000_000_000 },
    Unit { name: "m", ns: 60_000_000_000 },
    Unit { name: "h", ns: 3_600_000_000_000 },
];

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Or(terms) => joined(f, terms, " || ", |term| matches!(term, Self::Or(_))),
            Self::And(terms) => {
                joined(f, terms, " && ", |term| matches!(term, Self::Or(_) | Self::And(_)))
            }
            Self::Not(term) => match **term {
                Self::Not(_) => write!(f, "!{term}"),
                _ => write!(f, "!({term})"),
            },
            Self::Compare(left, op, right) => write!(f, "{} {} {}", left.it, op.it, right.it),
            Self::In(item, set) => write!(f, "{} in {}", item.it, set.it),
        }
    }
}

fn joined(
    f: &mut fmt::Formatter<'_>,
    terms: &[Expr],
    between: &str,
    grouped: impl Fn(&Expr) -> bool,
) -> fmt::Result {
    for (i, term) in terms.iter().enumerate() {
        f.write_str(if i == 0 { "" } else { between })?;
        if grouped(term) { write!(f, "({term})") } else { write!(f, "{term}") }?;
    }
    Ok(())
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::Glob => "~",
        })
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(path, None) => f.write_str(path),
            Self::Field(path, Some(mask)) => write!(f, "{path} & {mask}"),
            Self::Literal(literal) => literal.fmt(f),
        }
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(operand) => operand.fmt(f),
            Self::List(values) => {
                for (i, value) in values.iter().enumerate() {
                    write!(f, "{}{}", if i == 0 { "(" } else { ", " }, value.it)?;
                }
                f.write_str(")")
            }
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Span(count, unit) => write!(f, "{count}{}", unit.name),
            Self::Text(text) => {
                write!(f, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
            }
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.value < 0 { "-" } else { "" };
        let size = self.value.unsigned_abs();
        if self.hex { write!(f, "{sign}{size:#x}") } else { write!(f, "{sign}{size}") }
    }
}

//! Typed conditions, and whether they hold for an event. Nothing here allocates but
//! the hex of flags without a name and of texts that are not UTF-8.
//!
//! A field has any number of values: none where it is null, left out or empty. A
//! test holds if it holds for one of them; null is to have none; a negation, and
//! `!=` is one, is the opposite of what it negates, whatever the field has. Of bits,
//! `!=` is a test: `messages.flags & 0x20 != 0` asks for a message with that flag.

use super::{
    field::{Field, Value},
    net::Net,
};
use crate::{event::Event, filter::Pattern};

/// What must hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// One of them.
    Any(Vec<Condition>),
    /// All of them.
    All(Vec<Condition>),
    /// Not this.
    Not(Box<Condition>),
    /// This.
    Test(Test),
}

/// A test of fields.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// The field has no value.
    Null(&'static Field),
    /// A value is one of these.
    OneOf {
        /// The field.
        side: Side,
        /// Alternatives.
        wanted: Vec<Wanted>,
    },
    /// A value is below or above a limit, or not the same.
    Ordered {
        /// The field.
        side: Side,
        /// Where the field's value must be.
        order: Order,
        /// The limit.
        limit: i128,
    },
    /// A value of one field compares so with a value of another.
    Fields {
        /// The first field.
        left: Side,
        /// Where its value must be.
        order: Order,
        /// The other field.
        right: Side,
    },
}

/// A field, or some of its bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Side {
    /// The field.
    pub field: &'static Field,
    /// The bits that count.
    pub mask: Option<i128>,
}

/// A value that a field may have.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// This number.
    Int(i128),
    /// This text, or one that a glob matches.
    Text(Pattern),
    /// An address in this network.
    Net(Net),
}

/// How one value lies to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The same.
    Equal,
    /// Another.
    Different,
    /// Below.
    Less,
    /// Not above.
    LessEqual,
    /// Above.
    Greater,
    /// Not below.
    GreaterEqual,
}

impl Condition {
    /// Whether it holds.
    pub fn holds(&self, event: &Event) -> bool {
        match self {
            Self::Any(terms) => terms.iter().any(|term| term.holds(event)),
            Self::All(terms) => terms.iter().all(|term| term.holds(event)),
            Self::Not(term) => !term.holds(event),
            Self::Test(test) => test.holds(event),
        }
    }
}

impl Test {
    fn holds(&self, event: &Event) -> bool {
        match self {
            Self::Null(field) => field.is_null(event),
            Self::OneOf { side, wanted } => {
                side.any(event, |value| wanted.iter().any(|wanted| wanted.is(value)))
            }
            Self::Ordered { side, order, limit } => {
                side.any(event, |value| order.holds(value, Value::Int(*limit)))
            }
            Self::Fields { left, order, right } => {
                left.any(event, |a| right.any(event, |b| order.holds(a, b)))
            }
        }
    }
}

impl Side {
    fn any(&self, event: &Event, mut wanted: impl FnMut(Value<'_>) -> bool) -> bool {
        self.field.any(event, &mut |value| match (value, self.mask) {
            (Value::Int(value), Some(mask)) => wanted(Value::Int(value & mask)),
            _ => wanted(value),
        })
    }
}

impl Wanted {
    fn is(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Self::Int(wanted), Value::Int(value)) => *wanted == value,
            (Self::Text(wanted), Value::Text(value)) => wanted.matches(value),
            (Self::Net(wanted), Value::Ip(value)) => wanted.contains(value),
            _ => false,
        }
    }
}

impl Order {
    fn holds(self, a: Value<'_>, b: Value<'_>) -> bool {
        match (a, b) {
            (Value::Int(a), Value::Int(b)) => match self {
                Self::Equal => a == b,
                Self::Different => a != b,
                Self::Less => a < b,
                Self::LessEqual => a <= b,
                Self::Greater => a > b,
                Self::GreaterEqual => a >= b,
            },
            (Value::Ip(a), Value::Ip(b)) => {
                self == Self::Equal && a.to_canonical() == b.to_canonical()
            }
            _ => self == Self::Equal && a == b,
        }
    }
}

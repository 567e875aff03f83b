//! What the fields of an event are: their paths, types and values. The rows are in
//! `rows/`.

use std::{fmt, net::IpAddr, sync::LazyLock};

use tracer_common::registry::EVENTS;

use super::rows;
use crate::event::{Arg, Event, Message};

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A number that may be negative.
    Signed,
    /// A number from 0 up.
    Unsigned,
    /// An address in memory.
    Pointer,
    /// A length of time in nanoseconds.
    Span,
    /// A point in time, in nanoseconds since 1970.
    Time,
    /// True or false, as the numbers 1 and 0.
    Bool,
    /// A text.
    Text,
    /// A text of at most that many bytes.
    ShortText(usize),
    /// The name of a `MSG_*` flag, or bits without a name in hex.
    Flag,
    /// The name of an errno value, or the number of one without a name.
    Errno,
    /// An IP address.
    Ip,
    /// Has fields of its own, and may be null.
    Object,
}

impl Type {
    /// What it is, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Signed => "number",
            Self::Unsigned => "number from 0 up",
            Self::Pointer => "pointer",
            Self::Span => "length of time",
            Self::Time => "point in time",
            Self::Bool => "truth value",
            Self::Text | Self::ShortText(_) => "text",
            Self::Flag => "name of a flag",
            Self::Errno => "name of an error",
            Self::Ip => "IP address",
            Self::Object => "object",
        }
    }

    /// Whether values are ordered.
    pub fn is_ordered(self) -> bool {
        self.is_number() || matches!(self, Self::Span | Self::Time)
    }

    /// Whether values are plain numbers, with bits.
    pub fn is_number(self) -> bool {
        matches!(self, Self::Signed | Self::Unsigned | Self::Pointer)
    }

    /// Whether globs match values.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::ShortText(_) | Self::Flag | Self::Errno)
    }

    /// Whether values of both types can be compared.
    pub fn compares_with(self, other: Self) -> bool {
        self == other
            || (self.is_number() && other.is_number())
            || (self.is_text() && other.is_text())
    }
}

/// A value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number, pointer, length of time, point in time or truth value.
    Int(i128),
    /// A text's bytes.
    Text(&'a [u8]),
    /// An address.
    Ip(IpAddr),
    /// An object that is not null.
    Object,
}

/// Is given one value after the other until it returns true.
pub type Visit<'a> = &'a mut dyn FnMut(Value<'_>) -> bool;

/// Gives a visitor the values of a field of a `T`; whether the visitor returned true.
pub type Get<T> = fn(&T, Visit<'_>) -> bool;

/// A field of a `T`.
pub struct Row<T> {
    /// Its path below the `T`.
    pub path: &'static str,
    /// Its type.
    pub ty: Type,
    /// Whether it may have no value.
    pub nullable: bool,
    /// Whether it may have several values.
    pub many: bool,
    /// Its values.
    pub get: Get<T>,
}

impl<T> Row<T> {
    /// A field that always has one value.
    pub const fn new(path: &'static str, ty: Type, get: Get<T>) -> Self {
        Self { path, ty, nullable: false, many: false, get }
    }

    /// A field that is null at times.
    pub const fn nullable(path: &'static str, ty: Type, get: Get<T>) -> Self {
        Self { path, ty, nullable: true, many: false, get }
    }

    /// A field with any number of values.
    pub const fn many(path: &'static str, ty: Type, get: Get<T>) -> Self {
        Self { path, ty, nullable: true, many: true, get }
    }
}

/// A field of an event.
pub struct Field {
    /// Its path in the JSON.
    pub path: String,
    /// Its type.
    pub ty: Type,
    /// Whether it may be null, left out or empty.
    pub nullable: bool,
    /// Whether it may have several values.
    pub many: bool,
    get: From,
}

/// Whose row it is.
enum From {
    Event(Get<Event>),
    Arg(&'static str, Get<Arg>),
    Message(Get<Message>),
}

impl Field {
    /// The path, without the `.value` that may be left out.
    pub fn short(&self) -> &str {
        self.path.strip_suffix(".value").unwrap_or(&self.path)
    }

    /// Whether one of the event's values is what the visitor looks for. Null is no
    /// value.
    pub fn any(&self, event: &Event, visit: Visit<'_>) -> bool {
        match &self.get {
            From::Event(get) => get(event, visit),
            From::Arg(name, get) => {
                let found = event.args.iter().find(|(arg, _)| arg == name);
                found.is_some_and(|(_, arg)| get(arg, visit))
            }
            From::Message(get) => {
                let known = event.messages.as_ref().and_then(|messages| messages.0.as_deref());
                known.unwrap_or_default().iter().any(|message| get(message, &mut *visit))
            }
        }
    }

    /// Whether the event has no value for it.
    pub fn is_null(&self, event: &Event) -> bool {
        !self.any(event, &mut |_| true)
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

/// Every field, in the order of the JSON. Those of arguments are made from the
/// registry.
pub static FIELDS: LazyLock<Vec<Field>> = LazyLock::new(|| {
    let mut fields = Vec::new();
    for row in rows::EVENT {
        if row.path == "socket" {
            args(&mut fields);
        }
        fields.push(field(row, "", From::Event(row.get)));
        if row.path == "messages" {
            fields.extend(rows::MESSAGE.iter().map(message));
        }
    }
    fields
});

fn field<T>(row: &Row<T>, before: &str, get: From) -> Field {
    let path = format!("{before}{}", row.path);
    Field { path, ty: row.ty, nullable: row.nullable, many: row.many, get }
}

/// There are any number of messages, so that each field has any number of values.
fn message(row: &Row<Message>) -> Field {
    let field = field(row, "messages.", From::Message(row.get));
    Field { nullable: true, many: true, ..field }
}

/// Arguments of one name have the same fields in every event.
fn args(fields: &mut Vec<Field>) {
    for arg in EVENTS.iter().flat_map(|event| event.args) {
        for row in rows::arg(arg.kind).iter().copied().flatten() {
            let field = field(row, &format!("args.{}.", arg.name), From::Arg(arg.name, row.get));
            if !fields.contains(&field) {
                fields.push(field);
            }
        }
    }
}

/// The field of that path; `.value` at its end may be left out.
pub fn find(path: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.path == path || field.short() == path)
}

/// The path of the field that was probably meant.
pub fn nearest(path: &str) -> Option<&'static str> {
    let paths = || FIELDS.iter().map(Field::short);
    // Of those that end so, the one with the least before it.
    let ending = paths().filter(|known| {
        known.strip_suffix(path).is_some_and(|before| before.ends_with('.') || before.is_empty())
    });
    if let Some(known) = ending.min_by_key(|known| (known.matches('.').count(), known.len())) {
        return Some(known);
    }
    let nearest = |candidates: &mut dyn Iterator<Item = (f64, &'static str)>, least: f64| {
        let near = candidates.filter(|(score, _)| *score > least);
        near.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.len().cmp(&a.1.len())))
            .map(|(_, path)| path)
    };
    let alike = |a: &str, b: &str| {
        // fd for sockfd
        let ends = a.len() > 1 && b.ends_with(a);
        strsim::jaro_winkler(&a.to_ascii_lowercase(), b).max(if ends { 0.85 } else { 0.0 })
    };
    match path.rsplit_once('.') {
        // Below an object that exists.
        Some((parent, last)) if !below(parent).is_empty() => {
            let near = below(parent).into_iter().map(|(known, rest)| (alike(last, rest), known));
            nearest(&mut near.into_iter(), 0.75)
        }
        Some(_) => nearest(&mut paths().map(|known| (alike(path, known), known)), 0.85),
        None => {
            let last = |known: &'static str| known.rsplit('.').next().unwrap_or(known);
            let either = |known| alike(path, known).max(alike(path, last(known)) * 0.95);
            nearest(&mut paths().map(|known| (either(known), known)), 0.8)
        }
    }
}

/// The fields below a path, each with what comes after it.
pub fn below(parent: &str) -> Vec<(&'static str, &'static str)> {
    let rest = |path: &'static str| Some((path, path.strip_prefix(parent)?.strip_prefix('.')?));
    FIELDS.iter().map(Field::short).filter_map(rest).collect()
}

/// What paths begin with.
pub fn roots() -> Vec<&'static str> {
    let mut roots: Vec<&str> = Vec::new();
    for root in FIELDS.iter().filter_map(|field| field.path.split('.').next()) {
        if !roots.contains(&root) {
            roots.push(root);
        }
    }
    roots
}

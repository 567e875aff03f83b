//! The table of fields: one row for each, with what it is and where its values lie.

mod arg;
mod event;
mod message;

use jiff::Timestamp;

use super::field::{Value, Visit};
use crate::event::{FlagNames, Text, Timespec, hex};
pub use arg::arg;
pub use event::EVENT;
pub use message::MESSAGE;

/// Numbers of any width, or none.
trait Int {
    fn int(self) -> Option<i128>;
}

impl<T: Into<i128>> Int for Option<T> {
    fn int(self) -> Option<i128> {
        self.map(Into::into)
    }
}

macro_rules! ints {
    ($($int:ty)*) => {$(
        impl Int for $int {
            fn int(self) -> Option<i128> {
                Some(self.into())
            }
        }
    )*};
}
ints!(u16 u32 u64);

fn int(value: impl Int, visit: Visit<'_>) -> bool {
    value.int().is_some_and(|value| visit(Value::Int(value)))
}

fn time(time: Option<Timestamp>, visit: Visit<'_>) -> bool {
    int(time.map(Timestamp::as_nanosecond), visit)
}

fn text(text: &str, visit: Visit<'_>) -> bool {
    visit(Value::Text(text.as_bytes()))
}

fn object<T>(object: Option<&T>, visit: Visit<'_>) -> bool {
    object.is_some() && visit(Value::Object)
}

fn stranger<K>(text: Option<&Text<K>>, visit: Visit<'_>) -> bool {
    text.and_then(|text| text.bytes.as_deref()).is_some_and(|bytes| visit(Value::Text(bytes)))
}

/// Only where the bytes are not UTF-8, as in the JSON.
fn as_hex<K>(of: Option<&Text<K>>, visit: Visit<'_>) -> bool {
    let bytes = of.and_then(|text| text.bytes.as_deref());
    let bytes = bytes.filter(|bytes| std::str::from_utf8(bytes).is_err());
    bytes.is_some_and(|bytes| text(&hex(bytes), visit))
}

fn flags(flags: &FlagNames, visit: Visit<'_>) -> bool {
    flags.names.iter().any(|name| text(name, &mut *visit))
        || (flags.rest != 0 && text(&format!("{:#x}", flags.rest), visit))
}

fn span(time: Timespec) -> i128 {
    i128::from(time.sec) * 1_000_000_000 + i128::from(time.nsec)
}

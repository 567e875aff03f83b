//! How often each event came with each result.

use tracer_common::{
    flags::errno_name,
    record::flags,
    registry::{EVENTS, EventId},
};

use crate::record::Record;

/// One more than the highest errno that has a name (asm-generic/errno.h, EHWPOISON).
const ERRORS: usize = 134;
/// Of an event: no error, the errors by number, one without a name, no return value.
const OTHER: usize = ERRORS;
const UNKNOWN: usize = ERRORS + 1;

/// Counts by event and result.
#[derive(Default)]
pub struct Results(Vec<(EventId, &'static str, Box<[u64; UNKNOWN + 1]>)>);

impl Results {
    /// Counts a call.
    pub fn add(&mut self, record: &Record<'_>) {
        let id = record.event.id;
        let at = match self.0.iter().position(|(known, ..)| *known == id) {
            Some(at) => at,
            None => {
                self.0.push((id, record.event.name, Box::new([0; UNKNOWN + 1])));
                self.0.len() - 1
            }
        };
        let ret = record.call.header.ret;
        let result = match usize::try_from(ret.unsigned_abs()) {
            _ if record.has(flags::NO_RETURN) => UNKNOWN,
            _ if ret >= 0 => 0,
            Ok(errno) if errno < ERRORS => errno,
            _ => OTHER,
        };
        if let Some(count) = self.0.get_mut(at).and_then(|(.., counts)| counts.get_mut(result)) {
            *count += 1;
        }
    }

    /// Events and results that there were: names, and how often.
    pub fn list(&self) -> Vec<(&'static str, &'static str, u64)> {
        let name = |result| match result {
            0 => "ok",
            UNKNOWN => "unknown",
            errno => u32::try_from(errno).ok().and_then(errno_name).unwrap_or("other"),
        };
        debug_assert!(self.0.len() <= EVENTS.len());
        let of = |(_, event, counts): &(_, &'static str, Box<[u64; UNKNOWN + 1]>)| {
            let some = counts.iter().enumerate().filter(|(_, count)| **count > 0);
            some.map(|(result, count)| (*event, name(result), *count)).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of).collect()
    }
}

//! A line, of whatever format: what of it tells whether lines are missing.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    event::RunId,
    health::{Kind, Lost},
};

/// What of a record is looked at; the rest is skipped unread.
#[derive(Debug, Deserialize)]
pub struct Own<'a> {
    #[serde(borrow)]
    schema: Cow<'a, str>,
    pub run_id: RunId,
    pub seq: u64,
    /// Empty where there is none; so is the event's name.
    #[serde(borrow, default)]
    pub time: Cow<'a, str>,
    #[serde(borrow, default)]
    pub event: Cow<'a, str>,
    #[serde(default)]
    pub kind: Option<Kind>,
    #[serde(default)]
    pub lost: Option<Lost>,
    #[serde(borrow, default)]
    pub run: Option<Run<'a>>,
}

/// What a start record says of its run.
#[derive(Debug, Deserialize)]
pub struct Run<'a> {
    #[serde(borrow)]
    pub boot_id: Cow<'a, str>,
    pub pid: u32,
    #[serde(borrow)]
    pub version: Cow<'a, str>,
    #[serde(borrow, default)]
    pub host: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Ecs<'a> {
    #[serde(borrow)]
    tracer: Own<'a>,
    #[serde(borrow, rename = "@timestamp", default)]
    time: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Ocsf<'a> {
    #[serde(borrow)]
    unmapped: Own<'a>,
    /// Milliseconds.
    #[serde(default)]
    time: Option<i64>,
}

#[derive(Deserialize)]
struct Tracee<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    /// Nanoseconds.
    #[serde(default)]
    timestamp: Option<i64>,
    #[serde(borrow, rename = "eventName", default)]
    name: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    properties: Own<'a>,
}

/// How a record lies in its line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Json,
    Ecs,
    Ocsf,
    Tracee,
}

/// What is none of our lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Not {
    /// A piece of one, or broken.
    Torn,
    /// Something else.
    Foreign,
}

/// Fields in which shippers put the line that they were given.
const WRAPPERS: [&str; 5] = ["message", "msg", "log", "MESSAGE", "body"];

/// Reads a line and hands on what is in it; the format is the one to try first, and then
/// that of the line.
///
/// # Errors
/// What the line is instead.
pub fn read<T>(
    line: &[u8],
    format: &mut Format,
    then: impl FnOnce(Own<'_>) -> T,
) -> Result<T, Not> {
    let json = unframed(line).trim_ascii();
    if let Some(own) = in_some_format(json, format) {
        return Ok(then(own));
    }
    if json.first() != Some(&b'{') {
        return Err(Not::Foreign);
    }
    let Ok(Value::Object(object)) = serde_json::from_slice(json) else { return Err(Not::Torn) };
    for inner in WRAPPERS.iter().filter_map(|name| object.get(*name)) {
        let text = match inner {
            Value::String(text) => text.clone(),
            Value::Object(_) => inner.to_string(),
            _ => continue,
        };
        let json = unframed(text.as_bytes()).trim_ascii();
        if let Some(own) = in_some_format(json, format) {
            return Ok(then(own));
        }
        // A shipper that wraps whole lines wraps torn ones, too.
        if json.first() == Some(&b'{') && serde_json::from_slice::<Value>(json).is_err() {
            return Err(Not::Torn);
        }
    }
    Err(Not::Foreign)
}

fn in_some_format<'a>(json: &'a [u8], format: &mut Format) -> Option<Own<'a>> {
    if json.first() != Some(&b'{') {
        return None;
    }
    let all = [Format::Json, Format::Ecs, Format::Ocsf, Format::Tracee];
    let others = all.into_iter().filter(|other| other != format);
    for tried in std::iter::once(*format).chain(others.collect::<Vec<_>>()) {
        if let Some(own) = in_format(json, tried) {
            *format = tried;
            return Some(own);
        }
    }
    None
}

fn in_format(json: &[u8], format: Format) -> Option<Own<'_>> {
    let own = match format {
        Format::Json => serde_json::from_slice(json).ok()?,
        Format::Ecs => {
            let Ecs { tracer, time } = serde_json::from_slice(json).ok()?;
            Own { time: either(tracer.time, time), ..tracer }
        }
        Format::Ocsf => {
            let Ocsf { unmapped, time } = serde_json::from_slice(json).ok()?;
            let time = time.and_then(|time| Timestamp::from_millisecond(time).ok());
            Own { time: either(unmapped.time, text(time)), ..unmapped }
        }
        Format::Tracee => {
            let Tracee { metadata, timestamp, name } = serde_json::from_slice(json).ok()?;
            let time = timestamp.and_then(|at| Timestamp::from_nanosecond(i128::from(at)).ok());
            let own = metadata.properties;
            let event = if own.kind.is_some() { own.event } else { either(own.event, name) };
            Own { time: either(own.time, text(time)), event, ..own }
        }
    };
    let health = own.schema.starts_with("tracer.health/");
    let ours = if health { own.kind.is_some() } else { own.schema.starts_with("tracer.") };
    ours.then_some(own)
}

fn either<'a>(own: Cow<'a, str>, other: Cow<'a, str>) -> Cow<'a, str> {
    if own.is_empty() { other } else { own }
}

fn text(time: Option<Timestamp>) -> Cow<'static, str> {
    time.map(|time| Cow::Owned(format!("{time:.9}"))).unwrap_or_default()
}

/// Without the header of RFC 5424; `line` where there is none.
fn unframed(line: &[u8]) -> &[u8] {
    after_header(line).unwrap_or(line)
}

fn after_header(line: &[u8]) -> Option<&[u8]> {
    let mut rest = line.strip_prefix(b"<")?;
    for _ in 0..6 {
        let space = rest.iter().position(|byte| *byte == b' ')?;
        rest = rest.get(space + 1..)?;
    }
    if let Some(none) = rest.strip_prefix(b"-") {
        rest = none;
    }
    while rest.first() == Some(&b'[') {
        let (mut quoted, mut escaped) = (false, false);
        let end = rest.iter().position(|byte| {
            let plain = !std::mem::take(&mut escaped);
            match byte {
                b'\\' => escaped = plain && quoted,
                b'"' if plain => quoted = !quoted,
                b']' => return plain && !quoted,
                _ => {}
            }
            false
        })?;
        rest = rest.get(end + 1..)?;
    }
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    Some(rest.strip_prefix("\u{feff}".as_bytes()).unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"schema":"tracer.event/1","time":"2026-01-01T00:00:00.000000000Z","run_id":"00000000000000aa","seq":7,"event":"recvmmsg"}"#;

    fn seq(line: &str) -> Result<u64, Not> {
        read(line.as_bytes(), &mut Format::default(), |own| own.seq)
    }

    #[test]
    fn a_record_is_found_wherever_it_lies() {
        let escaped = serde_json::to_string(LINE).expect("text");
        for line in [
            LINE.to_owned(),
            format!(r#"{{"@timestamp":"x","event":{{"kind":"event"}},"tracer":{LINE}}}"#),
            format!(r#"{{"time":5,"unmapped":{LINE}}}"#),
            format!(r#"{{"timestamp":5,"metadata":{{"Version":"1","properties":{LINE}}}}}"#),
            format!("<134>1 2026-01-01T00:00:00Z host tracer 1 - - {LINE}"),
            format!("<134>1 - - - - - [a b=\"\\\"]\"][c] \u{feff}{LINE}"),
            format!(r#"{{"message":{escaped},"host":"x"}}"#),
            format!(r#"{{"log":{{"file":"x"}},"msg":{LINE}}}"#),
            format!(r#"{{"body":{{"tracer":{LINE}}}}}"#),
        ] {
            assert_eq!(seq(&line), Ok(7), "{line}");
        }
    }

    #[test]
    fn what_is_torn_is_told_from_what_is_not_ours() {
        for end in 1..LINE.len() {
            assert_eq!(seq(LINE.get(..end).expect("ASCII")), Err(Not::Torn), "{end}");
        }
        for line in ["hello", "{}", r#"{"message":"hello"}"#, r#"{"schema":"other","seq":1}"#] {
            assert_eq!(seq(line), Err(Not::Foreign), "{line}");
        }
        assert_eq!(seq(r#"{"message":"{\"schema\":\"tra"}"#), Err(Not::Torn));
    }
}

//! Lines as log records of OpenTelemetry.

use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber},
    resource::v1::Resource,
};
use serde::Deserialize;

use crate::{event::RunId, sink::chunk::Line};

const NAME: &str = env!("CARGO_PKG_NAME");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Bytes, about, that a record has beyond its line.
pub const OVERHEAD: usize = 160;

/// A request of these lines; `now` in ns since 1970.
pub fn request(
    service: &str,
    run: RunId,
    lines: &[(&[u8], &Line)],
    now: u64,
) -> ExportLogsServiceRequest {
    let name = rustix::system::uname();
    let resource = Resource {
        attributes: vec![
            text("service.name", service),
            text("service.version", VERSION),
            text("service.instance.id", run.as_str()),
            text("host.name", &name.nodename().to_string_lossy()),
        ],
        ..Resource::default()
    };
    let scope = InstrumentationScope {
        name: NAME.to_owned(),
        version: VERSION.to_owned(),
        ..InstrumentationScope::default()
    };
    let log_records = lines.iter().map(|(bytes, line)| record(run, bytes, line, now)).collect();
    let logs = ScopeLogs { scope: Some(scope), log_records, ..ScopeLogs::default() };
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(resource),
            scope_logs: vec![logs],
            ..ResourceLogs::default()
        }],
    }
}

fn record(run: RunId, bytes: &[u8], line: &Line, now: u64) -> LogRecord {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    // As syslog has it: info for events, notice for health records.
    let (name, severity, word) = match line.caller {
        Some(_) => ("tracer.event", SeverityNumber::Info, "INFO"),
        None => ("tracer.health", SeverityNumber::Info2, "INFO2"),
    };
    LogRecord {
        time_unix_nano: time(bytes).unwrap_or(0),
        observed_time_unix_nano: now,
        severity_number: severity.into(),
        severity_text: word.to_owned(),
        body: Some(value(&String::from_utf8_lossy(bytes))),
        attributes: vec![
            text("log.record.uid", &format!("{}-{}", run.as_str(), line.seq)),
            text("tracer.run_id", run.as_str()),
            attribute("tracer.seq", Value::IntValue(line.seq.cast_signed())),
        ],
        event_name: name.to_owned(),
        ..LogRecord::default()
    }
}

fn value(text: &str) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(text.to_owned())) }
}

fn text(key: &str, text: &str) -> KeyValue {
    attribute(key, Value::StringValue(text.to_owned()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// The times that lines of our formats have.
#[derive(Deserialize)]
struct Times {
    /// `json`: RFC 3339, or null; `ocsf`: ms since 1970.
    time: Option<Time>,
    time_exit: Option<jiff::Timestamp>,
    /// `ecs`.
    #[serde(rename = "@timestamp")]
    ecs: Option<jiff::Timestamp>,
    /// `tracee`: ns since 1970.
    timestamp: Option<u64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Time {
    Text(jiff::Timestamp),
    Milliseconds(u64),
}

/// When what a line tells happened, in ns since 1970; None where it does not say.
fn time(line: &[u8]) -> Option<u64> {
    let times: Times = serde_json::from_slice(line).ok()?;
    let of = |time: jiff::Timestamp| u64::try_from(time.as_nanosecond()).ok();
    match (times.time, times.ecs.or(times.time_exit), times.timestamp) {
        (Some(Time::Text(time)), ..) => of(time),
        (Some(Time::Milliseconds(time)), ..) => time.checked_mul(1_000_000),
        (None, Some(time), _) => of(time),
        (None, None, time) => time,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::Caller;

    #[test]
    fn the_time_of_each_format() {
        let at = Some(1_795_000_000_123_000_000);
        assert_eq!(time(br#"{"time":"2026-11-18T11:06:40.123Z","seq":1}"#), at);
        assert_eq!(time(br#"{"time":null,"time_exit":"2026-11-18T11:06:40.123Z"}"#), at);
        assert_eq!(time(br#"{"@timestamp":"2026-11-18T11:06:40.123Z"}"#), at);
        assert_eq!(time(br#"{"time":1795000000123}"#), at);
        assert_eq!(time(br#"{"timestamp":1795000000123000000}"#), at);
        assert_eq!([time(b"{}"), time(b"a line"), time(b"")], [None; 3]);
    }

    #[test]
    fn a_line_is_a_record() {
        let lines = [
            (
                &b"{\"a\":1}\n"[..],
                &Line { end: 8, seq: 7, caller: Some(Caller { cpu: 0, pid: 1 }) },
            ),
            (&b"health\n"[..], &Line { end: 15, seq: 8, caller: None }),
        ];
        let run = RunId::new(0xab);
        let request = request("name", run, &lines, 99);
        let logs = &request.resource_logs[0];
        let resource = &logs.resource.as_ref().unwrap().attributes;
        assert_eq!(resource[0], text("service.name", "name"));
        let records = &logs.scope_logs[0].log_records;
        assert_eq!(records[0].body, Some(value("{\"a\":1}")));
        assert_eq!((records[0].time_unix_nano, records[0].observed_time_unix_nano), (0, 99));
        assert_eq!(records[0].attributes[0], text("log.record.uid", "00000000000000ab-7"));
        assert_eq!((records[0].severity_number, records[1].severity_number), (9, 10));
        assert_eq!(records[1].event_name, "tracer.health");
    }
}

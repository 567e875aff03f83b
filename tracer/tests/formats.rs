//! Formats of other people: nothing of the event is lost in them, they fit the schemas that
//! `tracer schema` prints, and they look as they did. What the schemas' own publishers say
//! of real output, `tests/tests/formats.rs` asks.

use std::{fs, path::Path};

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;
use tempfile::NamedTempFile;
use tracer::{
    catalog::schema,
    decode,
    encode::Encoder,
    event::{Event, RunId, Text},
    health::{Counts, Health, Kind, Origin, Report, Run},
    pipeline::{Output, Pipeline},
    record,
    recording::{Frame, Reader},
    sink::{Destination, Sink},
};

/// A format: its name, its encoder, where it has our own record, and its schema.
struct Format {
    name: &'static str,
    encoder: fn() -> Encoder,
    own: &'static str,
    schema: fn() -> Value,
}

const FORMATS: [Format; 3] = [
    Format { name: "ecs", encoder: || Encoder::Ecs, own: "/tracer", schema: schema::ecs },
    Format { name: "ocsf", encoder: || Encoder::Ocsf, own: "/unmapped", schema: schema::ocsf },
    Format {
        name: "tracee",
        encoder: || Encoder::Tracee,
        own: "/metadata/properties",
        schema: schema::tracee,
    },
];

impl Format {
    fn validator(&self) -> Validator {
        let schema = (self.schema)();
        jsonschema::draft202012::meta::validate(&schema).expect("a schema by its own schema");
        jsonschema::draft202012::options()
            .should_validate_formats(true)
            .with_pattern_options(PatternOptions::regex())
            .build(&schema)
            .unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    fn line(&self, event: &Event, origin: &Origin) -> Value {
        let mut out = Vec::new();
        (self.encoder)().event(event, origin, &mut out).unwrap();
        assert_eq!(out.pop(), Some(b'\n'));
        serde_json::from_slice(&out).unwrap()
    }

    fn health(&self, health: &Health, origin: &Origin) -> Value {
        let mut out = Vec::new();
        (self.encoder)().health(health, origin, &mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    }
}

/// Panics where a schema refuses a line.
fn assert_valid(validator: &Validator, line: &Value) {
    let errors = validator.iter_errors(line);
    let wrong: Vec<_> = errors.map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{wrong:#?} in {line}");
}

fn recordings() -> Vec<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|end| end == "rec")).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// A recording's lines in a format.
fn played(path: &Path, encoder: Encoder) -> String {
    let mut reader = Reader::open(path).unwrap();
    let out = NamedTempFile::new().unwrap();
    let destination = Destination::parse(&format!("file:{}", out.path().display())).unwrap();
    let sink = Sink::open(&destination, RunId::default()).unwrap();
    let outputs = vec![Output::new(sink, encoder)];
    let mut pipeline = Pipeline::new(reader.header.stream.clone(), reader.header.clock, outputs);
    pipeline.play(&mut reader, false).unwrap();
    pipeline.flush().unwrap();
    fs::read_to_string(out.path()).unwrap()
}

fn parsed(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A recording's events, and where they are from.
fn events(path: &Path) -> (Vec<Event>, Origin) {
    let mut reader = Reader::open(path).unwrap();
    let (clock, stream) = (reader.header.clock, reader.header.stream.clone());
    let mut events = Vec::new();
    while let Some(frame) = reader.next_frame().unwrap() {
        if let Frame::Record(_, bytes) = frame
            && let Ok(record) = record::parse(bytes)
            && record.kind == tracer_common::record::RecordKind::Call
        {
            events.push(decode::decode(&record, &clock));
        }
    }
    (events, Origin { stream, run: Some(run()) })
}

fn run() -> Run {
    Run {
        id: "00000000000000ab".parse().unwrap(),
        boot_id: "5c8a0b7e-1f7c-4c7b-9d51-51e2a1a0a2ff".to_owned(),
        pid: 77,
        version: "0.1.0".into(),
        host: Some("ho".to_owned()),
    }
}

/// Every leaf of a value.
fn leaves<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| leaves(item, found)),
        Value::Object(fields) => fields.values().for_each(|value| leaves(value, found)),
        leaf => found.push(leaf),
    }
}

fn assert_all_there(event: &Value, line: &Value, own: &str) {
    assert_eq!(line.pointer(own), Some(event), "in {line}");
    let (mut wanted, mut there) = (Vec::new(), Vec::new());
    leaves(event, &mut wanted);
    leaves(line, &mut there);
    for leaf in wanted {
        assert!(there.contains(&leaf), "no {leaf} in {line}");
    }
}

#[test]
fn nothing_of_a_recording_is_lost_and_the_schemas_accept_it() {
    for format in &FORMATS {
        let validator = format.validator();
        for path in recordings() {
            let plain = parsed(&played(&path, Encoder::Json));
            let lines = parsed(&played(&path, (format.encoder)()));
            assert_eq!(plain.len(), lines.len(), "{} of {}", format.name, path.display());
            for (plain, line) in plain.iter().zip(&lines) {
                assert_all_there(plain, line, format.own);
                assert_valid(&validator, line);
            }
        }
    }
}

/// Names and paths of strangers, which are bytes.
#[test]
fn nothing_is_lost_of_bytes_that_are_no_text() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/kinds.rec");
    let (events, origin) = events(&path);
    assert!(!events.is_empty());
    for mut event in events {
        event.process.comm = Text::new(*b"a\xffb\"\x01");
        event.process.exe = Text::new(*b"/tmp/\xc3(/x\n");
        event.process.cgroup.path = Text::new(*b"/\x80");
        event.missing.clear();
        event.process.container = Some(tracer::event::Container {
            id: "00ff".to_owned(),
            runtime: Some("docker".into()),
        });
        let plain = serde_json::to_value(&event).unwrap();
        for format in &FORMATS {
            let line = format.line(&event, &origin);
            assert_all_there(&plain, &line, format.own);
            let own = &line.pointer(format.own).unwrap()["process"];
            assert_eq!(own["comm_hex"], "61ff622201");
            assert_eq!(own["exe_hex"], "2f746d702fc3282f780a");
            assert_eq!(own["cgroup"]["path_hex"], "2f80");
        }
        let [ecs, ocsf, tracee] = FORMATS.each_ref().map(|format| format.line(&event, &origin));
        assert_eq!(ecs["process"]["name"], "a\u{fffd}b\"\u{1}");
        assert_eq!(ecs["container"], serde_json::json!({"id": "00ff", "runtime": "docker"}));
        assert_eq!(ecs["host"]["name"], "ho");
        assert_eq!(ocsf["actor"]["process"]["file"]["name"], "x\n");
        assert_eq!(ocsf["device"]["hostname"], "ho");
        assert_eq!(tracee["containerId"], "00ff");
        assert_eq!(tracee["hostName"], "ho");
    }
}

/// Run and position are where a reader of that schema looks, in all kinds of lines.
#[test]
fn run_and_position_have_their_places() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/kinds.rec");
    let (mut events, origin) = events(&path);
    let event = &mut events[0];
    (event.run_id, event.seq) = (origin.run_id(), 5);
    let nothing = Counts::default();
    let now = Counts { emitted: 3, filtered: 2, ..Counts::default() };
    for kind in [Kind::Start, Kind::Loss, Kind::End, Kind::Reload] {
        let mut report = Report::new(kind, &now, &nothing);
        if kind == Kind::Reload {
            report.changes.push("other filters: uid".to_owned());
        }
        let mut health = Health::new(origin.run_id(), 5, &origin.stream, &report);
        if kind == Kind::Start {
            health = health.of_run(run());
        }
        for format in &FORMATS {
            let record = format.health(&health, &origin);
            assert_valid(&format.validator(), &record);
            assert_all_there(&serde_json::to_value(&health).unwrap(), &record, format.own);
            for (line, schema) in
                [(&record, "tracer.health/1"), (&format.line(event, &origin), "tracer.event/1")]
            {
                let own = line.pointer(format.own).unwrap();
                assert_eq!(own["schema"], schema);
                assert_eq!(own["run_id"], "00000000000000ab");
                assert_eq!(own["seq"], 5);
                match format.name {
                    "ecs" => {
                        assert_eq!(line["event"]["sequence"], 5);
                        assert_eq!(line["event"]["id"], "00000000000000ab-5");
                    }
                    "ocsf" => {
                        assert_eq!(line["metadata"]["sequence"], 5);
                        assert_eq!(line["metadata"]["uid"], "00000000000000ab-5");
                    }
                    _ => {}
                }
            }
        }
        let [ecs, ocsf, tracee] = FORMATS.each_ref().map(|format| format.health(&health, &origin));
        assert_eq!(ecs["event"]["kind"], "metric");
        assert_eq!(ecs["event"]["action"], kind.name());
        assert_eq!((&ocsf["type_uid"], &ocsf["activity_id"]), (&100_399.into(), &99.into()));
        assert_eq!(ocsf["severity_id"], if kind == Kind::Loss { 3 } else { 1 });
        assert_eq!(tracee["eventName"], "tracer_health");
        let args = tracee["args"].as_array().unwrap();
        assert_eq!(args[0]["value"], kind.name());
        assert_eq!(args.iter().find(|arg| arg["name"] == "emitted").unwrap()["value"], 3);
    }
}

/// What other people's fields say of some calls. `UPDATE_GOLDEN=1` writes them anew.
#[test]
fn formats_are_what_they_were() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for name in ["pid-namespaces", "detail-errors", "detail-unix", "socketcall-fault", "races"] {
        for format in &FORMATS {
            let path = folder.join(format!("{name}.rec"));
            // Our own record is in the golden file of JSON.
            let lines = parsed(&played(&path, (format.encoder)())).into_iter().map(|mut line| {
                *line.pointer_mut(format.own).unwrap() = "as in json".into();
                format!("{line}\n")
            });
            let actual: String = lines.collect();
            let golden = folder.join("formats").join(format!("{name}.{}", format.name));
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                fs::create_dir_all(golden.parent().unwrap()).unwrap();
                fs::write(&golden, &actual).unwrap();
                continue;
            }
            let expected = fs::read_to_string(&golden).unwrap();
            assert_eq!(actual, expected, "{}", golden.display());
        }
    }
}

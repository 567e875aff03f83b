//! What librdkafka is told, put together and looked over without a thread, so that
//! mistakes show before anything is traced, and files are read while they may be.

use std::{io, path::Path};

use rdkafka::{ClientConfig, error::KafkaError};

use super::spec::{KafkaTopic, refuse_own};
use crate::sink::credentials::{at, read_text};

/// What users may set otherwise. A chunk's lines come all at once, and the next chunk once
/// these are reported: to wait for more of them costs more than it brings. They wait for as
/// long as brokers are away.
const DEFAULTS: &[(&str, &str)] =
    &[("client.id", "tracer"), ("linger.ms", "0"), ("message.timeout.ms", "0")];

/// Files that librdkafka would open with the first line, when this process may have no
/// right to any more; and the settings that take what is in them.
const FILES: &[(&str, &str)] = &[
    ("ssl.ca.location", "ssl.ca.pem"),
    ("ssl.certificate.location", "ssl.certificate.pem"),
    ("ssl.key.location", "ssl.key.pem"),
];

/// All settings.
///
/// # Errors
/// What is wrong with which of them; no values but those that librdkafka finds wrong.
pub fn gather(spec: &KafkaTopic) -> io::Result<ClientConfig> {
    let mut config = ClientConfig::new();
    for (name, value) in DEFAULTS {
        config.set(*name, *value);
    }
    if let Some(path) = &spec.config {
        let text = read_text(path)?;
        for (name, value) in lines(&text).map_err(|why| at(path, &why))? {
            config.set(name, value);
        }
    }
    for (name, value) in &spec.settings.0 {
        config.set(name, value);
    }
    config.set("bootstrap.servers", &spec.brokers);
    config.set("enable.idempotence", "true").set("acks", "all");
    for (location, content) in FILES {
        let Some(path) = config.get(location).map(str::to_owned) else { continue };
        let path = Path::new(&path);
        // Of certificates there may be a folder, or the word `probe`.
        if *location == "ssl.ca.location" && !path.is_file() {
            continue;
        }
        let text = read_text(path)?;
        config.remove(location).set(*content, text);
    }
    config.create_native_config().map_err(|error| io::Error::other(reason(&error)))?;
    Ok(config)
}

/// What librdkafka says, without the value, which may be a secret.
pub fn reason(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, what, name, _) if what.contains(name) => what.clone(),
        KafkaError::ClientConfig(_, what, name, _) => format!("{name}: {what}"),
        KafkaError::ClientCreation(why) => why.clone(),
        other => other.to_string(),
    }
}

/// The settings in a file: a `name=value` a line, `#` before comments.
fn lines(text: &str) -> Result<Vec<(&str, &str)>, String> {
    let mut all = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            return Err(format!("line {number} is no setting: name=value"));
        };
        refuse_own(name.trim()).map_err(|why| format!("line {number}: {why}"))?;
        all.push((name.trim(), value.trim()));
    }
    Ok(all)
}

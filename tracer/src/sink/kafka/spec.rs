//! A topic that lines are sent to, as `--write kafka:…` names it.

use std::{fmt, path::PathBuf};

use crate::sink::options::Options;

/// A topic, and how lines are sent to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaTopic {
    /// `HOST[:PORT]`, with commas between them: those that are asked for the others.
    pub brokers: String,
    /// The topic.
    pub topic: String,
    /// What messages are told apart by: those of one key go to one partition.
    pub key: Key,
    /// A file of settings, a `name=value` a line.
    pub config: Option<PathBuf>,
    /// Settings of librdkafka, which take precedence over the file's.
    pub settings: Settings,
}

/// What the key of a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// There is none: messages go to all partitions alike.
    None,
    /// The caller's process id; the run's id for health records.
    Pid,
    /// The run's id: all lines of a run keep their order.
    Run,
}

/// Names and values, of which some are secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings(pub Vec<(String, String)>);

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl KafkaTopic {
    pub(in crate::sink) fn parse(address: &str, mut options: Options) -> Result<Self, String> {
        let wrong = || format!("{address}: kafka takes BROKER[,BROKER…]/TOPIC");
        let (brokers, topic) = address.rsplit_once('/').ok_or_else(wrong)?;
        if brokers.split(',').any(str::is_empty) || topic.is_empty() {
            return Err(wrong());
        }
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if topic.len() > 249 || matches!(topic, "." | "..") || !topic.bytes().all(fits) {
            let letters = "a topic has up to 249 letters, digits, dots, underscores and hyphens";
            return Err(format!("{topic}: {letters}"));
        }
        let keys = [("none", Key::None), ("pid", Key::Pid), ("run", Key::Run)];
        let key = options.take_word("key", &keys)?.unwrap_or(Key::None);
        let config = options.take("config")?.map(PathBuf::from);
        let settings = options.take_all(|key| key.contains('.'));
        for (at, (name, _)) in settings.iter().enumerate() {
            if settings[..at].iter().any(|(other, _)| other == name) {
                return Err(format!("option {name} is given twice"));
            }
            refuse_own(name)?;
        }
        options.finish(&["key", "config", "and all of librdkafka's whose names have a dot"])?;
        let (brokers, topic) = (brokers.to_owned(), topic.to_owned());
        Ok(Self { brokers, topic, key, config, settings: Settings(settings) })
    }
}

impl KafkaTopic {
    /// Files that librdkafka reads once it connects: certificates, keys.
    pub fn files(&self) -> Vec<PathBuf> {
        let Ok(config) = super::settings::gather(self) else { return Vec::new() };
        let settings = config.config_map().into_iter();
        let files = settings.filter(|(name, _)| name.ends_with(".location"));
        files.map(|(_, path)| PathBuf::from(path)).collect()
    }
}

/// Settings that are not for users: what delivery stands on, what the address says, and
/// brokers that are none.
const OWN: &[&str] = &[
    "acks",
    "bootstrap.servers",
    "enable.idempotence",
    "metadata.broker.list",
    "request.required.acks",
    "test.mock.num.brokers",
    "transactional.id",
];

/// An error for a setting that is not for users.
pub fn refuse_own(name: &str) -> Result<(), String> {
    if OWN.contains(&name) { Err(format!("{name} is not for setting here")) } else { Ok(()) }
}

impl fmt::Display for KafkaTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kafka:{}/{}", self.brokers, self.topic)
    }
}

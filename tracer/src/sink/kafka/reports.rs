//! What librdkafka tells: which lines arrived, and what is the matter with brokers.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{DeliveryResult, ProducerContext},
};

/// What has come since it was looked at last. All of it comes while the producer is polled.
#[derive(Default)]
pub struct Reports(Mutex<News>);

/// Reports and errors, in their order.
#[derive(Default)]
pub struct News {
    /// Lines, by their place in the chunk, and what became of them.
    pub lines: Vec<(usize, Result<(), RDKafkaErrorCode>)>,
    /// Errors that are of no line, and what is said of them.
    pub errors: Vec<(RDKafkaErrorCode, String)>,
}

impl Reports {
    fn lock(&self) -> MutexGuard<'_, News> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What there is.
    pub fn take(&self) -> News {
        std::mem::take(&mut self.lock())
    }
}

impl ClientContext for Reports {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        log::debug!("librdkafka: {facility} {message}");
    }

    fn stats_raw(&self, statistics: &[u8]) {
        log::debug!("librdkafka: {}", String::from_utf8_lossy(statistics));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        self.lock().errors.push((code, reason.to_owned()));
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, line: usize) {
        let unknown = RDKafkaErrorCode::Unknown;
        let result = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap_or(unknown)),
        };
        self.lock().lines.push((line, result));
    }
}

/// What an error means for the line that it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It, or the others that went with it, is longer than the broker takes.
    TooLong,
    /// The broker does not take it and never will.
    Refused,
    /// No line will be taken.
    Hopeless,
    /// It is to be sent again.
    Again,
}

/// What an error means for the line that it is of.
pub fn fate(code: RDKafkaErrorCode) -> Fate {
    use RDKafkaErrorCode as E;
    match code {
        E::MessageSizeTooLarge | E::MessageBatchTooLarge => Fate::TooLong,
        E::InvalidTimestamp | E::InvalidMessage | E::PolicyViolation => Fate::Refused,
        E::UnknownTopic
        | E::UnknownTopicOrPartition
        | E::UnknownPartition
        | E::InvalidTopic
        | E::TopicAuthorizationFailed
        | E::InvalidRequiredAcks
        | E::UnsupportedForMessageFormat
        | E::Fatal => Fate::Hopeless,
        code if denies(code) => Fate::Hopeless,
        _ => Fate::Again,
    }
}

/// Whether it says that the brokers do not let us in.
pub fn denies(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as E;
    matches!(
        code,
        E::Authentication
            | E::SaslAuthenticationFailed
            | E::UnsupportedSASLMechanism
            | E::ClusterAuthorizationFailed
    )
}

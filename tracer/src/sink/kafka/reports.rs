//! What librdkafka tells: which lines arrived, and what is the matter with brokers.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{DeliveryResult, ProducerContext},
};
use rustix::event::{EventfdFlags, eventfd};

/// Errors that are kept while nobody asks for them.
const ERRORS: usize = 16;

/// What has come since it was looked at last; a thread of the producer's brings it.
pub struct Reports {
    news: Mutex<News>,
    /// Readable once there is some.
    more: OwnedFd,
}

/// Reports and errors, in their order.
#[derive(Default)]
pub struct News {
    /// Lines, by their place in the chunk, and what became of them.
    pub lines: Vec<(usize, Result<(), RDKafkaErrorCode>)>,
    /// Errors that are of no line, and what is said of them.
    pub errors: VecDeque<(RDKafkaErrorCode, String)>,
}

impl Reports {
    /// None yet.
    ///
    /// # Errors
    /// Those of making an eventfd.
    pub fn new() -> io::Result<Self> {
        let more = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { news: Mutex::default(), more })
    }

    fn lock(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, add: impl FnOnce(&mut News)) {
        let mut news = self.lock();
        let had_none = news.lines.is_empty() && news.errors.is_empty();
        add(&mut news);
        if had_none {
            // It has room for one.
            let _ = rustix::io::write(&self.more, &1u64.to_ne_bytes());
        }
    }

    /// What is readable once there is some.
    pub fn there_is_more(&self) -> BorrowedFd<'_> {
        self.more.as_fd()
    }

    /// What there is.
    pub fn take(&self) -> News {
        let mut news = self.lock();
        // It does not block, and says nothing where there is none.
        let _ = rustix::io::read(&self.more, &mut [0; 8]);
        std::mem::take(&mut news)
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
        self.add(|news| {
            if news.errors.len() >= ERRORS {
                news.errors.pop_front();
            }
            news.errors.push_back((code, reason.to_owned()));
        });
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
        self.add(|news| news.lines.push((line, result)));
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

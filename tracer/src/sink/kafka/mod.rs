//! A Kafka topic that lines are sent to, a message each. A line is settled once the broker
//! has reported it, with all replicas in step; what fails for now is left to librdkafka,
//! which goes on for as long as it takes.

mod reports;
mod settings;
mod spec;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    io,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{BaseRecord, Producer, ThreadedProducer},
};
use rustix::event::PollFlags;

use super::{
    chunk::{Chunk, Line},
    transport::{Backoff, Delivery, Halt, Leash, Transport, wait},
};
use reports::{Fate, Reports, denies, fate};
pub use spec::{KafkaTopic, Key};

/// How long brokers may deny us before it is for good: those that start may know no user
/// yet.
const DENIED: Duration = Duration::from_secs(10);
/// How long nothing may be reported before it is said.
const SILENT: Duration = Duration::from_secs(10);
/// How often it is looked whether these are over.
const LOOK: Duration = Duration::from_secs(1);

/// What librdkafka says beside each broker's own error.
const ALL_DOWN: RDKafkaErrorCode = RDKafkaErrorCode::AllBrokersDown;

type Producing = ThreadedProducer<Reports>;

/// The transport to a topic.
pub struct Kafka {
    spec: KafkaTopic,
    config: ClientConfig,
    /// Made with the first chunk, since it has threads.
    producer: Option<Producing>,
    /// Lines have arrived by way of it.
    proven: bool,
    /// The last line was reported then, or waited for from then on.
    since: Instant,
    /// The brokers denied us first then, and how, and have taken nothing since.
    denied: Option<(Instant, String)>,
    /// What a broker said last.
    reason: Option<String>,
    /// It was said that nothing is taken.
    missed: bool,
    /// It was said that requests are too long.
    said_too_long: bool,
}

/// The lines of a chunk on their way.
struct Lines {
    /// Whether each is settled, and how.
    settled: Vec<Option<Settled>>,
    /// How many are not.
    left: usize,
    /// Those to be sent, by their place.
    to_send: VecDeque<usize>,
    /// Those that may have been too long together with others.
    alone: VecDeque<usize>,
    /// How many have been sent and not been reported.
    under_way: usize,
    /// The one that was sent by itself.
    single: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settled {
    Arrived,
    Refused,
}

impl Kafka {
    /// Looks over the settings; starts nothing.
    ///
    /// # Errors
    /// A setting is wrong, or its file can't be read.
    pub fn open(spec: &KafkaTopic) -> io::Result<Self> {
        Ok(Self {
            config: settings::gather(spec)?,
            spec: spec.clone(),
            producer: None,
            proven: false,
            since: Instant::now(),
            denied: None,
            reason: None,
            missed: false,
            said_too_long: false,
        })
    }

    /// Makes the producer, which starts threads.
    fn make(&self) -> Result<Producing, Halt> {
        // Otherwise OpenSSL takes itself down at the process's end, under the feet of
        // librdkafka's threads.
        openssl_sys::init();
        let made = self.config.create_with_context(Reports::new().map_err(Halt::Failed)?);
        made.map_err(|error| Halt::because(settings::reason(&error)))
    }

    /// Hands lines over to librdkafka, as many as it takes.
    fn send(&self, producer: &Producing, chunk: &Chunk, lines: &mut Lines) -> Result<(), Halt> {
        if lines.under_way == 0 && lines.to_send.is_empty() {
            lines.single = lines.alone.pop_front();
            lines.to_send.extend(lines.single);
        }
        let (key, topic) = (self.spec.key, &self.spec.topic);
        let (run, ends) = (chunk.run.as_str(), chunk.ends());
        while let Some(&at) = lines.to_send.front() {
            let Some(line) = ends.get(at) else { break };
            let start = at.checked_sub(1).and_then(|before| ends.get(before));
            let bytes = &chunk.bytes[start.map_or(0, |line| line.end)..line.end];
            let payload = bytes.strip_suffix(b"\n").unwrap_or(bytes);
            let name = key_of(key, run, line);
            let mut record = BaseRecord::with_opaque_to(topic, at).payload(payload);
            record.key = name.as_deref();
            match producer.send(record.headers(headers(run, line.seq))) {
                Ok(()) => lines.under_way += 1,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => break,
                Err((error, _)) => match error.rdkafka_error_code().map(fate) {
                    Some(Fate::TooLong | Fate::Refused) => lines.settle(at, Settled::Refused),
                    _ => return Err(Halt::because(error.to_string())),
                },
            }
            lines.to_send.pop_front();
        }
        Ok(())
    }

    /// Takes the reports that have come. Says whether some lines are to be sent again.
    fn receive(
        &mut self,
        producer: &Producing,
        chunk: &Chunk,
        lines: &mut Lines,
        leash: Option<&Leash<'_>>,
    ) -> Result<bool, Halt> {
        let news = producer.context();
        wait(Some((news.there_is_more(), PollFlags::IN)), Some(LOOK), leash)?;
        let news = news.take();
        let (mut again, mut too_long, mut hope) = (false, false, Ok(()));
        let (mut arrived, mut bytes) = (false, 0);
        for (at, result) in news.lines {
            lines.under_way = lines.under_way.saturating_sub(1);
            match result.map_err(|code| (fate(code), code)) {
                Ok(()) => {
                    arrived = true;
                    bytes += length(chunk, at);
                    lines.settle(at, Settled::Arrived);
                }
                Err((Fate::TooLong, _)) if lines.single != Some(at) => {
                    too_long = true;
                    lines.alone.push_back(at);
                }
                Err((Fate::TooLong | Fate::Refused, _)) => lines.settle(at, Settled::Refused),
                Err((Fate::Hopeless, code)) => hope = Err(Halt::because(code.to_string())),
                Err((Fate::Again, code)) => {
                    log::debug!("{}: a line is sent again: {code}", self.spec);
                    again = true;
                    lines.to_send.push_back(at);
                }
            }
        }
        if let Some((_, why)) = producer.client().fatal_error() {
            hope = Err(Halt::because(why));
        }
        if let Some(leash) = leash {
            leash.progress(bytes);
            // Each is a broker that was tried in vain, or a connection that broke.
            let brokers = news.errors.iter().filter(|(code, _)| *code != ALL_DOWN).count();
            leash.retries.fetch_add(brokers as u64, Ordering::Relaxed);
        }
        self.heard(news.errors, arrived);
        if too_long && !std::mem::replace(&mut self.said_too_long, true) {
            log::warn!(
                "{}: lines together are longer than a broker takes, and are sent one by one: \
                 batch.size is to be no more than its message.max.bytes",
                self.spec
            );
        }
        hope.map(|()| again)
    }

    /// Takes note of how brokers are, and says so where that has changed.
    fn heard(&mut self, errors: VecDeque<(RDKafkaErrorCode, String)>, arrived: bool) {
        let mut down = false;
        for (code, why) in errors {
            log::debug!("{}: {why}", self.spec);
            if denies(code) {
                self.denied.get_or_insert_with(|| (Instant::now(), why.clone()));
            }
            if code == ALL_DOWN {
                down = true;
                self.reason.get_or_insert(why);
            } else {
                self.reason = Some(why);
            }
        }
        if arrived {
            self.proven = true;
            self.since = Instant::now();
            (self.denied, self.reason) = (None, None);
            if std::mem::take(&mut self.missed) {
                log::warn!("{}: lines arrive again", self.spec);
            }
        } else if (down || self.since.elapsed() >= SILENT) && !self.missed {
            self.missed = true;
            let why = self.reason.as_deref().unwrap_or("nothing is reported to have arrived");
            log::warn!("{}: {why}; waiting until lines arrive", self.spec);
        }
    }

    /// Sends all lines, until each is settled.
    fn run(
        &mut self,
        producer: &Producing,
        chunk: &Chunk,
        lines: &mut Lines,
        leash: Option<&Leash<'_>>,
    ) -> Result<(), Halt> {
        // What was heard while there was nothing to send is of no use.
        drop(producer.context().take());
        self.since = Instant::now();
        let mut backoff = Backoff::default();
        loop {
            self.send(producer, chunk, lines)?;
            if lines.left == 0 {
                return Ok(());
            }
            if self.receive(producer, chunk, lines, leash)? {
                backoff.wait(leash)?;
            }
            if let Some((when, why)) = &self.denied
                && when.elapsed() >= DENIED
            {
                return Err(Halt::because(why.clone()));
            }
        }
    }
}

impl Lines {
    fn new(chunk: &Chunk) -> Self {
        let count = chunk.ends().len();
        Self {
            settled: vec![None; count],
            left: count,
            to_send: (0..count).collect(),
            alone: VecDeque::new(),
            under_way: 0,
            single: None,
        }
    }

    fn settle(&mut self, at: usize, how: Settled) {
        if let Some(settled @ None) = self.settled.get_mut(at) {
            *settled = Some(how);
            self.left -= 1;
        }
    }

    /// What was under way will not be reported.
    fn start_over(&mut self) {
        let settled = self.settled.iter().enumerate();
        self.to_send = settled.filter(|(_, how)| how.is_none()).map(|(at, _)| at).collect();
        self.alone.clear();
        (self.under_way, self.single) = (0, None);
    }

    /// What became of them. What arrived behind a line that is not settled counts as not
    /// settled either: it may be sent again from a spool, and is not to be lost there.
    fn delivery(&self, chunk: &Chunk, result: Result<(), Halt>) -> Delivery {
        let known = self.settled.iter().map_while(|settled| *settled);
        let (mut whole, mut refused) = (0, Vec::new());
        for (line, settled) in chunk.ends().iter().zip(known) {
            whole = line.end;
            if settled == Settled::Refused {
                refused.push(line.end);
            }
        }
        Delivery { whole, refused, result }
    }
}

impl Transport for Kafka {
    fn deliver(&mut self, chunk: &Chunk, leash: Option<&Leash<'_>>) -> Delivery {
        let mut lines = Lines::new(chunk);
        let mut backoff = Backoff::default();
        loop {
            let producer = match self.producer.take().map_or_else(|| self.make(), Ok) {
                Ok(producer) => producer,
                Err(halt) => return lines.delivery(chunk, Err(halt)),
            };
            let result = self.run(&producer, chunk, &mut lines, leash);
            let fatal = producer.client().fatal_error();
            match (result, fatal) {
                // Its numbers are out of step with the brokers', as after these have lost
                // lines: another one begins anew.
                (Err(Halt::Failed(_)), Some((_, why))) if std::mem::take(&mut self.proven) => {
                    log::warn!("{}: {why}; with another producer from here on", self.spec);
                    drop(producer);
                    lines.start_over();
                    if let Err(halt) = backoff.wait(leash) {
                        return lines.delivery(chunk, Err(halt));
                    }
                }
                (result, _) => {
                    self.producer = Some(producer);
                    return lines.delivery(chunk, result);
                }
            }
        }
    }
}

fn length(chunk: &Chunk, at: usize) -> usize {
    let end = |at: Option<usize>| at.and_then(|at| chunk.ends().get(at)).map_or(0, |line| line.end);
    end(Some(at)) - end(at.checked_sub(1))
}

fn key_of(key: Key, run: &str, line: &Line) -> Option<String> {
    match (key, line.caller) {
        (Key::None, _) => None,
        (Key::Pid, Some(caller)) => Some(caller.pid.to_string()),
        (Key::Pid | Key::Run, _) => Some(run.to_owned()),
    }
}

/// What a message is named by, so that one that came twice can be told.
fn headers(run: &str, seq: u64) -> OwnedHeaders {
    let seq = seq.to_string();
    OwnedHeaders::new_with_capacity(2)
        .insert(Header { key: "run_id", value: Some(run) })
        .insert(Header { key: "seq", value: Some(&seq) })
}

//! A stream of NATS JetStream. Each line is a message whose id is its name, `RUN-SEQ`, so
//! that one that is sent again is stored once; what is not acknowledged is sent again.

mod answer;
mod batch;
mod link;
mod spec;

use std::{io, time::Instant};

use async_nats::ConnectOptions;

use super::{
    chunk::Chunk,
    credentials::{at, read_secret},
    remote::{IDLE, Trouble},
    tls,
    transport::{Delivery, Halt, Leash, Transport},
};
use batch::Batch;
use link::{Broken, Link};
pub use spec::{Login, NatsSubject};

/// The transport to a stream.
pub struct Nats {
    spec: NatsSubject,
    options: ConnectOptions,
    link: Option<Link>,
    /// When the last delivery ended.
    last: Instant,
    trouble: Trouble,
    /// It was said that a line was refused, and that the stream had one already.
    refused: bool,
    foreign: bool,
}

impl Nats {
    /// Reads the files of secrets and certificates; connects later.
    ///
    /// # Errors
    /// One can't be read, or holds something else.
    pub fn new(spec: &NatsSubject) -> io::Result<Self> {
        let mut options = ConnectOptions::new().name("tracer").no_echo();
        options = match &spec.login {
            Login::None => options,
            Login::User(name, path) => options.user_and_password(name.clone(), read_secret(path)?),
            Login::Token(path) => options.token(read_secret(path)?),
            Login::Nkey(path) => options.nkey(read_secret(path)?),
            // The library's own message could show what the file holds.
            Login::Creds(path) => options
                .credentials(&read_secret(path)?)
                .map_err(|_| at(path, &"these are no credentials"))?,
        };
        if let Some(inbox) = &spec.inbox {
            options = options.custom_inbox_prefix(inbox);
        }
        if let Some(tls) = &spec.tls {
            options = options.require_tls(true).tls_client_config(tls::config(tls)?);
        }
        Ok(Self {
            spec: spec.clone(),
            options,
            link: None,
            last: Instant::now(),
            trouble: Trouble::default(),
            refused: false,
            foreign: false,
        })
    }

    /// One attempt, over a new connection where there is none.
    fn attempt(
        &mut self,
        chunk: &Chunk,
        batch: &mut Batch<'_>,
        leash: Option<&Leash<'_>>,
    ) -> Result<Result<(), Broken>, Halt> {
        let link = match &mut self.link {
            Some(link) => link,
            none => match Link::dial(&self.spec, &self.options, leash)? {
                Ok(link) => none.insert(link),
                Err(broken) => return Ok(Err(broken)),
            },
        };
        link.exchange(&self.spec, chunk.run, batch, leash)
    }

    /// Says of the first line that is lost that it is.
    fn report(&mut self, batch: &Batch<'_>) {
        if let Some(why) = &batch.refused
            && !std::mem::replace(&mut self.refused, true)
        {
            log::warn!("{}: a line is refused: {why}; such lines count as lost", self.spec);
        }
        if batch.foreign && !std::mem::replace(&mut self.foreign, true) {
            log::warn!(
                "{}: the stream had lines before they were sent. That is fine where a tracer \
                 was killed that had sent them from its spool; else destinations of one tracer \
                 share the stream, and need an id=WORD each",
                self.spec
            );
        }
    }

    fn deliver_all(
        &mut self,
        chunk: &Chunk,
        batch: &mut Batch<'_>,
        leash: Option<&Leash<'_>>,
    ) -> Result<(), Halt> {
        loop {
            let why = match self.attempt(chunk, batch, leash)? {
                Ok(()) => return Ok(()),
                Err(Broken::Link(why)) => {
                    self.link = None;
                    why
                }
                Err(Broken::Lines(why)) => why,
                Err(Broken::Never(why)) => return Err(Halt::because(why)),
            };
            self.trouble.wait(&self.spec, why, None, leash)?;
        }
    }
}

impl Transport for Nats {
    fn deliver(&mut self, chunk: &Chunk, leash: Option<&Leash<'_>>) -> Delivery {
        if self.last.elapsed() > IDLE {
            self.link = None;
        }
        let mut batch = Batch::new(chunk);
        let result = self.deliver_all(chunk, &mut batch, leash);
        self.report(&batch);
        if result.is_ok() {
            self.trouble.over(&self.spec);
        }
        self.last = Instant::now();
        batch.delivery(result)
    }

    fn finish(&mut self, _leash: Option<&Leash<'_>>) -> Result<(), Halt> {
        // All is acknowledged.
        self.link = None;
        Ok(())
    }
}

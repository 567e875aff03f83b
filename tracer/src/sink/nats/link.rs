//! A connection to a server, and what goes over it.

use std::{pin::pin, time::Duration};

use async_nats::{
    Client, ConnectErrorKind, ConnectOptions, Event, HeaderMap, PublishErrorKind, ServerAddr,
    Subscriber,
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::{
    runtime::Runtime,
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::{Instant, sleep},
};

use super::{
    NatsSubject,
    answer::{Answer, News, is_forbidden},
    batch::Batch,
};
use crate::{
    event::RunId,
    sink::{
        remote,
        transport::{Halt, Leash},
    },
};

/// Messages that may be under way at once.
const WINDOW: usize = 4096;
/// How long a server may acknowledge nothing while it has something to acknowledge.
const SILENCE: Duration = Duration::from_secs(10);

/// How a connection is of no use for now.
#[derive(Debug)]
pub enum Broken {
    /// It is gone, or might as well be.
    Link(String),
    /// It is fine, but lines are not taken.
    Lines(String),
    /// For good.
    Never(String),
}

/// A connection. All that the library does happens in a runtime of its own: where that
/// ends, so does whatever the library was about to do.
pub struct Link {
    client: Client,
    acknowledged: Subscriber,
    events: UnboundedReceiver<Event>,
    inbox: String,
    /// The number of the next message.
    next: u64,
    /// What the server said last, for when the connection ends.
    said: Option<String>,
    runtime: Option<Runtime>,
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A name that is being resolved is not waited for.
            runtime.shutdown_background();
        }
    }
}

impl Link {
    /// Connects to one of the servers.
    ///
    /// # Errors
    /// [`Halt`]; the inner one says how it failed.
    pub fn dial(
        spec: &NatsSubject,
        options: &ConnectOptions,
        leash: Option<&Leash<'_>>,
    ) -> Result<Result<Self, Broken>, Halt> {
        let runtime = remote::runtime().map_err(Halt::Failed)?;
        let servers: Result<Vec<ServerAddr>, _> = spec
            .servers
            .iter()
            .map(|server| format!("nats://{}", remote::host_port_text(server)).parse())
            .collect();
        let servers = servers.map_err(Halt::Failed)?;
        let (sender, events) = unbounded_channel();
        let options = options.clone().event_callback(move |event| {
            let sender = sender.clone();
            async move {
                // Nobody listens any more where the connection was given up.
                let _ = sender.send(event);
            }
        });
        let work = async {
            let client = options.connect(servers).await.map_err(|error| match error.kind() {
                ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                    Broken::Never(error.to_string())
                }
                _ if is_forbidden(&error.to_string()) => Broken::Never(error.to_string()),
                _ => Broken::Link(error.to_string()),
            })?;
            let inbox = client.new_inbox();
            let acknowledged = client.subscribe(format!("{inbox}.*")).await;
            let acknowledged = acknowledged.map_err(|error| Broken::Link(error.to_string()))?;
            Ok((client, acknowledged, inbox))
        };
        let made = remote::run(&runtime, leash, work);
        Ok(match made? {
            Ok((client, acknowledged, inbox)) => Ok(Self {
                client,
                acknowledged,
                events,
                inbox,
                next: 0,
                said: None,
                runtime: Some(runtime),
            }),
            Err(broken) => Err(broken),
        })
    }

    /// Sends the lines that nothing is known of, and takes what is answered.
    ///
    /// # Errors
    /// [`Halt`]; the inner one says why there are lines left.
    pub fn exchange(
        &mut self,
        spec: &NatsSubject,
        run: RunId,
        batch: &mut Batch<'_>,
        leash: Option<&Leash<'_>>,
    ) -> Result<Result<(), Broken>, Halt> {
        let Some(runtime) = self.runtime.take() else {
            return Ok(Err(Broken::Link("not connected".to_owned())));
        };
        let done = remote::run(&runtime, leash, self.talk(spec, run, batch, leash));
        self.runtime = Some(runtime);
        done
    }

    async fn talk(
        &mut self,
        spec: &NatsSubject,
        run: RunId,
        batch: &mut Batch<'_>,
        leash: Option<&Leash<'_>>,
    ) -> Result<(), Broken> {
        let Self { client, acknowledged, events, inbox, next, said, .. } = self;
        let todo = batch.open();
        // Answers to what was sent before are of no interest.
        let first = *next;
        let (mut sent, mut under_way) = (0, 0_usize);
        let mut later = None;
        let mut silence = pin!(sleep(SILENCE));
        while under_way > 0 || (sent < todo.len() && later.is_none()) {
            let more = todo.get(sent).filter(|_| later.is_none() && under_way < WINDOW);
            let message = more.map(|&at| (at, Outgoing::new(spec, run, batch.line(at))));
            tokio::select! {
                biased;
                event = events.recv() => match event.as_ref().map_or(News::Lost, News::read) {
                    News::Lost => {
                        let why = said.take().unwrap_or("the connection was lost".to_owned());
                        return Err(Broken::Link(why));
                    }
                    News::Forbidden(why) => return Err(Broken::Never(why)),
                    News::Said(text) => *said = Some(text),
                    News::Nothing => {}
                },
                (at, handed) = hand_over(client, inbox, *next, message), if more.is_some() => {
                    match handed {
                        Ok(()) => {
                            if under_way == 0 {
                                silence.as_mut().reset(Instant::now() + SILENCE);
                            }
                            batch.send(at);
                            under_way += 1;
                        }
                        Err(Unsent::TooLong(why)) => batch.refuse(at, why),
                        Err(Unsent::Broken(why)) => return Err(Broken::Link(why)),
                    }
                    *next += 1;
                    sent += 1;
                }
                message = acknowledged.next() => {
                    let Some(message) = message else {
                        return Err(Broken::Link("the connection was closed".to_owned()));
                    };
                    let number = message.subject.rsplit('.').next().and_then(|n| n.parse().ok());
                    let place = number.and_then(|number: u64| number.checked_sub(first));
                    let place = place.and_then(|place| usize::try_from(place).ok());
                    let Some(&at) = place.and_then(|place| todo.get(place)) else { continue };
                    under_way = under_way.saturating_sub(1);
                    silence.as_mut().reset(Instant::now() + SILENCE);
                    match Answer::read(&message) {
                        Answer::Stored { duplicate } => batch.store(at, duplicate),
                        Answer::Refused(why) => batch.refuse(at, why),
                        Answer::Later(why) => {
                            later.get_or_insert(why);
                            continue;
                        }
                        Answer::Never(why) => return Err(Broken::Never(why)),
                    }
                    if let Some(leash) = leash {
                        leash.progress(batch.length(at));
                    }
                }
                () = &mut silence => {
                    let seconds = SILENCE.as_secs();
                    let why = format!("nothing was acknowledged for {seconds} s");
                    return Err(Broken::Link(why));
                }
            }
        }
        later.map_or(Ok(()), |why| Err(Broken::Lines(why)))
    }
}

/// A message to be sent.
struct Outgoing {
    subject: String,
    headers: HeaderMap,
    payload: Bytes,
}

impl Outgoing {
    fn new(spec: &NatsSubject, run: RunId, (line, seq): (&[u8], u64)) -> Self {
        let mut headers = HeaderMap::new();
        let id = match &spec.id {
            Some(id) => format!("{}-{seq}-{id}", run.as_str()),
            None => format!("{}-{seq}", run.as_str()),
        };
        headers.insert("Nats-Msg-Id", id);
        if let Some(stream) = &spec.stream {
            headers.insert("Nats-Expected-Stream", stream.as_str());
        }
        Self { subject: spec.subject.clone(), headers, payload: Bytes::copy_from_slice(line) }
    }
}

/// Hands a message to the library.
async fn hand_over(
    client: &Client,
    inbox: &str,
    number: u64,
    message: Option<(usize, Outgoing)>,
) -> (usize, Result<(), Unsent>) {
    let Some((at, Outgoing { subject, headers, payload })) = message else {
        return std::future::pending().await;
    };
    let reply = format!("{inbox}.{number}");
    let sending = client.publish_with_reply_and_headers(subject, reply, headers, payload);
    let handed = sending.await.map_err(|error| match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => Unsent::TooLong(error.to_string()),
        _ => Unsent::Broken(error.to_string()),
    });
    (at, handed)
}

/// Why a line was not handed over.
enum Unsent {
    TooLong(String),
    Broken(String),
}

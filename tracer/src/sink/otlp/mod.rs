//! A receiver of OpenTelemetry: each line is a log record, sent by OTLP over gRPC.
//!
//! It is spoken to by the generated client and not by OpenTelemetry's SDK, which drops what
//! it can't send and does not tell how much of a request was rejected: here each line's
//! fate has to be known.

mod answer;
mod record;
mod spec;

use std::{
    io,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, logs_service_client::LogsServiceClient,
};
use tokio::runtime::Runtime;
use tonic::{
    Request, Status,
    codec::CompressionEncoding,
    metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use super::{
    chunk::{Chunk, Line},
    credentials::{at, read, read_text},
    remote::{self, IDLE},
    tls::Tls,
    transport::{Delivery, Halt, Leash, Transport},
};
use answer::Trouble;
pub use spec::OtlpReceiver;

/// Bytes of a request, about; receivers take 4 MiB if nothing else is configured.
const REQUEST: usize = 1 << 20;
/// How long a receiver may take to answer.
const ANSWER: Duration = Duration::from_secs(30);
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// The transport to a receiver.
pub struct Otlp {
    spec: OtlpReceiver,
    endpoint: Endpoint,
    headers: MetadataMap,
    link: Option<(LogsServiceClient<Channel>, Runtime)>,
    /// When the last delivery ended.
    last: Instant,
    trouble: remote::Trouble,
    /// Bytes of a request, as far as is known.
    most: usize,
    /// It was said that lines were refused.
    refused: bool,
}

/// Lines with their bytes.
type Lines<'a> = [(&'a [u8], &'a Line)];

impl Otlp {
    /// Reads the files of secrets and certificates; connects later.
    ///
    /// # Errors
    /// One can't be read, or holds something else.
    pub fn new(spec: &OtlpReceiver) -> io::Result<Self> {
        let scheme = if spec.tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", remote::host_port_text(&spec.server));
        let mut endpoint = Endpoint::from_shared(url)
            .map_err(io::Error::other)?
            .timeout(ANSWER)
            .connect_timeout(CONNECT)
            .user_agent(concat!("tracer/", env!("CARGO_PKG_VERSION")))
            .map_err(io::Error::other)?;
        if let Some(tls) = &spec.tls {
            let config = client_config(tls, &spec.server.0)?;
            endpoint = endpoint.tls_config(config).map_err(|error| deepest(&error))?;
        }
        let headers = match &spec.headers {
            Some(path) => headers(&read_text(path)?).map_err(|why| at(path, &why))?,
            None => MetadataMap::new(),
        };
        Ok(Self {
            spec: spec.clone(),
            endpoint,
            headers,
            link: None,
            last: Instant::now(),
            trouble: remote::Trouble::default(),
            most: REQUEST,
            refused: false,
        })
    }

    /// Sends lines once. Where they were taken, says what of them was not.
    fn export(
        &mut self,
        chunk: &Chunk,
        lines: &Lines<'_>,
        leash: Option<&Leash<'_>>,
    ) -> Result<Result<Option<ExportLogsPartialSuccess>, Status>, Halt> {
        let (client, runtime) = match &mut self.link {
            Some(link) => link,
            none => {
                let runtime = remote::runtime().map_err(Halt::Failed)?;
                let guard = runtime.enter();
                let mut client = LogsServiceClient::new(self.endpoint.connect_lazy());
                drop(guard);
                if self.spec.gzip {
                    client = client.send_compressed(CompressionEncoding::Gzip);
                }
                none.insert((client, runtime))
            }
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let mut request = Request::new(record::request(&self.spec.service, chunk.run, lines, now));
        *request.metadata_mut() = self.headers.clone();
        let answer = remote::run(runtime, leash, client.export(request))?;
        Ok(answer.map(|answer| answer.into_inner().partial_success))
    }

    /// Delivers lines that go into one request, or into several where some are not taken.
    fn deliver_lines(
        &mut self,
        chunk: &Chunk,
        lines: &Lines<'_>,
        done: &mut Delivery,
        leash: Option<&Leash<'_>>,
    ) -> Result<(), Halt> {
        // The next one last.
        let mut parts = vec![lines];
        while let Some(part) = parts.pop() {
            let Some((_, last)) = part.last() else { continue };
            let taken = match self.export(chunk, part, leash)? {
                Ok(partial) => {
                    let partial = partial.unwrap_or_default();
                    let rejected = usize::try_from(partial.rejected_log_records).unwrap_or(0);
                    if rejected > 0 {
                        self.refuse(part, rejected, &partial.error_message, done);
                    }
                    true
                }
                Err(status) => match Trouble::read(&status) {
                    Trouble::Never(why) => return Err(Halt::because(why)),
                    Trouble::Later(why, asked) => {
                        self.trouble.wait(&self.spec, why, asked, leash)?;
                        parts.push(part);
                        false
                    }
                    // Which of them it is shows where there is one alone.
                    refused @ (Trouble::Refused(_) | Trouble::TooLong(_)) if part.len() > 1 => {
                        if matches!(refused, Trouble::TooLong(_)) {
                            // To find out anew each time would take long.
                            self.most = part.iter().map(size).sum::<usize>() / 2;
                        }
                        let (first, second) = part.split_at(part.len() / 2);
                        parts.extend([second, first]);
                        false
                    }
                    Trouble::Refused(why) | Trouble::TooLong(why) => {
                        self.refuse(part, 1, &why, done);
                        true
                    }
                },
            };
            if taken {
                if let Some(leash) = leash {
                    leash.progress(last.end - done.whole);
                }
                done.whole = last.end;
            }
        }
        Ok(())
    }

    /// So many of the lines were refused. Which ones a receiver does not tell: the last ones
    /// stand for them, events first, since health records don't count as lost.
    fn refuse(&mut self, lines: &Lines<'_>, count: usize, why: &str, done: &mut Delivery) {
        if !std::mem::replace(&mut self.refused, true) {
            log::warn!("{}: lines are refused: {why}; such lines count as lost", self.spec);
        }
        let (events, health): (Vec<&Line>, Vec<&Line>) =
            lines.iter().rev().map(|(_, line)| *line).partition(|line| line.caller.is_some());
        let mut ends: Vec<_> =
            events.into_iter().chain(health).take(count).map(|line| line.end).collect();
        ends.sort_unstable();
        done.refused.extend(ends);
    }
}

impl Transport for Otlp {
    fn deliver(&mut self, chunk: &Chunk, leash: Option<&Leash<'_>>) -> Delivery {
        if self.last.elapsed() > IDLE {
            self.link = None;
        }
        let lines: Vec<_> = chunk.lines().collect();
        let mut delivery = Delivery::halted(0, Halt::Quit);
        delivery.result = requests(&lines, self.most)
            .into_iter()
            .try_for_each(|lines| self.deliver_lines(chunk, lines, &mut delivery, leash));
        if delivery.result.is_ok() {
            self.trouble.over(&self.spec);
        }
        self.last = Instant::now();
        delivery
    }

    fn finish(&mut self, _leash: Option<&Leash<'_>>) -> Result<(), Halt> {
        // All is answered.
        if let Some((_, runtime)) = self.link.take() {
            runtime.shutdown_background();
        }
        Ok(())
    }
}

/// Bytes of a line in a request, about.
fn size((line, _): &(&[u8], &Line)) -> usize {
    line.len() + record::OVERHEAD
}

/// Lines in requests that are not too long, each of one line at least.
fn requests<'a, 'b>(mut lines: &'b Lines<'a>, most: usize) -> Vec<&'b Lines<'a>> {
    let mut requests = Vec::new();
    while !lines.is_empty() {
        let mut bytes = 0;
        let fits = lines.iter().take_while(|line| {
            bytes += size(line);
            bytes <= most
        });
        let (first, rest) = lines.split_at(fits.count().max(1));
        requests.push(first);
        lines = rest;
    }
    requests
}

/// Metadata in a text of lines `name: value`. An error shows no value.
fn headers(text: &str) -> Result<MetadataMap, String> {
    let mut headers = MetadataMap::new();
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    for (at, line) in lines.filter(|(_, line)| !line.starts_with('#')) {
        let wrong = || format!("line {} is no header: name: value", at + 1);
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        let name = name.trim().to_ascii_lowercase();
        let name = AsciiMetadataKey::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let mut value = AsciiMetadataValue::try_from(value.trim()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

/// Who is trusted, and what we show.
fn client_config(tls: &Tls, host: &str) -> io::Result<ClientTlsConfig> {
    let config = ClientTlsConfig::new().domain_name(host);
    let config = match &tls.ca {
        Some(path) => config.ca_certificate(Certificate::from_pem(read(path)?)),
        None => config.with_native_roots(),
    };
    let Some((cert, key)) = &tls.identity else { return Ok(config) };
    Ok(config.identity(Identity::from_pem(read(cert)?, read(key)?)))
}

/// What is behind an error of the library, whose own words tell little.
fn deepest(error: &dyn std::error::Error) -> io::Error {
    let mut error = error;
    while let Some(next) = error.source() {
        error = next;
    }
    io::Error::other(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_and_not_shown() {
        let found = headers("# ours\nAuthorization: Bearer x:y\n\nx-team: a b\n").unwrap();
        assert_eq!(found.get("authorization").unwrap(), "Bearer x:y");
        assert_eq!(found.get("x-team").unwrap(), "a b");
        assert!(!format!("{found:?}").contains("Bearer"), "{found:?}");
        let error = headers("a: b\nsecret word\n").unwrap_err();
        assert_eq!(error, "line 2 is no header: name: value");
        assert!(headers("a b: c").is_err());
    }

    #[test]
    fn requests_are_short() {
        let mut chunk = Chunk::default();
        for (seq, length) in [10, 10, REQUEST, 10, REQUEST / 2, REQUEST / 2, 10].iter().enumerate()
        {
            chunk.bytes.extend(std::iter::repeat_n(b'x', *length));
            chunk.end_line(seq as u64, None);
        }
        let lines: Vec<_> = chunk.lines().collect();
        let counts: Vec<_> = requests(&lines, REQUEST).iter().map(|lines| lines.len()).collect();
        assert_eq!(counts, [2, 1, 2, 2]);
    }
}

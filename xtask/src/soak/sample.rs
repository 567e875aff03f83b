//! What the tracer says of itself, now and then.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use super::receiver::Receiver;

/// How things stood.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Seconds since the start.
    pub at: f64,
    pub rss: f64,
    pub descriptors: f64,
    /// CPU seconds since the start of the process.
    pub cpu: f64,
    /// Calls that ended, were lost, and were shown.
    pub seen: f64,
    pub lost: f64,
    pub events: f64,
    /// Lines in the spool.
    pub spooled: f64,
    /// Delays to the receiver: median, 99th percentile, most.
    pub delay: Option<[f64; 3]>,
}

/// Takes samples.
pub struct Sampler {
    port: u16,
    pid: u32,
    pub samples: Vec<Sample>,
}

impl Sampler {
    pub fn new(port: u16, pid: u32) -> Self {
        Self { port, pid, samples: Vec::new() }
    }

    /// One more.
    pub fn take(&mut self, at: Duration, receiver: &Receiver) -> Result<()> {
        let text = get(self.port).with_context(|| format!("metrics of process {}", self.pid))?;
        let mut sums = BTreeMap::<&str, f64>::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let name = name.split('{').next().unwrap_or(name);
            *sums.entry(name).or_default() += value.parse().unwrap_or(0.0);
        }
        let of = |name: &str| sums.get(name).copied().with_context(|| format!("no {name}"));
        self.samples.push(Sample {
            at: at.as_secs_f64(),
            rss: of("process_resident_memory_bytes")?,
            descriptors: of("process_open_fds")?,
            cpu: of("process_cpu_seconds_total")?,
            seen: of("tracer_calls_seen_total")?,
            lost: of("tracer_calls_lost_total")?,
            events: sums.get("tracer_events_total").copied().unwrap_or(0.0),
            spooled: of("tracer_sink_spool_lines")?,
            delay: receiver.take_delays(),
        });
        Ok(())
    }
}

fn get(port: u16) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_owned()),
        _ => bail!("{}", answer.lines().next().unwrap_or("no answer")),
    }
}

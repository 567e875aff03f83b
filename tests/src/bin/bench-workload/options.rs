//! The command line.

use std::time::Duration;

use super::floor::Stage;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Getppid,
    Eagain,
    Receive,
    Blocking,
    Paced,
    Flood,
    Echo,
}

#[derive(Debug)]
pub struct Options {
    pub kind: Kind,
    /// How long.
    pub time: Duration,
    /// Whether the thread's CPU time counts, so that what else runs on the CPU does not;
    /// else the time that passes.
    pub cpu_clock: bool,
    /// Calls that are timed together.
    pub chunk: u32,
    /// Calls after which there is a pause, so that who watches can take in what they
    /// were: all without one where 0.
    pub burst: u32,
    /// That pause.
    pub pause: Duration,
    /// What the least programs do that watch meanwhile; none without.
    pub floor: Option<Stage>,
    /// Datagrams of each call.
    pub messages: usize,
    /// Calls a second.
    pub rate: u32,
    /// The CPU to stay on.
    pub cpu: Option<usize>,
    /// The CPU that the echo server's clients stay on.
    pub clients_cpu: Option<usize>,
    /// The name to take.
    pub comm: Option<String>,
}

impl Options {
    pub fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let kind = match args.next().as_deref() {
            Some("getppid") => Kind::Getppid,
            Some("eagain") => Kind::Eagain,
            Some("receive") => Kind::Receive,
            Some("blocking") => Kind::Blocking,
            Some("paced") => Kind::Paced,
            Some("flood") => Kind::Flood,
            Some("echo") => Kind::Echo,
            other => return Err(format!("no kind {}", other.unwrap_or("at all"))),
        };
        let mut options = Self {
            kind,
            time: Duration::from_millis(150),
            cpu_clock: false,
            chunk: 500,
            burst: 0,
            pause: Duration::from_millis(40),
            floor: None,
            messages: 1,
            rate: 100,
            cpu: None,
            clients_cpu: None,
            comm: None,
        };
        while let Some(option) = args.next() {
            let value = args.next().ok_or_else(|| format!("{option} takes a value"))?;
            let number = || value.parse::<u32>().map_err(|error| format!("{option}: {error}"));
            match option.as_str() {
                "--millis" => options.time = Duration::from_millis(number()?.into()),
                "--chunk" => options.chunk = number()?.max(1),
                "--burst" => options.burst = number()?,
                "--pause" => options.pause = Duration::from_millis(number()?.into()),
                "--messages" => options.messages = number()?.clamp(1, 1024) as usize,
                "--rate" => options.rate = number()?.max(1),
                "--cpu" => options.cpu = Some(number()? as usize),
                "--clients-cpu" => options.clients_cpu = Some(number()? as usize),
                "--floor" => {
                    let stage = Stage::parse(&value);
                    options.floor = Some(stage.ok_or_else(|| format!("no stage {value}"))?);
                }
                "--clock" if value == "cpu" => options.cpu_clock = true,
                "--clock" if value == "wall" => options.cpu_clock = false,
                "--comm" => options.comm = Some(value),
                _ => return Err(format!("no option {option}")),
            }
        }
        Ok(options)
    }
}

//! The workload's command line.

use std::path::PathBuf;

/// What one run of the workload is asked to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// The scenario's name.
    pub scenario: String,
    /// Where the truth goes; stdout without it. Appended to, since children of
    /// the workload write to the same file.
    pub truth: Option<PathBuf>,
    /// How many messages of a call the tracer is asked to show.
    pub messages: usize,
    /// How many calls, where the scenario repeats one.
    pub count: u64,
    /// How many threads, where the scenario has threads.
    pub threads: u64,
    /// Messages in one call, where the scenario leaves it open.
    pub vlen: u32,
    /// Wait for a line on stdin before the first call.
    pub wait_go: bool,
    /// Become this user and group before the first call.
    pub uid: Option<u32>,
    /// Stay on this CPU, so that the truth can tell it.
    pub cpu: Option<usize>,
    /// The thread's name, instead of the program's.
    pub comm: Option<String>,
    /// Nothing in the upper halves of registers that only 64-bit calls have.
    pub plain_registers: bool,
    /// Exit with this status when everything is done.
    pub status: u8,
}

impl Options {
    /// Reads the arguments after the program's name.
    pub fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let scenario = args.next().ok_or("no scenario")?;
        let mut options = Self {
            scenario,
            truth: None,
            messages: 64,
            count: 1,
            threads: 1,
            vlen: 10,
            wait_go: false,
            uid: None,
            cpu: None,
            comm: None,
            plain_registers: false,
            status: 0,
        };
        while let Some(option) = args.next() {
            if option == "--wait-go" {
                options.wait_go = true;
                continue;
            }
            if option == "--plain-registers" {
                options.plain_registers = true;
                continue;
            }
            let value = args.next().ok_or_else(|| format!("{option} needs a value"))?;
            match option.as_str() {
                "--truth" => options.truth = Some(value.into()),
                "--messages" => options.messages = number(&option, &value)?,
                "--count" => options.count = number(&option, &value)?,
                "--threads" => options.threads = number(&option, &value)?,
                "--vlen" => options.vlen = number(&option, &value)?,
                "--uid" => options.uid = Some(number(&option, &value)?),
                "--cpu" => options.cpu = Some(number(&option, &value)?),
                "--comm" => options.comm = Some(value),
                "--status" => options.status = number(&option, &value)?,
                _ => return Err(format!("unknown option {option}")),
            }
        }
        Ok(options)
    }
}

fn number<T: std::str::FromStr>(option: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{option} {value}: not a number in range"))
}

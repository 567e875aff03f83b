//! Syslog messages (RFC 5424) around lines.

use std::io::Write;

use super::Syslog;
use crate::sink::chunk::Line;

/// How lines are framed.
pub struct Framing {
    syslog: Option<Syslog>,
    hostname: String,
}

impl Framing {
    /// With a header for each line; None for lines alone.
    pub fn new(syslog: Option<Syslog>) -> Self {
        let name = rustix::system::uname();
        let name = name.nodename().to_str().unwrap_or("-");
        let fits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        Self { syslog, hostname: if fits { name.to_owned() } else { "-".to_owned() } }
    }

    /// Whether there are headers.
    pub fn is_syslog(&self) -> bool {
        self.syslog.is_some()
    }

    /// Appends a line as a message, without its line feed: by itself where there are no
    /// headers.
    pub fn message(&self, bytes: &[u8], line: &Line, out: &mut Vec<u8>) {
        if let Some(syslog) = &self.syslog {
            let (severity, id) = if line.caller.is_some() { (6, "event") } else { (5, "health") };
            let priority = u32::from(syslog.facility) * 8 + severity;
            let (app, host, pid) = (&syslog.app, &self.hostname, std::process::id());
            let now = jiff::Timestamp::now();
            // To a vector, which takes all.
            let _ = write!(out, "<{priority}>1 {now:.6} {host} {app} {pid} {id} - ");
        }
        out.extend_from_slice(bytes.strip_suffix(b"\n").unwrap_or(bytes));
    }
}

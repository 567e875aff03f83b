//! Values of options, from text. Each error names what is wrong and what would do.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use clap::builder::RangedI64ValueParser;
use tracer_common::{
    detail::MAX_PAYLOAD,
    record::{COMM_LEN, MAX_MESSAGES},
    registry::{self, EVENTS, Event},
};

use crate::{
    filter::{Pattern, Term},
    sink::{Spool, options::bytes as size},
};

/// Largest ring buffer.
const MAX_BUFFER: u64 = 1 << 30;
/// Sizes of queues.
const QUEUE: RangeInclusive<u64> = 64 << 10..=16 << 30;

/// An event's name.
pub fn event(text: &str) -> Result<&'static Event, String> {
    registry::by_name(text).ok_or_else(|| {
        let nearest = EVENTS
            .iter()
            .map(|event| (strsim::jaro_winkler(text, event.name), event.name))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let hint = match nearest {
            Some((score, name)) if score > 0.6 => format!("did you mean {name}?"),
            _ => "`tracer list` shows what there is".to_owned(),
        };
        format!("unknown event {text:?}; {hint}")
    })
}

/// A text with an optional leading `!`.
pub fn text(text: &str) -> Result<Term<String>, String> {
    let (negated, value) = negation(text);
    if value.is_empty() {
        return Err("must not be empty".to_owned());
    }
    Ok(Term { negated, value: value.to_owned() })
}

/// A process or thread id.
pub fn id(text: &str) -> Result<Term<u32>, String> {
    number(text, 1, 1 << 22, "a process or thread id")
}

/// A parent's process id: 0 is the kernel's own.
pub fn parent(text: &str) -> Result<Term<u32>, String> {
    number(text, 0, 1 << 22, "a process id")
}

/// A user id.
pub fn uid(text: &str) -> Result<Term<u32>, String> {
    number(text, 0, u32::MAX, "a numeric user id")
}

fn number(text: &str, least: u32, most: u32, what: &str) -> Result<Term<u32>, String> {
    let (negated, digits) = negation(text);
    match digits.parse() {
        Ok(value) if (least..=most).contains(&value) => Ok(Term { negated, value }),
        _ => Err(format!("{what} is a number from {least} to {most}, with an optional leading !")),
    }
}

/// A thread name.
pub fn comm(text: &str) -> Result<Term<Pattern>, String> {
    let term = pattern(text)?;
    if let Pattern::Exact(name) = &term.value
        && name.len() >= COMM_LEN
    {
        return Err(format!(
            "the kernel keeps {} bytes of a thread's name, so this one never occurs; \
             shorten it, or use a glob",
            COMM_LEN - 1
        ));
    }
    Ok(term)
}

/// A glob.
pub fn pattern(text: &str) -> Result<Term<Pattern>, String> {
    let (negated, value) = negation(text);
    if value.is_empty() {
        return Err("must not be empty".to_owned());
    }
    Pattern::new(value)
        .map(|value| Term { negated, value })
        .map_err(|error| format!("not a glob: {}", error.kind()))
}

fn negation(text: &str) -> (bool, &str) {
    text.strip_prefix('!').map_or((false, text), |rest| (true, rest))
}

/// A number of messages.
pub fn messages() -> RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=i64::from(MAX_MESSAGES))
}

/// Bytes of payload.
pub fn payload() -> RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(0..=i64::from(MAX_PAYLOAD))
}

/// The ring buffer's size.
pub fn buffer(text: &str) -> Result<u32, String> {
    let page = rustix::param::page_size() as u64;
    let bytes = size(text).ok_or("a size is a number of bytes, or one with K, M or G")?;
    if !(page..=MAX_BUFFER).contains(&bytes) {
        return Err(format!("the ring buffer takes from {}K to 1G", page >> 10));
    }
    u32::try_from(bytes.next_power_of_two()).map_err(|error| error.to_string())
}

/// The size of a queue to a destination.
pub fn queue(text: &str) -> Result<usize, String> {
    let bytes = size(text).ok_or("a size is a number of bytes, or one with K, M or G")?;
    if !QUEUE.contains(&bytes) {
        return Err("a queue takes from 64K to 16G".to_owned());
    }
    usize::try_from(bytes).map_err(|error| error.to_string())
}

/// The size of a spool.
pub fn spool(text: &str) -> Result<u64, String> {
    let bytes = size(text).ok_or("a size is a number of bytes, or one with K, M or G")?;
    if bytes < Spool::LEAST {
        return Err("a spool takes 16M or more".to_owned());
    }
    Ok(bytes)
}

/// An address to listen on; a port alone is one of loopback.
#[cfg(feature = "metrics")]
pub fn address(text: &str) -> Result<std::net::SocketAddr, String> {
    let port = text.parse::<u16>().ok();
    let address = port.map(|port| (std::net::Ipv4Addr::LOCALHOST, port).into());
    address.or_else(|| text.parse().ok()).ok_or_else(|| {
        "an address is a port, or an IP address and a port, as in 9464, 127.0.0.1:9464 or [::]:9464"
            .to_owned()
    })
}

/// A length of time: a number of seconds, or units as in `1m30s`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let help = "a time is a number of seconds, or one with units such as 500ms, 10s, 5m or 1h30m";
    let duration = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => text
            .parse::<jiff::SignedDuration>()
            .ok()
            .and_then(|duration| Duration::try_from(duration).ok()),
    };
    duration.filter(|duration| !duration.is_zero()).ok_or_else(|| help.to_owned())
}

/// A recording to be made.
pub fn recording(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("must not be empty".to_owned()),
        "-" => Err("a recording is a file; ./- is one of that name".to_owned()),
        _ => Ok(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_event_is_named() {
        assert!(event("recvmsg").unwrap_err().contains("did you mean recvmmsg?"));
        assert!(event("recvmmsg_time64").unwrap_err().contains("recvmmsg_time32"));
        assert!(event("zzz").unwrap_err().contains("tracer list"));
    }

    #[test]
    fn sizes() {
        assert_eq!(buffer("8M"), Ok(8 << 20));
        assert_eq!(buffer("64KiB"), Ok(64 << 10));
        assert_eq!(buffer("5000"), Ok(8192));
        for bad in ["0", "1K", "2G", "", "M", "-1", "8X", "99999999999999999999G"] {
            assert!(buffer(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn queues() {
        assert_eq!(queue("64K"), Ok(64 << 10));
        assert_eq!(queue("100000"), Ok(100_000));
        for bad in ["0", "63K", "17G", "much"] {
            assert!(queue(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(duration("2"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        for bad in ["0", "-1", "soon", "", "1e400", "nan"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_and_negation() {
        assert_eq!(id("12"), Ok(Term { negated: false, value: 12 }));
        assert_eq!(id("!12"), Ok(Term { negated: true, value: 12 }));
        for bad in ["0", "!", "-3", "x", "99999999"] {
            assert!(id(bad).is_err(), "{bad}");
        }
        assert!(comm("a-name-of-16-byt").is_err());
        assert!(comm("a-name-of-16-by*").is_ok());
        assert!(pattern("[").is_err());
    }
}

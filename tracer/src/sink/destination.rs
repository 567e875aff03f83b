//! Where events go, as `--write` names it: a kind, an address, and options.

use std::{fmt, path::PathBuf, time::Duration};

#[cfg(feature = "kafka")]
use super::kafka::KafkaTopic;
#[cfg(feature = "nats")]
use super::nats::NatsSubject;
#[cfg(feature = "otlp")]
use super::otlp::OtlpReceiver;
use super::{
    options::{self, Options},
    stream::StreamSocket,
};

/// Where to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// A file, which is appended to.
    File(LogFile),
    /// A unix socket or a TCP connection.
    Stream(StreamSocket),
    /// A subject of NATS that a stream takes.
    #[cfg(feature = "nats")]
    Nats(Box<NatsSubject>),
    /// A receiver of OpenTelemetry.
    #[cfg(feature = "otlp")]
    Otlp(Box<OtlpReceiver>),
    /// A Kafka topic.
    #[cfg(feature = "kafka")]
    Kafka(KafkaTopic),
}

/// A file that events are appended to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// The file.
    pub path: PathBuf,
    /// Its permissions, where it is made anew.
    pub mode: u32,
    /// When another one is begun.
    pub rotation: Rotation,
}

/// When a file is set aside and another one begun, and what becomes of those set aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Before it would have more bytes than these.
    pub size: Option<u64>,
    /// Once it is so old; counted in whole such times since 1970, so that with `1d` it is
    /// midnight, UTC.
    pub every: Option<Duration>,
    /// How many that were set aside are kept; None for all.
    pub keep: Option<usize>,
    /// How those that were set aside are compressed.
    pub compress: Option<Compression>,
}

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// gzip (RFC 1952).
    Gzip,
    /// Zstandard (RFC 8878).
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Compression {
    const WORDS: &[(&str, Self)] = &[
        ("gzip", Self::Gzip),
        #[cfg(feature = "zstd")]
        ("zstd", Self::Zstd),
    ];

    /// What is appended to the name of a file.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Gzip => "gz",
            #[cfg(feature = "zstd")]
            Self::Zstd => "zst",
        }
    }
}

impl Destination {
    /// The kinds that this program was built with, for people.
    pub const KINDS: &[&str] = &[
        "-",
        "file:PATH",
        "unix:PATH",
        "tcp:HOST:PORT",
        #[cfg(feature = "nats")]
        "nats:HOST/SUBJECT",
        #[cfg(feature = "otlp")]
        "otlp:HOST:PORT",
        #[cfg(feature = "tls")]
        "tls:HOST:PORT",
        #[cfg(feature = "kafka")]
        "kafka:BROKER/TOPIC",
    ];

    /// Whether somebody else has to be there to take what is written.
    pub fn may_be_away(&self) -> bool {
        !matches!(self, Self::Stdout | Self::File(_))
    }

    /// Reads one, as `--write` takes it, without its format.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "-" {
            return Ok(Self::Stdout);
        }
        let kinds = || format!("a destination is one of {}", Self::KINDS.join(", "));
        let (kind, rest) = text.split_once(':').ok_or_else(kinds)?;
        let (address, options) = Options::split(rest)?;
        if address.is_empty() {
            return Err(kinds());
        }
        match kind {
            "file" => LogFile::parse(address, options).map(Self::File),
            "unix" => StreamSocket::unix(address, options).map(Self::Stream),
            "tcp" => StreamSocket::tcp(&address, options).map(Self::Stream),
            #[cfg(feature = "nats")]
            "nats" => NatsSubject::parse(&address, options).map(Box::new).map(Self::Nats),
            #[cfg(feature = "otlp")]
            "otlp" => OtlpReceiver::parse(&address, options).map(Box::new).map(Self::Otlp),
            #[cfg(not(feature = "nats"))]
            "nats" => Err(lacking("nats")),
            #[cfg(not(feature = "otlp"))]
            "otlp" => Err(lacking("otlp")),
            #[cfg(feature = "tls")]
            "tls" => StreamSocket::tls(&address, options).map(Self::Stream),
            #[cfg(not(feature = "tls"))]
            "tls" => Err(lacking("tls")),
            #[cfg(feature = "kafka")]
            "kafka" => KafkaTopic::parse(&address, options).map(Self::Kafka),
            #[cfg(not(feature = "kafka"))]
            "kafka" => Err(lacking("kafka")),
            _ => Err(kinds()),
        }
    }
}

/// That a kind is known, and not in this program.
#[cfg(not(all(feature = "kafka", feature = "nats", feature = "otlp", feature = "tls")))]
fn lacking(kind: &str) -> String {
    format!("this tracer was built without {kind}: cargo's feature of that name brings it")
}

impl LogFile {
    const OPTIONS: &[&str] = &["size", "every", "keep", "compress", "mode"];
    const MODE: u32 = 0o640;

    fn parse(path: String, mut options: Options) -> Result<Self, String> {
        let positive = |bytes: &u64| *bytes >= 4096;
        let size = "a number of bytes, 4K or more, as in 64K, 100M or 1G";
        let size = options.take_as("size", size, |text| options::bytes(text).filter(positive))?;
        let whole = |time: &Duration| *time >= Duration::from_secs(1);
        let every = "a time of 1s or more, as in 30s, 5m, 1h or 1d";
        let every = options.take_as("every", every, |text| options::time(text).filter(whole))?;
        let keep = options.take_number("keep", "a number of files")?;
        let compress = options.take_word("compress", Compression::WORDS)?;
        let mode = "permissions in octal, as in 0640";
        let octal =
            |text: &str| u32::from_str_radix(text, 8).ok().filter(|mode| *mode & !0o777 == 0);
        let mode = options.take_as("mode", mode, octal)?;
        options.finish(Self::OPTIONS)?;
        if size.is_none() && every.is_none() && (keep.is_some() || compress.is_some()) {
            return Err("keep and compress are of files that size or every set aside".to_owned());
        }
        let rotation = Rotation { size, every, keep, compress };
        Ok(Self { path: path.into(), mode: mode.unwrap_or(Self::MODE), rotation })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("standard output"),
            Self::File(file) => file.path.display().fmt(f),
            Self::Stream(socket) => socket.fmt(f),
            #[cfg(feature = "nats")]
            Self::Nats(subject) => subject.fmt(f),
            #[cfg(feature = "otlp")]
            Self::Otlp(receiver) => receiver.fmt(f),
            #[cfg(feature = "kafka")]
            Self::Kafka(topic) => topic.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_and_its_rotation() {
        let text = "file:/var/log/a%3Fb?size=1M&every=1h&keep=7&compress=gzip&mode=600";
        let Ok(Destination::File(file)) = Destination::parse(text) else { panic!("a file") };
        assert_eq!((file.path.to_str(), file.mode), (Some("/var/log/a?b"), 0o600));
        let rotation = Rotation {
            size: Some(1 << 20),
            every: Some(Duration::from_secs(3600)),
            keep: Some(7),
            compress: Some(Compression::Gzip),
        };
        assert_eq!(file.rotation, rotation);
    }

    #[test]
    fn slips_are_named() {
        for (text, says) in [
            ("", "one of -, file:PATH"),
            ("file:", "one of -, file:PATH"),
            ("fifo:/a", "one of -, file:PATH"),
            ("file:/a?keep=3", "size or every"),
            ("file:/a?size=1", "4K or more"),
            ("file:/a?mode=9", "octal"),
            ("file:/a?size=1M&compress=lzma", "one of gzip"),
            ("tcp:host", "HOST:PORT"),
            ("tcp:::1:514", "brackets"),
            ("tcp:host:0", "HOST:PORT"),
            ("unix:/a?app=x", "framing=syslog"),
            ("unix:/a?type=seqpacket", "one of stream, dgram"),
            ("unix:/a?type=dgram&resend=1M", "unknown option resend"),
            #[cfg(feature = "tls")]
            ("tls:host:6514?cert=/a", "cert and key"),
            #[cfg(not(feature = "tls"))]
            ("tls:host:6514", "built without tls"),
            #[cfg(not(feature = "kafka"))]
            ("kafka:a/b", "built without kafka"),
            ("file:/a?sizes=1M", "unknown option sizes: there are size, every"),
        ] {
            let error = Destination::parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}

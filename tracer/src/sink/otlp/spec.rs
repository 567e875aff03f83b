//! A receiver of OpenTelemetry, as `--write otlp:…` names it.

use std::{fmt, path::PathBuf};

use crate::sink::{
    options::Options,
    remote::{host_port, host_port_text},
    tls::Tls,
};

/// Where a receiver listens for gRPC, if nothing else is said.
const PORT: u16 = 4317;

/// A receiver of logs by OTLP over gRPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpReceiver {
    /// A name or an address, and a port.
    pub server: (String, u16),
    /// A file of metadata that each request has, `name: value` in each line.
    pub headers: Option<PathBuf>,
    /// Whether requests are compressed.
    pub gzip: bool,
    /// The resource's `service.name`.
    pub service: String,
    /// Encrypted.
    pub tls: Option<Tls>,
}

impl OtlpReceiver {
    const OPTIONS: &[&str] = &["headers-file", "compress", "service", "tls", "ca", "cert", "key"];

    pub(in crate::sink) fn parse(address: &str, mut options: Options) -> Result<Self, String> {
        let server = host_port(address, Some(PORT)).ok_or_else(|| {
            format!("{address}: otlp takes HOST[:PORT], with an IPv6 address in brackets")
        })?;
        let headers = options.take("headers-file")?.map(PathBuf::from);
        let gzip = options.take_word("compress", &[("gzip", true), ("none", false)])?;
        let name = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let service = options.take_as("service", "a name", name)?;
        let tls = Tls::take_if_on(&mut options)?;
        options.finish(Self::OPTIONS)?;
        let service = service.unwrap_or_else(|| "tracer".to_owned());
        Ok(Self { server, headers, gzip: gzip == Some(true), service, tls })
    }
}

impl fmt::Display for OtlpReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "otlp:{}", host_port_text(&self.server))
    }
}

#[cfg(test)]
mod tests {
    use crate::sink::Destination;

    #[test]
    fn a_receiver_and_its_slips() {
        let Ok(Destination::Otlp(receiver)) = Destination::parse("otlp:[::1]?headers-file=/h")
        else {
            panic!("a receiver")
        };
        assert_eq!(receiver.to_string(), "otlp:[::1]:4317");
        assert_eq!((receiver.gzip, receiver.service.as_str()), (false, "tracer"));
        for (text, says) in [
            ("otlp:http://a:1", "HOST[:PORT]"),
            ("otlp:a?compress=zstd", "one of gzip, none"),
            ("otlp:a?service=", "service=: a name"),
            ("otlp:a?headers=x", "unknown option headers: there are headers-file"),
        ] {
            let error = Destination::parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}

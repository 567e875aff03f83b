//! A subject of NATS, as `--write nats:…` names it.

use std::{fmt, path::PathBuf};

use crate::sink::{
    options::Options,
    remote::{host_port, host_port_text},
    tls::Tls,
};

/// Where a server listens, if nothing else is said.
const PORT: u16 = 4222;

/// A subject that a stream of JetStream takes, and how to get there. Secrets are in files,
/// of which only the names are here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsSubject {
    /// Servers of one cluster: names or addresses, and ports.
    pub servers: Vec<(String, u16)>,
    /// The subject.
    pub subject: String,
    /// The stream that has to take it; None for whichever does.
    pub stream: Option<String>,
    /// What is appended to each message's id.
    pub id: Option<String>,
    /// What the subject of acknowledgements begins with.
    pub inbox: Option<String>,
    /// Who we are.
    pub login: Login,
    /// Encrypted; None for when the server asks for it.
    pub tls: Option<Tls>,
}

/// How we say who we are: by what is in files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// Not at all, or by a certificate.
    None,
    /// A name and its password.
    User(String, PathBuf),
    /// A token.
    Token(PathBuf),
    /// The seed of an NKey.
    Nkey(PathBuf),
    /// Credentials: a JWT and a seed.
    Creds(PathBuf),
}

impl NatsSubject {
    const OPTIONS: &[&str] = &[
        "stream",
        "id",
        "inbox",
        "user",
        "password-file",
        "token-file",
        "nkey-file",
        "creds-file",
        "tls",
        "ca",
        "cert",
        "key",
    ];

    pub(in crate::sink) fn parse(address: &str, mut options: Options) -> Result<Self, String> {
        let wrong = || format!("{address}: nats takes HOST[:PORT][,HOST[:PORT]…]/SUBJECT");
        let (servers, subject) = address.split_once('/').ok_or_else(wrong)?;
        let servers = servers.split(',').map(|server| host_port(server, Some(PORT)));
        let servers: Vec<_> = servers.collect::<Option<_>>().ok_or_else(wrong)?;
        if !is_subject(subject) {
            return Err(format!("{subject:?} is no subject: words with dots between them"));
        }
        let owned = |text: &str| Some(text.to_owned());
        let word = |text: &str| {
            let odd = |char: char| !char.is_ascii_graphic() || ".*>/\\".contains(char);
            owned(text).filter(|text| !text.is_empty() && !text.contains(odd))
        };
        let stream = options.take_as("stream", "the name of a stream", word)?;
        let id = options.take_as("id", "a word of printable ASCII characters", word)?;
        let inbox = options.take_as("inbox", "the beginning of a subject", |text| {
            owned(text).filter(|text| is_subject(text))
        })?;
        let login = Login::take(&mut options)?;
        let tls = Tls::take_if_on(&mut options)?;
        options.finish(Self::OPTIONS)?;
        Ok(Self { servers, subject: subject.to_owned(), stream, id, inbox, login, tls })
    }
}

/// Whether it is a subject to publish to.
fn is_subject(text: &str) -> bool {
    let odd = |char: char| char.is_whitespace() || char.is_control() || "*>".contains(char);
    text.split('.').all(|word| !word.is_empty() && !word.contains(odd))
}

impl Login {
    fn take(options: &mut Options) -> Result<Self, String> {
        let mut ways = Vec::new();
        let user = options.take("user")?;
        let password = options.take("password-file")?;
        match (user, password) {
            (Some(user), Some(path)) => ways.push(Self::User(user, path.into())),
            (None, None) => {}
            _ => return Err("user and password-file go together".to_owned()),
        }
        ways.extend(options.take("token-file")?.map(|path| Self::Token(path.into())));
        ways.extend(options.take("nkey-file")?.map(|path| Self::Nkey(path.into())));
        ways.extend(options.take("creds-file")?.map(|path| Self::Creds(path.into())));
        if ways.len() > 1 {
            return Err("one of user, token-file, nkey-file and creds-file will do".to_owned());
        }
        Ok(ways.pop().unwrap_or(Self::None))
    }
}

impl fmt::Display for NatsSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<_> = self.servers.iter().map(host_port_text).collect();
        write!(f, "nats:{}/{}", servers.join(","), self.subject)
    }
}

#[cfg(test)]
mod tests {
    use crate::sink::Destination;

    #[test]
    fn a_subject_and_its_servers() {
        let text = "nats:a,[::1]:7/b.c?stream=S&user=u&password-file=/secret&tls=on&ca=/ca";
        let Ok(Destination::Nats(subject)) = Destination::parse(text) else { panic!("a subject") };
        assert_eq!(subject.to_string(), "nats:a:4222,[::1]:7/b.c", "and no more of it");
        assert_eq!(subject.stream.as_deref(), Some("S"));
        assert!(subject.tls.is_some_and(|tls| tls.ca.is_some() && tls.identity.is_none()));
    }

    #[test]
    fn slips_are_named() {
        for (text, says) in [
            ("nats:a", "HOST[:PORT][,HOST[:PORT]…]/SUBJECT"),
            ("nats:a,/b", "HOST[:PORT][,HOST[:PORT]…]/SUBJECT"),
            ("nats:u:secret@a/b", "HOST[:PORT][,HOST[:PORT]…]/SUBJECT"),
            ("nats:a/b.*", "is no subject"),
            ("nats:a/b..c", "is no subject"),
            ("nats:a/b?stream=x.y", "the name of a stream"),
            ("nats:a/b?user=u", "go together"),
            ("nats:a/b?user=u&password=p", "go together"),
            ("nats:a/b?token-file=/t&creds-file=/c", "one of user, token-file"),
            ("nats:a/b?ca=/ca", "of tls=on"),
            ("nats:a/b?tls=on&key=/k", "cert and key go together"),
            ("nats:a/b?token=t", "unknown option token: there are stream, id"),
        ] {
            let error = Destination::parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}

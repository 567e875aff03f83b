//! What JetStream answers to a message.

use async_nats::{Event, Message, ServerError, StatusCode};
use serde::Deserialize;

/// What an answer means for the line that it is about.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is stored; `duplicate` where it had been before.
    Stored {
        /// The stream had a message of the same id.
        duplicate: bool,
    },
    /// It is not taken, and never will be.
    Refused(String),
    /// Not for now.
    Later(String),
    /// Nothing is taken, and never will be.
    Never(String),
}

#[derive(Deserialize)]
struct Said {
    error: Option<Refusal>,
    #[serde(default)]
    duplicate: bool,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    err_code: u32,
    #[serde(default)]
    description: String,
}

/// Numbers of errors, as nats-server's `server/errors.json` has them: a message is longer
/// than the stream takes; the stream is another one than we expect; it is sealed.
const TOO_LONG: u32 = 10054;
const OTHER_STREAM: u32 = 10060;
const SEALED: u32 = 10109;

impl Answer {
    /// What a message to the subject of acknowledgements says.
    pub fn read(message: &Message) -> Self {
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return Self::Later("no stream takes the subject, or JetStream is off".to_owned());
        }
        match serde_json::from_slice(&message.payload) {
            Ok(Said { error: None, duplicate }) => Self::Stored { duplicate },
            Ok(Said { error: Some(refusal), .. }) => refusal.meaning(),
            Err(_) => Self::Later("who answers is no JetStream".to_owned()),
        }
    }
}

impl Refusal {
    fn meaning(self) -> Answer {
        let why = format!("{} ({})", self.description, self.err_code);
        match self.err_code {
            TOO_LONG => Answer::Refused(why),
            OTHER_STREAM | SEALED => Answer::Never(why),
            // A full stream, one without a leader, and what is not known here.
            _ => Answer::Later(why),
        }
    }
}

/// What befalls a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// It is gone.
    Lost,
    /// We may not do what we have to.
    Forbidden(String),
    /// The server says this; what comes of it is still to be seen.
    Said(String),
    /// Nothing of interest.
    Nothing,
}

impl News {
    /// What an event of the library means.
    pub fn read(event: &Event) -> Self {
        match event {
            Event::Disconnected | Event::Closed => Self::Lost,
            Event::ServerError(ServerError::AuthorizationViolation) => {
                Self::Forbidden("authorization violation".to_owned())
            }
            Event::ServerError(ServerError::Other(text)) if is_forbidden(text) => {
                Self::Forbidden(text.clone())
            }
            Event::ServerError(ServerError::Other(text)) => Self::Said(text.clone()),
            _ => Self::Nothing,
        }
    }
}

/// Whether what a server says will be the same for ever.
pub fn is_forbidden(text: &str) -> bool {
    let text = text.to_lowercase();
    ["permissions violation", "authentication expired", "authentication revoked"]
        .iter()
        .any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(payload: &str, status: Option<StatusCode>) -> Answer {
        let payload = payload.to_owned().into();
        Answer::read(&Message {
            subject: "_INBOX.x".into(),
            reply: None,
            payload,
            headers: None,
            status,
            description: None,
            length: 0,
        })
    }

    #[test]
    fn each_answer_has_its_meaning() {
        let stored = answer(r#"{"stream":"S","seq":7}"#, None);
        assert_eq!(stored, Answer::Stored { duplicate: false });
        let stored = answer(r#"{"stream":"S","seq":7,"duplicate":true}"#, None);
        assert_eq!(stored, Answer::Stored { duplicate: true });
        let error = |number: u32| {
            let error = format!(r#"{{"code":400,"err_code":{number},"description":"why"}}"#);
            answer(&format!(r#"{{"error":{error},"stream":"S","seq":0}}"#), None)
        };
        assert_eq!(error(10054), Answer::Refused("why (10054)".to_owned()));
        assert_eq!(error(10060), Answer::Never("why (10060)".to_owned()));
        assert_eq!(error(10077), Answer::Later("why (10077)".to_owned()));
        assert!(matches!(answer("", Some(StatusCode::NO_RESPONDERS)), Answer::Later(_)));
        assert!(matches!(answer("hello", None), Answer::Later(_)));
    }

    #[test]
    fn what_is_forbidden_stays_so() {
        let said =
            |text: &str| News::read(&Event::ServerError(ServerError::Other(text.to_owned())));
        let text = "Permissions Violation for Publish to \"a.b\"";
        assert_eq!(said(text), News::Forbidden(text.to_owned()));
        assert!(matches!(said("User Authentication Expired"), News::Forbidden(_)));
        assert!(matches!(said("Authentication Timeout"), News::Said(_)));
        assert_eq!(News::read(&Event::Disconnected), News::Lost);
        assert_eq!(News::read(&Event::Connected), News::Nothing);
    }
}

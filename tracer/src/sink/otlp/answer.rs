//! What a receiver answers, and what comes of it: as the OTLP specification (1.x, "OTLP/gRPC
//! Response") has it.

use std::{error::Error, time::Duration};

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// What comes of a request that was not taken.
#[derive(Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is sent again, after the time that the receiver asks for.
    Later(String, Option<Duration>),
    /// Not these lines, as they are.
    Refused(String),
    /// Nor these, because they are too long together.
    TooLong(String),
    /// Nothing is taken, and never will be.
    Never(String),
}

impl Trouble {
    /// What a status means.
    pub fn read(status: &Status) -> Self {
        let why = reason(status);
        // It never came from the receiver: the connection broke, or could not be made.
        if status.source().is_some() {
            return Self::Later(why, None);
        }
        let asked = status.get_details_retry_info().and_then(|info| info.retry_delay);
        match status.code() {
            Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss => Self::Later(why, asked),
            // Only where it says when is it about load, and not about a size.
            Code::ResourceExhausted if asked.is_some() => Self::Later(why, asked),
            Code::ResourceExhausted => Self::TooLong(why),
            Code::Unauthenticated
            | Code::PermissionDenied
            | Code::Unimplemented
            | Code::NotFound => Self::Never(why),
            Code::Ok
            | Code::Unknown
            | Code::InvalidArgument
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::Internal => Self::Refused(why),
        }
    }
}

/// What a status says, with what is behind it.
fn reason(status: &Status) -> String {
    let mut deepest: Option<&dyn Error> = status.source();
    while let Some(next) = deepest.and_then(Error::source) {
        deepest = Some(next);
    }
    match deepest {
        Some(error) => error.to_string(),
        None => format!("{}: {}", status.code(), status.message()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    #[test]
    fn each_code_as_the_specification_has_it() {
        let of = |code| Trouble::read(&Status::new(code, "why"));
        for code in [Code::Unavailable, Code::Aborted, Code::DeadlineExceeded, Code::Cancelled] {
            assert!(matches!(of(code), Trouble::Later(_, None)), "{code:?}");
        }
        for code in [Code::InvalidArgument, Code::Unknown, Code::Internal] {
            assert!(matches!(of(code), Trouble::Refused(_)), "{code:?}");
        }
        assert!(matches!(of(Code::ResourceExhausted), Trouble::TooLong(_)));
        for code in [Code::Unauthenticated, Code::PermissionDenied, Code::Unimplemented] {
            assert!(matches!(of(code), Trouble::Never(_)), "{code:?}");
        }
    }

    #[test]
    fn a_receiver_may_say_when() {
        let second = Some(Duration::from_secs(1));
        for code in [Code::Unavailable, Code::ResourceExhausted] {
            let details = ErrorDetails::with_retry_info(second);
            let status = Status::with_error_details(code, "busy", details);
            assert!(matches!(Trouble::read(&status), Trouble::Later(_, asked) if asked == second));
        }
    }

    #[test]
    fn what_broke_on_the_way_is_sent_again() {
        let status = Status::from_error("a broken pipe".into());
        assert_eq!(status.code(), Code::Unknown);
        let read = Trouble::read(&status);
        assert_eq!(read, Trouble::Later("a broken pipe".to_owned(), None));
    }
}

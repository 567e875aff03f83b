//! Options of a destination, as they stand behind its address: `?key=value&key=value`.

use std::{str::FromStr, time::Duration};

/// Options that have not been taken yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options(Vec<(String, String)>);

impl Options {
    /// Splits an address from its options, and undoes the percent-encoding of both: `%3F` is
    /// a question mark that begins no options.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn split(text: &str) -> Result<(String, Self), String> {
        let Some((address, options)) = text.split_once('?') else {
            return Ok((decoded(text)?, Self::default()));
        };
        let option = |option: &str| match option.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                // The value may be a secret.
                let value = decoded(value).map_err(|_| format!("option {key}: {PERCENT}"))?;
                Ok((decoded(key)?, value))
            }
            _ => Err(format!("{option:?} is no option: key=value, with & between them")),
        };
        let options: Result<Vec<_>, String> =
            options.split('&').filter(|option| !option.is_empty()).map(option).collect();
        Ok((decoded(address)?, Self(options?)))
    }

    /// The value of an option, which may be given once.
    ///
    /// # Errors
    /// It was given twice.
    pub fn take(&mut self, key: &str) -> Result<Option<String>, String> {
        let Some(at) = self.0.iter().position(|(given, _)| given == key) else {
            return Ok(None);
        };
        let (_, value) = self.0.remove(at);
        if self.0.iter().any(|(given, _)| given == key) {
            return Err(format!("option {key} is given twice"));
        }
        Ok(Some(value))
    }

    /// The same, as what `parse` makes of it; `what` says what would do.
    ///
    /// # Errors
    /// As [`Options::take`]; the value is none of those.
    pub fn take_as<T>(
        &mut self,
        key: &str,
        what: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let Some(value) = self.take(key)? else { return Ok(None) };
        match parse(&value) {
            Some(parsed) => Ok(Some(parsed)),
            None => Err(format!("{key}={value}: {what}")),
        }
    }

    /// An option that is one of some words.
    ///
    /// # Errors
    /// As [`Options::take_as`].
    pub fn take_word<T: Copy>(
        &mut self,
        key: &str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, String> {
        let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let what = format!("one of {}", names.join(", "));
        let find = |value: &str| words.iter().find(|(word, _)| *word == value).map(|(_, t)| *t);
        self.take_as(key, &what, find)
    }

    /// An option that is a number.
    ///
    /// # Errors
    /// As [`Options::take_as`].
    pub fn take_number<T: FromStr>(&mut self, key: &str, what: &str) -> Result<Option<T>, String> {
        self.take_as(key, what, |value| value.parse().ok())
    }

    /// Options that are for somebody else: those whose key passes.
    pub fn take_all(&mut self, passes: impl Fn(&str) -> bool) -> Vec<(String, String)> {
        self.0.extract_if(.., |(key, _)| passes(key)).collect()
    }

    /// No option is left that nobody has taken.
    ///
    /// # Errors
    /// One is; `known` are those that there are.
    pub fn finish(self, known: &[&str]) -> Result<(), String> {
        let Some((key, _)) = self.0.first() else { return Ok(()) };
        if known.is_empty() {
            return Err(format!("unknown option {key}: there are none here"));
        }
        Err(format!("unknown option {key}: there are {}", known.join(", ")))
    }
}

const PERCENT: &str = "a % is written %25, and begins two hexadecimal digits";

/// Undoes percent-encoding (RFC 3986).
fn decoded(text: &str) -> Result<String, String> {
    if !text.contains('%') {
        return Ok(text.to_owned());
    }
    let wrong = || format!("{text:?}: {PERCENT}");
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = rest.get(..2).and_then(|digits| str::from_utf8(digits).ok());
        let byte = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let byte = byte.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or_else(wrong)?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

/// A number of bytes: 4096, 64K, 16M, 1G, also with B or iB.
pub fn bytes(text: &str) -> Option<u64> {
    let text = text.strip_suffix("iB").or(text.strip_suffix('B')).unwrap_or(text);
    let (digits, shift) = match text.as_bytes().last()?.to_ascii_uppercase() {
        b'K' => (&text[..text.len() - 1], 10),
        b'M' => (&text[..text.len() - 1], 20),
        b'G' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: u64 = digits.trim().parse().ok()?;
    number.checked_mul(1 << shift)
}

/// A time: 500ms, 10s, 5m, 1h, 7d.
pub fn time(text: &str) -> Option<Duration> {
    let digits = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_its_options() {
        let (address, mut options) = Options::split("/a%3Fb%20c?keep=3&x.y=%26&mode=0640").unwrap();
        assert_eq!(address, "/a?b c");
        assert_eq!(options.take_number("keep", "a number"), Ok(Some(3_u32)));
        assert_eq!(options.take("keep"), Ok(None));
        let dotted = options.take_all(|key| key.contains('.'));
        assert_eq!(dotted, [("x.y".to_owned(), "&".to_owned())]);
        let error = options.finish(&["size", "keep"]).unwrap_err();
        assert_eq!(error, "unknown option mode: there are size, keep");
    }

    #[test]
    fn slips_are_named() {
        assert!(Options::split("/a?keep").unwrap_err().contains("key=value"));
        assert!(Options::split("/a%2").unwrap_err().contains("%25"));
        assert!(Options::split("/a%+1").unwrap_err().contains("%25"));
        let (_, mut options) = Options::split("/a?keep=3&keep=4&n=x&w=no").unwrap();
        assert_eq!(options.take("keep").unwrap_err(), "option keep is given twice");
        let error = options.take_number::<u32>("n", "a number").unwrap_err();
        assert_eq!(error, "n=x: a number");
        let error = options.take_word("w", &[("on", true), ("off", false)]).unwrap_err();
        assert_eq!(error, "w=no: one of on, off");
    }

    #[test]
    fn sizes_and_times() {
        assert_eq!(bytes("64K"), Some(65536));
        assert_eq!(bytes("7"), Some(7));
        assert_eq!([bytes(""), bytes("K"), bytes("1KK"), bytes("99999999T")], [None; 4]);
        assert_eq!(time("5m"), Some(Duration::from_secs(300)));
        assert_eq!(time("250ms"), Some(Duration::from_millis(250)));
        assert_eq!([time("5"), time("m"), time("1w")], [None; 3]);
    }
}

//! What strace prints of an argument, with `-X verbose -xx`.
//!
//! ```text
//! value  = (number | string | "@" string | list | struct | "NULL" | "???" | word) [comment]
//! string = '"' ("\x" hex hex)* '"' ["..."]
//! list   = "[" [item ("," item)*] "]"        item  = value | "..."
//! struct = "{" [field ("," field)*] "}"      field = [name "="] value ["=>" value] | "..."
//! comment = "/*" … "*/"
//! ```

use std::fmt;

/// Something that strace printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number, and its names where it has any.
    Number(i128, Option<String>),
    /// Bytes, and whether more of them were left out.
    Bytes(Vec<u8>, bool),
    /// The name of an abstract socket.
    Abstract(Vec<u8>),
    /// An array.
    List(Vec<Value>),
    /// A structure, or what is printed like one.
    Struct(Vec<Field>),
    /// A NULL pointer.
    Null,
    /// `???`
    Unknown,
    /// `...`
    More,
    /// A name without a number, as of signals.
    Word(String),
}

/// A field of a structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name; empty where it has none.
    pub name: String,
    /// Its value, when the call began where there are two.
    pub value: Value,
    /// Its value when the call ended.
    pub after: Option<Value>,
}

/// Text that is not as expected.
#[derive(Debug)]
pub struct Error {
    /// What was expected.
    pub expected: String,
    /// The text from there on.
    pub found: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found: String = self.found.chars().take(60).collect();
        write!(f, "expected {}, found {found:?}", self.expected)
    }
}

/// What parsing gives.
pub type Result<T> = std::result::Result<T, Error>;

/// Text, from where it is not taken yet.
pub struct Cursor<'a> {
    /// The rest.
    pub rest: &'a str,
}

impl<'a> Cursor<'a> {
    /// At the beginning of a text.
    pub fn new(rest: &'a str) -> Self {
        Self { rest }
    }

    /// An error at this place.
    pub fn error<T>(&self, expected: impl Into<String>) -> Result<T> {
        Err(Error { expected: expected.into(), found: self.rest.to_owned() })
    }

    /// Takes this text, if it is there.
    pub fn eat(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Takes this text.
    pub fn expect(&mut self, text: &str) -> Result<()> {
        if self.eat(text) { Ok(()) } else { self.error(format!("{text:?}")) }
    }

    /// Takes spaces, if there are any.
    pub fn spaces(&mut self) {
        self.rest = self.rest.trim_start_matches(' ');
    }

    /// Takes everything before this text, and the text.
    pub fn until(&mut self, text: &str) -> Result<&'a str> {
        let Some((before, rest)) = self.rest.split_once(text) else {
            return self.error(format!("{text:?} somewhere"));
        };
        self.rest = rest;
        Ok(before)
    }

    /// Nothing may be left.
    pub fn end(&self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { self.error("the end") }
    }

    /// Takes characters while they are of a kind.
    pub fn take_while(&mut self, is: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !is(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// A name: letters, digits and underscores.
    pub fn name(&mut self) -> &'a str {
        self.take_while(|c| c.is_ascii_alphanumeric() || c == '_')
    }

    /// A number: decimal with a sign, hexadecimal with `0x`, or zeros.
    pub fn number(&mut self) -> Result<i128> {
        let minus = self.eat("-");
        let (digits, radix) = if self.eat("0x") {
            (self.take_while(|c| c.is_ascii_hexdigit()), 16)
        } else {
            (self.take_while(|c| c.is_ascii_digit()), 10)
        };
        // Octal numbers are of modes, and a flag word of zeros is printed in full.
        if radix == 10 && digits.starts_with('0') && digits.contains(|c| c != '0') {
            return self.error("a number in decimal");
        }
        match i128::from_str_radix(digits, radix) {
            Ok(value) => Ok(if minus { -value } else { value }),
            Err(_) => self.error("a number"),
        }
    }

    fn string(&mut self) -> Result<Vec<u8>> {
        self.expect("\"")?;
        let mut bytes = Vec::new();
        while !self.eat("\"") {
            self.expect("\\x")?;
            let byte = self.rest.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
            let Some(byte) = byte else { return self.error("two hexadecimal digits") };
            bytes.push(byte);
            self.rest = &self.rest[2..];
        }
        Ok(bytes)
    }

    /// ` /* … */`
    fn comment(&mut self) -> Result<Option<String>> {
        if !self.eat(" /* ") {
            return Ok(None);
        }
        Ok(Some(self.until(" */")?.to_owned()))
    }

    /// One value, with its comment.
    pub fn value(&mut self) -> Result<Value> {
        let value = if self.eat("...") {
            Value::More
        } else if self.eat("???") {
            Value::Unknown
        } else if self.rest.starts_with('"') {
            let bytes = self.string()?;
            Value::Bytes(bytes, self.eat("..."))
        } else if self.eat("@") {
            Value::Abstract(self.string()?)
        } else if self.eat("[") {
            Value::List(self.list("]", Self::value)?)
        } else if self.eat("{") {
            Value::Struct(self.list("}", Self::field)?)
        } else if self.rest.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
            let number = self.number()?;
            return Ok(Value::Number(number, self.comment()?));
        } else {
            match self.name() {
                "" => return self.error("a value"),
                "NULL" => Value::Null,
                word => Value::Word(word.to_owned()),
            }
        };
        self.comment()?;
        Ok(value)
    }

    fn field(&mut self) -> Result<Field> {
        let start = self.rest;
        let name = self.name();
        let name = if !name.is_empty() && self.eat("=") {
            name
        } else {
            self.rest = start;
            ""
        };
        let value = self.value()?;
        let after = if self.eat(" => ") { Some(self.value()?) } else { None };
        Ok(Field { name: name.to_owned(), value, after })
    }

    /// Things between commas, to the closing bracket.
    fn list<T>(&mut self, close: &str, one: impl Fn(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut list = Vec::new();
        if self.eat(close) {
            return Ok(list);
        }
        loop {
            list.push(one(self)?);
            if self.eat(close) {
                return Ok(list);
            }
            self.expect(", ")?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Value> {
        let mut cursor = Cursor::new(text);
        let value = cursor.value()?;
        cursor.end()?;
        Ok(value)
    }

    fn number(value: i128) -> Value {
        Value::Number(value, None)
    }

    #[test]
    fn every_kind_of_value() {
        for (text, expected) in [
            ("-521678904", number(-521_678_904)),
            ("00000000", number(0)),
            ("0x40 /* MSG_DONTWAIT */", Value::Number(64, Some("MSG_DONTWAIT".to_owned()))),
            ("\"\\x61\\x00\"", Value::Bytes(vec![0x61, 0], false)),
            ("\"\\x61\"...", Value::Bytes(vec![0x61], true)),
            ("\"\\x7f\" /* inet_addr(\"\\x31\") */", Value::Bytes(vec![0x7f], false)),
            ("@\"\"", Value::Abstract(vec![])),
            ("[]", Value::List(vec![])),
            ("[1, ???, ...]", Value::List(vec![number(1), Value::Unknown, Value::More])),
            ("NULL", Value::Null),
            ("[USR2]", Value::List(vec![Value::Word("USR2".to_owned())])),
        ] {
            assert_eq!(parse(text).expect(text), expected, "{text}");
        }
    }

    #[test]
    fn structures_have_named_and_unnamed_fields_and_values_that_changed() {
        let Value::Struct(fields) = parse("{a={b=1}, 2, msg_namelen=128 => 16}").expect("a value")
        else {
            panic!("a structure");
        };
        let names: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["a", "", "msg_namelen"]);
        assert_eq!((&fields[2].value, &fields[2].after), (&number(128), &Some(number(16))));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for text in
            ["", "0644", "\"plain\"", "{a=}", "[1 2]", "[1, ", "makedev(1, 3)", "1 /* open", "1x"]
        {
            parse(text).expect_err(text);
        }
    }
}

//! Values in expressions: null, true and false, numbers, lengths of time, texts.

use winnow::{
    Parser,
    combinator::{alt, opt, peek},
    error::ErrMode,
    stream::{Location, Stream},
    token::{any, take_while},
};

use super::{
    ast::{At, Literal, Number, UNITS},
    error::Problem,
    parse::{Input, Parsed, keyword, placed},
};

/// A value.
pub fn literal(input: &mut Input<'_>) -> Parsed<At<Literal>> {
    let null = keyword("null").value(Literal::Null);
    let yes = keyword("true").value(Literal::Bool(true));
    let no = keyword("false").value(Literal::Bool(false));
    placed(alt((null, yes, no, number, text))).parse_next(input)
}

fn number(input: &mut Input<'_>) -> Parsed<Literal> {
    let at = input.current_token_start();
    peek((opt('-'), any.verify(char::is_ascii_digit))).void().parse_next(input)?;
    // Taken whole, so that what follows a number is said to belong to it.
    let rest = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ':' | '/');
    let word = (opt('-'), take_while(1.., rest)).take().parse_next(input)?;
    value_of(word).map_err(|message| {
        ErrMode::Cut(Problem::new(&(at..at + word.len()), format!("{word} {message}")))
    })
}

fn value_of(word: &str) -> Result<Literal, &'static str> {
    let (negative, digits) = word.strip_prefix('-').map_or((false, word), |rest| (true, rest));
    let signed = |size: u64| if negative { -i128::from(size) } else { i128::from(size) };
    let large = "is too large: numbers go up to 18446744073709551615";
    if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        if hex.is_empty() || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("is no number: after 0x come the digits 0 to 9 and a to f");
        }
        let size = u64::from_str_radix(hex, 16).map_err(|_| large)?;
        return Ok(Literal::Number(Number { value: signed(size), hex: true }));
    }
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let (digits, unit) = digits.split_at(end);
    let size: u64 = digits.parse().map_err(|_| large)?;
    if unit.is_empty() {
        return Ok(Literal::Number(Number { value: signed(size), hex: false }));
    }
    if unit.contains(['.', ':', '/']) {
        return Err("is no number; addresses, networks and times go in quotes");
    }
    match UNITS.iter().find(|known| known.name == unit) {
        Some(_) if negative => Err("is no length of time: it is negative"),
        Some(unit) => Ok(Literal::Span(size, *unit)),
        None => Err("is no number; units of time are ns, us, ms, s, m and h"),
    }
}

fn text(input: &mut Input<'_>) -> Parsed<Literal> {
    let start = input.current_token_start();
    let quote = alt(('"', '\'')).parse_next(input)?;
    let mut text = String::new();
    loop {
        let at = input.current_token_start();
        let fail = |length: usize, message: &str| {
            Err(ErrMode::Cut(Problem::new(&(at..at + length), message)))
        };
        match input.next_token() {
            None => {
                let message = format!("the text has no closing {quote}");
                return Err(ErrMode::Cut(Problem::new(&(start..at), message)));
            }
            Some('\\') => match input.next_token() {
                Some(escaped @ ('\\' | '"' | '\'')) => text.push(escaped),
                Some(_) => return fail(1, "a \\ in a text is written \\\\"),
                None => {}
            },
            Some(end) if end == quote => return Ok(Literal::Text(text)),
            Some(other) => text.push(other),
        }
    }
}

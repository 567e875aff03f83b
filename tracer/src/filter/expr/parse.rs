//! The grammar:
//!
//! ```text
//! expr    = and { "||" and }
//! and     = not { "&&" not }
//! not     = "!" not | "(" expr ")" | test
//! test    = operand ( "==" | "!=" | "<" | "<=" | ">" | ">=" | "~" ) operand
//!         | operand "in" ( "(" literal { "," literal } ")" | operand )
//! operand = field [ "&" number ] | literal
//! field   = letter { letter | digit | "_" | "." }
//! literal = "null" | "true" | "false" | number | number unit | text
//! number  = [ "-" ] ( digits | "0x" hexdigits )
//! unit    = "ns" | "us" | "µs" | "ms" | "s" | "m" | "h"
//! text    = '"' { any | "\\" | "\"" | "\'" } '"', or the same between '
//! ```

use std::ops::Range;

use winnow::{
    Parser,
    ascii::multispace0,
    combinator::{alt, not, opt, peek, preceded, separated, terminated},
    error::{ErrMode, ParserError},
    stream::{LocatingSlice, Location, Stateful, Stream},
    token::{any, take_while},
};

use super::{
    ast::{At, Expr, Literal, Op, Operand, Set},
    error::Problem,
    literal::literal,
};

/// What comes on each side of a comparison.
const OPERAND: &str = "a field or a value";
/// What comes after `in`.
const VALUES: &str = "values in parentheses";

/// Deepest nesting of parentheses and negations.
const MAX_DEPTH: usize = 64;

/// The text, and how deep in parentheses and negations.
pub(super) type Input<'a> = Stateful<LocatingSlice<&'a str>, usize>;
pub(super) type Parsed<T> = Result<T, ErrMode<Problem>>;

impl ParserError<Input<'_>> for Problem {
    type Inner = Self;

    /// Where a parser turned back: another is tried, or `expected` says what is wrong.
    fn from_input(input: &Input<'_>) -> Self {
        let at = input.current_token_start();
        Self { at: at..at, message: String::new() }
    }

    fn into_inner(self) -> Result<Self, Self> {
        Ok(self)
    }
}

/// Parses an expression.
///
/// # Errors
/// What is wrong with it, and where.
pub fn parse(text: &str) -> Result<Expr, Problem> {
    let mut input = Input { input: LocatingSlice::new(text), state: 0 };
    let whole = |input: &mut Input<'_>| {
        let expr = or(input)?;
        multispace0.void().parse_next(input)?;
        if input.is_empty() { Ok(expr) } else { Err(expected(input, "&& or || or the end")) }
    };
    { whole }.parse_next(&mut input).map_err(|error: ErrMode<Problem>| match error {
        ErrMode::Backtrack(problem) | ErrMode::Cut(problem) => problem,
        // Only partial input, which this is not, can be incomplete.
        ErrMode::Incomplete(_) => Problem::new(&(text.len()..text.len()), "incomplete"),
    })
}

fn or(input: &mut Input<'_>) -> Parsed<Expr> {
    let terms = separated(1.., and, symbol("||")).parse_next(input)?;
    Ok(one_or(terms, Expr::Or))
}

fn and(input: &mut Input<'_>) -> Parsed<Expr> {
    let terms = separated(1.., negation, symbol("&&")).parse_next(input)?;
    Ok(one_or(terms, Expr::And))
}

fn one_or(mut terms: Vec<Expr>, many: fn(Vec<Expr>) -> Expr) -> Expr {
    match terms.pop() {
        Some(only) if terms.is_empty() => only,
        last => {
            terms.extend(last);
            many(terms)
        }
    }
}

/// Fails for good: wherever it stands, nothing else could.
fn negation(input: &mut Input<'_>) -> Parsed<Expr> {
    let before = input.checkpoint();
    let Some(opening) = opt(alt((symbol("!"), symbol("(")))).parse_next(input)? else {
        return test(input);
    };
    if input.state == MAX_DEPTH {
        input.reset(&before);
        let message = format!("more than {MAX_DEPTH} parentheses and negations within each other");
        return Err(ErrMode::Cut(Problem::new(&found(input).0, message)));
    }
    input.state += 1;
    let expr = if opening == "!" {
        negation(input).map(|expr| Expr::Not(Box::new(expr)))
    } else {
        or(input).and_then(|expr| {
            require(input, symbol(")"), ") or && or ||")?;
            Ok(expr)
        })
    };
    input.state -= 1;
    expr
}

fn test(input: &mut Input<'_>) -> Parsed<Expr> {
    let left = operand(input)?;
    if opt(keyword("in")).parse_next(input)?.is_some() {
        return Ok(Expr::In(left, set(input)?));
    }
    match opt(placed(operator)).parse_next(input)? {
        Some(op) => Ok(Expr::Compare(left, op, operand(input)?)),
        None => {
            let example = match &left.it {
                Operand::Field(_, None) => format!(", for instance {} != null", left.it),
                Operand::Field(_, Some(_)) => format!(", for instance {} != 0", left.it),
                Operand::Literal(_) => String::new(),
            };
            if let Operand::Field(word, None) = &left.it
                && word.eq_ignore_ascii_case("not")
            {
                let message = format!("{word} is no field; write ! for it, as in !(ret < 0)");
                return Err(ErrMode::Cut(Problem::new(&left.at, message)));
            }
            let what = format!("a comparison after {}{example}", left.it);
            Err(expected(input, &what))
        }
    }
}

fn operator(input: &mut Input<'_>) -> Parsed<Op> {
    alt((
        "==".value(Op::Equal),
        "!=".value(Op::NotEqual),
        "<=".value(Op::LessEqual),
        "<".value(Op::Less),
        ">=".value(Op::GreaterEqual),
        ">".value(Op::Greater),
        "~".value(Op::Glob),
    ))
    .parse_next(input)
}

fn set(input: &mut Input<'_>) -> Parsed<At<Set>> {
    let list = |input: &mut Input<'_>| {
        symbol("(").parse_next(input)?;
        let value = |input: &mut Input<'_>| require(input, literal, "a value");
        let values = separated(1.., value, symbol(",")).parse_next(input)?;
        require(input, symbol(")"), ") or ,")?;
        Ok(Set::List(values))
    };
    match opt(placed(list)).parse_next(input)? {
        Some(list) => Ok(list),
        None if matches!(found(input).1, "[" | "{") => Err(expected(input, VALUES)),
        None => operand(input).map(|operand| At { it: Set::One(operand.it), at: operand.at }),
    }
}

/// A field or a value. Fails for good.
fn operand(input: &mut Input<'_>) -> Parsed<At<Operand>> {
    if let Some(literal) = opt(literal).parse_next(input)? {
        return Ok(At { it: Operand::Literal(literal.it), at: literal.at });
    }
    let At { it: path, at } = require(input, placed(field), OPERAND)?;
    if opt(terminated(symbol("&"), peek(not("&")))).parse_next(input)?.is_none() {
        return Ok(At { it: Operand::Field(path, None), at });
    }
    let before = input.checkpoint();
    if let Some(name) = opt(placed(field)).parse_next(input)? {
        return Err(named_bits(&path, &name.it, &name.at));
    }
    input.reset(&before);
    let mask = require(input, literal, "a number of bits, for instance 0x40")?;
    match mask.it {
        Literal::Text(name) => Err(named_bits(&path, &name, &mask.at)),
        Literal::Number(number) if number.value > 0 => {
            let at = at.start..mask.at.end;
            Ok(At { it: Operand::Field(path, Some(number)), at })
        }
        _ => Err(ErrMode::Cut(Problem::new(&mask.at, "after & come bits, for instance 0x40"))),
    }
}

/// After `&` comes a word or a text.
fn named_bits(path: &str, name: &str, at: &Range<usize>) -> ErrMode<Problem> {
    let path = path.strip_suffix(".value").unwrap_or(path);
    let path = path.strip_suffix(".names").unwrap_or(path);
    let hint = if name.starts_with("MSG_") {
        format!("; a flag goes by name as in \"{name}\" in {path}.names")
    } else {
        String::new()
    };
    ErrMode::Cut(Problem::new(at, format!("after & come bits, for instance 0x40{hint}")))
}

fn field(input: &mut Input<'_>) -> Parsed<String> {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    let rest = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    (take_while(1, letter), take_while(0.., rest)).take().map(str::to_owned).parse_next(input)
}

/// A symbol, and the space before it.
fn symbol<'a>(symbol: &'static str) -> impl Parser<Input<'a>, &'static str, ErrMode<Problem>> {
    preceded(multispace0, symbol).value(symbol)
}

/// A word, and the space before it.
pub(super) fn keyword<'a>(word: &'static str) -> impl Parser<Input<'a>, (), ErrMode<Problem>> {
    let more = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    (multispace0, word, not(any.verify(move |c: &char| more(*c)))).void()
}

/// What a parser makes, with its place; the space before it is skipped.
pub(super) fn placed<'a, T>(
    parser: impl Parser<Input<'a>, T, ErrMode<Problem>>,
) -> impl Parser<Input<'a>, At<T>, ErrMode<Problem>> {
    preceded(multispace0, parser.with_span().map(|(it, at)| At { it, at }))
}

/// Fails for good where the parser turns back.
fn require<'a, T>(
    input: &mut Input<'a>,
    mut parser: impl Parser<Input<'a>, T, ErrMode<Problem>>,
    what: &str,
) -> Parsed<T> {
    let before = input.checkpoint();
    parser.parse_next(input).map_err(|error| match error {
        ErrMode::Backtrack(_) => {
            input.reset(&before);
            expected(input, what)
        }
        other => other,
    })
}

/// What was expected here instead of what is there.
fn expected(input: &Input<'_>, what: &str) -> ErrMode<Problem> {
    let (at, word) = found(input);
    let hint = match word {
        "=" | "is" | "eq" => "; equality is ==",
        "and" | "AND" | "&" => "; write && for and",
        "or" | "OR" | "|" => "; write || for or",
        "not" | "NOT" => "; write ! for not",
        "=~" | "matches" | "like" => "; globs are matched with ~",
        "!~" | "!in" => "; negate the whole, as in !(process.comm ~ \"a*\")",
        "<" | "<=" | ">" | ">=" if what.starts_with("&&") => {
            "; for two limits write two comparisons with && between them"
        }
        ">" if what == OPERAND => "; the opposite of == is !=",
        "-" => "; errors go by name, as in error.name == \"EAGAIN\"",
        "“" | "”" | "„" | "‘" | "’" | "`" => "; texts go between \" or '",
        "," if what.starts_with("&&") => "; several values go in parentheses, as in (1, 2)",
        "[" | "{" if what == VALUES => ", as in (1, 2)",
        "[" => "; messages have no numbers: what is said of messages holds if it holds for any",
        _ => "",
    };
    let there = if word.is_empty() { "the end".to_owned() } else { word.to_owned() };
    ErrMode::Cut(Problem::new(&at, format!("expected {what}, not {there}{hint}")))
}

/// The next word or symbol.
fn found<'a>(input: &Input<'a>) -> (Range<usize>, &'a str) {
    let rest: &'a str = input.input.as_ref();
    let text = rest.trim_start();
    let start = input.current_token_start() + (rest.len() - text.len());
    let run = |of: fn(char) -> bool| text.find(|c: char| !of(c)).unwrap_or(text.len());
    let word = run(|c| c.is_alphanumeric() || c == '_' || c == '.');
    let symbols = run(|c| "=!<>&|~".contains(c));
    let first = text.chars().next().map_or(0, char::len_utf8);
    let length = if word > 0 {
        word
    } else if text.starts_with("!in") {
        3
    } else if symbols > 0 {
        symbols
    } else {
        first
    };
    (start..start + length, &text[..length])
}

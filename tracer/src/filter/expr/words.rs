//! The words for fields that are not known and for values that do not fit.

use tracer_common::flags::{ERRNO, MSG, errno_name};

use super::{
    ast::Literal,
    field::{self, Field, Type},
};

/// A field that is none, and the one that was probably meant.
pub fn unknown(path: &str) -> String {
    if path == "seq" {
        return "seq numbers the events that pass the filters; no filter can use it".to_owned();
    }
    let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
    let siblings: Vec<_> = field::below(parent).into_iter().map(|(_, rest)| rest).collect();
    match field::nearest(path) {
        Some(known) => format!("unknown field {path}; did you mean {known}?"),
        None if siblings.is_empty() => {
            format!("unknown field {path}; paths begin with {}", field::roots().join(", "))
        }
        None => format!("unknown field {path}; below {parent} are {}", siblings.join(", ")),
    }
}

/// A type's name with its article.
pub fn article(ty: Type) -> String {
    format!("{} {}", if matches!(ty, Type::Ip | Type::Object) { "an" } else { "a" }, ty.name())
}

/// A field that is no list, after `in`.
pub fn no_list(field: &Field, literal: &Literal) -> String {
    let path = field.short();
    match (literal, names(field)) {
        (Literal::Text(_), Some(names)) => {
            format!("{path} is {}; the names of its flags are in {names}", article(field.ty))
        }
        (Literal::Text(text), _) if field.ty.is_text() => {
            format!("{path} is one text and no list; for a part of it write {path} ~ \"*{text}*\"")
        }
        _ => format!("{path} is {} and no list; write ==", article(field.ty)),
    }
}

/// What a field is, where something else was given.
pub fn misfit(field: &Field, literal: &Literal) -> String {
    let help = match field.ty {
        Type::Object => return only_null(field),
        Type::Signed | Type::Unsigned | Type::Pointer => {
            let requested = format!("{}.requested", field.short());
            match (names(field), literal) {
                (Some(names), Literal::Text(_)) => {
                    return format!(
                        "{}; the names of its flags are in {names}",
                        is_not(field, literal)
                    );
                }
                (_, Literal::Text(name)) if errno(name).is_some() && has_errors(field) => {
                    return format!(
                        "{}; write {} == \"{name}\"",
                        is_not(field, literal),
                        names_of_errors(field)
                    );
                }
                (_, Literal::Span(..)) if field::find(&requested).is_some() => {
                    return format!(
                        "{}; the length of time is in {requested}",
                        is_not(field, literal)
                    );
                }
                _ => "write it as in 64 or 0x40",
            }
        }
        Type::Bool => "write true or false",
        Type::Span => "write nanoseconds, or a number with a unit as in 5ms",
        Type::Time => "write it as in \"2026-11-20T20:41:07Z\"",
        Type::Text | Type::ShortText(_) | Type::Flag | Type::Errno => "write it in quotes",
        Type::Ip => "write it as in \"10.0.0.7\", \"fe80::1\" or \"10.0.0.0/8\"",
    };
    format!("{}; {help}", is_not(field, literal))
}

fn is_not(field: &Field, literal: &Literal) -> String {
    let given = match literal {
        Literal::Text(_) if matches!(field.ty, Type::Time | Type::Ip) => "this".to_owned(),
        Literal::Text(_) => "a text".to_owned(),
        Literal::Number(_) => "a number".to_owned(),
        Literal::Span(..) => "a length of time".to_owned(),
        Literal::Null => "null".to_owned(),
        Literal::Bool(value) => value.to_string(),
    };
    format!("{} is {}, not {given}", field.short(), article(field.ty))
}

/// The field with the names of a field's flags.
fn names(field: &Field) -> Option<String> {
    let names = format!("{}.names", field.short());
    field::find(&names).is_some().then_some(names)
}

/// A field that has fields of its own.
pub fn only_null(field: &Field) -> String {
    let parts: Vec<_> = field::below(&field.path).into_iter().map(|(path, _)| path).collect();
    format!("{} is compared with null only; below it are {}", field.path, parts.join(", "))
}

/// A text that the kernel would cut.
pub fn too_long(field: &Field, text: &str, most: usize) -> String {
    let path = field.short();
    let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let start = &text[..end];
    format!(
        "the kernel keeps {most} bytes of it, so {path} is never this; \
         shorten it, or use a glob: {path} ~ \"{start}*\""
    )
}

/// A flag that is none, and the one that was probably meant.
pub fn unknown_flag(text: &str) -> String {
    let near = MSG.split(u32::MAX).0.map(|name| (strsim::jaro_winkler(text, name), name));
    match near.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((score, name)) if score > 0.8 => format!("no flag {text:?}; did you mean \"{name}\"?"),
        _ => format!("no flag {text:?}; their names are as in \"MSG_DONTWAIT\""),
    }
}

/// An error that is none, and the one that was probably meant.
pub fn unknown_errno(text: &str) -> String {
    let upper = text.to_ascii_uppercase();
    // Names that C has for the same number (include/uapi/asm-generic/errno.h).
    let same = [("EWOULDBLOCK", "EAGAIN"), ("ENOTSUP", "EOPNOTSUPP"), ("EDEADLOCK", "EDEADLK")];
    if let Some((_, name)) = same.iter().find(|(other, _)| *other == upper) {
        return format!("{text} is shown as \"{name}\"");
    }
    if let Ok(number) = text.parse::<u32>()
        && let Some(name) = errno_name(number)
    {
        return format!("error {text} is shown as \"{name}\"");
    }
    let near = ERRNO.iter().map(|(_, name)| (strsim::jaro_winkler(&upper, name), name));
    match near.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((score, name)) if score > 0.8 => {
            format!("no error {text:?}; did you mean \"{name}\"?")
        }
        _ => format!("no error {text:?}; their names are as in \"EAGAIN\""),
    }
}

/// A word that is no field, beside one that takes a text, or has errors.
pub fn unquoted(beside: &Field, word: &str) -> Option<String> {
    if word.contains('.') {
        return None;
    }
    if beside.ty.is_text() {
        return Some(format!("unknown field {word}; a text goes in quotes: \"{word}\""));
    }
    (errno(word).is_some() && has_errors(beside))
        .then(|| format!("unknown field {word}; write {} == \"{word}\"", names_of_errors(beside)))
}

fn errno(name: &str) -> Option<u32> {
    ERRNO.iter().find(|(_, known)| *known == name).map(|(errno, _)| *errno)
}

/// Whether a field's numbers stand for errors.
fn has_errors(field: &Field) -> bool {
    field.path == "ret" || field.path.ends_with("error.errno")
}

/// The field with the names of a field's errors.
fn names_of_errors(field: &Field) -> String {
    field
        .path
        .strip_suffix("errno")
        .map_or_else(|| "error.name".to_owned(), |path| format!("{path}name"))
}

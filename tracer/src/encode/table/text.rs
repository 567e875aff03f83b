//! Text for terminals: escaped, measured, cut, and numbers in units that people
//! read.

use std::{borrow::Cow, fmt::Write as _};

use anstyle::Style;
use unicode_width::UnicodeWidthChar;

/// Bytes as text that no terminal acts on. Control characters and bytes that are
/// not UTF-8 become `\xNN`; other characters that don't print, that change the
/// direction of text or that combine become `\u{...}`; a backslash is doubled.
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                ' '..='[' | ']'..='~' => text.push(c),
                '\\' => text.push_str("\\\\"),
                '\0'..='\x7f' => {
                    let _ = write!(text, "\\x{:02x}", u32::from(c));
                }
                _ => text.extend(c.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// The columns that escaped text takes.
pub fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// The bytes of the first escape or character.
fn unit(text: &str) -> usize {
    let Some(first) = text.chars().next() else { return 0 };
    let len = match text.as_bytes() {
        [b'\\', b'x', ..] => 4,
        [b'\\', b'u', ..] => text.find('}').map_or(2, |end| end + 1),
        [b'\\', _, ..] => 2,
        _ => first.len_utf8(),
    };
    if text.is_char_boundary(len) { len } else { first.len_utf8() }
}

/// Escaped text in at most `most` columns, with `…` where something is missing. An
/// escape is not cut in two.
pub fn clip(text: &str, most: usize) -> Cow<'_, str> {
    if width(text) <= most {
        return Cow::Borrowed(text);
    }
    let Some(room) = most.checked_sub(1) else { return Cow::Borrowed("") };
    let (mut end, mut used) = (0, 0);
    while let Some(next) = text.get(end..end + unit(&text[end..])).filter(|next| !next.is_empty()) {
        used += width(next);
        if used > room {
            break;
        }
        end += next.len();
    }
    Cow::Owned(format!("{}…", &text[..end]))
}

/// Three significant digits of `value / unit`, cut and not rounded.
fn digits(value: u64, unit: u64) -> String {
    let (whole, rest) = (value / unit, value % unit);
    match whole {
        0..10 => format!("{whole}.{:02}", rest * 100 / unit),
        10..100 => format!("{whole}.{}", rest * 10 / unit),
        _ => whole.to_string(),
    }
}

/// A duration in at most seven columns: `591ns`, `1.23ms`, `12m34s`, `115d`.
pub fn duration(ns: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    let seconds = ns / SECOND;
    match seconds {
        0 => match ns {
            0..1_000 => format!("{ns}ns"),
            1_000..1_000_000 => format!("{}µs", digits(ns, 1_000)),
            _ => format!("{}ms", digits(ns, 1_000_000)),
        },
        1..100 => format!("{}s", digits(ns, SECOND)),
        100..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..360_000 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The same without zeros at the end: `1s`, `2.5s`.
pub fn short_duration(ns: u64) -> String {
    let text = duration(ns);
    let Some((whole, rest)) = text.split_once('.') else { return text };
    let fraction = rest.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = &rest[fraction.len()..];
    match fraction.trim_end_matches('0') {
        "" => format!("{whole}{unit}"),
        fraction => format!("{whole}.{fraction}{unit}"),
    }
}

/// A number of bytes: exact below 100 kB, then `1.23 MB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    if count < 100_000 {
        return format!("{count} B");
    }
    let (unit, name) = UNITS.into_iter().find(|(unit, _)| count >= *unit).unwrap_or((1_000, "kB"));
    format!("{} {name}", digits(count, unit))
}

/// Writes one line of at most `width` columns.
pub struct Line<'a> {
    out: &'a mut Vec<u8>,
    width: usize,
    color: bool,
    used: usize,
}

impl<'a> Line<'a> {
    /// An empty line at the end of `out`.
    pub fn new(out: &'a mut Vec<u8>, width: usize, color: bool) -> Self {
        Self { out, width, color, used: 0 }
    }

    /// Columns written.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Columns left.
    pub fn left(&self) -> usize {
        self.width.saturating_sub(self.used)
    }

    /// Appends escaped text, cut to what is left.
    pub fn put(&mut self, style: Style, text: &str) {
        let text = clip(text, self.left());
        if text.is_empty() {
            return;
        }
        self.used += width(&text);
        let styled = self.color && style != Style::new();
        if styled {
            self.out.extend_from_slice(style.render().to_string().as_bytes());
        }
        self.out.extend_from_slice(text.as_bytes());
        if styled {
            self.out.extend_from_slice(style.render_reset().to_string().as_bytes());
        }
    }

    /// Appends spaces up to a column.
    pub fn pad_to(&mut self, column: usize) {
        let column = column.min(self.width);
        let spaces = column.saturating_sub(self.used);
        self.out.resize(self.out.len() + spaces, b' ');
        self.used += spaces;
    }

    /// Ends the line, without spaces at its end.
    pub fn finish(self) {
        while self.out.last() == Some(&b' ') {
            self.out.pop();
        }
        self.out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_that_it_acts_on() {
        for (bytes, expected) in [
            (&b"chronyd"[..], "chronyd"),
            (b"it's \"x\"", "it's \"x\""),
            (b"a\x1b[2Jb\n\r\t\x7f", "a\\x1b[2Jb\\x0a\\x0d\\x09\\x7f"),
            (b"back\\slash", "back\\\\slash"),
            (b"\xff\xc3", "\\xff\\xc3"),
            ("\u{9b}2J".as_bytes(), "\\u{9b}2J"),
            (
                "a\u{202e}b\u{2066}\u{200b}\u{feff}".as_bytes(),
                "a\\u{202e}b\\u{2066}\\u{200b}\\u{feff}",
            ),
            ("e\u{301}\u{2028}\u{e000}".as_bytes(), "e\\u{301}\\u{2028}\\u{e000}"),
            ("größe 日本".as_bytes(), "größe 日本"),
        ] {
            assert_eq!(escape(bytes), expected);
        }
    }

    #[test]
    fn text_is_cut_between_characters_and_escapes() {
        assert_eq!(clip("systemd-resolve", 8), "systemd…");
        assert_eq!(clip("short", 5), "short");
        assert_eq!(clip("ab\\x1bcd", 5), "ab…");
        assert_eq!(clip("ab\\x1bcd", 7), "ab\\x1b…");
        assert_eq!(clip("\\u{202e}x", 4), "…");
        assert_eq!(clip("日本語", 4), "日…");
        assert_eq!(clip("日本語", 0), "");
        assert_eq!(clip("\\", 1), "\\");
        assert_eq!(clip("\\é\\x", 2), "\\…");
    }

    #[test]
    fn durations_are_short() {
        for (ns, long, short) in [
            (0, "0ns", "0ns"),
            (591, "591ns", "591ns"),
            (1_239, "1.23µs", "1.23µs"),
            (999_999, "999µs", "999µs"),
            (100_000_000, "100ms", "100ms"),
            (1_000_000_000, "1.00s", "1s"),
            (2_500_000_000, "2.50s", "2.5s"),
            (20_000_000_000, "20.0s", "20s"),
            (754_000_000_000, "12m34s", "12m34s"),
            (7_260_000_000_000, "2h01m", "2h01m"),
            (u64::MAX, "213503d", "213503d"),
        ] {
            assert_eq!(duration(ns), long);
            assert_eq!(short_duration(ns), short);
            assert!(width(long) <= 7);
        }
    }

    #[test]
    fn bytes_are_exact_while_short() {
        for (count, text) in [
            (0, "0 B"),
            (99_999, "99999 B"),
            (123_456, "123 kB"),
            (1_234_567, "1.23 MB"),
            (4_398_046_510_080, "4398 GB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }
}

//! The parts of the documentation that come from the tables, as Markdown: what
//! `tracer list` says, and when a finding is drawn. `cargo xtask docs` writes them into
//! `docs/`.

use std::fmt::Write as _;

use tracer_common::registry::{EVENTS, Event};

use super::list::TAGS;
use crate::decode::findings;

/// `docs/EVENTS.md`
pub fn events() -> String {
    let mut out = OPENING.to_owned();
    for Event { id, name, summary, args, syscalls } in EVENTS {
        let _ = writeln!(out, "\n## `{name}`\n\nEvent {}: {summary}.\n", id.0);
        let rows = args.iter().map(|arg| {
            let tags: Vec<_> = arg.tags.names().map(code).collect();
            [code(arg.name), code(arg.c_type), tags.join(" "), code(arg.tracee_name)]
        });
        table(&mut out, ["argument", "type", "tags", "Tracee's name"], rows);
        out.push('\n');
        let rows = syscalls.iter().map(|syscall| {
            let nr = match (syscall.nr, syscall.raw_nr()) {
                (nr, raw) if nr == raw => nr.to_string(),
                (nr, raw) => format!("{nr}; with bit 30 {raw}"),
            };
            let name = match syscall.multiplexed {
                Some(call) => format!("{}, call {call}", code(syscall.name)),
                None => code(syscall.name),
            };
            [code(syscall.abi.name()), nr, name]
        });
        table(&mut out, ["ABI", "number", "syscall"], rows);
    }
    out += TAGS_OPENING;
    let rows = TAGS.map(|(tag, meaning)| [tag.names().map(code).collect(), meaning.to_owned()]);
    table(&mut out, ["tag", "meaning"], rows.into_iter());
    out
}

const OPENING: &str = "\
# Events

What can be traced: `tracer list` as a page, made from the same table by
`cargo xtask docs`. What a traced call becomes is in [EVENT.md](EVENT.md).
";

const TAGS_OPENING: &str = "
## Tags

An argument has these where nothing better is known for a call; an event has those of
what was really done.

";

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// The table of findings in `docs/EVENT.md`.
pub fn findings() -> String {
    let mut out = String::new();
    let rows = findings::ALL.iter();
    let rows = rows.map(|finding| [code(finding.name), finding.when.to_owned()]);
    table(&mut out, ["finding", "when"], rows);
    out
}

fn table<const N: usize>(
    out: &mut String,
    heading: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) {
    let line = |cells: [&str; N]| {
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        format!("| {} |\n", cells.join(" | "))
    };
    out.push_str(&line(heading));
    let _ = writeln!(out, "|{}", "---|".repeat(N));
    rows.for_each(|row| out.push_str(&line(row.each_ref().map(String::as_str))));
}

//! `tracer list`: the registry, for people and for programs. Pure: it says what
//! tracer knows, and not what this machine has.

use std::fmt::Write as _;

use anstyle::Style;
use serde::Serialize;
use tracer_common::{
    registry::{self, EVENTS, Kind},
    tags::Tags,
};

use super::styled;
use crate::decode::findings;

/// The schema of [`List`].
pub const SCHEMA: &str = "tracer.list/1";

/// The JSON of `tracer list -o json`. Keys are added in later versions, but none
/// is renamed or removed under this schema.
///
/// ```json
/// {"schema":"tracer.list/1","events":[{"name":"recvmmsg","id":1,"summary":"…",
///   "args":[{"name":"sockfd","type":"int","kind":"fd","tags":["K"],"tracee_name":"sockfd"}],
///   "syscalls":[{"abi":"x86_64","nr":299,"name":"recvmmsg"}]}],
///  "findings":[{"name":"control_truncated","when":"…"}]}
/// ```
#[derive(Debug, Serialize)]
pub struct List {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Every event, by ascending id.
    pub events: Vec<Event>,
    /// Every finding, in the order in which events have them.
    pub findings: Vec<Finding>,
}

/// One conclusion that a call may lead to.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// The name.
    pub name: &'static str,
    /// When it is drawn, in Markdown.
    pub when: &'static str,
}

/// One event.
#[derive(Debug, Serialize)]
pub struct Event {
    /// The name that `--event` takes.
    pub name: &'static str,
    /// The stable id in recordings.
    pub id: u16,
    /// One line about it.
    pub summary: &'static str,
    /// The arguments, in the order of the C declaration.
    pub args: Vec<Arg>,
    /// Every way to make the call, on any machine.
    pub syscalls: Vec<Syscall>,
}

/// One argument.
#[derive(Debug, Serialize)]
pub struct Arg {
    /// The name in events and filters.
    pub name: &'static str,
    /// The C type in the kernel's declaration.
    #[serde(rename = "type")]
    pub c_type: &'static str,
    /// How it is decoded: `fd`, `mmsghdrs`, `count`, `msg_flags`, `timespec64` or
    /// `timespec32`.
    pub kind: &'static str,
    /// Where its value comes from, when nothing better is known for a call.
    pub tags: Vec<&'static str>,
    /// The name that Tracee uses.
    pub tracee_name: &'static str,
}

/// One way to make a call.
#[derive(Debug, Serialize)]
pub struct Syscall {
    /// The ABI.
    pub abi: &'static str,
    /// The number, for x32 without bit 30 (which `syscall.nr` of an event has).
    pub nr: u32,
    /// The kernel's name for the number.
    pub name: &'static str,
    /// For `socketcall` the operation, its first argument; else left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<u32>,
}

/// The registry for programs.
pub fn json() -> List {
    let findings =
        findings::ALL.iter().map(|finding| Finding { name: finding.name, when: finding.when });
    List {
        schema: SCHEMA,
        events: EVENTS.iter().map(event).collect(),
        findings: findings.collect(),
    }
}

fn event(event: &registry::Event) -> Event {
    let args = event.args.iter().map(|arg| Arg {
        name: arg.name,
        c_type: arg.c_type,
        kind: kind(arg.kind),
        tags: arg.tags.names().collect(),
        tracee_name: arg.tracee_name,
    });
    let syscalls = event.syscalls.iter().map(|syscall| Syscall {
        abi: syscall.abi.name(),
        nr: syscall.nr,
        name: syscall.name,
        call: syscall.multiplexed,
    });
    Event {
        name: event.name,
        id: event.id.0,
        summary: event.summary,
        args: args.collect(),
        syscalls: syscalls.collect(),
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Fd => "fd",
        Kind::Mmsghdrs => "mmsghdrs",
        Kind::Count => "count",
        Kind::MsgFlags => "msg_flags",
        Kind::Timespec64 => "timespec64",
        Kind::Timespec32 => "timespec32",
    }
}

/// The registry for people, in lines of at most 80 columns.
pub fn text(color: bool) -> String {
    let strong = |text: &str| styled(color, Style::new().bold(), text);
    let dim = |text: &str| styled(color, Style::new().dimmed(), text);
    let mut out = String::new();
    for event in EVENTS {
        let _ = writeln!(out, "{}\n  {}\n", strong(event.name), event.summary);
        let name_width = widest("ARGUMENT", event.args.iter().map(|arg| arg.name));
        let type_width = widest("TYPE", event.args.iter().map(|arg| arg.c_type));
        let heading = format!("{:name_width$}  {:type_width$}  TAGS", "ARGUMENT", "TYPE");
        let _ = writeln!(out, "  {}", dim(&heading));
        for arg in event.args {
            let tags: Vec<_> = arg.tags.names().collect();
            let (name, c_type, tags) = (arg.name, arg.c_type, tags.join(" "));
            let _ = writeln!(out, "  {name:name_width$}  {c_type:type_width$}  {tags}");
        }
        let abi_width = widest("ABI", event.syscalls.iter().map(|syscall| syscall.abi.name()));
        let heading = format!("{:abi_width$}  {:>6}  SYSCALL", "ABI", "NUMBER");
        let _ = writeln!(out, "\n  {}", dim(&heading));
        for syscall in event.syscalls {
            let (abi, nr, name) = (syscall.abi.name(), syscall.nr, syscall.name);
            let _ = write!(out, "  {abi:abi_width$}  {nr:>6}  {name}");
            let _ = match syscall.multiplexed {
                Some(call) => writeln!(out, ", call {call}"),
                None if syscall.raw_nr() != nr => {
                    writeln!(out, "  {}", dim(&format!("({:#x} with bit 30)", syscall.raw_nr())))
                }
                None => writeln!(out),
            };
        }
        out.push('\n');
    }
    for (tag, meaning) in TAGS {
        let name: String = tag.names().collect();
        let _ = writeln!(out, "{name:6}  {}", dim(meaning));
    }
    let _ = writeln!(out, "\n{}", dim("FINDING"));
    for finding in findings::ALL {
        let _ = writeln!(out, "{}", strong(finding.name));
        wrapped(finding.when, 76, |line| {
            let _ = writeln!(out, "    {line}");
        });
    }
    out
}

/// Text in lines of at most so many columns.
fn wrapped(text: &str, columns: usize, mut show: impl FnMut(&str)) {
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > columns {
            show(&line);
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    show(&line);
}

/// Tags, and what they mean.
pub const TAGS: [(Tags, &str); 4] = [
    (Tags::K, "from the kernel: a register copied at entry, or kernel memory"),
    (Tags::U, "read through a pointer into user memory"),
    (Tags::TOCTOU, "user memory that another thread could change meanwhile"),
    (Tags::OPT, "may be NULL, which is not 0"),
];

fn widest<'a>(heading: &str, texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(str::len).fold(heading.len(), usize::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_has_its_documented_shape() {
        let json = serde_json::to_value(json()).unwrap();
        assert_eq!(json["schema"], "tracer.list/1");
        assert_eq!(json["events"].as_array().unwrap().len(), EVENTS.len());
        assert_eq!(
            json["events"][0]["syscalls"][0],
            serde_json::json!({"abi": "x86_64", "nr": 299, "name": "recvmmsg"})
        );
        assert_eq!(
            json["events"][1]["syscalls"][1],
            serde_json::json!({"abi": "i386", "nr": 102, "name": "socketcall", "call": 19})
        );
        assert_eq!(
            json["events"][1]["args"][4],
            serde_json::json!({
                "name": "timeout", "type": "struct old_timespec32 *", "kind": "timespec32",
                "tags": ["U", "TOCTOU", "OPT"], "tracee_name": "timeout",
            })
        );
    }

    #[test]
    fn the_text_fits_80_columns_and_names_everything() {
        let text = text(false);
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        for event in EVENTS {
            assert!(text.contains(event.name) && text.contains(event.summary));
            for syscall in event.syscalls {
                assert!(text.contains(&format!("{:>6}  {}", syscall.nr, syscall.name)));
            }
        }
        for finding in findings::ALL {
            assert!(text.contains(&format!("\n{}\n", finding.name)), "{}", finding.name);
        }
        assert!(super::text(true).contains("\x1b[1mrecvmmsg\x1b[0m"));
    }
}

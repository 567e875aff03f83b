//! `tracer doctor`: what this kernel and these privileges allow, and which hook a
//! trace would use.
//!
//! Hooks are judged by attaching them, which is what a trace does; every other
//! check is there to explain a hook that can't be attached, or a field or an option
//! that will be missing. Nothing is changed, and no check needs privileges to give
//! an answer.

mod abis;
mod checks;
mod confinement;
mod hook;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::styled;
use crate::{
    encode::table::width,
    source::{Kernel, arch},
};

/// The schema of [`Report`].
pub const SCHEMA: &str = "tracer.doctor/1";

/// Columns of the text.
const WIDTH: usize = 80;

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nothing stands in the way.
    Ok,
    /// Tracing works, but something is slower or missing.
    Warn,
    /// Tracing can't work.
    Fail,
    /// There is no way to tell.
    Unknown,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// A stable name.
    pub name: &'static str,
    /// How it went.
    pub status: Status,
    /// What was found.
    pub detail: String,
    /// What to do about it; null where nothing needs doing.
    pub remedy: Option<String>,
}

/// Whether a kernel takes calls of an ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// It does, and they are traced.
    Present,
    /// It does not: there is nothing to trace.
    Absent,
    /// There is no way to tell; if there are such calls, they are traced.
    Unknown,
}

/// One ABI of this machine.
#[derive(Clone, Debug, Serialize)]
pub struct AbiReport {
    /// The name in events.
    pub abi: &'static str,
    /// Whether the kernel takes its calls.
    pub status: Presence,
    /// How that was found out, and the calls that are traced.
    pub detail: String,
}

/// Whether a hook can be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Attached {
    /// It was.
    Yes,
    /// It was not.
    No,
    /// It was not tried.
    Unknown,
}

/// One hook.
#[derive(Clone, Debug, Serialize)]
pub struct HookReport {
    /// As `--hook` has it.
    pub hook: &'static str,
    /// Whether it can be attached.
    pub status: Attached,
    /// What was attached and what it does not see, or why it can't be.
    pub detail: String,
    /// Whether `auto` considers it; in the order of the list.
    pub auto: bool,
}

/// The JSON of `tracer doctor -o json`. Keys, checks and hooks are added in later
/// versions, but no key is renamed or removed under this schema.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The kernel's release.
    pub kernel: String,
    /// The machine.
    pub arch: &'static str,
    /// Whether calls can be traced.
    pub ok: bool,
    /// The hook that a trace would use; null where none can be attached.
    pub hook: Option<&'static str>,
    /// What was looked at.
    pub checks: Vec<Check>,
    /// The hooks, in the order in which `auto` tries them.
    pub hooks: Vec<HookReport>,
    /// The ABIs of this machine.
    pub abis: Vec<AbiReport>,
}

/// Looks at everything.
pub fn examine() -> Report {
    let kernel = Kernel::running();
    let hooks = hook::all();
    let usable = hooks.iter().find(|hook| hook.auto && hook.status == Attached::Yes);
    Report {
        schema: SCHEMA,
        checks: checks::all(&kernel).into_iter().chain(confinement::all()).collect(),
        abis: abis::all(&kernel),
        kernel: kernel.release,
        arch: arch(),
        ok: usable.is_some(),
        hook: usable.map(|hook| hook.hook),
        hooks,
    }
}

impl Report {
    /// Whether calls can be traced.
    pub fn ok(&self) -> bool {
        self.ok
    }

    fn shown(&self, hook: &HookReport) -> (Style, &'static str) {
        match hook.status {
            Attached::Yes if Some(hook.hook) == self.hook => {
                (AnsiColor::Green.on_default().bold(), "taken")
            }
            Attached::Yes => (AnsiColor::Green.on_default(), "ok"),
            Attached::No => (AnsiColor::Yellow.on_default(), "no"),
            Attached::Unknown => (Style::new().dimmed(), "unknown"),
        }
    }

    /// The report for people, in lines of at most 80 columns where words allow.
    pub fn text(&self, color: bool) -> String {
        let strong = Style::new().bold();
        let dim = Style::new().dimmed();
        let mut out = format!(
            "{}\n\n",
            styled(color, strong, &format!("Linux {} on {}", self.kernel, self.arch))
        );
        let names = self.checks.iter().map(|check| check.name);
        let names = names.chain(self.abis.iter().map(|abi| abi.abi));
        let indent = names.chain(self.hooks.iter().map(|hook| hook.hook)).map(str::len).max();
        // Two spaces, the status, two spaces, the name, two spaces.
        let indent = 2 + 7 + 2 + indent.unwrap_or(0) + 2;
        let mut row = |status: (Style, &str), name: &str, detail: &str, remedy: Option<&str>| {
            let gap = " ".repeat(7 - status.1.len() + 2);
            let status = styled(color, status.0, status.1);
            let head = format!("  {status}{gap}{name}");
            let head_width = 2 + 7 + 2 + name.len();
            out.push_str(&head);
            out.push_str(&" ".repeat(indent - head_width));
            out.push_str(&wrapped(detail, indent));
            if let Some(remedy) = remedy {
                let text = wrapped(remedy, indent + 2);
                out.push_str(&format!("{}{}", " ".repeat(indent), styled(color, strong, "→ ")));
                out.push_str(&text);
            }
        };
        for check in &self.checks {
            row(check.status.shown(), check.name, &check.detail, check.remedy.as_deref());
        }
        let mut part = |title: &str, rows: &[((Style, &str), &str, &str)]| {
            out.push_str(&format!("\n{}\n", styled(color, strong, title)));
            for ((style, word), name, detail) in rows {
                let gap = " ".repeat(7 - word.len() + 2);
                let status = styled(color, *style, word);
                out.push_str(&format!("  {status}{gap}{name:rest$}", rest = indent - 11));
                out.push_str(&wrapped(detail, indent));
            }
        };
        let hooks: Vec<_> =
            self.hooks.iter().map(|hook| (self.shown(hook), hook.hook, &*hook.detail)).collect();
        part("Hooks, in the order in which auto tries them", &hooks);
        let abis: Vec<_> =
            self.abis.iter().map(|abi| (abi.status.shown(), abi.abi, &*abi.detail)).collect();
        part("ABIs", &abis);
        let verdict = match self.hook {
            Some(hook) => {
                styled(color, AnsiColor::Green.on_default(), "Calls can be traced here")
                    + &styled(color, dim, &format!(", with hook {hook}."))
            }
            None => styled(
                color,
                AnsiColor::Red.on_default(),
                "Calls can't be traced here: see what failed above.",
            ),
        };
        out.push_str(&format!("\n{verdict}\n"));
        out
    }
}

impl Status {
    fn shown(self) -> (Style, &'static str) {
        match self {
            Self::Ok => (AnsiColor::Green.on_default(), "ok"),
            Self::Warn => (AnsiColor::Yellow.on_default(), "warn"),
            Self::Fail => (AnsiColor::Red.on_default().bold(), "FAIL"),
            Self::Unknown => (Style::new().dimmed(), "unknown"),
        }
    }
}

impl Presence {
    fn shown(self) -> (Style, &'static str) {
        match self {
            Self::Present => (AnsiColor::Green.on_default(), "present"),
            Self::Absent => (Style::new().dimmed(), "absent"),
            Self::Unknown => (Style::new().dimmed(), "unknown"),
        }
    }
}

/// Text broken between words, for a first line that has `indent` columns already,
/// with its newline. The lines after it are indented as far.
fn wrapped(text: &str, indent: usize) -> String {
    let mut out = String::new();
    let mut used = indent;
    for word in text.split_whitespace() {
        if used > indent {
            if used + 1 + width(word) > WIDTH {
                out.push('\n');
                out.push_str(&" ".repeat(indent));
                used = indent;
            } else {
                out.push(' ');
                used += 1;
            }
        }
        out.push_str(word);
        used += width(word);
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(ok: bool) -> Report {
        let check = |name, status, detail: &str, remedy: Option<&str>| Check {
            name,
            status,
            detail: detail.to_owned(),
            remedy: remedy.map(str::to_owned),
        };
        Report {
            schema: SCHEMA,
            kernel: "6.1.0-40-amd64".to_owned(),
            arch: "x86_64",
            ok,
            hook: ok.then_some("raw-tracepoint"),
            checks: vec![
                check("kernel", Status::Ok, "5.10 or later is needed", None),
                check(
                    "privileges",
                    Status::Fail,
                    "uid 1000 lacks CAP_BPF and CAP_PERFMON, and this goes on past the end of a line",
                    Some("run as root, for instance with sudo"),
                ),
            ],
            hooks: vec![
                HookReport {
                    hook: "raw-tracepoint",
                    status: if ok { Attached::Yes } else { Attached::Unknown },
                    detail: "sys_enter and sys_exit".to_owned(),
                    auto: true,
                },
                HookReport {
                    hook: "kprobe",
                    status: Attached::No,
                    detail: "no kprobes".to_owned(),
                    auto: true,
                },
            ],
            abis: vec![AbiReport {
                abi: "i386",
                status: Presence::Unknown,
                detail: "no kernel configuration".to_owned(),
            }],
        }
    }

    #[test]
    fn the_text_is_aligned_and_wrapped() {
        let expected = "\
Linux 6.1.0-40-amd64 on x86_64

  ok       kernel          5.10 or later is needed
  FAIL     privileges      uid 1000 lacks CAP_BPF and CAP_PERFMON, and this goes
                           on past the end of a line
                           → run as root, for instance with sudo

Hooks, in the order in which auto tries them
  unknown  raw-tracepoint  sys_enter and sys_exit
  no       kprobe          no kprobes

ABIs
  unknown  i386            no kernel configuration

Calls can't be traced here: see what failed above.
";
        assert_eq!(report(false).text(false), expected);
        assert!(report(true).text(true).contains("\x1b[1m\x1b[31mFAIL\x1b[0m"));
    }

    #[test]
    fn the_json_has_its_documented_shape() {
        let json = serde_json::to_value(report(true)).unwrap();
        assert_eq!(json["schema"], "tracer.doctor/1");
        assert_eq!(json["hook"], "raw-tracepoint");
        assert_eq!(json["hooks"][0]["status"], "yes");
        assert_eq!(json["hooks"][1]["status"], "no");
        assert_eq!(json["checks"][0]["status"], "ok");
        assert_eq!(json["checks"][0]["remedy"], serde_json::Value::Null);
        assert_eq!(json["abis"][0]["status"], "unknown");
        assert_eq!(serde_json::to_value(report(false)).unwrap()["hook"], serde_json::Value::Null);
    }

    #[test]
    fn every_machine_gets_a_whole_report() {
        let report = examine();
        assert_eq!(report.ok(), report.hook.is_some());
        for check in &report.checks {
            let needs_remedy = check.status == Status::Fail;
            assert!(!needs_remedy || check.remedy.is_some(), "{check:?}");
            assert!(!check.detail.is_empty(), "{check:?}");
        }
    }
}

//! The table of results: kernel and hook × ABI.

use std::fmt::Write as _;

use super::{
    libtest::{Results, Verdict},
    suites::{HOOKS, Hook},
    table::Guest,
};

/// An ABI: a column.
struct Abi {
    title: &'static str,
    /// The architecture that has it.
    arch: &'static str,
    /// The module of its tests; the architecture's own calls are all other modules'.
    module: Option<&'static str>,
}

const COMPAT: &str = "calls::compat::";

const ABIS: &[Abi] = &[
    own("x86_64 299", "x86_64"),
    compat("i386 337", "x86_64", "calls::compat::time32::"),
    compat("i386 417", "x86_64", "calls::compat::time64::"),
    compat("i386 102", "x86_64", "calls::compat::socketcall::"),
    compat("x32", "x86_64", "calls::compat::x32::"),
    own("arm64 243", "aarch64"),
    compat("arm 365", "aarch64", "calls::compat::time32::"),
    compat("arm 417", "aarch64", "calls::compat::time64::"),
];

const fn own(title: &'static str, arch: &'static str) -> Abi {
    Abi { title, arch, module: None }
}

const fn compat(title: &'static str, arch: &'static str, module: &'static str) -> Abi {
    Abi { title, arch, module: Some(module) }
}

impl Abi {
    /// Whether a test, by its name below the section, is of this ABI.
    fn has(&self, test: &str) -> bool {
        match self.module {
            Some(module) => test.starts_with(module),
            None => test.starts_with("calls::") && !test.starts_with(COMPAT),
        }
    }
}

/// A guest and what it said, or why it did not run.
pub struct Shown {
    pub guest: &'static Guest,
    /// The kernel's version, where it is known.
    pub version: String,
    pub outcome: Result<Results, String>,
}

/// Reasons, each with its number.
#[derive(Default)]
struct Notes(Vec<String>);

impl Notes {
    fn mark(&mut self, reason: &str) -> String {
        let number = self.0.iter().position(|known| known == reason).unwrap_or_else(|| {
            self.0.push(reason.to_owned());
            self.0.len() - 1
        });
        format!("[{}]", number + 1)
    }
}

/// The table in Markdown, with its notes.
pub fn table(shown: &[Shown]) -> String {
    let mut notes = Notes::default();
    let mut table = "| kernel | hook |".to_owned();
    ABIS.iter().for_each(|abi| table += &format!(" {} |", abi.title));
    table += &format!("\n|---|---|{}\n", "---:|".repeat(ABIS.len()));
    for Shown { guest, version, outcome } in shown {
        for hook in HOOKS {
            let _ = write!(table, "| {} ({version}) | {} |", guest.name, hook.name);
            for abi in ABIS {
                let cell = match outcome {
                    _ if abi.arch != guest.arch.name => String::new(),
                    Ok(results) => cell(results, hook, abi, &mut notes),
                    Err(reason) => notes.mark(reason),
                };
                let _ = write!(table, " {cell} |");
            }
            table += "\n";
        }
    }
    table += "\nTests passed, of how many. An empty cell is another architecture's ABI.\n\n";
    for (number, note) in notes.0.iter().enumerate() {
        let _ = writeln!(table, "{}. {note}", number + 1);
    }
    table
}

fn cell(results: &Results, hook: &Hook, abi: &Abi, notes: &mut Notes) -> String {
    if let Some(said) = results.refusal(hook.name) {
        return notes.mark(&said.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    let is_blind = |module: &str| abi.module.is_some_and(|own| own.starts_with(module));
    if let Some((_, why)) = hook.blind.iter().find(|(module, _)| is_blind(module)) {
        return notes.mark(why);
    }
    let (mut passed, mut total, mut marks) = (0, 0, Vec::new());
    for test in &results.tests {
        let own = test.name.strip_prefix(hook.name).and_then(|rest| rest.strip_prefix("::"));
        let Some(name) = own.filter(|name| abi.has(name)) else { continue };
        let left_out = match &test.verdict {
            Verdict::Ignored(reason) => Some(reason.as_str()),
            // A test that leaves itself out passes.
            _ => results.skip_of(hook.name, name),
        };
        if let Some(reason) = left_out {
            marks.push(notes.mark(reason));
            continue;
        }
        total += 1;
        passed += usize::from(test.verdict == Verdict::Ok);
    }
    marks.dedup();
    match total {
        0 if !marks.is_empty() => marks.concat(),
        0 => notes.mark("no test ran"),
        _ => format!("{passed}/{total}{}", marks.concat()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::table::GUESTS;

    fn shown(name: &str, outcome: Result<&str, &str>) -> Shown {
        let outcome = outcome.map_err(str::to_owned).map(|text| {
            let mut results = Results::default();
            text.lines().for_each(|line| drop(results.line(line)));
            results
        });
        let guest = GUESTS.iter().find(|guest| guest.name == name).expect("a guest");
        Shown { guest, version: "1-2".to_owned(), outcome }
    }

    #[test]
    fn cells_and_notes() {
        let said = "@guest section fentry\ntracer: no way\n@guest refused fentry exit 3\n\
            @guest section kprobe\n@guest suite kprobe\n\
            test calls::udp::a ... ok\ntest calls::udp::b ... FAILED\n\
            test calls::compat::time32::a ... ok\ntest calls::compat::time32::b ... ok\n\
            test calls::compat::x32::a ... ok\n\
            @guest skip kprobe SKIP native::calls::compat::x32: no function\n\
            @guest skip kprobe SKIP native::calls::compat::time32::b: no compiler\n";
        let table = table(&[shown("5.10", Ok(said)), shown("6.1-arm64", Err("no compiler"))]);
        let rows: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(rows[0], "| 5.10 (1-2) | fentry | [1] | [1] | [1] | [1] | [1] |  |  |  |");
        assert_eq!(rows[1], "| 5.10 (1-2) | kprobe | 1/2 | 1/1[2] | [3] | [3] | [4] |  |  |  |");
        assert_eq!(
            rows[2],
            "| 5.10 (1-2) | raw-tracepoint | [3] | [3] | [3] | [3] | [3] |  |  |  |"
        );
        assert_eq!(rows[3], "| 5.10 (1-2) | tracepoint | [3] | [5] | [5] | [5] | [5] |  |  |  |");
        assert_eq!(rows[4], "| 6.1-arm64 (1-2) | fentry |  |  |  |  |  | [2] | [2] | [2] |");
        let notes = table.split("ABI.\n\n").nth(1).expect("notes");
        let expected = "1. tracer: no way (the tracer: exit 3)\n2. no compiler\n3. no test ran\n\
                        4. no function\n\
                        5. its tracepoints do not fire for 32-bit and x32 calls\n";
        assert_eq!(notes, expected);
    }
}

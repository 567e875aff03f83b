//! How many instructions the verifier looked at, as tests print it:
//! `@verified HOOK PROGRAM OPTIONS COUNT`.

use std::{collections::BTreeMap, fmt::Write as _};

/// Half of what the verifier accepts (`BPF_COMPLEXITY_LIMIT_INSNS`).
const LIMIT: u64 = 500_000;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Verified {
    pub hook: String,
    pub program: String,
    /// The tracer's options, as few words as the test likes.
    pub options: String,
    /// None where the kernel does not tell (before 5.16).
    pub count: Option<u64>,
}

impl Verified {
    /// Reads what follows `@verified `; None where it has another shape.
    pub fn parse(line: &str) -> Option<Self> {
        let (rest, count) = line.trim().rsplit_once(' ')?;
        let mut words = rest.splitn(3, ' ').map(str::to_owned);
        let count = if count == "-" { None } else { Some(count.parse().ok()?) };
        let mut word = || words.next().filter(|word| !word.is_empty());
        Some(Self { hook: word()?, program: word()?, options: word()?, count })
    }

    /// What is wrong with it.
    pub fn trouble(&self) -> Option<String> {
        let count = self.count.filter(|count| *count > LIMIT)?;
        let Self { hook, program, options, .. } = self;
        Some(format!(
            "{hook} {program} ({options}): {count} instructions verified, {LIMIT} allowed"
        ))
    }
}

/// The table program × guest, in Markdown; empty where nothing was told.
pub fn table(guests: &[(&str, &[Verified])]) -> String {
    let mut rows = BTreeMap::<_, BTreeMap<&str, Option<u64>>>::new();
    for (guest, verified) in guests {
        for Verified { hook, program, options, count } in *verified {
            rows.entry((hook, program, options)).or_default().insert(guest, *count);
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    let mut table = "| hook | program | options |".to_owned();
    guests.iter().for_each(|(guest, _)| table += &format!(" {guest} |"));
    table += &format!("\n|---|---|---|{}\n", "---:|".repeat(guests.len()));
    for ((hook, program, options), counts) in rows {
        let _ = write!(table, "| {hook} | {program} | {options} |");
        for (guest, _) in guests {
            let count = counts.get(guest).copied().flatten();
            let _ = write!(table, " {} |", count.map_or("-".to_owned(), |count| count.to_string()));
        }
        table += "\n";
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let verified = Verified::parse("kprobe enter --messages 1024 4711").expect("a line");
        assert_eq!(
            (verified.program.as_str(), verified.options.as_str(), verified.count),
            ("enter", "--messages 1024", Some(4711))
        );
        assert_eq!(Verified::parse("fentry exit - -").expect("a line").count, None);
        for line in ["kprobe enter 4711", "kprobe enter - x", ""] {
            assert_eq!(Verified::parse(line), None, "{line}");
        }
    }

    #[test]
    fn too_many_instructions() {
        let verified = |count: &str| Verified::parse(&format!("h p o {count}")).expect("a line");
        assert_eq!(verified("500000").trouble(), None);
        assert_eq!(verified("-").trouble(), None);
        let trouble = verified("500001").trouble().expect("too many");
        assert_eq!(trouble, "h p (o): 500001 instructions verified, 500000 allowed");
    }

    #[test]
    fn a_table() {
        let verified = |line: &str| Verified::parse(line).expect("a line");
        let old = [verified("kprobe enter - -")];
        let new = [verified("kprobe exit - 12"), verified("kprobe enter - 345")];
        assert_eq!(
            table(&[("5.10", &old), ("6.1", &new)]),
            "| hook | program | options | 5.10 | 6.1 |\n|---|---|---|---:|---:|\n\
             | kprobe | enter | - | - | 345 |\n| kprobe | exit | - | - | 12 |\n"
        );
        assert_eq!(table(&[("5.10", &[])]), "");
    }
}

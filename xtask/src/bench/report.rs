//! What the suite prints: a table for people, JSON for programs, and the ratio to a
//! baseline that was kept.

use std::{fmt, fs, path::Path};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use super::stats::Spread;

const SCHEMA: &str = "tracer.bench/1";

/// One figure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// The part of the suite.
    pub section: String,
    /// What was measured; with the section its name for comparisons.
    pub what: String,
    /// Of the figures.
    pub unit: String,
    /// The same with nobody watching, where there is such a thing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bare: Option<Spread>,
    /// The figure.
    pub value: Spread,
    /// What else is to be known.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub note: String,
}

/// A figure that could not be had.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Left {
    pub what: String,
    pub reason: String,
}

/// The machine: figures of another one can't be compared.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    pub kernel: String,
    pub arch: String,
    pub cpu: String,
    pub cpus: usize,
    pub memory_mib: u64,
    /// How busy it was before the suite began: the load of the last minute.
    pub load: f64,
    /// Tracers that were running already, and that take their part of every call.
    pub tracers: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    schema: String,
    /// As `git describe` names what was measured.
    pub version: String,
    pub machine: Machine,
    pub rows: Vec<Row>,
    pub skipped: Vec<Left>,
}

impl Machine {
    pub fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).map(str::to_owned);
            let value = line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()));
            value.unwrap_or_default()
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kib: u64 = memory.split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or(0);
        let load = read("/proc/loadavg");
        Self {
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            cpu: field(&read("/proc/cpuinfo"), "model name"),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: kib / 1024,
            tracers: tracers(),
            load: load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kernel, arch, cpu, cpus, load, tracers, .. } = self;
        write!(f, "Linux {kernel} on {cpus} × {cpu} ({arch}), load {load:.2}")?;
        if *tracers > 0 { write!(f, ", beside {tracers} other tracers") } else { Ok(()) }
    }
}

/// Processes that trace others, by their names.
fn tracers() -> usize {
    const NAMES: &[&str] = &["tracer", "strace", "bpftrace", "perf"];
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = processes.filter_map(|of| fs::read_to_string(of.path().join("comm")).ok());
    names.filter(|name| NAMES.contains(&name.trim())).count()
}

impl Report {
    pub fn new(version: String) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            version,
            machine: Machine::here(),
            rows: Vec::new(),
            skipped: Vec::new(),
        }
    }

    /// Adds a figure, and shows it at once: the suite takes minutes.
    pub fn row(&mut self, row: Row) {
        eprintln!("bench: {}: {}: {}", row.section, row.what, cell(&row.value, &row.unit));
        self.rows.push(row);
    }

    pub fn skip(&mut self, what: impl Into<String>, reason: impl Into<String>) {
        let (what, reason) = (what.into(), reason.into());
        eprintln!("bench: SKIP {what}: {reason}");
        self.skipped.push(Left { what, reason });
    }

    /// The table, with the ratio to a baseline.
    pub fn table(&self, baseline: Option<&Self>) -> String {
        let mut lines = vec![[
            "figure".to_owned(),
            "bare".to_owned(),
            "median".to_owned(),
            "quartiles".to_owned(),
            if baseline.is_some() { "to baseline".to_owned() } else { String::new() },
            String::new(),
        ]];
        let mut section = "";
        for row in &self.rows {
            if row.section != section {
                section = &row.section;
                lines.push(Default::default());
                lines[..].last_mut().expect("just added")[0] = section.to_owned();
            }
            let Spread { low, high, .. } = row.value;
            lines.push([
                format!("  {}", row.what),
                row.bare.map_or_else(String::new, |bare| number(bare.median)),
                cell(&row.value, &row.unit),
                format!("{} … {}", number(low), number(high)),
                baseline.and_then(|baseline| row.ratio(baseline)).unwrap_or_default(),
                row.note.clone(),
            ]);
        }
        let mut out = columns(&lines);
        for Left { what, reason } in &self.skipped {
            out.push_str(&format!("SKIP {what}: {reason}\n"));
        }
        out
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("can't make {}", folder.display()))?;
        }
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(path, text).with_context(|| format!("can't write {}", path.display()))
    }

    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("can't read the baseline {}", path.display()))?;
        let report: Self = serde_json::from_str(&text)
            .with_context(|| format!("{} is no baseline", path.display()))?;
        if report.schema != SCHEMA {
            bail!("{}: its schema is {}, not {SCHEMA}", path.display(), report.schema);
        }
        Ok(report)
    }
}

impl Row {
    /// Its value over the one of the same name in a baseline.
    fn ratio(&self, baseline: &Report) -> Option<String> {
        let of_name = |row: &&Row| row.section == self.section && row.what == self.what;
        let then = baseline.rows.iter().find(of_name)?;
        let ratio = self.value.median / then.value.median;
        ratio.is_finite().then(|| format!("{ratio:.2}"))
    }
}

fn cell(value: &Spread, unit: &str) -> String {
    format!("{} {unit}", number(value.median))
}

/// Three digits at least, and no more after the point than they take.
fn number(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => {
            let digits = format!("{:.0}", value.abs());
            let mut out = String::new();
            for (i, digit) in digits.chars().enumerate() {
                if i > 0 && (digits.len() - i) % 3 == 0 {
                    out.push(',');
                }
                out.push(digit);
            }
            if value < 0.0 { format!("-{out}") } else { out }
        }
    }
}

/// Columns as wide as their widest cell: the first and the last to the left.
fn columns<const N: usize>(lines: &[[String; N]]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<_> = (0..N).map(|column| width(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for line in lines {
        let mut text = String::new();
        for (i, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let width = *width;
            match i {
                0 => text.push_str(&format!("{cell:<width$}")),
                _ if i + 1 == N => text.push_str(&format!("  {cell}")),
                _ => text.push_str(&format!("  {cell:>width$}")),
            }
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(median: f64) -> Report {
        let mut report = Report::new("v1".to_owned());
        report.rows.push(Row {
            section: "added per call".to_owned(),
            what: "EAGAIN".to_owned(),
            unit: "ns".to_owned(),
            bare: Spread::of([300.0]),
            value: Spread::of([median]).expect("a run"),
            note: String::new(),
        });
        report
    }

    #[test]
    fn numbers_for_people() {
        let all = [0.5, 12.34, 999.6, 12_345.0, -1_234_567.0].map(number);
        assert_eq!(all, ["0.50", "12.3", "1,000", "12,345", "-1,234,567"]);
    }

    #[test]
    fn the_ratio_to_a_baseline() {
        let table = report(600.0).table(Some(&report(400.0)));
        let line = table.lines().find(|line| line.contains("EAGAIN")).expect("the row");
        assert_eq!(line.split_whitespace().last(), Some("1.50"), "{table}");
        assert!(report(600.0).table(None).contains("300  600 ns"), "{table}");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("deep/baseline.json");
        let report = report(600.0);
        report.write(&path).expect("written");
        let again = Report::read(&path).expect("read");
        assert_eq!(report.table(None), again.table(None));
        fs::write(&path, "{}").expect("written");
        assert!(Report::read(&path).is_err());
    }
}

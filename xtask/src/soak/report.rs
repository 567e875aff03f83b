//! What a soak has shown: a table, and a plot.

use std::{fmt::Write as _, process::ExitStatus, time::Duration};

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use serde_json::Value;

use super::sample::Sample;

const MIB: f64 = (1 << 20) as f64;

/// All of it.
pub struct Report {
    pub machine: String,
    pub time: Duration,
    pub samples: Vec<Sample>,
    pub reloads: u64,
    /// Runs of workloads.
    pub calls: u64,
    pub status: ExitStatus,
    /// The tracer's stderr.
    pub said: String,
    /// What `tracer verify` says of what the receiver got.
    pub verified: Value,
}

/// A figure over time.
struct Row {
    name: &'static str,
    unit: &'static str,
    values: Vec<(f64, f64)>,
}

impl Row {
    fn sorted(&self, from: f64, to: f64) -> Vec<f64> {
        let end = self.values.last().map_or(0.0, |(at, _)| *at);
        let part = self.values.iter().filter(|(at, _)| (from..=to).contains(&(at / end)));
        let mut part: Vec<_> = part.map(|(_, value)| *value).collect();
        part.sort_by(f64::total_cmp);
        part
    }

    fn median(&self, from: f64, to: f64) -> f64 {
        let sorted = self.sorted(from, to);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    fn most(&self) -> f64 {
        self.sorted(0.0, 1.0).last().copied().unwrap_or(f64::NAN)
    }
}

impl Report {
    fn rows(&self) -> Vec<Row> {
        let over = |each: fn(&Sample) -> f64| -> Vec<(f64, f64)> {
            self.samples.iter().map(|sample| (sample.at, each(sample))).collect()
        };
        let rate = |each: fn(&Sample) -> f64| -> Vec<(f64, f64)> {
            let pairs = self.samples.windows(2);
            pairs
                .map(|two| (two[1].at, (each(&two[1]) - each(&two[0])) / (two[1].at - two[0].at)))
                .collect()
        };
        let delay = |which: usize| -> Vec<(f64, f64)> {
            let known = self.samples.iter();
            known.filter_map(|sample| Some((sample.at, sample.delay?[which] * 1e3))).collect()
        };
        vec![
            Row { name: "memory (RSS)", unit: "MiB", values: over(|sample| sample.rss / MIB) },
            Row { name: "descriptors", unit: "", values: over(|sample| sample.descriptors) },
            Row { name: "CPU", unit: "%", values: rate(|sample| 100.0 * sample.cpu) },
            Row { name: "calls", unit: "/s", values: rate(|sample| sample.seen) },
            Row { name: "events", unit: "/s", values: rate(|sample| sample.events) },
            Row { name: "lost", unit: "calls", values: over(|sample| sample.lost) },
            Row { name: "in the spool", unit: "lines", values: over(|sample| sample.spooled) },
            Row { name: "delay, median", unit: "ms", values: delay(0) },
            Row { name: "delay, 99 %", unit: "ms", values: delay(1) },
        ]
    }

    /// Whether something grew: from the second quarter to the last one, by more than noise.
    fn grew(&self) -> Vec<&'static str> {
        let bounds = [("memory (RSS)", 1.05, 1.0), ("descriptors", 1.0, 2.0)];
        let rows = self.rows();
        let grows = |(name, times, more): &(&str, f64, f64)| {
            let Some(row) = rows.iter().find(|row| row.name == *name) else { return true };
            row.median(0.75, 1.0) > row.median(0.25, 0.5) * times + more
        };
        bounds.iter().filter(|bound| grows(bound)).map(|(name, ..)| *name).collect()
    }

    /// What is wrong.
    fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if !self.status.success() {
            wrong.push(format!("the tracer ended with {}", self.status));
        }
        let errors = self.said.lines().filter(|line| line.starts_with("tracer: error"));
        wrong.extend(errors.map(str::to_owned));
        let run = &self.verified["runs"][0];
        let runs = self.verified["runs"].as_array().map_or(0, Vec::len);
        if runs != 1 || run["undeclared"] != 0 || run["has_end"] != true {
            wrong.push(format!("the receiver got {}", self.verified));
        }
        wrong.extend(self.grew().iter().map(|name| format!("{name} grew")));
        wrong
    }

    pub fn is_sound(&self) -> bool {
        self.wrong().is_empty()
    }

    /// The tracer's own summary of its first destination.
    fn summary(&self) -> &str {
        let line = self.said.lines().rfind(|line| line.starts_with("tracer: seen"));
        line.and_then(|line| line.strip_prefix("tracer: ")).unwrap_or("no summary")
    }

    pub fn markdown(&self) -> String {
        let mut text = String::new();
        let minutes = self.time.as_secs() / 60;
        let _ = writeln!(text, "{minutes} minutes on {}\n", self.machine);
        text.push_str(
            "| figure | median of the 2nd quarter | of the last | most |\n|---|---|---|---|\n",
        );
        for row in self.rows() {
            let Row { name, unit, .. } = row;
            let shown = |value: f64| format!("{value:.1} {unit}").trim_end().to_owned();
            let (early, late) = (row.median(0.25, 0.5), row.median(0.75, 1.0));
            let most = row.most();
            let cells = [early, late, most].map(shown).join(" | ");
            let _ = writeln!(text, "| {name} | {cells} |");
        }
        let run = &self.verified["runs"][0];
        let _ = writeln!(
            text,
            "\n{} runs of workloads, {} reloads. The tracer: {}. The receiver, which was restarted \
             every minute: {} events, {} lines twice, {} missing of which {} are not declared.",
            self.calls,
            self.reloads,
            self.summary(),
            run["events"],
            run["duplicates"],
            run["missing"],
            run["undeclared"],
        );
        let wrong = self.wrong();
        if wrong.is_empty() {
            text.push_str("\nNothing grew, and the accounts add up.\n");
        }
        for line in wrong {
            let _ = writeln!(text, "\nWRONG: {line}");
        }
        text
    }

    /// An SVG of all rows.
    pub fn plot(&self) -> Result<String> {
        let mut text = String::new();
        {
            let root = SVGBackend::with_string(&mut text, (900, 1000)).into_drawing_area();
            root.fill(&WHITE)?;
            let rows = self.rows();
            let areas = root.split_evenly((rows.len().div_ceil(2), 2));
            for (row, area) in rows.iter().zip(&areas) {
                draw(row, area).map_err(|error| anyhow!("{}: {error}", row.name))?;
            }
            root.present()?;
        }
        Ok(text)
    }
}

fn draw(
    row: &Row,
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
) -> Result<(), Box<dyn std::error::Error>> {
    let end = row.values.last().map_or(1.0, |(at, _)| *at) / 60.0;
    let most = if row.most().is_finite() { row.most() } else { 0.0 };
    let title = format!("{} {}", row.name, if row.unit.is_empty() { "" } else { row.unit });
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 14))
        .margin(8)
        .x_label_area_size(36)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..end.max(0.1), 0.0..(most * 1.15).max(1.0))?;
    chart.configure_mesh().light_line_style(WHITE).x_desc("minutes").draw()?;
    let line = row.values.iter().map(|(at, value)| (at / 60.0, *value));
    chart.draw_series(LineSeries::new(line, &BLUE))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn report(rss: impl Fn(u32) -> f64) -> Report {
        let sample = |at: u32| Sample {
            at: f64::from(at),
            rss: rss(at) * MIB,
            descriptors: 30.0,
            cpu: f64::from(at) / 10.0,
            delay: Some([0.01, 0.04, 0.05]),
            ..Sample::default()
        };
        Report {
            machine: "a machine".to_owned(),
            time: Duration::from_secs(600),
            samples: (1..=120).map(|number| sample(5 * number)).collect(),
            reloads: 3,
            calls: 7,
            status: ExitStatus::from_raw(0),
            said: "tracer: seen 5, emitted 5\n".to_owned(),
            verified: serde_json::json!({"runs": [{"undeclared": 0, "has_end": true}]}),
        }
    }

    #[test]
    fn growth_is_told_from_noise() {
        let noise = report(|at| 20.0 + f64::from(at % 3) / 10.0);
        assert!(noise.is_sound(), "{:?}", noise.wrong());
        assert!(noise.markdown().contains("| CPU | 10.0 % | 10.0 % | 10.0 % |"));
        let leak = report(|at| 20.0 + f64::from(at) / 60.0);
        assert_eq!(leak.grew(), ["memory (RSS)"]);
        assert!(leak.markdown().contains("WRONG: memory (RSS) grew"));
    }

    #[test]
    fn what_is_missing_and_not_declared_is_wrong() {
        let mut report = report(|_| 20.0);
        report.verified = serde_json::json!({"runs": [{"undeclared": 1, "has_end": true}]});
        assert!(!report.is_sound());
        assert!(report.plot().expect("a plot").starts_with("<svg"));
    }
}

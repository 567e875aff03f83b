//! Prometheus's text format (version 0.0.4) of a snapshot.

use std::fs;

use prometheus::{
    TextEncoder,
    proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType},
};

use super::{At, Snapshot};

/// Families under way.
#[derive(Default)]
struct Families(Vec<MetricFamily>);

type Labels<'a> = &'a [(&'a str, &'a str)];

impl Families {
    fn add<'a>(
        &mut self,
        kind: MetricType,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Vec<(&'a str, &'a str)>, f64)>,
    ) {
        let metric = |(labels, value): (Vec<(&str, &str)>, f64)| {
            let mut metric = Metric::default();
            metric.set_label(labels.iter().map(pair).collect());
            match kind {
                MetricType::COUNTER => {
                    let mut counter = Counter::default();
                    counter.set_value(value);
                    metric.set_counter(counter);
                }
                _ => {
                    let mut gauge = Gauge::default();
                    gauge.set_value(value);
                    metric.set_gauge(gauge);
                }
            }
            metric
        };
        let metrics: Vec<_> = values.into_iter().map(metric).collect();
        if metrics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(metrics);
        self.0.push(family);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.add(MetricType::COUNTER, name, help, [(Vec::new(), value as f64)]);
    }

    fn gauge(&mut self, name: &str, help: &str, labels: Labels<'_>, value: f64) {
        self.add(MetricType::GAUGE, name, help, [(labels.to_vec(), value)]);
    }

    /// One of each destination.
    fn at(
        &mut self,
        kind: MetricType,
        name: &str,
        help: &str,
        all: &[At],
        value: impl Fn(&At) -> f64,
    ) {
        let of = |at| -> (Vec<(&str, &str)>, f64) {
            let at: &At = at;
            (vec![("destination", at.name.as_str())], value(at))
        };
        self.add(kind, name, help, all.iter().map(of));
    }
}

fn pair((name, value): &(&str, &str)) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name((*name).to_owned());
    pair.set_value((*value).to_owned());
    pair
}

/// The answer to Prometheus; without a snapshot, of the process alone.
pub fn text(snapshot: Option<&Snapshot>) -> String {
    let mut families = Families::default();
    let version = env!("CARGO_PKG_VERSION");
    let (hook, kernel) = snapshot.map_or(("", ""), |own| (own.hook, own.kernel.as_str()));
    let labels = [("version", version), ("hook", hook), ("kernel", kernel)];
    families.gauge("tracer_build_info", "The tracer, its hook and the kernel.", &labels, 1.0);
    if let Some(snapshot) = snapshot {
        calls(snapshot, &mut families);
        destinations(&snapshot.destinations, &mut families);
        kernel_side(snapshot, &mut families);
    }
    process(&mut families);
    // To a string, which takes all.
    TextEncoder::new().encode_to_string(&families.0).unwrap_or_default()
}

fn calls(snapshot: &Snapshot, families: &mut Families) {
    let counts = &snapshot.counts;
    let results = snapshot.results.iter();
    families.add(
        MetricType::COUNTER,
        "tracer_events_total",
        "Events that were made, by name and result (ok, or the error's name).",
        results.map(|(name, result, count)| {
            (vec![("event", *name), ("result", *result)], *count as f64)
        }),
    );
    let help = "Calls that ended, as the kernel side counted them.";
    families.counter("tracer_calls_seen_total", help, counts.kernel_seen);
    let help = "Calls that filters left out.";
    families.counter("tracer_calls_filtered_total", help, counts.filtered);
    let causes = counts.lost.causes();
    families.add(
        MetricType::COUNTER,
        "tracer_calls_lost_total",
        "Calls whose event is lost, by cause, as it looks from the first destination.",
        causes.iter().map(|(cause, count)| (vec![("cause", *cause)], *count as f64)),
    );
    let help = "Calls that have begun and not ended.";
    families.gauge("tracer_calls_unfinished", help, &[], counts.unfinished as f64);
    let help = "Records of the kernel side that could not be decoded.";
    families.counter("tracer_decode_errors_total", help, counts.lost.malformed);
}

fn destinations(all: &[At], families: &mut Families) {
    use MetricType::{COUNTER, GAUGE};
    let help = "Events that were delivered, or taken by the spool.";
    families.at(COUNTER, "tracer_sink_events_total", help, all, |at| at.counts.emitted as f64);
    let lost = all.iter().flat_map(|at| {
        let causes = [("queue_full", at.counts.lost.queue_full), ("sink", at.counts.lost.sink)];
        causes.map(|(cause, count)| {
            (vec![("destination", at.name.as_str()), ("cause", cause)], count as f64)
        })
    });
    let help = "Events that a destination lost: its queue was full, or it did not take them.";
    families.add(COUNTER, "tracer_sink_lost_total", help, lost);
    let help = "Whether a destination is there: 0 once it has failed for good.";
    families.at(GAUGE, "tracer_sink_up", help, all, |at| f64::from(u8::from(!at.failed)));
    let help = "Bytes that wait in a destination's queue.";
    families.at(GAUGE, "tracer_sink_queue_bytes", help, all, |at| at.counts.waiting as f64);
    let help = "Bytes that a destination's queue holds at most.";
    families.at(GAUGE, "tracer_sink_queue_limit_bytes", help, all, |at| at.queue_limit as f64);
    let help = "How long the oldest line in a destination's queue has waited.";
    families.at(GAUGE, "tracer_sink_lag_seconds", help, all, |at| at.lag.as_secs_f64());
    let help = "How often it was tried again to reach a destination.";
    families.at(COUNTER, "tracer_sink_retries_total", help, all, |at| at.retries as f64);
    let help = "Lines that wait in a destination's spool.";
    families.at(GAUGE, "tracer_sink_spool_lines", help, all, |at| at.spooled as f64);
}

fn kernel_side(snapshot: &Snapshot, families: &mut Families) {
    let help = "Bytes in the fullest ring buffer since a second ago.";
    families.gauge("tracer_ring_fullest_bytes", help, &[], snapshot.ring_fullest as f64);
    let help = "Bytes that each ring buffer has room for.";
    families.gauge("tracer_ring_size_bytes", help, &[], snapshot.ring_size as f64);
    let of = |value: fn(&super::Program) -> f64| {
        let programs = snapshot.programs.iter();
        programs.map(move |program| {
            let labels = vec![("program", program.name), ("target", program.target.as_str())];
            (labels, value(program))
        })
    };
    // The kernel counts these only while kernel.bpf_stats_enabled is 1.
    if snapshot.programs.iter().any(|program| program.runs > 0) {
        let help = "Runs of the kernel programs, while kernel.bpf_stats_enabled is 1.";
        let runs = of(|program| program.runs as f64);
        families.add(MetricType::COUNTER, "tracer_program_runs_total", help, runs);
        let help = "Time that the kernel programs ran, while kernel.bpf_stats_enabled is 1.";
        let time = of(|program| program.time.as_secs_f64());
        families.add(MetricType::COUNTER, "tracer_program_run_seconds_total", help, time);
    }
    let left_out = snapshot.counts.runs_left_out;
    let help = "Runs of programs that the kernel left out.";
    families.counter("tracer_program_runs_left_out_total", help, left_out);
}

/// The standard metrics of a process; what can't be read is left out.
fn process(families: &mut Families) {
    use rustix::{param, time};
    let ticks = param::clock_ticks_per_second() as f64;
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name, which may hold anything: field 3 is the first (proc_pid_stat(5)).
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<f64> =
        rest.split_whitespace().map(|field| field.parse().unwrap_or(0.0)).collect();
    if let (Some(user), Some(system), Some(start)) =
        (fields.get(11), fields.get(12), fields.get(19))
    {
        let help = "CPU time of the tracer's daemon.";
        let cpu = [(Vec::new(), (user + system) / ticks)];
        families.add(MetricType::COUNTER, "process_cpu_seconds_total", help, cpu);
        let now = |clock| {
            let time = time::clock_gettime(clock);
            time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
        };
        let boot = now(time::ClockId::Realtime) - now(time::ClockId::Boottime);
        let help = "When it was started, in seconds since 1970.";
        families.gauge("process_start_time_seconds", help, &[], boot + start / ticks);
    }
    if let Some(pages) = fields.get(21) {
        let help = "Its resident memory.";
        let bytes = pages * param::page_size() as f64;
        families.gauge("process_resident_memory_bytes", help, &[], bytes);
    }
    if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
        let help = "Its open descriptors.";
        families.gauge("process_open_fds", help, &[], descriptors.count() as f64);
    }
}

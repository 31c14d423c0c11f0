//! The figures, for people and for programs.

use core::time::Duration;
use std::{fmt::Write as _, thread};

use serde_json::json;
use ws_std::MessageKind;

use super::{
    cpu::CpuTimes,
    lane::{Shape, Tally},
};
use crate::{arguments::Bench, connecting::shown};

/// The percentiles that are shown, and their names in JSON.
const PERCENTILES: [(f64, &str); 4] = [(50.0, "p50"), (90.0, "p90"), (99.0, "p99"), (99.9, "p99.9")];

/// The share of all processors from which the client counts as busy.
const BUSY: f64 = 0.7;

/// A finished measurement.
pub(super) struct Report<'r> {
    pub(super) options: &'r Bench,
    pub(super) shape: &'r Shape,
    pub(super) seconds: Duration,
    pub(super) cpu: Option<CpuTimes>,
    pub(super) total: &'r Tally,
    /// Connections that were not opened.
    pub(super) refused: usize,
}

impl Report<'_> {
    fn messages(&self) -> u64 {
        self.total.round_trips.len()
    }

    fn per_second(&self) -> f64 {
        self.messages() as f64 / self.seconds.as_secs_f64()
    }

    /// Returns CPU time in nanoseconds per message.
    fn per_message(&self, time: Duration) -> Option<f64> {
        (self.messages() > 0).then(|| time.as_secs_f64() * 1e9 / self.messages() as f64)
    }

    fn own_cpu(&self) -> Option<f64> {
        self.cpu.and_then(|cpu| self.per_message(cpu.own))
    }

    fn server_cpu(&self) -> Option<f64> {
        self.cpu.and_then(|cpu| cpu.server).and_then(|time| self.per_message(time))
    }

    const fn kind(&self) -> &'static str {
        match self.shape.kind {
            MessageKind::Text => "text",
            MessageKind::Binary => "binary",
        }
    }

    /// Returns the processors of which this process has used so much that it limits the figures.
    fn busy(&self) -> Option<(f64, usize)> {
        let used = self.cpu?.own.as_secs_f64() / self.seconds.as_secs_f64();
        let processors = thread::available_parallelism().map_or(1, usize::from);
        (used >= BUSY * processors as f64).then_some((used, processors))
    }

    pub(super) fn json(&self) -> String {
        let Self { options, shape, total, .. } = self;
        let round_trips = &total.round_trips;
        let mut percentiles = serde_json::Map::new();
        for (percentile, name) in PERCENTILES {
            percentiles.insert(name.into(), json!(round_trips.value_at_percentile(percentile)));
        }
        percentiles.insert("max".into(), json!(round_trips.max()));
        let value = json!({
            "url": shown(&options.url),
            "connections": options.connections,
            "depth": shape.depth,
            "rate": options.rate,
            "size": options.size,
            "kind": self.kind(),
            "seconds": self.seconds.as_secs_f64(),
            "messages": self.messages(),
            "messages_per_second": self.per_second(),
            "payload_bytes_per_second": self.per_second() * f64::from(options.size),
            "round_trip_ns": percentiles,
            "cpu_ns_per_message": self.own_cpu(),
            "server_cpu_ns_per_message": self.server_cpu(),
            "sent_in_all": total.sent,
            "echoed_in_all": total.echoed,
            "errors": {
                "not_connected": self.refused,
                "connections_lost": total.lost,
                "wrong_echoes": total.wrong,
                "not_echoed": total.sent.saturating_sub(total.echoed),
            },
        });
        format!("{value:#}\n")
    }

    pub(super) fn table(&self) -> String {
        let Self { options, shape, total, .. } = self;
        let pace =
            options.rate.map_or_else(|| "as fast as echoes come".to_owned(), |rate| format!("{rate}/s each"));
        let mut table = format!(
            "{} × {} under way, {} bytes of {}, {} for {:.1} s\n",
            options.connections,
            shape.depth,
            options.size,
            self.kind(),
            pace,
            self.seconds.as_secs_f64()
        );
        // Writing to a string does not fail.
        let _ = writeln!(
            table,
            "messages    {} ({:.0}/s, {} each way)",
            self.messages(),
            self.per_second(),
            bytes_per_second(self.per_second() * f64::from(options.size))
        );
        table.push_str("round trip ");
        for (percentile, name) in PERCENTILES {
            let _ = write!(table, " {name} {}", time(total.round_trips.value_at_percentile(percentile)));
        }
        let _ = writeln!(table, " max {}", time(total.round_trips.max()));
        let cpu = [("here", self.own_cpu()), ("in the server", self.server_cpu())];
        let cpu: Vec<_> =
            cpu.iter().filter_map(|(place, time)| time.map(|time| format!("{time:.0} ns {place}"))).collect();
        if !cpu.is_empty() {
            let _ = writeln!(table, "CPU/message {}", cpu.join(", "));
        }
        if let Some((used, processors)) = self.busy() {
            let _ = writeln!(table, "limited by  this client: it used {used:.1} of {processors} processors");
        }
        self.append_errors(&mut table);
        table
    }

    fn append_errors(&self, table: &mut String) {
        let total = self.total;
        let errors = [
            (u64::try_from(self.refused).unwrap_or(u64::MAX), "connections not opened"),
            (total.lost, "connections lost"),
            (total.wrong, "wrong echoes"),
            (total.sent.saturating_sub(total.echoed), "messages not echoed"),
        ];
        let errors: Vec<_> = errors
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, error)| format!("{count} {error}"))
            .collect();
        let errors = if errors.is_empty() { "none".to_owned() } else { errors.join(", ") };
        let _ = writeln!(table, "errors      {errors}");
    }
}

/// Returns a time with three digits.
fn time(nanoseconds: u64) -> String {
    let value = nanoseconds as f64;
    let (value, unit) = match nanoseconds {
        0..1_000_000 => (value / 1e3, "µs"),
        1_000_000..1_000_000_000 => (value / 1e6, "ms"),
        _ => (value / 1e9, "s"),
    };
    let digits = if value < 10.0 {
        2
    } else if value < 100.0 {
        1
    } else {
        0
    };
    format!("{value:.digits$} {unit}")
}

fn bytes_per_second(rate: f64) -> String {
    let (rate, unit) = if rate < 1e6 { (rate / 1e3, "kB/s") } else { (rate / 1e6, "MB/s") };
    format!("{rate:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_a_unit() {
        for (nanoseconds, shown) in [
            (0, "0.00 µs"),
            (1_234, "1.23 µs"),
            (12_345, "12.3 µs"),
            (123_456, "123 µs"),
            (1_234_567, "1.23 ms"),
            (12_345_678_901, "12.3 s"),
        ] {
            assert_eq!(time(nanoseconds), shown);
        }
    }
}

//! What a comparison has measured, as it is kept in a file, and as a table.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::{
    keys::Source,
    verdict::{Tally, Verdict},
};

/// One run of the comparison.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Results {
    /// The machine and the compiler.
    pub environment: String,
    /// How many rounds each cell was measured in.
    pub rounds: usize,
    /// What was measured.
    pub cells: Vec<Cell>,
}

/// One workload, all contenders.
#[derive(Debug, Serialize, Deserialize)]
pub struct Cell {
    /// The group, such as `decode`.
    pub group: String,
    /// The workload, such as `16 B binary`.
    pub column: String,
    /// Who took part.
    pub entries: Vec<Entry>,
    /// Who could not, and why.
    pub left_out: Vec<(String, String)>,
}

/// One contender in one cell; times are per message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The contender's name.
    pub contender: String,
    /// Whether it does all that the others do; `false` for text that is not validated.
    pub comparable: bool,
    /// Whether it reads or writes in pieces of its own: then it is shown beside the others of the same crate.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub aside: bool,
    /// The median of all rounds, in ns.
    pub median: f64,
    /// The fastest round, in ns.
    pub min: f64,
    /// The distance between the quartiles in parts of the median.
    pub spread: f64,
    /// Allocations per message.
    pub allocations: f64,
    /// Bytes that they brought, per message.
    #[serde(default)]
    pub allocated_bytes: f64,
    /// What an echo of compressed messages sends and holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echoed: Option<Echoed>,
    /// The source of masking keys, where that is part of the workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Source>,
    /// The time of each round, in ns.
    pub samples: Vec<f64>,
}

/// What an echo of compressed messages sends and holds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Echoed {
    /// Bytes sent, frame headers included, for 1024 bytes of payload.
    pub bytes_per_kib: f64,
    /// Bytes on the heap for one connection between two messages.
    pub held_bytes: u64,
    /// Bytes of the connection's object itself.
    pub object_bytes: u64,
}

impl Entry {
    /// Returns the contender's name, with a dagger if its masking keys can be predicted.
    #[must_use]
    pub fn label(&self) -> String {
        let predictable = self.keys.as_ref().is_some_and(|source| source.predictable);
        format!("{}{}", self.contender, if predictable { " †" } else { "" })
    }

    /// Returns the allocations per message and, in brackets, their bytes.
    #[must_use]
    pub fn allocated(&self) -> String {
        format!("{:.2} ({:.0})", self.allocations, self.allocated_bytes)
    }

    /// Returns the time as a multiple of `other`'s: the median of the ratios in each round. A machine whose speed changes from
    /// round to round changes both times of a ratio.
    #[must_use]
    pub fn ratio(&self, other: &Self) -> f64 {
        let rounds = self.samples.iter().zip(&other.samples);
        median_of(rounds.map(|(time, other)| time / other).collect())
    }
}

impl Cell {
    /// The entry of `contender`.
    #[must_use]
    pub fn entry(&self, contender: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.contender == contender)
    }

    /// The fastest contender that does all the work and is neither a limit nor ours.
    #[must_use]
    pub fn fastest_peer(&self) -> Option<&Entry> {
        self.fastest_peer_that(|_| true)
    }

    /// The fastest of them whose masking keys cannot be predicted. `None` where keys are no part of the workload.
    #[must_use]
    pub fn fastest_unpredictable_peer(&self) -> Option<&Entry> {
        self.fastest_peer_that(|entry| entry.keys.as_ref().is_some_and(|source| !source.predictable))
    }

    fn fastest_peer_that(&self, is_one: impl Fn(&Entry) -> bool) -> Option<&Entry> {
        self.fastest(|entry| entry.comparable && is_peer(&entry.contender) && is_one(entry))
    }

    /// The fastest of those that `is_one` names, by their ratios to the first contender.
    fn fastest(&self, is_one: impl Fn(&Entry) -> bool) -> Option<&Entry> {
        let first = self.entries.first()?;
        let entries = self.entries.iter().filter(|entry| is_one(entry));
        entries.min_by(|a, b| a.ratio(first).total_cmp(&b.ratio(first)))
    }

    /// The fastest of ours that reads and writes in the same pieces as the others.
    #[must_use]
    pub fn ours(&self) -> Option<&Entry> {
        self.fastest(|entry| is_ours(&entry.contender) && !entry.aside)
    }

    /// Ours beside the fastest peer. `None` if there is no peer, or ours was not asked to take part.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        let peer = self.fastest_peer()?;
        match self.ours() {
            Some(ours) => Some(Verdict::of(ours.ratio(peer))),
            None => self.left_out.iter().any(|(contender, _)| is_ours(contender)).then_some(Verdict::Lost),
        }
    }
}

/// Sums up `samples`, which are times per message in ns, of a contender that allocates nothing.
#[must_use]
pub fn entry(contender: &str, comparable: bool, samples: Vec<f64>) -> Entry {
    let sorted = sorted(samples.clone());
    let median = quantile(&sorted, 2);
    let spread = (quantile(&sorted, 3) - quantile(&sorted, 1)) / median;
    Entry {
        contender: contender.into(),
        comparable,
        aside: false,
        median,
        min: sorted[0],
        spread,
        allocations: 0.0,
        allocated_bytes: 0.0,
        echoed: None,
        keys: None,
        samples,
    }
}

fn sorted(mut samples: Vec<f64>) -> Vec<f64> {
    samples.sort_by(f64::total_cmp);
    samples
}

/// The value at so many quarters of `sorted`, which is not empty.
fn quantile(sorted: &[f64], quarters: usize) -> f64 {
    sorted[(sorted.len() - 1) * quarters / 4]
}

/// The median of `values`, which are not empty.
fn median_of(values: Vec<f64>) -> f64 {
    quantile(&sorted(values), 2)
}

/// Whether `contender` is neither a limit nor ours.
#[must_use]
pub fn is_peer(contender: &str) -> bool {
    !contender.starts_with("limit") && !is_ours(contender)
}

fn is_ours(contender: &str) -> bool {
    contender.starts_with("ours")
}

impl Results {
    /// The groups, in the order in which they were measured.
    #[must_use]
    pub fn groups(&self) -> Vec<&str> {
        let mut groups: Vec<&str> = self.cells.iter().map(|cell| cell.group.as_str()).collect();
        groups.dedup();
        groups
    }

    /// The cells of `group`.
    pub fn group<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a Cell> {
        self.cells.iter().filter(move |cell| cell.group == group)
    }

    /// The contenders of `group`, in the order in which they took part.
    #[must_use]
    pub fn contenders<'a>(&'a self, group: &'a str) -> Vec<&'a str> {
        let mut contenders = Vec::new();
        for entry in self.group(group).flat_map(|cell| &cell.entries) {
            if !contenders.contains(&entry.contender.as_str()) {
                contenders.push(&entry.contender);
            }
        }
        contenders
    }

    /// The verdicts of all cells.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.cells.iter().filter_map(Cell::verdict).collect()
    }

    /// A Markdown page of all: the tally first, then the groups, each followed by `more` of it.
    #[must_use]
    pub fn page(&self, mut more: impl FnMut(&str) -> String) -> String {
        let mut page = format!("{}\n\n{}; medians of {} rounds.\n", self.tally(), self.environment, self.rounds);
        for group in self.groups() {
            let tally: Tally = self.group(group).filter_map(Cell::verdict).collect();
            page += &format!("\n## {group}: {tally}\n");
            let parts = [
                self.summary(group, "limit-fused"),
                self.table(group),
                self.allocated(group),
                self.keys(group),
                self.unpredictable(group),
                self.echoed(group),
                self.left_out(group),
                more(group),
            ];
            for part in parts.into_iter().filter(|part| !part.is_empty()) {
                page += &format!("\n{part}");
            }
        }
        page
    }

    /// A Markdown table of `group`: a row for each contender, a column for each workload; ns per message and, in
    /// brackets, the ratio to the fastest peer, with the verdict for ours. A star marks who does less: does not validate
    /// text.
    #[must_use]
    pub fn table(&self, group: &str) -> String {
        self.grid(group, "contender", |cell, entry| match cell.fastest_peer() {
            Some(fastest) if entry.comparable => {
                let ratio = entry.ratio(fastest);
                let judged = is_ours(&entry.contender) && !entry.aside;
                let verdict = if judged { format!(", {}", Verdict::of(ratio)) } else { String::new() };
                format!("{} ({ratio:.2}{verdict})", nanoseconds(entry.median))
            }
            _ => format!("{}{}", nanoseconds(entry.median), if entry.comparable { "" } else { "*" }),
        })
    }

    /// A Markdown table of `group`, a row for each contender and a column for each workload.
    fn grid(&self, group: &str, corner: &str, show: impl Fn(&Cell, &Entry) -> String) -> String {
        let columns: Vec<&Cell> = self.group(group).collect();
        let mut out = format!("| {corner} |");
        columns.iter().for_each(|cell| out.push_str(&format!(" {} |", cell.column)));
        out.push_str("\n|---|");
        out.push_str(&"--:|".repeat(columns.len()));
        for contender in self.contenders(group) {
            let label = columns.iter().find_map(|cell| cell.entry(contender)).map_or(String::new(), Entry::label);
            out.push_str(&format!("\n| {label} |"));
            for cell in &columns {
                let shown = cell.entry(contender).map_or("–".into(), |entry| show(cell, entry));
                out.push_str(&format!(" {shown} |"));
            }
        }
        out.push('\n');
        out
    }

    /// A Markdown table of `group`: a row for each workload with ours, the fastest peer and the fused limit.
    #[must_use]
    pub fn summary(&self, group: &str, limit: &str) -> String {
        let mut out = format!(
            "| {group} | verdict | ours | fastest peer | ours ÷ peer | {limit} | ours ÷ limit | spread | allocations (bytes) |\n\
             |---|---|--:|---|--:|--:|--:|--:|--:|\n"
        );
        for cell in self.group(group) {
            let (ours, peer, limit) = (cell.ours(), cell.fastest_peer(), cell.entry(limit));
            let or_dash = |shown: Option<String>| shown.unwrap_or_else(|| "–".into());
            let ratio = |other: Option<&Entry>| {
                or_dash(ours.zip(other).map(|(ours, other)| format!("{:.2}", ours.ratio(other))))
            };
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                cell.column,
                or_dash(cell.verdict().map(|verdict| verdict.to_string())),
                or_dash(ours.map(|ours| nanoseconds(ours.median))),
                or_dash(peer.map(|peer| format!("{} {}", nanoseconds(peer.median), peer.label()))),
                ratio(peer),
                or_dash(limit.map(|limit| nanoseconds(limit.median))),
                ratio(limit),
                or_dash(ours.map(|ours| format!("{:.0} %", ours.spread * 100.0))),
                or_dash(ours.map(Entry::allocated)),
            );
        }
        out
    }

    /// A Markdown table of `group`: the allocations per message and, in brackets, their bytes.
    #[must_use]
    pub fn allocated(&self, group: &str) -> String {
        self.grid(group, "allocations (bytes)", |_, entry| entry.allocated())
    }

    /// A Markdown table of those in `group` that echo compressed messages; empty if there are none.
    #[must_use]
    pub fn echoed(&self, group: &str) -> String {
        let mut out = String::new();
        for cell in self.group(group) {
            for entry in &cell.entries {
                let Some(echoed) = entry.echoed else {
                    continue;
                };
                if out.is_empty() {
                    out.push_str(
                        "| workload | contender | time | sent per 1024 bytes | heap | object | allocations |\n",
                    );
                    out.push_str("|---|---|--:|--:|--:|--:|--:|\n");
                }
                let _ = writeln!(
                    out,
                    "| {} | {}{} | {} | {:.1} | {} | {} | {:.2} |",
                    cell.column,
                    entry.contender,
                    if entry.comparable { "" } else { "*" },
                    nanoseconds(entry.median),
                    echoed.bytes_per_kib,
                    echoed.held_bytes,
                    echoed.object_bytes,
                    entry.allocations,
                );
            }
        }
        out
    }

    /// A Markdown table of the sources of keys in `group`; empty if they are no part of its workloads.
    #[must_use]
    pub fn keys(&self, group: &str) -> String {
        let mut rows: Vec<String> = Vec::new();
        for entry in self.group(group).flat_map(|cell| &cell.entries) {
            let row = entry.keys.as_ref().map(|Source { generator, predictable }| {
                format!("| {} | {generator} | {} |\n", entry.contender, if *predictable { "yes" } else { "no" })
            });
            rows.extend(row.filter(|row| !rows.contains(row)));
        }
        if !rows.is_empty() {
            rows.insert(0, "| keys | generator | can be predicted |\n|---|---|---|\n".into());
        }
        rows.concat()
    }

    /// A Markdown table of ours beside the fastest peer whose keys cannot be predicted; empty if keys are no part of the
    /// workloads.
    #[must_use]
    pub fn unpredictable(&self, group: &str) -> String {
        let row = |cell: &Cell| -> Option<String> {
            let (ours, peer) = (cell.ours()?, cell.fastest_unpredictable_peer()?);
            let ratio = ours.ratio(peer);
            let (time, peer_time) = (nanoseconds(ours.median), nanoseconds(peer.median));
            Some(format!("| {} | {time} | {peer_time} {} | {ratio:.2} |\n", cell.column, peer.contender))
        };
        let rows: String = self.group(group).filter_map(row).collect();
        if rows.is_empty() {
            return rows;
        }
        format!("| unpredictable keys | ours | fastest peer | ours ÷ peer |\n|---|--:|---|--:|\n{rows}")
    }

    /// The contenders that were left out of `group`, with their cells and the reason.
    #[must_use]
    pub fn left_out(&self, group: &str) -> String {
        let mut reasons: Vec<(&str, &str, Vec<&str>)> = Vec::new();
        for cell in self.group(group) {
            for (contender, reason) in &cell.left_out {
                match reasons.iter_mut().find(|known| (known.0, known.1) == (contender, reason)) {
                    Some((.., columns)) => columns.push(&cell.column),
                    None => reasons.push((contender, reason, vec![&cell.column])),
                }
            }
        }
        let line = |(contender, reason, columns): (&str, &str, Vec<&str>)| {
            format!("- {contender} ({}): {reason}\n", columns.join("; "))
        };
        reasons.into_iter().map(line).collect()
    }
}

/// Three digits and a unit.
#[must_use]
pub fn nanoseconds(time: f64) -> String {
    match time {
        ..10.0 => format!("{time:.2} ns"),
        10.0..100.0 => format!("{time:.1} ns"),
        100.0..10_000.0 => format!("{time:.0} ns"),
        _ => format!("{:.1} µs", time / 1000.0),
    }
}

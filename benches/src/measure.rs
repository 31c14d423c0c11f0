//! Times contenders round by round: A B C A B C …, so that what the machine does meanwhile meets all of them.

use std::{sync::OnceLock, time::Duration};

use crate::{allocations::Allocated, contender::Run, keys::Source, results};

/// A sample is at least this long: far above the clock's resolution, below a time slice.
const SAMPLE: Duration = Duration::from_millis(2);

/// Parts of the names of those who may take part; empty for all.
static ONLY: OnceLock<Vec<String>> = OnceLock::new();

/// Lets only those take part whose name contains one of `names`. To be called once, before any cell is made.
pub fn keep_only(names: Vec<String>) {
    ONLY.get_or_init(|| names);
}

/// One workload and who takes part.
pub struct Cell {
    group: &'static str,
    column: String,
    messages: u32,
    entrants: Vec<(&'static str, Run)>,
    left_out: Vec<(String, String)>,
    incomparable: Vec<&'static str>,
    aside: Vec<&'static str>,
    echoed: Vec<(&'static str, results::Echoed)>,
    keys: Vec<(&'static str, Source)>,
}

impl Cell {
    /// A workload of so many messages a pass.
    #[must_use]
    pub const fn new(group: &'static str, column: String, messages: u32) -> Self {
        Self {
            group,
            column,
            messages,
            entrants: Vec::new(),
            left_out: Vec::new(),
            incomparable: Vec::new(),
            aside: Vec::new(),
            echoed: Vec::new(),
            keys: Vec::new(),
        }
    }

    /// What the workload is called.
    #[must_use]
    pub fn column(&self) -> &str {
        &self.column
    }

    /// Lets a contender take part; `run` makes and checks it, and may panic.
    pub fn enter(&mut self, contender: &'static str, run: impl FnOnce() -> Result<Run, String>) {
        let only = ONLY.get().map_or(&[][..], Vec::as_slice);
        if !only.is_empty() && !only.iter().any(|name| contender.contains(name.as_str())) {
            return;
        }
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
            Ok(Ok(run)) => self.entrants.push((contender, run)),
            Ok(Err(reason)) => self.left_out.push((contender.into(), reason)),
            Err(_) => self.left_out.push((contender.into(), "panicked".into())),
        }
    }

    /// Tells that `contender` does less here than the others.
    pub fn mark_incomparable(&mut self, contender: &'static str) {
        self.incomparable.push(contender);
    }

    /// Tells that `contender` reads, writes or compresses in other pieces here than the others.
    pub fn mark_aside(&mut self, contender: &'static str) {
        self.aside.push(contender);
    }

    /// Tells why `contender` does not take part.
    pub fn leave_out(&mut self, contender: &str, reason: &str) {
        self.left_out.push((contender.into(), reason.into()));
    }

    /// Tells what `contender` sends and holds.
    pub fn mark_echoed(&mut self, contender: &'static str, echoed: results::Echoed) {
        self.echoed.push((contender, echoed));
    }

    /// Tells where `contender` gets its keys from.
    pub fn mark_keys(&mut self, contender: &'static str, source: Source) {
        self.keys.push((contender, source));
    }

    /// Times all entrants `rounds` times.
    #[must_use]
    pub fn measure(mut self, rounds: usize) -> results::Cell {
        let passes: Vec<u64> = self.entrants.iter_mut().map(|(_, run)| passes_per_sample(run)).collect();
        let allocated: Vec<Allocated> = self.entrants.iter_mut().map(|(_, run)| allocated(run)).collect();
        let mut samples = vec![Vec::with_capacity(rounds); self.entrants.len()];
        for _ in 0..rounds {
            for (((_, run), &passes), samples) in self.entrants.iter_mut().zip(&passes).zip(&mut samples) {
                samples.push(time(run, passes).as_secs_f64() * 1e9 / passes as f64 / f64::from(self.messages));
            }
        }
        let entries = self.entrants.iter().zip(samples).zip(allocated);
        let entries = entries.map(|(((contender, _), samples), allocated)| {
            let per_message = |total: u64| total as f64 / COUNTED_PASSES as f64 / f64::from(self.messages);
            let echoed = self.echoed.iter().find(|(name, _)| name == contender).map(|(_, echoed)| *echoed);
            let comparable = !self.incomparable.contains(contender);
            let keys = self.keys.iter().find(|(name, _)| name == contender).map(|(_, source)| source.clone());
            let aside = self.aside.contains(contender);
            results::Entry {
                allocations: per_message(allocated.count),
                allocated_bytes: per_message(allocated.bytes),
                echoed,
                keys,
                aside,
                ..results::entry(contender, comparable, samples)
            }
        });
        results::Cell {
            group: self.group.into(),
            column: self.column,
            entries: entries.collect(),
            left_out: self.left_out,
        }
    }
}

/// The passes in which allocations are counted.
const COUNTED_PASSES: u64 = 8;

/// The memory that [`COUNTED_PASSES`] passes ask the allocator for.
fn allocated(run: &mut Run) -> Allocated {
    let before = Allocated::so_far();
    run(COUNTED_PASSES);
    Allocated::so_far().since(before)
}

/// The processor's time, which other programs' turns on the core are no part of.
fn time(run: &mut Run, passes: u64) -> Duration {
    let start = thread_time();
    run(passes);
    thread_time() - start
}

/// The processor's time that this thread has used.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
#[must_use]
pub fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to the structure that is borrowed.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(time.tv_sec.unsigned_abs(), nanoseconds)
}

/// The time: a machine that runs nothing else is needed here.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn thread_time() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}

/// How many passes make a sample; warms up on the way.
fn passes_per_sample(run: &mut Run) -> u64 {
    let mut passes = 1;
    loop {
        let elapsed = time(run, passes);
        if elapsed >= SAMPLE / 2 {
            let enough = passes as f64 * SAMPLE.as_secs_f64() / elapsed.as_secs_f64();
            // Truncation is rounding here.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            return (enough.ceil() as u64).max(1);
        }
        passes *= 2;
    }
}

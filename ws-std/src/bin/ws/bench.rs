//! `ws bench`: the round trips of a server that echoes.
//!
//! Each connection has a thread of its own, which blocks: a round trip includes the time until the system runs that thread.
//! With more connections than processors, or a server on the same machine, they wait for each other, and the round trips of many
//! busy connections are those of a loaded client. The report says so when this process has used most of the machine. With
//! --batch one thread loads all connections, and a round trip includes the calls for those before it.

mod cpu;
mod lane;
mod report;
mod rounds;

use std::{
    io::{self, Write as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use ws_std::{WebSocket, role::Client};

use crate::{
    arguments::{Bench, Compress},
    connecting::{Dialler, shown, url_of},
    failure::Failure,
};
use cpu::CpuTimes;
use lane::{Lane, Shape, Tally, Window};
use report::Report;

/// Stack, in bytes, of the thread of a connection.
const STACK: usize = 256 * 1024;

/// Pause between two changes of the progress bar.
const TICK: Duration = Duration::from_millis(100);

/// The longest time to warm up: caches, buffers, and the server's threads.
const WARM_UP: Duration = Duration::from_secs(1);

/// The connections, open and waiting for the start.
struct Load {
    threads: Vec<JoinHandle<Tally>>,
    start: Vec<Sender<Window>>,
    /// The echoes that each thread has counted.
    progress: Vec<Arc<AtomicU64>>,
    refused: Vec<Failure>,
}

/// Measures, and prints the report.
pub(crate) fn run(options: &Bench) -> Result<(), Failure> {
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let url = url_of(&options.url).into_owned();
    let dialler = Arc::new(Dialler::new(&options.common, &options.connecting, Compress::No)?);
    let shape = Arc::new(Shape::of(options));
    let bar = if options.common.quiet { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    bar.set_message(format!("connecting to {}", shown(&url)));
    let mut load = Load::open(options.connections, &dialler, &url, &shape);
    if load.start.is_empty() {
        bar.finish_and_clear();
        return Err(load.refused.pop().unwrap_or_else(|| Failure::usage("no connection")));
    }
    let measured = load.measure(options, &bar);
    load.start.clear();
    let (window, cpu) = measured?;
    bar.finish_and_clear();
    let refused = load.refused.len();
    let mut failures = load.refused;
    let mut total = Tally::default();
    for thread in load.threads {
        match thread.join() {
            Ok(tally) => total.add(tally),
            Err(_) => failures.push(panicked()),
        }
    }
    let report = Report { options, shape: &shape, seconds: window.len(), cpu, total: &total, refused };
    write(options, &report)?;
    failures.extend(total.failure);
    if total.wrong > 0 {
        failures.push(Failure::wrong_echoes(total.wrong));
    }
    failures.pop().map_or(Ok(()), Err)
}

fn write(options: &Bench, report: &Report<'_>) -> Result<(), Failure> {
    let to_stdout = |text: &str| {
        let mut out = io::stdout();
        writeln!(out, "{}", text.trim_end()).map_err(|error| Failure::local("standard output", &error))
    };
    let Some(path) = &options.json_out else {
        return to_stdout(&report.table());
    };
    let json = report.json();
    if path.as_os_str() == "-" {
        return to_stdout(&json);
    }
    std::fs::write(path, json).map_err(|error| Failure::local(&path.display().to_string(), &error))?;
    to_stdout(&report.table())
}

impl Load {
    /// Opens all connections, each on its thread or all on one.
    fn open(count: u16, dialler: &Arc<Dialler>, url: &str, shape: &Arc<Shape>) -> Self {
        let mut load = Self { threads: Vec::new(), start: Vec::new(), progress: Vec::new(), refused: Vec::new() };
        let (opened, outcomes) = mpsc::channel();
        let per_thread = if shape.batch { count } else { 1 };
        for first in (0..count).step_by(usize::from(per_thread)) {
            let lanes: Vec<_> = (first..first + per_thread)
                .map(|index| {
                    let progress = Arc::new(AtomicU64::new(0));
                    load.progress.push(Arc::clone(&progress));
                    Lane::new(Arc::clone(shape), index, progress)
                })
                .collect();
            let (dialler, url) = (Arc::clone(dialler), url.to_owned());
            let (start, window) = mpsc::channel();
            let opened = opened.clone();
            let thread = thread::Builder::new()
                .stack_size(STACK)
                .spawn(move || serve(&dialler, &url, lanes, opened, &window));
            match thread {
                Ok(thread) => load.threads.push(thread),
                Err(error) => {
                    load.refused.push(Failure::local("no thread", &error));
                    continue;
                }
            }
            load.start.push(start);
        }
        drop(opened);
        load.refused.extend(outcomes.into_iter().flatten());
        // The threads without a connection have dropped their ends.
        if load.refused.len() >= usize::from(count) {
            load.start.clear();
        }
        load
    }

    /// Starts the load, and measures it.
    fn measure(&self, options: &Bench, bar: &ProgressBar) -> Result<(Window, Option<CpuTimes>), Failure> {
        let start = Instant::now();
        let warm_up = (options.duration / 10).min(WARM_UP);
        let window = Window { start, from: start + warm_up, until: start + warm_up + options.duration };
        for sender in &self.start {
            // A thread without a connection has gone.
            let _ = sender.send(window);
        }
        let style =
            ProgressStyle::with_template("{wide_bar} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style);
        bar.set_length(millis(options.duration));
        self.wait(window.from, window, bar);
        let before = CpuTimes::now(options.server_pid)?;
        self.wait(window.until, window, bar);
        // A server that has ended has no time.
        let after = CpuTimes::now(options.server_pid).ok();
        Ok((window, after.map(|after| after.since(before))))
    }

    /// Waits, and moves the bar.
    fn wait(&self, until: Instant, window: Window, bar: &ProgressBar) {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(TICK));
            let measured = window.from.elapsed();
            bar.set_position(millis(measured));
            let messages: u64 = self.progress.iter().map(|count| count.load(Ordering::Relaxed)).sum();
            let rate = messages as f64 / measured.as_secs_f64().max(0.001);
            bar.set_message(format!("{rate:.0} messages/s"));
        }
    }
}

/// Opens connections, reports each outcome, waits for the start, and runs the load.
fn serve(
    dialler: &Dialler,
    url: &str,
    lanes: Vec<Lane>,
    opened: Sender<Option<Failure>>,
    window: &Receiver<Window>,
) -> Tally {
    let mut open = Vec::new();
    for (lane, result) in dial(dialler, url, lanes) {
        let outcome = match result {
            Ok(ws) => {
                open.push((lane, ws));
                None
            }
            Err(failure) => Some(failure),
        };
        // The thread that opens the load waits for all outcomes.
        let _ = opened.send(outcome);
    }
    drop(opened);
    let Ok(at) = window.recv() else { return Tally::default() };
    // The other end is dropped when all times have been read.
    let measured = || _ = window.recv();
    if open.iter().any(|(lane, _)| lane.is_batch()) {
        return rounds::run(open, at, measured);
    }
    open.pop().map_or_else(Tally::default, |(lane, ws)| lane.run(ws, at, measured))
}

/// Opens a connection for each lane, all at once: one on this thread, the others on threads of their own.
fn dial(dialler: &Dialler, url: &str, mut lanes: Vec<Lane>) -> Vec<(Lane, Result<WebSocket<Client>, Failure>)> {
    let connect =
        || dialler.with(|connector| connector.connect(url)).map_err(|error| Failure::connect(url, &error));
    let here = lanes.pop();
    thread::scope(|scope| {
        let threads: Vec<_> = lanes
            .into_iter()
            .map(|lane| (lane, thread::Builder::new().stack_size(STACK).spawn_scoped(scope, connect)))
            .collect();
        let mut dialled: Vec<_> = here.into_iter().map(|lane| (lane, connect())).collect();
        dialled.extend(threads.into_iter().map(
            |(lane, thread)| match thread.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(result)) => (lane, result),
                Ok(Err(_)) => (lane, Err(panicked())),
                Err(error) => (lane, Err(Failure::local("no thread", &error))),
            },
        ));
        dialled
    })
}

fn panicked() -> Failure {
    Failure::local("a thread", &io::Error::other("it panicked"))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

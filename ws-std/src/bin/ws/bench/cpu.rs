//! The CPU time of this process and of a server.

use core::time::Duration;
use std::{fs, io};

use cpu_time::ProcessTime;

use crate::failure::Failure;

/// Times on a processor.
#[derive(Clone, Copy)]
pub(super) struct CpuTimes {
    pub(super) own: Duration,
    pub(super) server: Option<Duration>,
}

impl CpuTimes {
    /// Returns the times since the start of this process, and of the process `server`.
    pub(super) fn now(server: Option<u32>) -> Result<Self, Failure> {
        let own = ProcessTime::try_now().map_err(|error| Failure::local("CPU time", &error))?.as_duration();
        let of = |pid| {
            of_threads(pid).map_err(|error| Failure::local(&format!("CPU time of --server-pid {pid}"), &error))
        };
        Ok(Self { own, server: server.map(of).transpose()? })
    }

    pub(super) fn since(self, before: Self) -> Self {
        let server = self.server.zip(before.server).map(|(after, before)| after.saturating_sub(before));
        Self { own: self.own.saturating_sub(before.own), server }
    }
}

/// Returns the time of all threads of a process that live, in nanoseconds as the scheduler counts it.
fn of_threads(pid: u32) -> io::Result<Duration> {
    let mut time = Duration::ZERO;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between both calls.
        let Ok(stat) = fs::read_to_string(task?.path().join("schedstat")) else {
            continue;
        };
        let nanoseconds = stat.split(' ').next().and_then(|time| time.parse().ok());
        time += Duration::from_nanos(nanoseconds.ok_or_else(|| io::Error::other("it is not in /proc"))?);
    }
    Ok(time)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_read_the_time_of_this_process_agree() {
        let own = std::process::id();
        let before = CpuTimes::now(Some(own)).unwrap();
        let mut sum = 0_u64;
        while ProcessTime::now().as_duration() - before.own < Duration::from_millis(50) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let spent = CpuTimes::now(Some(own)).unwrap().since(before);
        // Other tests of this process may end their threads, whose time leaves the second figure.
        assert!(spent.own >= Duration::from_millis(50) && spent.server.is_some());
    }
}

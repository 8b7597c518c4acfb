//! What the run itself took of this machine, as the kernel counts it.

use std::time::{Duration, Instant};

/// The kernel's clock ticks in /proc a second, whatever its own are (`USER_HZ`, proc(5)).
const TICKS: u64 = 100;

/// Processor time of this process, and how busy the machine was.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    process: Duration,
    /// Ticks of all cores that nothing ran in, and all ticks.
    idle: (u64, u64),
}

impl Usage {
    /// As it stands. Zero where the kernel doesn't tell.
    #[must_use]
    pub fn now() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        Self { process: process_time(&read("/proc/self/stat")), idle: idle_ticks(&read("/proc/stat")) }
    }

    /// Processor time of this process since then.
    #[must_use]
    pub fn process_since(&self, before: &Self) -> Duration {
        self.process.saturating_sub(before.process)
    }

    /// The part of all cores' time in which something ran since then, 0 to 1.
    #[must_use]
    pub fn busy_since(&self, before: &Self) -> Option<f64> {
        let all = self.idle.1.saturating_sub(before.idle.1);
        let idle = self.idle.0.saturating_sub(before.idle.0);
        (all > 0).then(|| 1.0 - (idle.min(all) as f64 / all as f64))
    }
}

/// User and system time in `/proc/PID/stat`: its 14th and 15th field (proc(5)).
fn process_time(stat: &str) -> Duration {
    // The name before the third field may hold spaces and brackets.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks.saturating_mul(1_000 / TICKS))
}

/// Idle ticks (waiting for disks included) and all ticks in the first line of `/proc/stat`.
fn idle_ticks(stat: &str) -> (u64, u64) {
    let numbers = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
    // What guests had is in the time of user and nice already.
    let ticks: Vec<u64> = numbers.filter_map(|n| n.parse().ok()).take(8).collect();
    let idle = ticks.iter().skip(3).take(2).sum();
    (idle, ticks.iter().sum())
}

/// The share of a core that the calling thread has.
pub struct ThreadClock {
    began: Instant,
    before: u64,
}

impl ThreadClock {
    /// Begins now.
    #[must_use]
    pub fn start() -> Self {
        Self { began: Instant::now(), before: thread_nanos() }
    }

    /// Since the start, 0 to 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        let had = thread_nanos().saturating_sub(self.before);
        had as f64 / self.began.elapsed().as_nanos().max(1) as f64
    }
}

/// Nanoseconds on a processor, by the scheduler; 0 where it doesn't tell.
fn thread_nanos() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 9 0 77 1 2";
        assert_eq!(process_time(stat), Duration::from_secs(3));
        assert_eq!(process_time(""), Duration::ZERO);
    }

    #[test]
    fn idle_is_what_nothing_ran_in() {
        let line = "cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 1 2 3\n";
        assert_eq!(idle_ticks(line), (800, 1_000));
        let usage = |idle| Usage { process: Duration::ZERO, idle };
        assert_eq!(usage((900, 1_200)).busy_since(&usage((800, 1_000))), Some(0.5));
        assert_eq!(usage((0, 0)).busy_since(&usage((0, 0))), None);
    }
}

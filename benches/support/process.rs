//! What a process has taken, as Linux tells it.

use std::fs;

/// Resident memory in kB.
pub fn rss_kb(process: u32) -> i64 {
    let status = read(process, "status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// User and system time, in milliseconds; the kernel counts in hundredths of a second.
pub fn cpu_ms(process: u32) -> f64 {
    let stat = read(process, "stat");
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 =
        after_name.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<f64>().ok()).sum();
    ticks * 10.0
}

fn read(process: u32, file: &str) -> String {
    fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default()
}

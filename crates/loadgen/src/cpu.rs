//! Run time of a process tree, from the scheduler's own account (proc_pid_schedstat): nanoseconds on a core.

use std::collections::HashMap;
use std::fs;

/// Nanoseconds each thread of a process tree has run, by thread id. A thread that ended is missing.
pub fn run_times(pid: u32) -> HashMap<u32, u64> {
    let mut found = HashMap::new();
    let mut processes = vec![pid];
    while let Some(process) = processes.pop() {
        for thread in threads(process) {
            let folder = format!("/proc/{process}/task/{thread}");
            if let Some(time) = run_time(&folder) {
                found.insert(thread, time);
            }
            let children = fs::read_to_string(format!("{folder}/children")).unwrap_or_default();
            processes.extend(
                children
                    .split_whitespace()
                    .filter_map(|c| c.parse::<u32>().ok()),
            );
        }
    }
    found
}

/// What ran between two looks: all threads together, and the busiest one, in nanoseconds.
pub fn between(before: &HashMap<u32, u64>, after: &HashMap<u32, u64>) -> (u64, u64) {
    let ran = after
        .iter()
        .map(|(thread, time)| time.saturating_sub(before.get(thread).copied().unwrap_or(0)));
    ran.fold((0, 0), |(all, most), time| (all + time, most.max(time)))
}

fn threads(process: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(format!("/proc/{process}/task")) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

fn run_time(folder: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("{folder}/schedstat")).ok()?;
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_work_is_seen() {
        let before = run_times(std::process::id());
        // However little of its time the machine gives us: we work until it is seen.
        let (all, most) = loop {
            let (all, most) = between(&before, &run_times(std::process::id()));
            if most > 0 {
                break (all, most);
            }
        };
        assert!(all >= most);
    }

    #[test]
    fn sums_are_over_threads_that_are_there_afterwards() {
        let before = HashMap::from([(1, 100), (2, 50)]);
        let after = HashMap::from([(1, 160), (3, 5)]);
        assert_eq!(between(&before, &after), (65, 60));
    }
}

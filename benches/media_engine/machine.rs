//! What the kernel accounts: processor time of a thread, memory, descriptors.

use rustix::thread::{CpuSet, Pid, sched_setaffinity};
use std::fs;
use std::time::Duration;

/// A machine's name as its documentation has it.
pub fn name() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = info.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{} cores, {}, Linux {}, load before the run {}",
        cores,
        field("model name").unwrap_or_default(),
        kernel.trim(),
        load.split(' ').next().unwrap_or_default()
    )
}

/// The thread of this process with that name, which may just be starting.
pub fn thread(name: &str) -> i32 {
    loop {
        let tasks = fs::read_dir("/proc/self/task").unwrap_or_else(|error| panic!("{error}"));
        let mut tasks = tasks.flatten().map(|task| task.path());
        let named =
            tasks.find(|task| fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name));
        let number = named.and_then(|task| task.file_name()?.to_str()?.parse().ok());
        match number {
            Some(number) => return number,
            None => std::thread::yield_now(),
        }
    }
}

/// Processor time of a thread of this process so far.
pub fn thread_time(thread: i32) -> Duration {
    let path = format!("/proc/self/task/{thread}/schedstat");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let ns = text.split_whitespace().next().and_then(|ns| ns.parse().ok());
    Duration::from_nanos(ns.unwrap_or_else(|| panic!("{path}: {text}")))
}

/// This thread's number.
pub fn this_thread() -> i32 {
    rustix::thread::gettid().as_raw_nonzero().get()
}

/// Keeps a thread on one core; where that is not allowed, it goes where the kernel puts it.
pub fn pin(thread: i32, core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    let _ = sched_setaffinity(Pid::from_raw(thread), &cores);
}

fn kib(path: &str, names: &[&str]) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let of = |line: &str| line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
    let wanted = |line: &&str| names.iter().any(|name| line.starts_with(name));
    text.lines().filter(wanted).filter_map(of).sum()
}

/// Memory and descriptors in use.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Of this process, octets.
    resident: u64,
    /// Of the kernel: its objects and what it maps (filters), octets.
    kernel: u64,
    descriptors: usize,
}

impl Usage {
    /// As of now.
    pub fn read() -> Self {
        Self {
            resident: kib("/proc/self/status", &["VmRSS:"]) * 1024,
            kernel: kib("/proc/meminfo", &["Slab:", "VmallocUsed:"]) * 1024,
            descriptors: fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
        }
    }

    /// What has come since `before`, a call.
    pub fn a_call(self, before: Self, calls: usize) -> String {
        let each = |after: u64, before: u64| (after as f64 - before as f64) / calls as f64;
        format!(
            "{:.0} octets of the process, {:.0} of the kernel, {:.2} descriptors",
            each(self.resident, before.resident),
            each(self.kernel, before.kernel),
            each(self.descriptors as u64, before.descriptors as u64)
        )
    }
}

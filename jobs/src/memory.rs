//! How much memory a process has used at most, as its operating system tells.

/// The most bytes that were resident at once in this process; `None` where the system does not tell.
pub(crate) fn peak_bytes() -> Option<u64> {
    peak_in(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// The same out of a process's `/proc/<id>/status` (`VmHWM`).
pub(crate) fn peak_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024)
}

//! How much memory this process has used at most, as its operating system tells.

/// The most bytes that were resident at once; `None` where the system does not tell (`/proc/self/status`, `VmHWM`).
pub(crate) fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024)
}

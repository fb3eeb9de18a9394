//! How jobs, sizes and times are shown. Must not know: commands.

use std::time::Duration;

use super::{
    error::{CliError, ErrorKind},
    output::Output,
};
use crate::{
    api::sealed,
    domain::{Job, State},
};

/// Everything that is known of a job, for people.
pub(super) fn job(output: &Output, job: &Job) -> Result<(), CliError> {
    let line = |label: &str, text: &dyn std::fmt::Display| output.line(format_args!("{label:<12} {text}"));
    line("job", &job.id)?;
    line("tenant", &job.tenant)?;
    line("kind", &job.kind)?;
    let asked = if job.cancel_asked && job.state == State::Running { ", to be cancelled" } else { "" };
    line("state", &format_args!("{}{asked}", job.state))?;
    line("attempt", &format_args!("{} of {}", job.attempt, job.max_attempts))?;
    line("priority", &format_args!("{}, cost {}", job.priority, job.cost))?;
    line("created", &job.created_at)?;
    if matches!(job.state, State::Scheduled | State::Retrying) {
        line("runs at", &job.run_at)?;
    }
    if let Some(started) = job.started_at {
        line("started", &started)?;
    }
    if let Some(finished) = job.finished_at {
        line("finished", &finished)?;
    }
    if let (Some(worker), Some(until)) = (&job.worker, job.lease_until) {
        line("worker", &format_args!("{worker}, lease until {until}"))?;
    }
    if let Some(key) = &job.idempotency_key {
        line("key", &key.as_str())?;
    }
    if let Some(unique) = &job.unique {
        line("unique", &format_args!("{} while {}", unique.key.as_str(), unique.window))?;
    }
    for dependency in &job.after {
        line("after", dependency)?;
    }
    if let Some(batch) = job.batch {
        line("batch", &batch)?;
    }
    if let Some(checkpoint) = &job.checkpoint {
        line("checkpoint", &size(checkpoint.0.len() as u64))?;
    }
    if let Some(reason) = &job.reason {
        line("reason", reason)?;
    }
    match sealed(job) {
        Some(key) => {
            line("payload", &format_args!("sealed with {key}, {}", size(job.payload.bytes.len() as u64)))?
        }
        None => line("payload", &String::from_utf8_lossy(&job.payload.bytes))?,
    }
    if let Some(made) = &job.output {
        line("result", &made.result)?;
        for artifact in &made.artifacts {
            line("artifact", &format_args!("{} ({})", artifact.name, size(artifact.plain_bytes)))?;
        }
    }
    Ok(())
}

/// An ended job as the end of a command: completed is well, anything else is exit code 1.
pub(super) fn ended(job: &Job, program: &str) -> Result<(), CliError> {
    if job.state == State::Completed {
        return Ok(());
    }
    let reason = job.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    let error = CliError::new(ErrorKind::JobFailed, format_args!("job {} is {}{reason}", job.id, job.state));
    let first = if job.state == State::Dead { "mend what is wrong, then " } else { "" };
    Err(error.hint(format_args!("{first}`{program} jobs retry {}` puts it back", job.id)))
}

/// A number of bytes for people: `403.2 KiB`.
pub fn size(bytes: u64) -> String {
    let mut unit = "B";
    let mut whole = bytes;
    let mut tenths = 0;
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if whole < 1_024 {
            break;
        }
        (unit, tenths, whole) = (larger, whole % 1_024 * 10 / 1_024, whole / 1_024);
    }
    if unit == "B" { format!("{whole} B") } else { format!("{whole}.{tenths} {unit}") }
}

/// A length of time for people, to two units: `3 h 12 min`.
pub(super) fn time(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_short() {
        for (bytes, text) in [(0, "0 B"), (1_023, "1023 B"), (1_536, "1.5 KiB"), (5 << 30, "5.0 GiB")] {
            assert_eq!(size(bytes), text);
        }
        assert!(size(u64::MAX).ends_with("TiB"));
        for (seconds, text) in [(0, "0 s"), (61, "1 min 1 s"), (3_700, "1 h 1 min"), (90_000, "1 d 1 h")] {
            assert_eq!(time(Duration::from_secs(seconds)), text);
        }
    }
}

//! Logs: lines on standard error, as text or as JSON. Owns: where they go and that no line holds a raw control
//! character, so that what users write can neither forge lines nor drive a terminal. Must not know: who logs.
//!
//! A line a request is written in batches (`gather`): all others at once, behind those that came before them.

mod gather;

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use tracing::Metadata;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::config::LogFormat;

/// The logs can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter makes no sense: mend it.
    #[error(
        "not a log filter ({problem}): write a level (error, warn, info, debug, trace), or levels by module such as presswork=debug,warn"
    )]
    Filter {
        /// What the parser says.
        problem: String,
    },
    /// Somebody has set up logs in this process before: our bug.
    #[error("logs were set up twice")]
    Twice,
}

/// Where the lines of requests come from: one each, by the thousand.
pub(crate) const ACCESS: &str = "presswork::access";

/// Writes what is still gathered: at the end of a process.
pub fn flush() {
    gather::flush();
}

/// Sends what `filter` lets through to standard error from now on; once a process.
///
/// # Errors
/// [`TelemetryError`].
pub fn start(filter: &str, format: LogFormat) -> Result<(), TelemetryError> {
    let filter = EnvFilter::builder().parse(filter);
    let filter = filter.map_err(|error| TelemetryError::Filter { problem: error.to_string() })?;
    // Without colours: what is escaped then is everything.
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(Harmless { format, may_wait: false });
    match format {
        LogFormat::Text => logs.try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    }
    .map_err(|_| TelemetryError::Twice)
}

/// Standard error, with control characters escaped. A record comes in one write, its line feed at the end.
#[derive(Clone, Copy, Debug)]
struct Harmless {
    format: LogFormat,
    /// Whether the record may be written a moment later, with others.
    may_wait: bool,
}

impl<'a> MakeWriter<'a> for Harmless {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Self {
        Self { may_wait: metadata.target() == ACCESS, ..*self }
    }
}

impl Write for Harmless {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        if is_plain(record) {
            gather::write(record, self.may_wait)?;
        } else {
            let line = harmless(&String::from_utf8_lossy(record), self.format);
            gather::write(line.as_bytes(), self.may_wait)?;
        }
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Whether a record is one line of nothing but what [`harmless`] leaves as it is: so are nearly all of them.
fn is_plain(record: &[u8]) -> bool {
    record
        .split_last()
        .is_some_and(|(end, line)| *end == b'\n' && line.iter().all(|byte| matches!(byte, b' '..=b'~')))
}

/// A record on one line.
fn harmless(record: &str, format: LogFormat) -> String {
    let mut line = escape_controls(record.strip_suffix('\n').unwrap_or(record), format, false);
    line.push('\n');
    line
}

/// A text without control characters and without those that other programs take for a line's end or that turn the
/// direction of writing: escaped as JSON does it in JSON (where they can only stand in strings), as Rust does it in text.
pub(crate) fn escape_controls(text: &str, format: LogFormat, keeps_line_feeds: bool) -> String {
    let mut escaped = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        let harmful = c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        match format {
            _ if !harmful || (c == '\n' && keeps_line_feeds) => escaped.push(c),
            LogFormat::Text => escaped.extend(c.escape_default()),
            // Writing to a string can't fail.
            LogFormat::Json => drop(write!(escaped, "\\u{:04x}", u32::from(c))),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_stays_on_one_line_and_drives_no_terminal() {
        let hostile = "name=a\r\nERROR forged\u{1b}[2J\u{9b}x\u{2028}y\u{2066}z\n";
        let line = harmless(hostile, LogFormat::Text);
        assert_eq!(line, "name=a\\r\\nERROR forged\\u{1b}[2J\\u{9b}x\\u{2028}y\\u{2066}z\n");
    }

    #[test]
    fn what_goes_by_unchanged_is_what_would_not_be_changed() {
        for record in ["", "\n", "plain {} \\n\n", "no end", "two\nlines\n", "tab\t\n", "é\n", "\u{7f}\n"] {
            for format in [LogFormat::Text, LogFormat::Json] {
                let same = harmless(record, format) == record;
                assert!(!is_plain(record.as_bytes()) || same, "{record:?}");
            }
        }
        assert!(is_plain(b"\n") && is_plain(b"plain {} \\n\n"));
    }

    #[test]
    fn a_json_record_stays_json() {
        let record = "{\"name\":\"a\\nb\u{7f}\u{2029}\"}\n";
        let line = harmless(record, LogFormat::Json);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["name"], "a\nb\u{7f}\u{2029}");
        assert!(line.trim_end().chars().all(|c| !c.is_control()) && !line.contains('\u{2029}'));
    }
}

//! How an attempt ended: [`Failure`] is a handler's word for it, [`Verdict`] what the queue is told.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{clock::Timestamp, output::Output};

/// Why something ended as it did, for people: at most 2,000 characters, without control characters other
/// than the line feed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reason(String);

impl Reason {
    const MOST_CHARACTERS: usize = 2_000;

    /// From any text; cut and cleaned as the type promises.
    pub fn new(text: impl AsRef<str>) -> Self {
        let harmless = |c: &char| *c == '\n' || !(c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'));
        Self(text.as_ref().chars().filter(harmless).take(Self::MOST_CHARACTERS).collect())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How an attempt ended, as the queue is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It succeeded; its output is published in the same step.
    Done(Output),
    /// It failed and is to be tried again at a time. Where the attempts are used up the queue makes it dead.
    Retry {
        /// Not before this.
        at: Timestamp,
        /// What failed.
        reason: Reason,
    },
    /// It is to go on at a time; costs no attempt. Also how a draining worker hands a job back.
    Snooze {
        /// Not before this.
        until: Timestamp,
    },
    /// It stopped because somebody had asked.
    Cancelled,
    /// It can't succeed, or was tried often enough.
    Dead(Reason),
}

/// How a handler says that an attempt did not succeed. One variant per next action.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Something outside failed: try again, by the kind's policy or after the time that a server asked for.
    #[error("{reason}")]
    Retry {
        /// What failed.
        reason: Reason,
        /// A server's `Retry-After`: the wait is at least this.
        after: Option<Duration>,
    },
    /// Not now, through no fault of the job: go on later, at no cost.
    #[error("not now: {reason}")]
    Snooze {
        /// How long to wait.
        wait: Duration,
        /// What it waits for.
        reason: Reason,
    },
    /// The input can't be used; trying again can't help.
    #[error("{0}")]
    Fatal(Reason),
    /// The handler heard [`cancel`](crate::domain::state::Trigger::CancelAsked) and has stopped.
    #[error("cancelled")]
    Cancelled,
    /// The lease is gone: another worker may be running the job. Nothing more may be written.
    #[error("the lease was lost")]
    LeaseLost,
}

impl Failure {
    /// Something outside failed; the kind's policy says when to try again.
    pub fn retry(reason: impl fmt::Display) -> Self {
        Self::Retry { reason: Reason::new(reason.to_string()), after: None }
    }

    /// The input can't be used.
    pub fn fatal(reason: impl fmt::Display) -> Self {
        Self::Fatal(Reason::new(reason.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_carries_no_control_characters_and_is_bounded() {
        let reason = Reason::new(format!("a\u{1b}[31mb\r\n\u{2028}{}", "x".repeat(5_000)));
        assert!(reason.as_str().starts_with("a[31mb\nx"));
        assert_eq!(reason.as_str().chars().count(), 2_000);
    }
}

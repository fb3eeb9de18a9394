//! The states of a job and the one table that says which transition each trigger makes. Both engines and the
//! reference model are tested against it; `ARCHITECTURE.md` draws it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not before a time: delayed by its producer or snoozed by its handler.
    Scheduled,
    /// In its lane, to be claimed.
    Waiting,
    /// Not before other jobs have completed.
    Blocked,
    /// Under a lease.
    Running,
    /// Failed and to be tried again at a time.
    Retrying,
    /// Ended well; its output is published.
    Completed,
    /// Ended because somebody asked for it.
    Cancelled,
    /// Ended badly: out of attempts, or it can't succeed. May be requeued.
    Dead,
}

/// What happens to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// Its time has come.
    Due,
    /// The last job it waited for has completed, or its batch has ended.
    Unblocked,
    /// The same, before its own time has come.
    UnblockedEarly,
    /// A worker was given it.
    Claimed,
    /// Verdict: done.
    Done,
    /// Verdict: try again at a time.
    Retry,
    /// Verdict: go on at a time, at no cost.
    Snooze,
    /// Verdict: dead; or its lease lapsed on the last attempt.
    Dead,
    /// Its lease lapsed with attempts left.
    Lapsed,
    /// Somebody asked to cancel it. A running job goes on until its handler has heard of it.
    CancelAsked,
    /// Verdict: cancelled; or its lease lapsed after somebody had asked.
    Cancelled,
    /// Somebody asked to try it once more.
    Requeued,
}

use State::{Blocked, Cancelled, Completed, Dead, Retrying, Running, Scheduled, Waiting};

/// Every transition there is. What is not here does not happen.
pub const TRANSITIONS: &[(State, Trigger, State)] = &[
    (Scheduled, Trigger::Due, Waiting),
    (Retrying, Trigger::Due, Waiting),
    (Blocked, Trigger::Unblocked, Waiting),
    (Blocked, Trigger::UnblockedEarly, Scheduled),
    (Waiting, Trigger::Claimed, Running),
    (Running, Trigger::Done, Completed),
    (Running, Trigger::Retry, Retrying),
    (Running, Trigger::Snooze, Scheduled),
    (Running, Trigger::Dead, Dead),
    (Running, Trigger::Cancelled, Cancelled),
    (Running, Trigger::Lapsed, Waiting),
    (Running, Trigger::CancelAsked, Running),
    (Scheduled, Trigger::CancelAsked, Cancelled),
    (Waiting, Trigger::CancelAsked, Cancelled),
    (Blocked, Trigger::CancelAsked, Cancelled),
    (Retrying, Trigger::CancelAsked, Cancelled),
    (Dead, Trigger::Requeued, Waiting),
    (Cancelled, Trigger::Requeued, Waiting),
];

impl State {
    /// All states, in the order in which people think of them.
    pub const ALL: [Self; 8] = [Scheduled, Waiting, Blocked, Running, Retrying, Completed, Cancelled, Dead];

    /// The state after `trigger`, where the table has such a transition.
    pub fn on(self, trigger: Trigger) -> Option<Self> {
        TRANSITIONS.iter().find(|(from, by, _)| (*from, *by) == (self, trigger)).map(|(.., to)| *to)
    }

    /// Whether the job has ended: only [`Trigger::Requeued`] moves it again.
    pub fn is_final(self) -> bool {
        matches!(self, Completed | Cancelled | Dead)
    }

    /// The name users see, also as JSON: `waiting`.
    pub const fn name(self) -> &'static str {
        match self {
            Scheduled => "scheduled",
            Waiting => "waiting",
            Blocked => "blocked",
            Running => "running",
            Retrying => "retrying",
            Completed => "completed",
            Cancelled => "cancelled",
            Dead => "dead",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text is not a state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a state: one of scheduled, waiting, blocked, running, retrying, completed, cancelled, dead")]
pub struct StateError;

impl FromStr for State {
    type Err = StateError;

    fn from_str(text: &str) -> Result<Self, StateError> {
        Self::ALL.into_iter().find(|state| state.name() == text).ok_or(StateError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_a_function_and_every_state_is_reached() {
        for (place, (from, by, _)) in TRANSITIONS.iter().enumerate() {
            let again = TRANSITIONS[place + 1..].iter().any(|(f, b, _)| (f, b) == (from, by));
            assert!(!again, "{from} on {by:?} stands twice");
        }
        for state in State::ALL {
            let first = matches!(state, Scheduled | Waiting | Blocked);
            assert!(first || TRANSITIONS.iter().any(|(.., to)| *to == state), "{state}");
            assert_eq!(state.name().parse(), Ok(state));
        }
    }

    #[test]
    fn what_has_ended_moves_only_by_being_requeued() {
        for (from, by, _) in TRANSITIONS {
            assert!(!from.is_final() || *by == Trigger::Requeued, "{from} on {by:?}");
        }
        assert_eq!(Completed.on(Trigger::Requeued), None);
    }
}

//! Why a model gave no whole answer. Owns: [`ModelError`], and what a job does about it.

use std::{fmt, time::Duration};

use presswork::domain::{Failure, Reason};

/// A model gave no whole answer; one variant per next action. The reasons are bounded, clean, and hold no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Ask again later: the server is away or overloaded. Nothing was spent.
    #[error("the model can't be reached: {reason}")]
    Retry {
        /// What failed.
        reason: Reason,
        /// How long the server asks to wait, at least.
        after: Option<Duration>,
    },
    /// Park the tenant's key for the whole fleet: the server takes no more of it for now. Nothing was spent.
    #[error("the provider limits this key: {reason}")]
    Throttled {
        /// What is limited.
        reason: Reason,
        /// How long the server asks to wait.
        after: Option<Duration>,
    },
    /// Pay: the account has no credit or quota left. Waiting does not help.
    #[error("the account at the provider has no credit or quota left: {0}")]
    OutOfCredit(Reason),
    /// Mend the request: it is too long, for example.
    #[error("the model does not take the request: {0}")]
    Request(Reason),
    /// Mend the key: it is missing or wrong, or may not do this.
    #[error("the provider does not take the key: {0}")]
    Key(Reason),
    /// Mend what is set for the model: its address, or its name.
    #[error("the model is not set up rightly: {0}")]
    Settings(Reason),
    /// Ask for something else: the provider does not answer this.
    #[error("the provider refuses the content: {0}")]
    Refused(Reason),
    /// Ask again, and throw the text away that has come: the answer broke off. It may have cost something.
    #[error("the answer broke off: {0}")]
    Broken(Reason),
}

impl ModelError {
    pub(super) fn retry(reason: impl fmt::Display) -> Self {
        Self::Retry { reason: Reason::new(reason.to_string()), after: None }
    }

    pub(super) fn request(reason: impl fmt::Display) -> Self {
        Self::Request(Reason::new(reason.to_string()))
    }

    pub(super) fn key(reason: impl fmt::Display) -> Self {
        Self::Key(Reason::new(reason.to_string()))
    }

    pub(super) fn settings(reason: impl fmt::Display) -> Self {
        Self::Settings(Reason::new(reason.to_string()))
    }

    /// An answer that is not whole; also for implementations elsewhere.
    pub fn broken(reason: impl fmt::Display) -> Self {
        Self::Broken(Reason::new(reason.to_string()))
    }

    /// Whether an answer may have been paid for of which nothing has come.
    pub(super) fn may_have_cost(&self) -> bool {
        matches!(self, Self::Broken(_))
    }

    /// What a job says that does not know better. Where the key is [throttled](Self::Throttled) it should know better, and
    /// [park](presswork::worker::Context::park) what it uses of it: here only this job waits, for `otherwise` where the server
    /// did not say how long.
    pub fn failure(self, otherwise: Duration) -> Failure {
        match self {
            Self::Retry { after, .. } => Failure::Retry { reason: Reason::new(self.to_string()), after },
            Self::Throttled { after, .. } => {
                Failure::Snooze { wait: after.unwrap_or(otherwise), reason: Reason::new(self.to_string()) }
            }
            Self::Broken(_) => Failure::retry(self),
            Self::OutOfCredit(_) | Self::Request(_) | Self::Key(_) | Self::Settings(_) | Self::Refused(_) => {
                Failure::fatal(self)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_waiting_can_mend_is_tried_again_and_what_is_throttled_costs_no_attempt() {
        let reason = || Reason::new("x");
        let (soon, later) = (Duration::from_secs(1), Duration::from_secs(9));
        let retry = ModelError::Retry { reason: reason(), after: Some(later) }.failure(soon);
        assert!(matches!(retry, Failure::Retry { after, .. } if after == Some(later)));
        for (after, wait) in [(None, soon), (Some(later), later)] {
            let snooze = ModelError::Throttled { reason: reason(), after }.failure(soon);
            assert!(matches!(snooze, Failure::Snooze { wait: told, .. } if told == wait));
        }
        assert!(matches!(ModelError::broken("x").failure(soon), Failure::Retry { after: None, .. }));
        for fatal in [
            ModelError::OutOfCredit(reason()),
            ModelError::Request(reason()),
            ModelError::Key(reason()),
            ModelError::Settings(reason()),
            ModelError::Refused(reason()),
        ] {
            assert!(matches!(fatal.failure(soon), Failure::Fatal(_)));
        }
    }
}

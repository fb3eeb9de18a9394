//! When a failed attempt is tried again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    clock::{Timestamp, micros},
    random::Random,
    verdict::{Failure, Verdict},
};

/// The longest wait that a server is granted.
const MOST_ASKED: Duration = Duration::from_secs(86_400);

/// Exponential backoff with full jitter: the wait before attempt n + 1 is drawn evenly from zero to
/// `min(most, first × 2^(n-1))`. ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    attempts: u32,
    first: Duration,
    most: Duration,
}

impl RetryPolicy {
    /// At most `attempts` attempts (at least one), with waits from 1 second to 10 minutes.
    pub const fn attempts(attempts: u32) -> Self {
        let attempts = if attempts == 0 { 1 } else { attempts };
        Self { attempts, first: Duration::from_secs(1), most: Duration::from_secs(600) }
    }

    /// The same with waits of up to `first`, doubling up to `most`.
    #[must_use]
    pub const fn backoff(mut self, first: Duration, most: Duration) -> Self {
        self.first = first;
        self.most = most;
        self
    }

    /// The same with another number of attempts (at least one): a job may have its own.
    #[must_use]
    pub const fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = if attempts == 0 { 1 } else { attempts };
        self
    }

    /// How many attempts a job has.
    pub const fn most_attempts(&self) -> u32 {
        self.attempts
    }

    /// The longest wait after attempt number `attempt` (the first is 1).
    pub fn ceiling(&self, attempt: u32) -> Duration {
        let doubled = 2_u32.checked_pow(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first.saturating_mul(doubled).min(self.most)
    }

    /// The wait after attempt number `attempt`, drawn; never less than what a server asked for, which is heard up to a
    /// day: nobody's mistake may park a job for ever.
    pub fn wait(&self, attempt: u32, asked: Option<Duration>, random: &dyn Random) -> Duration {
        let ceiling = micros(self.ceiling(attempt)).unsigned_abs();
        let drawn = Duration::from_micros(random.below(ceiling.saturating_add(1)));
        // Spread after a `Retry-After` as well, or the whole fleet comes back in the same instant.
        asked.map(|asked| asked.min(MOST_ASKED)).map_or(drawn, |asked| asked + drawn.min(asked / 4))
    }

    /// What the queue is told of a failure in attempt number `attempt`; nothing where the lease is gone.
    pub fn judge(
        &self,
        failure: Failure,
        attempt: u32,
        now: Timestamp,
        random: &dyn Random,
    ) -> Option<Verdict> {
        Some(match failure {
            Failure::Retry { reason, .. } if attempt >= self.attempts => Verdict::Dead(reason),
            Failure::Retry { reason, after } => {
                Verdict::Retry { at: now.after(self.wait(attempt, after, random)), reason }
            }
            Failure::Snooze { wait, .. } => Verdict::Snooze { until: now.after(wait) },
            Failure::Fatal(reason) => Verdict::Dead(reason),
            Failure::Cancelled => Verdict::Cancelled,
            Failure::LeaseLost => return None,
        })
    }
}

impl Default for RetryPolicy {
    /// Five attempts.
    fn default() -> Self {
        Self::attempts(5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{SeededRandom, verdict::Reason};

    const POLICY: RetryPolicy =
        RetryPolicy::attempts(3).backoff(Duration::from_secs(2), Duration::from_secs(60));

    #[test]
    fn the_ceiling_doubles_up_to_the_most() {
        let ceilings: Vec<u64> = (1..8).map(|n| POLICY.ceiling(n).as_secs()).collect();
        assert_eq!(ceilings, [2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(POLICY.ceiling(u32::MAX), Duration::from_secs(60));
    }

    #[test]
    fn the_jitter_is_full_and_the_wait_never_undercuts_a_server() {
        let random = SeededRandom::new(3);
        let waits: Vec<Duration> = (0..2_000).map(|_| POLICY.wait(3, None, &random)).collect();
        assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(8)));
        assert!(waits.iter().any(|wait| *wait < Duration::from_millis(400)));
        assert!(waits.iter().any(|wait| *wait > Duration::from_millis(7_600)));
        let asked = Duration::from_secs(30);
        for _ in 0..100 {
            let wait = POLICY.wait(1, Some(asked), &random);
            assert!(wait >= asked && wait <= asked + asked / 4);
        }
        assert!(POLICY.wait(1, Some(Duration::MAX), &random) < Duration::from_secs(2 * 86_400));
    }

    #[test]
    fn failures_become_the_verdicts_they_name() {
        let (random, now) = (SeededRandom::new(4), Timestamp::from_millis(9));
        let judge = |failure, attempt| POLICY.judge(failure, attempt, now, &random);
        let down = || Failure::retry("down");
        assert!(matches!(judge(down(), 2), Some(Verdict::Retry { at, .. }) if at >= now));
        assert_eq!(judge(down(), 3), Some(Verdict::Dead(Reason::new("down"))));
        assert_eq!(judge(Failure::fatal("bad"), 1), Some(Verdict::Dead(Reason::new("bad"))));
        assert_eq!(judge(Failure::Cancelled, 1), Some(Verdict::Cancelled));
        assert_eq!(judge(Failure::LeaseLost, 1), None);
    }
}

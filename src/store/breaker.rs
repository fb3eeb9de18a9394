//! A store that may be away, behind a switch: while it is away nobody waits for it. Owns: [`Breaker`]. Must not know: what
//! is asked of the store, nor what is done without it.

use std::{
    fmt::Display,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::domain::{Clock, Timestamp};

/// How a store fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It answers.
    Well,
    /// It does not: the process goes on alone and tries again by itself.
    Away {
        /// Since when.
        since: Timestamp,
        /// What was wrong last, in words without secrets.
        cause: String,
    },
}

/// Calls a store while it answers. A call may take as long as `patience`. After one that failed or took longer the
/// store is away: one call in each `pause` tries it, all others go on without it at once. The first one that succeeds
/// ends that. Going away and coming back are each logged once.
#[derive(Debug)]
pub struct Breaker {
    what: &'static str,
    clock: Arc<dyn Clock>,
    patience: Duration,
    pause: Duration,
    away: Mutex<Option<Away>>,
}

#[derive(Debug)]
struct Away {
    since: Timestamp,
    /// In time [passed](Clock::elapsed): whoever sets the time of day back must not keep the store away.
    next_try: Duration,
    cause: String,
}

/// What became of a call.
#[derive(Debug)]
pub enum Outcome<T, E> {
    /// The store's answer.
    Answered(T),
    /// The store is there and refuses the call.
    Refused(E),
    /// The store is away.
    Away,
}

impl Breaker {
    /// A breaker for a store that is taken to be there. `what` names it in the log.
    pub fn new(what: &'static str, clock: Arc<dyn Clock>, patience: Duration, pause: Duration) -> Self {
        Self { what, clock, patience, pause, away: Mutex::default() }
    }

    /// Calls the store, or does not where it is known to be away. `is_refusal` tells errors that a store which is there
    /// makes from those of one that is not.
    pub async fn call<T, E: Display>(
        &self,
        call: impl Future<Output = Result<T, E>>,
        is_refusal: impl Fn(&E) -> bool,
    ) -> Outcome<T, E> {
        self.call_within(self.patience, call, is_refusal).await
    }

    /// The same with another patience: for whoever has time.
    pub async fn call_within<T, E: Display>(
        &self,
        patience: Duration,
        call: impl Future<Output = Result<T, E>>,
        is_refusal: impl Fn(&E) -> bool,
    ) -> Outcome<T, E> {
        if !self.may_try() {
            return Outcome::Away;
        }
        match tokio::time::timeout(patience, call).await {
            Ok(Ok(answer)) => {
                self.note_answer();
                Outcome::Answered(answer)
            }
            Ok(Err(error)) if is_refusal(&error) => {
                self.note_answer();
                Outcome::Refused(error)
            }
            Ok(Err(error)) => {
                self.note_failure(&error);
                Outcome::Away
            }
            Err(_) => {
                self.note_failure(&format_args!("no answer within {patience:?}"));
                Outcome::Away
            }
        }
    }

    /// How the store fares, as far as the calls tell.
    pub fn health(&self) -> Health {
        match &*self.state() {
            None => Health::Well,
            Some(away) => Health::Away { since: away.since, cause: away.cause.clone() },
        }
    }

    /// Whether the store is away.
    pub fn is_away(&self) -> bool {
        self.state().is_some()
    }

    /// Whether this call goes to the store; while it is away, whether it is this call's turn.
    fn may_try(&self) -> bool {
        match &mut *self.state() {
            None => true,
            Some(away) => {
                let passed = self.clock.elapsed();
                let due = passed >= away.next_try;
                if due {
                    away.next_try = passed + self.pause;
                }
                due
            }
        }
    }

    fn note_answer(&self) {
        let ended = self.state().take();
        if let Some(Away { since, .. }) = ended {
            tracing::info!(store = self.what, %since, "the store is back");
        }
    }

    fn note_failure(&self, cause: &dyn Display) {
        let now = self.clock.now();
        let cause = cause.to_string();
        let mut state = self.state();
        let since = state.as_ref().map(|away| away.since);
        *state = Some(Away {
            since: since.unwrap_or(now),
            next_try: self.clock.elapsed() + self.pause,
            cause: cause.clone(),
        });
        drop(state);
        if since.is_none() {
            tracing::warn!(
                store = self.what,
                cause,
                "the store is away; going on without it, trying again by itself"
            );
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, Option<Away>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;
    use crate::domain::ManualClock;

    const PAUSE: Duration = Duration::from_secs(1);

    fn breaker() -> (Breaker, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000)));
        (Breaker::new("test", clock.clone(), Duration::from_secs(60), PAUSE), clock)
    }

    async fn call(breaker: &Breaker, answer: Result<u8, &'static str>) -> Outcome<u8, &'static str> {
        breaker.call(async { answer }, |error| *error == "refused").await
    }

    #[tokio::test]
    async fn an_outage_is_tried_once_a_pause_and_ends_with_the_first_answer() {
        let (breaker, clock) = breaker();
        assert!(matches!(call(&breaker, Ok(1)).await, Outcome::Answered(1)));
        assert!(matches!(call(&breaker, Err("gone")).await, Outcome::Away));
        let since = clock.now();
        let calls = AtomicUsize::new(0);
        let counted = || async { Err::<u8, _>(calls.fetch_add(1, SeqCst)) };
        for _ in 0..10 {
            assert!(matches!(breaker.call(counted(), |_| false).await, Outcome::Away));
        }
        assert_eq!(calls.load(SeqCst), 0);
        clock.advance(PAUSE);
        for _ in 0..10 {
            assert!(matches!(breaker.call(counted(), |_| false).await, Outcome::Away));
        }
        assert_eq!(calls.load(SeqCst), 1);
        assert_eq!(breaker.health(), Health::Away { since, cause: "0".to_owned() });
        clock.advance(PAUSE);
        assert!(matches!(call(&breaker, Ok(2)).await, Outcome::Answered(2)));
        assert_eq!(breaker.health(), Health::Well);
    }

    /// Somebody sets the time of day back when the store has gone.
    #[derive(Debug)]
    struct SetBack(ManualClock);

    impl Clock for SetBack {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(1_000_000_000).before(self.0.elapsed())
        }

        fn elapsed(&self) -> Duration {
            self.0.elapsed()
        }
    }

    #[tokio::test]
    async fn whoever_sets_the_time_back_does_not_keep_a_store_away() {
        let clock = Arc::new(SetBack(ManualClock::at(Timestamp::from_millis(1_000))));
        let breaker = Breaker::new("test", clock.clone(), Duration::from_secs(60), PAUSE);
        assert!(matches!(call(&breaker, Err("gone")).await, Outcome::Away));
        clock.0.advance(PAUSE);
        assert!(matches!(call(&breaker, Ok(1)).await, Outcome::Answered(1)));
    }

    #[tokio::test]
    async fn a_refusal_is_no_outage() {
        let (breaker, _) = breaker();
        assert!(matches!(call(&breaker, Err("refused")).await, Outcome::Refused("refused")));
        assert!(!breaker.is_away());
    }

    #[tokio::test]
    async fn a_store_that_hangs_is_away_when_the_patience_ends() {
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let breaker = Breaker::new("test", clock, Duration::from_millis(1), PAUSE);
        let hanging = std::future::pending::<Result<u8, &'static str>>();
        assert!(matches!(breaker.call(hanging, |_| false).await, Outcome::Away));
        assert!(breaker.is_away());
    }
}

//! Keeps the leases of this process: renews them all in one call a beat, and tells each attempt what has become of
//! its own. Must not know: handlers, apalis, verdicts.
//!
//! A beat is short (three quarters of a second, or a third of the lease if that is less), because the renewal is
//! also how somebody's wish to cancel is heard: the queue promises to tell it then, on every engine, and one batched
//! call a beat is cheaper than a subscription a job that would need its own repair after an outage.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval_at},
};

use crate::{
    domain::{Checkpoint, Clock, JobId, Timestamp},
    queue::{Claim, Lease, Queue, QueueError, Renewal, Standing},
};

/// What an attempt is told while it runs. Later ones overrule earlier ones, never the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Order {
    /// Go on.
    Run,
    /// The worker is going down: stop, the job will go on elsewhere.
    HandBack,
    /// Somebody asked to cancel the job: stop.
    Cancel,
    /// The lease is gone: stop at once, write nothing.
    Lost,
}

impl Order {
    fn of(number: u8) -> Self {
        match number {
            0 => Self::Run,
            1 => Self::HandBack,
            2 => Self::Cancel,
            _ => Self::Lost,
        }
    }
}

/// A fencing number with its job: tells leases apart without their tenant.
type Key = (JobId, u64);

/// A lease, known to the keeper and to its attempt. There is one a job that passes through: it must cost little.
struct Kept {
    lease: Lease,
    /// Until when the lease holds for certain, in microseconds of [`Clock::elapsed`]: counted from before the call that
    /// gave it, on this process' clock, so that the store's clock doesn't matter, nor somebody who sets the time.
    safe_until: AtomicU64,
    order: AtomicU8,
    /// Tells those who wait for an order that it has been raised.
    raised: Notify,
}

impl Kept {
    fn tell(&self, order: Order) {
        if self.order.fetch_max(order as u8, Ordering::SeqCst) < order as u8 {
            self.raised.notify_waiters();
        }
    }

    fn told(&self) -> Order {
        Order::of(self.order.load(Ordering::SeqCst))
    }

    fn prolong(&self, until: Duration) {
        // Answers may overtake one another.
        self.safe_until.fetch_max(micros(until), Ordering::SeqCst);
    }

    fn is_safe_at(&self, elapsed: Duration) -> bool {
        self.safe_until.load(Ordering::SeqCst) > micros(elapsed)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The leases of this process.
pub(crate) struct Keeper {
    queue: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
    lease: Duration,
    beat: Duration,
    /// Held for a few instructions at a time, never across an await.
    entries: Mutex<HashMap<Key, Arc<Kept>>>,
}

impl Keeper {
    pub(crate) fn new(
        queue: Arc<dyn Queue>,
        clock: Arc<dyn Clock>,
        lease: Duration,
        beat: Duration,
    ) -> Arc<Self> {
        let beat = beat.min(lease / 3).max(Duration::from_millis(1));
        Arc::new(Self { queue, clock, lease, beat, entries: Mutex::default() })
    }

    /// How long leases hold.
    pub(crate) fn lease(&self) -> Duration {
        self.lease
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// How much time has passed, for [`hold`](Self::hold).
    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    /// Keeps the claims' leases from now on, each until its hold is dropped. `asked` is the time before the claim was
    /// made.
    pub(crate) fn hold(self: &Arc<Self>, claims: &[Claim], asked: Duration) -> Vec<Hold> {
        let mut entries = self.entries();
        let hold = |claim: &Claim| {
            let kept = Arc::new(Kept {
                lease: claim.lease.clone(),
                safe_until: AtomicU64::new(micros(asked + self.lease)),
                order: AtomicU8::new(Order::Run as u8),
                raised: Notify::new(),
            });
            entries.insert((claim.lease.job, claim.lease.epoch), kept.clone());
            Hold(LeaseHandle { keeper: self.clone(), kept })
        };
        claims.iter().map(hold).collect()
    }

    /// Tells every attempt to stop for another worker to go on.
    pub(crate) fn hand_back_all(&self) {
        for entry in self.entries().values() {
            entry.tell(Order::HandBack);
        }
    }

    /// Renews at each beat, for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut beats = interval_at(Instant::now() + self.beat, self.beat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut away = false;
        loop {
            beats.tick().await;
            let renewal = self.renew_all();
            tokio::pin!(renewal);
            // A store that hangs must not keep leases from ending here before they end there.
            let renewed = loop {
                tokio::select! {
                    renewed = &mut renewal => break renewed,
                    _ = beats.tick() => self.give_up_expired(),
                }
            };
            match &renewed {
                Err(error) if !away => tracing::warn!(%error, "leases can't be renewed; trying again"),
                Ok(()) if away => tracing::info!("leases are renewed again"),
                _ => {}
            }
            away = renewed.is_err();
            self.give_up_expired();
        }
    }

    async fn renew_all(&self) -> Result<(), QueueError> {
        let asked = self.clock.elapsed();
        let kept: Vec<Arc<Kept>> = self.entries().values().cloned().collect();
        if kept.is_empty() {
            return Ok(());
        }
        let renewals = kept.iter().map(|kept| self.renewal(&kept.lease)).collect();
        let standings = self.queue.renew(renewals).await?;
        for (kept, standing) in kept.iter().zip(standings) {
            self.note(kept, standing, asked);
        }
        Ok(())
    }

    fn renewal(&self, lease: &Lease) -> Renewal {
        Renewal { lease: lease.clone(), lease_for: self.lease, checkpoint: None }
    }

    fn note(&self, kept: &Kept, standing: Standing, asked: Duration) {
        match standing {
            Standing::Held { cancel_asked, .. } => {
                kept.prolong(asked + self.lease);
                if cancel_asked {
                    kept.tell(Order::Cancel);
                }
            }
            Standing::Lost => kept.tell(Order::Lost),
        }
    }

    /// Stops what could lose its lease before the next beat.
    fn give_up_expired(&self) {
        let next_beat = self.clock.elapsed() + self.beat;
        for entry in self.entries().values().filter(|entry| !entry.is_safe_at(next_beat)) {
            entry.tell(Order::Lost);
        }
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<Kept>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lease that is kept while this lives. There is one a claim; it goes with the job from the claim to the settlement.
pub(crate) struct Hold(LeaseHandle);

impl Hold {
    pub(crate) fn handle(&self) -> &LeaseHandle {
        &self.0
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let LeaseHandle { keeper, kept } = &self.0;
        keeper.entries().remove(&(kept.lease.job, kept.lease.epoch));
        // For those who have kept a handle beyond the attempt's end.
        kept.tell(Order::Lost);
    }
}

/// What an attempt may know of its lease and do with it; does not keep it alive.
#[derive(Clone)]
pub(crate) struct LeaseHandle {
    keeper: Arc<Keeper>,
    kept: Arc<Kept>,
}

impl LeaseHandle {
    pub(crate) fn lease(&self) -> &Lease {
        &self.kept.lease
    }

    /// What the attempt has been told so far. A lease that may have ended is lost, also where the keeper has had no
    /// time to say so: the whole process may have been stopped for a while.
    pub(crate) fn order(&self) -> Order {
        if self.is_safe() { self.kept.told() } else { Order::Lost }
    }

    /// Ends once the attempt has been told at least this, or has ended.
    pub(crate) async fn told(&self, least: Order) {
        let mut raised = pin!(self.kept.raised.notified());
        loop {
            // From here on no notice is missed.
            raised.as_mut().enable();
            if self.kept.told() >= least {
                return;
            }
            raised.as_mut().await;
            raised.set(self.kept.raised.notified());
        }
    }

    /// Whether the lease holds for certain.
    pub(crate) fn is_safe(&self) -> bool {
        self.kept.is_safe_at(self.keeper.clock.elapsed())
    }

    /// Renews now, storing a checkpoint.
    ///
    /// # Errors
    /// [`QueueError`]; the lease is as it was then.
    pub(crate) async fn save(&self, checkpoint: Checkpoint) -> Result<(), QueueError> {
        let asked = self.keeper.clock.elapsed();
        let renewal = Renewal { checkpoint: Some(checkpoint), ..self.keeper.renewal(&self.kept.lease) };
        for standing in self.keeper.queue.renew(vec![renewal]).await? {
            self.keeper.note(&self.kept, standing, asked);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{KindName, ManualClock, NewJob, Payload, Timestamp, WorkerId},
        progress::sqlite::SqliteProgress,
        queue::{
            Ask,
            sqlite::{MIGRATIONS, SqliteQueue},
        },
        store::sqlite::Database,
    };

    /// Somebody sets the time of day back, by any amount, at any moment.
    #[derive(Debug)]
    struct SetBack(Arc<ManualClock>);

    impl Clock for SetBack {
        fn now(&self) -> Timestamp {
            Timestamp::EPOCH
        }

        fn elapsed(&self) -> Duration {
            self.0.elapsed()
        }
    }

    /// As after SIGSTOP: time has passed, and the keeper has not run since.
    #[tokio::test]
    async fn a_lease_whose_time_has_passed_is_lost_whatever_the_time_of_day_and_the_keeper_say() {
        let folder = tempfile::tempdir().unwrap();
        let passing = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
        let database =
            Database::open(&folder.path().join("x.db"), &[MIGRATIONS, SqliteProgress::MIGRATIONS]).unwrap();
        let queue: Arc<dyn Queue> = Arc::new(SqliteQueue::new(Arc::new(database), passing.clone()));
        let (kind, tenant) = (KindName::literal("export"), "acme".parse().unwrap());
        let payload = Payload { version: 1, bytes: bytes::Bytes::new() };
        queue.enqueue(vec![NewJob::new(JobId::from_u128(1), tenant, kind.clone(), payload)]).await.unwrap();
        let lease = Duration::from_secs(15);
        let clock = Arc::new(SetBack(passing.clone()));
        let keeper = Keeper::new(queue.clone(), clock, lease, Duration::from_secs(1));
        let asked = keeper.elapsed();
        let ask = Ask { kinds: vec![kind], most: 1, lease };
        let claims = queue.claim(&WorkerId::new("w"), &ask).await.unwrap();
        let holds = keeper.hold(&claims, asked);
        let handle = holds[0].handle();
        passing.advance(lease - Duration::from_micros(1));
        assert_eq!(handle.order(), Order::Run);
        passing.advance(Duration::from_micros(1));
        assert_eq!((handle.order(), handle.is_safe()), (Order::Lost, false));
        keeper.renew_all().await.unwrap();
        assert_eq!(handle.order(), Order::Lost, "the store says the same");
    }
}

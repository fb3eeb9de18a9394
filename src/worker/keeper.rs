//! Keeps the leases of this process: renews them all in one call a beat, and tells each attempt what has become of
//! its own. Must not know: handlers, apalis, verdicts.
//!
//! A beat is short (three quarters of a second, or a third of the lease if that is less), because the renewal is
//! also how somebody's wish to cancel is heard: the queue promises to tell it then, on every engine, and one batched
//! call a beat is cheaper than a subscription a job that would need its own repair after an outage.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval_at},
};

use crate::{
    domain::{Checkpoint, Clock, JobId, Timestamp},
    queue::{Claim, Lease, Queue, QueueError, Renewal, Standing},
};

/// What an attempt is told while it runs. Later ones overrule earlier ones, never the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

/// A fencing number with its job: tells leases apart without their tenant.
type Key = (JobId, u64);

struct Entry {
    lease: Lease,
    /// Until when the lease holds for certain: counted from before the call that gave it, on this process' clock, so
    /// that the store's clock doesn't matter.
    safe_until: Timestamp,
    order: watch::Sender<Order>,
}

impl Entry {
    fn tell(&self, order: Order) {
        self.order.send_if_modified(|current| {
            let raised = order > *current;
            *current = order.max(*current);
            raised
        });
    }
}

/// The leases of this process.
pub(crate) struct Keeper {
    queue: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
    lease: Duration,
    beat: Duration,
    /// Held for a few instructions at a time, never across an await.
    entries: Mutex<HashMap<Key, Entry>>,
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

    /// Keeps the claim's lease from now on, until the hold is dropped. `asked` is the time before the claim was made.
    pub(crate) fn hold(self: &Arc<Self>, claim: &Claim, asked: Timestamp) -> Hold {
        let (order, told) = watch::channel(Order::Run);
        let lease = claim.lease.clone();
        let entry = Entry { lease: lease.clone(), safe_until: asked.after(self.lease), order };
        self.entries().insert((lease.job, lease.epoch), entry);
        Hold(LeaseHandle { keeper: self.clone(), lease, told })
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
        let asked = self.clock.now();
        let renewals: Vec<Renewal> =
            self.entries().values().map(|entry| self.renewal(&entry.lease)).collect();
        if renewals.is_empty() {
            return Ok(());
        }
        let keys: Vec<Key> =
            renewals.iter().map(|renewal| (renewal.lease.job, renewal.lease.epoch)).collect();
        let standings = self.queue.renew(renewals).await?;
        for (key, standing) in keys.into_iter().zip(standings) {
            self.note(key, standing, asked);
        }
        Ok(())
    }

    fn renewal(&self, lease: &Lease) -> Renewal {
        Renewal { lease: lease.clone(), lease_for: self.lease, checkpoint: None }
    }

    fn note(&self, key: Key, standing: Standing, asked: Timestamp) {
        // It may have ended meanwhile.
        if let Some(entry) = self.entries().get_mut(&key) {
            match standing {
                Standing::Held { cancel_asked, .. } => {
                    entry.safe_until = asked.after(self.lease);
                    if cancel_asked {
                        entry.tell(Order::Cancel);
                    }
                }
                Standing::Lost => entry.tell(Order::Lost),
            }
        }
    }

    /// Stops what could lose its lease before the next beat.
    fn give_up_expired(&self) {
        let next_beat = self.clock.now().after(self.beat);
        for entry in self.entries().values().filter(|entry| entry.safe_until <= next_beat) {
            entry.tell(Order::Lost);
        }
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Entry>> {
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
        let LeaseHandle { keeper, lease, .. } = &self.0;
        if let Some(entry) = keeper.entries().remove(&(lease.job, lease.epoch)) {
            // For those who have kept a handle beyond the attempt's end.
            entry.tell(Order::Lost);
        }
    }
}

/// What an attempt may know of its lease and do with it; does not keep it alive.
#[derive(Clone)]
pub(crate) struct LeaseHandle {
    keeper: Arc<Keeper>,
    lease: Lease,
    told: watch::Receiver<Order>,
}

impl LeaseHandle {
    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
    }

    /// What the attempt has been told so far.
    pub(crate) fn order(&self) -> Order {
        *self.told.borrow()
    }

    /// Ends once the attempt has been told at least this, or has ended.
    pub(crate) async fn told(&self, least: Order) {
        drop(self.told.clone().wait_for(|order| *order >= least).await);
    }

    /// Whether the lease holds for certain.
    pub(crate) fn is_safe(&self) -> bool {
        let now = self.keeper.clock.now();
        let key = (self.lease.job, self.lease.epoch);
        self.keeper.entries().get(&key).is_some_and(|entry| entry.safe_until > now)
    }

    /// Renews now, storing a checkpoint.
    ///
    /// # Errors
    /// [`QueueError`]; the lease is as it was then.
    pub(crate) async fn save(&self, checkpoint: Checkpoint) -> Result<(), QueueError> {
        let asked = self.keeper.clock.now();
        let renewal = Renewal { checkpoint: Some(checkpoint), ..self.keeper.renewal(&self.lease) };
        for standing in self.keeper.queue.renew(vec![renewal]).await? {
            self.keeper.note((self.lease.job, self.lease.epoch), standing, asked);
        }
        Ok(())
    }
}

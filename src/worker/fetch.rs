//! Claims jobs ahead of the slots that will run them. Owns: the buffer between the claims and the slots, and how far
//! ahead to claim. Must not know: apalis, handlers.
//!
//! How far ahead: free slots are always filled; beyond that only as many jobs as are likely to start within
//! [`AHEAD`], at the pace of late. So no-op jobs come in large batches, and a job of an hour is left to a worker that
//! has a slot for it. Where the pace breaks, what has waited for [`STALE`] goes back at no cost. The next claim is made
//! when half of what was claimed ahead has started: early enough that the slots have work until it is answered, and
//! late enough that it is a large one.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    attempt::{Attempt, Claimed, Workshop},
    keeper::Keeper,
    pause::Pause,
    settle::Settlements,
};
use crate::{
    domain::{KindName, Verdict, WorkerId},
    queue::{Ask, Queue, QueueError},
};

/// Jobs that are likely to start within this time are claimed ahead.
const AHEAD: Duration = Duration::from_millis(20);
/// The pace is measured over at least this time.
const MEASURE: Duration = Duration::from_millis(10);
/// However fast jobs are: a claim stays a call of some milliseconds.
const MOST_AHEAD: usize = 512;
/// However many those are: payloads of so many bytes wait here at most, and one claim more.
const MOST_BYTES_AHEAD: usize = 8 << 20;
/// A job that has waited here for this long is handed back: somebody else may have a slot.
pub(crate) const STALE: Duration = Duration::from_secs(1);

/// Jobs that were claimed and wait for a slot.
pub(crate) struct Buffer {
    slots: usize,
    /// Held for a few instructions at a time, never across an await.
    state: Mutex<State>,
    taker: AtomicWaker,
    moved: Notify,
    stopping: CancellationToken,
}

struct State {
    /// With the time at which it came, oldest first.
    ready: VecDeque<(Instant, Claimed)>,
    /// Of their payloads.
    bytes: usize,
    running: usize,
    started: u32,
    measured: Instant,
    ahead: usize,
}

impl State {
    /// Whether it is time to claim, if there is room.
    fn runs_low(&self) -> bool {
        self.ready.len() <= self.ahead / 2
    }

    fn room(&self, slots: usize) -> usize {
        let ahead = if self.bytes < MOST_BYTES_AHEAD { self.ahead } else { 0 };
        (slots + ahead).saturating_sub(self.running + self.ready.len())
    }
}

fn bytes(claimed: &Claimed) -> usize {
    claimed.claim.job.payload.bytes.len()
}

impl Buffer {
    pub(crate) fn new(slots: usize, stopping: CancellationToken) -> Arc<Self> {
        let (ready, measured) = (VecDeque::new(), Instant::now());
        let state = State { ready, bytes: 0, running: 0, started: 0, measured, ahead: 0 };
        let (taker, moved) = (AtomicWaker::new(), Notify::new());
        Arc::new(Self { slots, state: Mutex::new(state), taker, moved, stopping })
    }

    /// Takes a job into a slot; where there is none, the waker is woken when one comes.
    pub(crate) fn take(&self, cx: &Context<'_>) -> Option<Claimed> {
        self.taker.register(cx.waker());
        if self.stopping.is_cancelled() {
            return None;
        }
        let mut state = self.state();
        let (_, claimed) = state.ready.pop_front()?;
        state.bytes -= bytes(&claimed);
        state.running += 1;
        state.started += 1;
        self.tell(state);
        Some(claimed)
    }

    /// A slot is free again.
    pub(crate) fn ended(&self) {
        let mut state = self.state();
        state.running -= 1;
        self.tell(state);
    }

    /// Tells the fetcher where that may matter to it.
    fn tell(&self, state: MutexGuard<'_, State>) {
        let matters = state.runs_low();
        drop(state);
        if matters {
            self.moved.notify_one();
        }
    }

    /// How many jobs to claim now.
    fn wanted(&self) -> usize {
        let mut state = self.state();
        let elapsed = state.measured.elapsed();
        if elapsed >= MEASURE {
            let likely = AHEAD.as_micros() * u128::from(state.started) / elapsed.as_micros();
            state.ahead = usize::try_from(likely).unwrap_or(usize::MAX).min(MOST_AHEAD);
            (state.started, state.measured) = (0, Instant::now());
        }
        if state.runs_low() { state.room(self.slots) } else { 0 }
    }

    fn put(&self, claimed: impl Iterator<Item = Claimed>) {
        let now = Instant::now();
        {
            let mut state = self.state();
            for claimed in claimed {
                state.bytes += bytes(&claimed);
                state.ready.push_back((now, claimed));
            }
        }
        if let Some(waker) = self.taker.take() {
            Waker::wake(waker);
        }
    }

    /// Since when the job that has waited longest waits.
    fn oldest(&self) -> Option<Instant> {
        self.state().ready.front().map(|(since, _)| *since)
    }

    /// Takes out what has waited for at least so long.
    fn take_out(&self, waited: Duration) -> Vec<Claimed> {
        let mut state = self.state();
        let count = state.ready.partition_point(|(since, _)| since.elapsed() >= waited);
        let out: Vec<Claimed> = state.ready.drain(..count).map(|(_, claimed)| claimed).collect();
        state.bytes -= out.iter().map(bytes).sum::<usize>();
        out
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that claims. It owns the claim's future, so that none is dropped half way, and never gives up: an outage
/// is waited for.
pub(crate) struct Fetcher {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) who: WorkerId,
    pub(crate) kinds: Vec<KindName>,
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) buffer: Arc<Buffer>,
    pub(crate) settlements: Settlements,
    pub(crate) workshop: Arc<Workshop>,
    /// A job that has waited in the buffer for so long is handed back: [`STALE`].
    pub(crate) stale: Duration,
}

impl Fetcher {
    /// Claims until the worker is stopping, then hands back what has not started.
    pub(crate) async fn run(self) {
        let stopping = self.buffer.stopping.clone();
        let mut outage = Pause::new(Duration::from_millis(50), Duration::from_secs(5));
        let mut idle = Pause::new(Duration::from_millis(1), Duration::from_millis(100));
        let mut woken_early = false;
        while !stopping.is_cancelled() {
            self.hand_back(self.buffer.take_out(self.stale));
            let wanted = self.buffer.wanted();
            if wanted == 0 {
                self.wait_for_room().await;
                continue;
            }
            match self.claim(wanted).await {
                Ok(0) => {
                    // Woken for nothing, again and again, it must not spin; woken for a job, it must not dawdle.
                    if woken_early {
                        idle.rest().await;
                    }
                    let begun = Instant::now();
                    let outcome = tokio::select! {
                        () = stopping.cancelled() => Ok(()),
                        outcome = self.queue.wait(&self.kinds) => outcome,
                        () = self.grown_stale() => Ok(()),
                    };
                    woken_early = begun.elapsed() < MEASURE;
                    if !woken_early {
                        idle.reset();
                    }
                    self.ride_out(outcome, &mut outage).await;
                }
                Ok(_) => {
                    woken_early = false;
                    idle.reset();
                    self.ride_out(Ok(()), &mut outage).await;
                }
                Err(error) => self.ride_out(Err(error), &mut outage).await,
            }
        }
        self.hand_back(self.buffer.take_out(Duration::ZERO));
    }

    async fn claim(&self, most: usize) -> Result<usize, QueueError> {
        let asked = self.keeper.elapsed();
        let ask = Ask { kinds: self.kinds.clone(), most, lease: self.keeper.lease() };
        let claims = self.queue.claim(&self.who, &ask).await?;
        let count = claims.len();
        let holds = self.keeper.hold(&claims, asked);
        self.buffer.put(claims.into_iter().zip(holds).map(|(claim, hold)| Claimed { claim, hold }));
        Ok(count)
    }

    async fn wait_for_room(&self) {
        tokio::select! {
            () = self.buffer.stopping.cancelled() => {}
            () = self.buffer.moved.notified() => {}
            () = self.grown_stale() => {}
        }
    }

    /// Ends once a job has waited here for too long. Also watched while new jobs are waited for, which may be for ever.
    async fn grown_stale(&self) {
        match self.buffer.oldest() {
            Some(since) => tokio::time::sleep_until(since + self.stale).await,
            None => std::future::pending().await,
        }
    }

    /// Logs the beginning and the end of an outage, and waits while it lasts.
    async fn ride_out(&self, outcome: Result<(), QueueError>, outage: &mut Pause) {
        match outcome {
            Ok(()) if outage.is_on() => {
                outage.reset();
                tracing::info!("jobs can be claimed again");
            }
            Ok(()) => {}
            Err(error) => {
                if !outage.is_on() {
                    tracing::warn!(%error, "no jobs can be claimed; trying again");
                }
                tokio::select! {
                    () = self.buffer.stopping.cancelled() => {}
                    () = outage.rest() => {}
                }
            }
        }
    }

    /// Jobs that have not started go back at no cost.
    fn hand_back(&self, claimed: Vec<Claimed>) {
        let until = self.keeper.now();
        for claimed in claimed {
            let attempt = Attempt::new(claimed, &self.workshop);
            self.settlements.send(attempt, Some(Verdict::Snooze { until }));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use bytes::Bytes;
    use object_store::memory::InMemory;

    use super::*;
    use crate::{
        artifact::ArtifactStore,
        cache::{Cache, CacheOptions},
        domain::{JobId, ManualClock, NewJob, Payload, SeededRandom, Timestamp},
        limits::{LimitRules, MemoryLimiter, Rules},
        progress::sqlite::SqliteProgress,
        queue::sqlite::{MIGRATIONS, SqliteQueue},
        security::{
            Keyring, MasterSource,
            outgoing::{Outgoing, OutgoingRules},
        },
        spending::{Budget, Spending},
        store::{
            Records,
            sqlite::{Database, SqliteRecords},
        },
        worker::{Registry, context::Surroundings, reports::Publisher, secrets::no_vault},
    };

    /// The pace has let the worker claim ahead, then it broke: the one slot is taken for hours, and no job comes that
    /// would move the fetcher on.
    #[tokio::test]
    async fn a_job_that_waits_too_long_goes_back_also_while_new_ones_are_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
        let tables = [MIGRATIONS, SqliteProgress::MIGRATIONS, SqliteRecords::MIGRATIONS];
        let database = Arc::new(Database::open(&folder.path().join("x.db"), &tables).unwrap());
        let queue: Arc<dyn Queue> = Arc::new(SqliteQueue::new(database.clone(), clock.clone()));
        let records: Arc<dyn Records> = Arc::new(SqliteRecords::new(database.clone(), clock.clone()));
        let random = Arc::new(SeededRandom::new(1));
        let (publisher, _publishing) = Publisher::new(Arc::new(SqliteProgress::new(database, clock.clone())));
        let (settlements, settler) = Settlements::new(queue.clone());
        tokio::spawn(settler.run());
        let surroundings = Surroundings {
            queue: queue.clone(),
            storage: Arc::new(InMemory::new()),
            artifacts: ArtifactStore::new(Arc::new(InMemory::new())),
            limiter: Arc::new(MemoryLimiter::new(clock.clone(), random.clone())),
            rules: Arc::new(Rules::new(LimitRules::default(), records.clone(), clock.clone())),
            spending: Spending::new(Budget::default(), &records, clock.clone(), random.clone()),
            cache: Cache::in_memory(CacheOptions::default(), clock.clone(), random.clone()),
            vault: no_vault(&records, clock.clone(), random.clone()),
            keyring: Keyring::new(&records, MasterSource::Absent, clock.clone(), random.clone()),
            outgoing: Outgoing::new(OutgoingRules::default()),
            models: None,
            scratch: folder.path().to_owned(),
            clock: clock.clone(),
            random,
            publisher,
        };
        let workshop = Arc::new(Workshop {
            registry: Arc::new(Registry::new()),
            surroundings: Arc::new(surroundings),
            grace: Duration::ZERO,
        });
        let kind = KindName::literal("export");
        let payload = Payload { version: 1, bytes: Bytes::new() };
        let jobs: Vec<NewJob> = (1..3)
            .map(|n| NewJob::new(JobId::from_u128(n), "acme".parse().unwrap(), kind.clone(), payload.clone()))
            .collect();
        queue.enqueue(jobs.clone()).await.unwrap();

        let stopping = CancellationToken::new();
        let buffer = Buffer::new(1, stopping.clone());
        {
            let mut state = buffer.state();
            // Measured when jobs were quick, and not to be measured again before they are stale.
            (state.ahead, state.measured) = (5, Instant::now() + Duration::from_secs(3_600));
        }
        let fetcher = Fetcher {
            queue: queue.clone(),
            who: WorkerId::new("w"),
            kinds: vec![kind],
            keeper: Keeper::new(queue.clone(), clock, Duration::from_secs(15), Duration::from_secs(1)),
            buffer: buffer.clone(),
            settlements,
            workshop,
            stale: Duration::from_millis(1),
        };
        let fetching = tokio::spawn(fetcher.run());
        let _running =
            poll_fn(|cx| buffer.take(cx).map_or(std::task::Poll::Pending, std::task::Poll::Ready)).await;
        // Handed back, and then claimed again: the epoch counts the claims, the attempts don't.
        let job = loop {
            let found = queue.inspect(&jobs[1].tenant, &[jobs[1].id]).await.unwrap().remove(0).unwrap();
            if found.epoch > 1 {
                break found;
            }
        };
        assert!(job.attempt <= 1, "handing back costs no attempt");
        stopping.cancel();
        fetching.await.unwrap();
    }
}

//! Runs the jobs of a [`TestEngine`] one after the other, and moves its clock. Must not know: what the jobs do.

use std::{collections::BTreeSet, future::Future, pin::pin, task::Poll, time::Duration};

use super::{Fault, Moment, TestEngine, faults::FaultyQueue};
use crate::{
    domain::{Failure, Job, JobId, KindName, State, TenantId, Timestamp, Verdict, WorkerId},
    queue::{Ask, Claim, Constraint, Filter, Lease, Queue as _, QueueError, Settled},
    worker::{Parts, inline},
};

/// As long as a worker's, unless it is told another.
const LEASE: Duration = Duration::from_secs(15);
/// More attempts than a test means: jobs that never end.
const MOST_ATTEMPTS: usize = 10_000;
/// How often a call is made again while the store is away.
const MOST_CALLS: usize = 1_000;

/// What became of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempted {
    /// The job.
    pub job: JobId,
    /// What it is.
    pub kind: KindName,
    /// Which attempt it was; the first is 1.
    pub attempt: u32,
    /// The state that the job was in afterwards; [`State::Running`] where nobody was told of its end: the lease was lost or the
    /// process killed.
    pub state: State,
    /// How the handler failed, where it did.
    pub failure: Option<Failure>,
}

impl TestEngine {
    /// Runs jobs until none can run any more; the attempts, in order. The manual clock is moved on to whatever comes next: delays,
    /// retries, snoozes, rates, lapsed leases; not to schedules, which never end (see [`pass`](Self::pass)). On the system's clock
    /// only what can run now is run.
    ///
    /// # Panics
    /// Where the jobs never end, a handler panics, or an injected fault's moment never came.
    pub async fn drain(&self) -> Vec<Attempted> {
        let mut attempts = Vec::new();
        loop {
            self.run_what_can_run(&mut attempts).await;
            let next = self.next_time().await;
            let (Some(clock), Some(next)) = (self.manual_clock(), next) else { return attempts };
            clock.advance(next.since(self.engine().clock.now()));
        }
    }

    /// Lets a time pass, by the manual clock: what falls due is run at its time, and schedules make their jobs.
    ///
    /// # Panics
    /// As [`drain`](Self::drain), and on the system's clock.
    pub async fn pass(&self, time: Duration) -> Vec<Attempted> {
        let Some(clock) = self.manual_clock() else { panic!("only a manual clock can be moved on") };
        let (until, scheduler) = (self.engine().clock.now().after(time), self.engine().scheduler());
        let mut attempts = Vec::new();
        loop {
            let now = self.engine().clock.now();
            let ticked = scheduler.tick(now).await.unwrap_or_else(|error| panic!("schedules: {error}"));
            self.run_what_can_run(&mut attempts).await;
            if ticked.next.is_some_and(|next| next <= now) {
                continue;
            }
            let next = [self.next_time().await, ticked.next].into_iter().flatten().min();
            let next = next.filter(|next| *next <= until).unwrap_or(until);
            if next <= now {
                return attempts;
            }
            clock.advance(next.since(now));
        }
    }

    async fn run_what_can_run(&self, attempts: &mut Vec<Attempted>) {
        let ask = Ask { kinds: self.registry().kinds(), most: 1, lease: LEASE };
        let who = WorkerId::new("test");
        loop {
            let claims = insist(|| self.faulty().claim(&who, &ask)).await;
            let Some(claim) = claims.into_iter().next() else { return };
            attempts.push(self.attempt(claim).await);
            assert!(
                attempts.len() < MOST_ATTEMPTS,
                "{MOST_ATTEMPTS} attempts and no end: do the jobs ever end?"
            );
        }
    }

    async fn attempt(&self, claim: Claim) -> Attempted {
        let (fault, lease) = (self.next_fault(), claim.lease.clone());
        let Job { id, kind, attempt, .. } = claim.job.clone();
        self.faulty().begin(fault.as_ref());
        let parts = self.parts().await;
        let ended = run(&parts, self.faulty(), claim, fault.as_ref()).await;
        let (verdict, failure) = ended.map_or((None, None), |ended| (ended.verdict, ended.outcome.err()));
        let state = match verdict {
            Some(verdict) => settle(self.faulty(), lease, verdict).await,
            None => State::Running,
        };
        Attempted { job: id, kind, attempt, state, failure }
    }

    /// When something may run that can't now; nothing where time alone changes nothing.
    async fn next_time(&self) -> Option<Timestamp> {
        let now = self.engine().clock.now();
        let queue = self.faulty();
        let stats = queue.stats(None).await.unwrap_or_else(|error| panic!("the queue: {error}"));
        let known = |kind: &KindName| self.registry().knows(kind);
        let tenants: BTreeSet<TenantId> = stats.lanes.into_iter().map(|lane| lane.tenant).collect();
        let mut times = Vec::new();
        for tenant in &tenants {
            for state in [State::Scheduled, State::Retrying, State::Running, State::Waiting] {
                let mut lanes = BTreeSet::new();
                for job in self.jobs_in(tenant, state).await.into_iter().filter(|job| known(&job.kind)) {
                    match state {
                        State::Running => times.extend(job.lease_until),
                        // One of a lane stands for all of it.
                        State::Waiting if lanes.insert(job.kind.clone()) => {
                            if let Ok(Some(why)) = queue.why(tenant, job.id).await
                                && let Constraint::Rate { until } = why.constraint
                            {
                                times.push(until);
                            }
                        }
                        State::Waiting => {}
                        _ => times.push(job.run_at),
                    }
                }
            }
        }
        times.into_iter().filter(|time| *time > now).min()
    }

    /// All of a tenant's jobs in a state.
    pub(super) async fn jobs_in(&self, tenant: &TenantId, state: State) -> Vec<Job> {
        let filter = Filter { state: Some(state), kind: None };
        let (mut jobs, mut after) = (Vec::new(), None);
        loop {
            let page = self.faulty().list(tenant, &filter, after.as_ref(), 1_000).await;
            let page = page.unwrap_or_else(|error| panic!("the queue: {error}"));
            jobs.extend(page.items);
            after = page.next;
            if after.is_none() {
                return jobs;
            }
        }
    }
}

/// Runs an attempt with its fault; nothing where the process was killed.
async fn run(
    parts: &Parts,
    queue: &FaultyQueue,
    claim: Claim,
    fault: Option<&Fault>,
) -> Option<inline::Ended> {
    let instead = match fault {
        Some(Fault::Failure(failure)) => Some(failure.clone()),
        _ => None,
    };
    let mut running = pin!(inline::run(parts, claim, LEASE, instead));
    match fault {
        Some(Fault::Crash(Moment::Waiting)) => {
            let polled = std::future::poll_fn(|context| Poll::Ready(running.as_mut().poll(context))).await;
            assert!(
                polled.is_pending(),
                "the handler never waited for anything: it can't be killed meanwhile"
            );
            None
        }
        Some(Fault::Crash(Moment::Saved(number))) => tokio::select! {
            biased;
            () = queue.has_saved_last() => None,
            _ = &mut running => panic!("the handler has ended without saving checkpoint {number}"),
        },
        Some(Fault::Crash(Moment::Ended)) => {
            running.await;
            None
        }
        _ => Some(running.await),
    }
}

/// Tells the queue, as often as it takes.
async fn settle(queue: &FaultyQueue, lease: Lease, verdict: Verdict) -> State {
    let settled = insist(|| queue.settle(vec![(lease.clone(), verdict.clone())])).await;
    match settled[..] {
        [Settled::Now(state)] => state,
        _ => State::Running,
    }
}

/// Makes a call again while the store is away.
async fn insist<T, F: Future<Output = Result<T, QueueError>>>(call: impl Fn() -> F) -> T {
    for _ in 0..MOST_CALLS {
        match call().await {
            Ok(answer) => return answer,
            Err(QueueError::Unavailable { .. }) => {}
            Err(error) => panic!("the queue: {error}"),
        }
    }
    panic!("the store is away and stays away")
}

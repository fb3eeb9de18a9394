//! Each operation in turn: its reply is cut off after the server has done it, or its request in the middle. Then the same
//! call again gives the answer that is documented, and nothing is doubled.

use std::{collections::BTreeSet, sync::Arc};

use presswork::{
    domain::{KindLimits, ManualClock, NewJob, State, TenantLimits, Timestamp},
    queue::{
        CancelOutcome, Enqueued, Opened, Queue, QueueError, Refusal, Renewal, RequeueOutcome, Retention,
        Scope, Settled, Standing, redis::RedisQueue,
    },
    store::redis::Redis,
};

use super::{EXPORT, keys, until};
use crate::{
    conformance::queue::{
        World,
        world::{LEASE, dead, done, retry, tenant},
    },
    servers::{
        RedisServer, fresh_namespace,
        proxy::{Cut, Proxy, SCRIPTS},
        shared_server,
    },
};

/// A world whose wire can be cut.
struct Wire {
    world: World,
    proxy: Proxy,
    namespace: String,
    clock: Arc<ManualClock>,
    cuts: usize,
}

impl Wire {
    async fn new() -> Self {
        Self::to(shared_server()).await
    }

    async fn to(server: &RedisServer) -> Self {
        let (proxy, namespace, clock) = (Proxy::to(server.port()).await, fresh_namespace(), World::clock());
        let redis = Redis::connect_with(&proxy.url(), &namespace, 1).await.unwrap();
        let queue = RedisQueue::new(redis, Some(clock.clone()));
        Self { world: World::new(Arc::new(queue), clock.clone(), ()), proxy, namespace, clock, cuts: 0 }
    }

    /// Makes a call that is cut, which has to say so, and then the same once more; what that answers.
    async fn twice<T: std::fmt::Debug>(
        &mut self,
        cut: Cut,
        call: impl AsyncFn(&dyn Queue) -> Result<T, QueueError>,
    ) -> T {
        self.proxy.cut_next(cut, &SCRIPTS);
        let first = call(&*self.world.queue).await;
        assert!(matches!(first, Err(QueueError::Unavailable { .. })), "{first:?}");
        self.cuts += 1;
        assert_eq!(self.proxy.cuts(), self.cuts);
        call(&*self.world.queue).await.unwrap()
    }

    /// The call is cut off and sent again by the queue itself: whoever calls sees one answer.
    async fn sent_again<T>(
        &mut self,
        cut: Cut,
        call: impl AsyncFn(&dyn Queue) -> Result<T, QueueError>,
    ) -> T {
        self.proxy.cut_next(cut, &SCRIPTS);
        let answer = call(&*self.world.queue).await.unwrap();
        self.cuts += 1;
        assert_eq!(self.proxy.cuts(), self.cuts);
        answer
    }

    async fn nothing_is_left(&self) {
        // Counters of lanes that are forgotten at once need no more time.
        self.clock.advance(LEASE);
        self.world.sweep(Timestamp::from_micros(1 << 53)).await;
        let port = shared_server().port();
        until("sleepers leave", async || keys(&[port], &self.namespace).await.is_empty()).await;
    }
}

const BOTH: [Cut; 2] = [Cut::Reply, Cut::Request];

#[tokio::test]
async fn a_job_whose_acceptance_was_not_heard_is_accepted_once() {
    for cut in BOTH {
        let mut wire = Wire::new().await;
        let acme = tenant("acme");
        let keyed =
            NewJob { idempotency_key: Some("once".parse().unwrap()), ..wire.world.job(&acme, &EXPORT) };
        let delayed = NewJob { run_at: Some(wire.world.in_seconds(5)), ..wire.world.job(&acme, &EXPORT) };
        let jobs = vec![wire.world.job(&acme, &EXPORT), keyed, delayed];
        let answers = wire.sent_again(cut, async |queue| queue.enqueue(jobs.clone()).await).await;
        let again = wire.world.queue.enqueue(jobs.clone()).await.unwrap();
        for ((answer, again), job) in answers.into_iter().zip(again).zip(&jobs) {
            assert_eq!(answer, Ok::<_, Refusal>(Enqueued::Accepted(job.id)), "{cut:?}");
            assert_eq!(again, Ok::<_, Refusal>(Enqueued::Duplicate(job.id)), "{cut:?}");
        }
        wire.world.advance(5);
        let claims = wire.world.claim(10).await;
        assert_eq!(claims.len(), 3, "{cut:?}");
        wire.world.finish(&claims).await;
        wire.nothing_is_left().await;
    }
}

#[tokio::test]
async fn claims_that_were_not_heard_lapse_and_are_made_again() {
    let mut wire = Wire::new().await;
    let acme = tenant("acme");
    let ids: BTreeSet<_> = wire.world.exports(&acme, 3).await.into_iter().collect();
    let ask = presswork::queue::Ask { kinds: vec![EXPORT], most: 2, lease: LEASE };
    let who = presswork::domain::WorkerId::new("w1");
    let second = wire.twice(Cut::Reply, async |queue| queue.claim(&who, &ask).await).await;
    assert_eq!(second.len(), 1, "two are under leases that nobody heard of");
    wire.world.finish(&second).await;
    assert_eq!(wire.world.claim(10).await, []);
    wire.clock.advance(LEASE);
    let third = wire.world.claim(10).await;
    assert!(third.iter().all(|claim| (claim.job.attempt, claim.lease.epoch) == (2, 2)), "{third:?}");
    let all: BTreeSet<_> = second.iter().chain(&third).map(|claim| claim.job.id).collect();
    assert_eq!(all, ids);
    wire.world.finish(&third).await;

    wire.world.exports(&acme, 1).await;
    let heard = wire.twice(Cut::Request, async |queue| queue.claim(&who, &ask).await).await;
    assert_eq!(heard.len(), 1, "a request that did not arrive has taken nothing");
    wire.world.finish(&heard).await;
    wire.nothing_is_left().await;
}

#[tokio::test]
async fn settlements_that_were_not_heard_are_answered_as_they_were() {
    for cut in BOTH {
        let mut wire = Wire::new().await;
        let acme = tenant("acme");
        wire.world.exports(&acme, 4).await;
        let later = wire.world.in_seconds(7);
        let claims = wire.world.claim(4).await;
        let verdicts = [done(), retry(later), dead(), presswork::domain::Verdict::Snooze { until: later }];
        let settlements: Vec<_> = claims.iter().map(|claim| claim.lease.clone()).zip(verdicts).collect();
        let settled = wire.twice(cut, async |queue| queue.settle(settlements.clone()).await).await;
        let expected = [State::Completed, State::Retrying, State::Dead, State::Scheduled].map(Settled::Now);
        assert_eq!(settled, expected, "{cut:?}");
        assert_eq!(wire.world.queue.stats(None).await.unwrap().count(State::Running), 0);
        wire.world.advance(7);
        let again = wire.world.claim(10).await;
        let attempts: BTreeSet<_> = again.iter().map(|claim| claim.job.attempt).collect();
        assert_eq!((again.len(), attempts), (2, [1, 2].into()), "{cut:?}: the snooze cost nothing");
        // What was answered then is not answered of another lease.
        let late = wire.world.queue.settle(settlements[1..2].to_vec()).await.unwrap();
        assert_eq!(late, [Settled::Now(State::Retrying)]);
        wire.world.finish(&again).await;
        wire.nothing_is_left().await;
    }
}

#[tokio::test]
async fn renewals_that_were_not_heard_hold_and_keep_their_checkpoints() {
    for cut in BOTH {
        let mut wire = Wire::new().await;
        let acme = tenant("acme");
        wire.world.exports(&acme, 1).await;
        let claim = wire.world.claim_one().await;
        wire.world.advance(20);
        let checkpoint = presswork::domain::Checkpoint(b"7".as_slice().into());
        let renewal =
            Renewal { lease: claim.lease.clone(), lease_for: LEASE, checkpoint: Some(checkpoint.clone()) };
        let standings = wire.twice(cut, async |queue| queue.renew(vec![renewal.clone()]).await).await;
        let until = wire.world.now().after(LEASE);
        assert_eq!(standings, [Standing::Held { until, cancel_asked: false }]);
        wire.world.advance(20);
        assert_eq!(wire.world.claim(1).await, [], "{cut:?}: it holds");
        assert_eq!(wire.world.inspect(&acme, claim.job.id).await.checkpoint, Some(checkpoint));
        wire.world.finish(&[claim]).await;
        wire.nothing_is_left().await;
    }
}

#[tokio::test]
async fn what_people_ask_for_may_be_asked_again() {
    for cut in BOTH {
        let mut wire = Wire::new().await;
        let acme = tenant("acme");
        let ids = wire.world.exports(&acme, 2).await;
        let claim = wire.world.claim_one().await;
        let cancelled = wire.twice(cut, async |queue| queue.cancel(&acme, &ids).await).await;
        let waiting = match cut {
            Cut::Reply => CancelOutcome::Ended(State::Cancelled),
            Cut::Request => CancelOutcome::Cancelled,
        };
        assert_eq!(cancelled, [CancelOutcome::Asked, waiting]);
        let requeued = wire.twice(cut, async |queue| queue.requeue(&acme, &ids[1..]).await).await;
        let there = match cut {
            Cut::Reply => RequeueOutcome::NotEnded(State::Waiting),
            Cut::Request => RequeueOutcome::Requeued,
        };
        assert_eq!(requeued, [there]);

        for scope in [Scope::Everything, Scope::Kind(EXPORT), Scope::Tenant(acme.clone())] {
            wire.twice(cut, async |queue| queue.pause(&scope).await).await;
            assert_eq!(wire.world.queue.paused().await.unwrap(), std::slice::from_ref(&scope));
            assert_eq!(wire.world.claim(5).await, []);
            wire.twice(cut, async |queue| queue.resume(&scope).await).await;
            assert_eq!(wire.world.queue.paused().await.unwrap(), []);
        }
        let limits = TenantLimits { max_running: Some(1), ..TenantLimits::default() };
        wire.twice(cut, async |queue| queue.set_tenant_limits(&acme, Some(limits.clone())).await).await;
        assert_eq!(wire.world.claim(5).await, [], "{cut:?}: one runs");
        wire.twice(cut, async |queue| queue.set_tenant_limits(&acme, None).await).await;
        let cap = KindLimits { max_running: Some(1) };
        wire.twice(cut, async |queue| queue.set_kind_limits(&EXPORT, cap).await).await;
        assert_eq!(wire.world.claim(5).await, [], "{cut:?}: one runs");
        wire.twice(cut, async |queue| queue.set_kind_limits(&EXPORT, KindLimits::default()).await).await;
        let rest = wire.world.claim(5).await;
        assert_eq!(rest.len(), 1, "requeued once");
        wire.world.finish(&[claim]).await;
        wire.world.finish(&rest).await;
        wire.nothing_is_left().await;
    }
}

#[tokio::test]
async fn a_batch_is_opened_once() {
    for cut in BOTH {
        let mut wire = Wire::new().await;
        let acme = tenant("acme");
        let batch = wire.world.batch(&acme, 1);
        let member = NewJob { batch: Some(batch.id), ..wire.world.job(&acme, &EXPORT) };
        let opened = wire.sent_again(cut, async |queue| queue.open_batch(batch.clone()).await).await;
        assert_eq!(opened, Ok(Opened::Now), "{cut:?}");
        wire.sent_again(cut, async |queue| queue.enqueue(vec![member.clone()]).await)
            .await
            .remove(0)
            .unwrap();
        let found = wire.world.look_at_batch(&acme, batch.id).await;
        assert_eq!((found.enqueued, found.size), (1, 1), "{cut:?}");
        wire.world.end_next(member.id, done()).await;
        wire.world.end_next(batch.callback.as_ref().unwrap().id, done()).await;
        assert_eq!(wire.world.claim(5).await, []);
        assert_eq!(wire.world.look_at_batch(&acme, batch.id).await.completed, 1);
        wire.nothing_is_left().await;
    }
}

#[tokio::test]
async fn a_sweep_goes_on_where_it_was_cut() {
    for cut in BOTH {
        let mut wire = Wire::new().await;
        let acme = tenant("acme");
        wire.world.exports(&acme, 600).await;
        let (mut running, mut claims) = (wire.world.claim(300).await, Vec::new());
        while let Some(claim) = running.pop() {
            claims.push(claim);
        }
        claims.extend(wire.world.claim(300).await);
        assert_eq!(claims.len(), 600);
        wire.world.finish(&claims[..599]).await;
        wire.clock.advance(LEASE);
        let retention = Retention::before(wire.world.now().after(LEASE));
        wire.twice(cut, async |queue| queue.sweep(&retention).await).await;
        wire.world.sweep_all(&retention).await;
        let stats = wire.world.queue.stats(None).await.unwrap();
        let counts = [State::Completed, State::Waiting, State::Running].map(|state| stats.count(state));
        assert_eq!(counts, [0, 1, 0], "{cut:?}: the lapsed one waits");
        let last = wire.world.claim_one().await;
        assert_eq!(last.job.attempt, 2);
        wire.world.finish(&[last]).await;
        wire.nothing_is_left().await;
    }
}

#[tokio::test]
async fn a_waiter_whose_call_was_cut_off_waits_again_and_misses_nothing() {
    for (cut, command) in
        [(Cut::Reply, "EVALSHA"), (Cut::Request, "EVALSHA"), (Cut::Reply, "BLPOP"), (Cut::Request, "BLPOP")]
    {
        let mut wire = Wire::new().await;
        let acme = tenant("acme");
        // The server knows all scripts that follow.
        let job = wire.world.job(&acme, &EXPORT);
        wire.world.submit(job).await;
        wire.world.queue.wait(&[EXPORT]).await.unwrap();
        let first = wire.world.claim_one().await;
        wire.world.finish(&[first]).await;

        wire.proxy.cut_next(cut, &[command]);
        let other = Wire::to(shared_server()).await;
        let queue = Redis::connect_with(&other.proxy.url(), &wire.namespace, 1).await.unwrap();
        let producer = RedisQueue::new(queue, Some(wire.clock.clone()));
        let kinds = [EXPORT];
        let arrival = wire.world.job(&acme, &EXPORT);
        let (waited, enqueued) = tokio::join!(wire.world.queue.wait(&kinds), async {
            if cut == Cut::Reply && command == "BLPOP" {
                let asleep = format!("{{{}:0}}:asleep:{EXPORT}", wire.namespace);
                let port = shared_server().port();
                until("it sleeps", async || keys(&[port], &wire.namespace).await.contains(&asleep)).await;
                producer.enqueue(vec![arrival.clone()]).await
            } else {
                Ok(Vec::new())
            }
        });
        assert!(waited.is_err(), "{cut:?} {command}");
        if enqueued.unwrap().is_empty() {
            producer.enqueue(vec![arrival]).await.unwrap();
        }
        wire.world.queue.wait(&[EXPORT]).await.unwrap();
        let claim = wire.world.claim_one().await;
        wire.world.finish(&[claim]).await;
        wire.cuts += 1;
        assert_eq!(wire.proxy.cuts(), wire.cuts);
        wire.nothing_is_left().await;
    }
}

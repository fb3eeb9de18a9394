//! The operations of the random run, each on both sides, its answers held against each other.

use std::time::Duration;

use presswork::{
    domain::{BatchId, JobId, KindLimits, NewJob, State, TenantId, WorkerId},
    queue::{Ask, Claim, Lease, QueueError, Refusal, Renewal, RequeueOutcome, Scope, Settled},
};

use super::{Run, answers, view};

/// So many ids and leases are remembered, to come back to.
const REMEMBERED: usize = 200;
/// More jobs than this are not piled up.
const MOST_JOBS: usize = 300;

impl Run<'_> {
    /// One operation, drawn.
    pub(super) async fn step(&mut self) {
        match self.chance.below(100) {
            0..20 => self.enqueue().await,
            20..42 => self.claim().await,
            42..50 => self.renew().await,
            50..68 => self.settle().await,
            68..75 => self.cancel().await,
            75..80 => self.requeue().await,
            80..84 => self.pause().await,
            84..87 => self.limit().await,
            87..90 => self.open_batch().await,
            90..93 => self.ask_why().await,
            93..98 => self.advance(),
            98 => self.sweep().await,
            _ => self.sweep_by_number().await,
        }
    }

    async fn enqueue(&mut self) {
        self.place.doing = "enqueuing";
        self.tidy().await;
        if self.model.jobs().count() > MOST_JOBS {
            return self.clear().await;
        }
        let now = self.world.now();
        let mut batch = Vec::new();
        for _ in 0..self.chance.below(6) {
            batch.push(self.job_or_duplicate(&batch));
        }
        let answers = self.world.enqueue(batch.clone()).await;
        for (job, answer) in batch.into_iter().zip(answers) {
            let expected = answers::door(&mut self.model, job.clone(), now);
            assert_eq!(plain(answer), plain(expected), "left the engine, right the model: {job:?}");
            self.known.push_back((job.tenant, job.id));
        }
        while self.known.len() > REMEMBERED {
            self.known.pop_front();
        }
    }

    /// A job, now and then one that is known; some wait for others that are known or come earlier in the call, some
    /// are of a batch.
    fn job_or_duplicate(&self, earlier: &[NewJob]) -> NewJob {
        let mut job = self.chance.job(self.world.now());
        if self.chance.percent(10) && !self.known.is_empty() {
            (job.tenant, job.id) = self.known[self.chance.below(self.known.len())].clone();
            // Id and key naming two jobs is nothing that has an answer.
            job.idempotency_key = None;
        }
        if self.chance.percent(25) {
            let known = self.known.iter().rev().take(30).filter(|(whose, _)| *whose == job.tenant);
            let earlier = earlier.iter().filter(|other| other.tenant == job.tenant).map(|other| other.id);
            let mut choice: Vec<JobId> = known.map(|(_, id)| *id).chain(earlier).collect();
            if self.chance.percent(3) {
                choice.extend([job.id, JobId::from_u128(7)]);
            }
            if !choice.is_empty() {
                job.after = (0..=self.chance.below(3)).map(|_| self.chance.one_of(&choice)).collect();
            }
        }
        let batches = self.batches.iter().rev().filter(|(whose, _)| *whose == job.tenant).take(3);
        let batches: Vec<BatchId> = batches.map(|(_, id)| *id).collect();
        if self.chance.percent(30) && !batches.is_empty() {
            job.batch = Some(self.chance.one_of(&batches));
        }
        job
    }

    async fn claim(&mut self) {
        self.place.doing = "claiming";
        let now = self.world.now();
        let who = WorkerId::new(self.chance.one_of(&["w1", "w2", "w3"]));
        let lease = self.chance.millis(40_000);
        let ask = Ask { kinds: self.chance.kinds(), most: self.chance.below(12), lease };
        let claims = self.world.queue.claim(&who, &ask).await.unwrap();
        assert!(claims.len() <= ask.most, "{} claims where {} were asked for", claims.len(), ask.most);
        let fewer = claims.len() < ask.most;
        for Claim { lease, until, job } in claims {
            assert!(ask.kinds.contains(&job.kind), "{} was not asked for", job.kind);
            let started = self.model.start(&lease.tenant, lease.job, &who, now.after(ask.lease), now);
            let started = started.unwrap_or_else(|why| panic!("{} may not start: {why:?}", job.id));
            assert_eq!((&lease.tenant, lease.job, lease.epoch), (&job.tenant, job.id, job.epoch));
            assert_eq!(Some(until), started.lease_until);
            assert_eq!(
                view::essence(job, now),
                view::essence(started, now),
                "left the engine, right the model"
            );
            let seen = self.epochs.entry((lease.tenant.clone(), lease.job)).or_default();
            assert!(lease.epoch > *seen, "epoch {} after {seen}", lease.epoch);
            *seen = lease.epoch;
            self.leases.push_back(lease);
        }
        while self.leases.len() > REMEMBERED {
            self.leases.pop_front();
        }
        if fewer {
            let left = self.model.startable(&ask.kinds, now);
            assert!(left.is_empty(), "fewer than asked for, but these could start: {left:?}");
        }
    }

    /// A lease that was given, mostly one of the latest; now and then with another epoch.
    fn some_lease(&self) -> Option<Lease> {
        let latest = if self.chance.percent(80) { 20 } else { REMEMBERED };
        let back = 1 + self.chance.below(self.leases.len().min(latest).max(1));
        let mut lease = self.leases.get(self.leases.len().checked_sub(back)?)?.clone();
        if self.chance.percent(10) {
            lease.epoch = (lease.epoch + 1) - 2 * u64::from(self.chance.percent(50));
        }
        Some(lease)
    }

    async fn renew(&mut self) {
        self.place.doing = "renewing";
        let now = self.world.now();
        let renewals: Vec<Renewal> = (0..self.chance.below(5))
            .filter_map(|_| {
                let lease_for = self.chance.millis(40_000);
                Some(Renewal { lease: self.some_lease()?, lease_for, checkpoint: self.chance.checkpoint() })
            })
            .collect();
        let standings = self.world.queue.renew(renewals.clone()).await.unwrap();
        let expected: Vec<_> =
            renewals.iter().map(|renewal| answers::standing(&mut self.model, renewal.clone(), now)).collect();
        assert_eq!(standings, expected, "left the engine, right the model: {renewals:?}");
    }

    async fn settle(&mut self) {
        self.place.doing = "settling";
        let now = self.world.now();
        let batch: Vec<_> = (0..self.chance.below(6))
            .filter_map(|_| Some((self.some_lease()?, self.chance.verdict(now))))
            .collect();
        let answers = self.world.queue.settle(batch.clone()).await.unwrap();
        assert_eq!(answers.len(), batch.len(), "one answer a settlement");
        self.model.pass_time(now);
        for ((lease, verdict), answer) in batch.into_iter().zip(answers) {
            let held = self
                .model
                .job(&lease.tenant, lease.job)
                .is_some_and(|job| job.state == State::Running && job.epoch == lease.epoch);
            let expected = answers::settled(&mut self.model, &lease, &verdict, now);
            let key = (lease.tenant.clone(), lease.job, lease.epoch);
            if let (true, Settled::Now(state)) = (held, expected) {
                assert_eq!(answer, expected, "left the engine, right the model: {lease:?} {verdict:?}");
                self.settled.insert(key, state);
            } else if answer != Settled::LeaseLost {
                // It may have been applied before: then the same answer again is right.
                let before = self.settled.get(&key).copied().map(Settled::Now);
                assert_eq!(Some(answer), before, "{lease:?} {verdict:?}");
            }
        }
    }

    /// Some ids of one tenant; now and then of another.
    fn some_ids(&self) -> (TenantId, Vec<JobId>) {
        let tenant = self.chance.tenant();
        let ids = self.known.iter().filter(|(whose, _)| *whose == tenant || self.chance.percent(3));
        let ids: Vec<JobId> = ids.filter(|_| self.chance.percent(6)).map(|(_, id)| *id).collect();
        (tenant, ids)
    }

    async fn cancel(&mut self) {
        self.place.doing = "cancelling";
        self.tidy().await;
        let (tenant, ids) = self.some_ids();
        let outcomes = self.world.queue.cancel(&tenant, &ids).await.unwrap();
        let now = self.world.now();
        let expected: Vec<_> =
            ids.iter().map(|id| answers::cancelled(&mut self.model, &tenant, *id, now)).collect();
        assert_eq!(outcomes, expected, "left the engine, right the model: {tenant} {ids:?}");
    }

    async fn requeue(&mut self) {
        self.place.doing = "requeuing";
        self.tidy().await;
        let (tenant, ids) = self.some_ids();
        let now = self.world.now();
        // A delay that is over may still be shown as one.
        let due = |outcome| match outcome {
            RequeueOutcome::NotEnded(State::Scheduled | State::Retrying) => {
                RequeueOutcome::NotEnded(State::Waiting)
            }
            other => other,
        };
        let outcomes = self.world.queue.requeue(&tenant, &ids).await.unwrap();
        let outcomes: Vec<_> = outcomes.into_iter().map(due).collect();
        let expected: Vec<_> =
            ids.iter().map(|id| due(answers::requeued(&mut self.model, &tenant, *id, now))).collect();
        assert_eq!(outcomes, expected, "left the engine, right the model: {tenant} {ids:?}");
    }

    async fn pause(&mut self) {
        self.place.doing = "pausing and resuming";
        let scope = match self.chance.below(5) {
            0 => Scope::Everything,
            1 | 2 => Scope::Tenant(self.chance.tenant()),
            _ => Scope::Kind(self.chance.kind()),
        };
        // Resumed more often than paused, or soon nothing would run.
        let paused = self.chance.percent(30);
        answers::set_paused(&mut self.model, &scope, paused);
        let queue = &self.world.queue;
        if paused {
            queue.pause(&scope).await.unwrap()
        } else {
            queue.resume(&scope).await.unwrap()
        }
        let (mut of_engine, mut of_model) = (queue.paused().await.unwrap(), answers::paused(&self.model));
        of_engine.sort();
        of_model.sort();
        assert_eq!(of_engine, of_model, "left the engine, right the model");
    }

    async fn limit(&mut self) {
        self.place.doing = "setting limits";
        let queue = &self.world.queue;
        if self.chance.percent(25) {
            let (kind, cap) = (self.chance.kind(), self.chance.kind_cap());
            let limits = KindLimits { max_running: cap.filter(|_| self.world.has_kind_caps) };
            queue.set_kind_limits(&kind, limits).await.unwrap();
            return self.model.set_kind_limits(&kind, limits);
        }
        let (tenant, limits) = (self.chance.tenant(), self.chance.limits());
        let answer = queue.set_tenant_limits(&tenant, limits.clone()).await;
        let valid = self.model.set_tenant_limits(&tenant, limits.clone(), self.world.now());
        match answer {
            Ok(()) => assert!(valid, "{limits:?} were taken"),
            Err(QueueError::Invalid(_)) => assert!(!valid, "{limits:?} were refused"),
            Err(other) => panic!("{other}"),
        }
        assert_eq!(queue.tenant_limits(&tenant).await.unwrap(), self.model.tenant_limits(&tenant));
    }

    fn advance(&mut self) {
        let most = if self.chance.percent(20) { 30_000 } else { 3_000 };
        self.world.clock.advance(self.chance.millis(most));
        self.tidy = false;
    }

    async fn sweep(&mut self) {
        self.place.doing = "sweeping";
        // What ended by a lapse may have ended when it lapsed or when that was noticed: before now in either case.
        self.tidy().await;
        self.world.clock.advance(Duration::from_millis(1));
        self.tidy = false;
        self.tidy().await;
        let removed = self.world.sweep(self.world.now()).await;
        assert_eq!(
            removed,
            self.model.sweep(self.world.now(), None, usize::MAX, self.world.now()),
            "left the engine, right the model"
        );
        self.forget();
    }

    /// An id may come again, as a new job.
    pub(super) fn forget(&mut self) {
        let model = &self.model;
        self.epochs.retain(|(tenant, id), _| model.job(tenant, *id).is_some());
        self.settled.retain(|(tenant, id, _), _| model.job(tenant, *id).is_some());
    }

    /// Cancels whatever has piled up, and sweeps.
    async fn clear(&mut self) {
        let now = self.world.now();
        let all: Vec<_> = self.model.jobs().map(|job| (job.tenant.clone(), job.id)).collect();
        for (tenant, id) in all {
            let outcome = self.world.queue.cancel(&tenant, &[id]).await.unwrap();
            assert_eq!(outcome, [answers::cancelled(&mut self.model, &tenant, id, now)]);
        }
        self.sweep().await;
    }
}

/// An answer without what an engine words in its own way.
pub(super) fn plain<T>(answer: Result<T, Refusal>) -> Result<T, Refusal> {
    answer.map_err(|refusal| match refusal {
        Refusal::TooMany { tenant, limit, .. } => {
            Refusal::TooMany { tenant, limit, retry_after: Duration::ZERO }
        }
        Refusal::TooLarge { tenant, limit, .. } => {
            Refusal::TooLarge { tenant, limit, retry_after: Duration::ZERO }
        }
        Refusal::Invalid(_) => Refusal::Invalid(String::new()),
    })
}

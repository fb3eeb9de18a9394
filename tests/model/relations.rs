//! The operations of the random run on what ties jobs together: batches, why a job does not run, retention by number.

use std::{collections::BTreeMap, time::Duration};

use presswork::{
    domain::{Job, JobId, State, TenantId, Timestamp, model::Hold},
    queue::{Constraint, Filter, Opened, Retention, Why},
};

use super::{Run, answers, chance::TENANTS, operations::plain};

/// So many batches are remembered, to come back to.
const REMEMBERED: usize = 30;

impl Run<'_> {
    pub(super) async fn open_batch(&mut self) {
        self.place.doing = "opening a batch";
        self.tidy().await;
        let now = self.world.now();
        let mut batch = self.chance.batch(now);
        let there: Vec<_> =
            self.batches.iter().filter(|(whose, id)| self.model.batch(whose, *id).is_some()).collect();
        if self.chance.percent(20) && !there.is_empty() {
            (batch.tenant, batch.id) = self.chance.one_of(&there).clone();
        }
        let answer = self.world.queue.open_batch(batch.clone()).await.unwrap();
        let expected = answers::opened(&mut self.model, batch.clone(), now);
        assert_eq!(plain(answer.clone()), plain(expected), "left the engine, right the model: {batch:?}");
        if answer == Ok(Opened::Now) {
            self.known.extend(batch.callback.map(|callback| (callback.tenant, callback.id)));
            self.batches.push_back((batch.tenant, batch.id));
        }
        while self.batches.len() > REMEMBERED {
            self.batches.pop_front();
        }
    }

    pub(super) async fn ask_why(&mut self) {
        self.place.doing = "asking why";
        self.tidy().await;
        let now = self.world.now();
        for _ in 0..4.min(self.known.len()) {
            let (tenant, id) = self.chance.one_of(self.known.make_contiguous());
            let of_engine = self.world.queue.why(&tenant, id).await.unwrap();
            let expected = answers::why(&mut self.model, &tenant, id, now);
            assert_eq!(of_engine.is_some(), expected.is_some(), "{tenant} {id}");
            if let (Some(of_engine), Some(expected)) = (of_engine, expected) {
                self.judge(&tenant, id, of_engine, expected);
            }
        }
    }

    fn judge(&mut self, tenant: &TenantId, id: JobId, told: Why, expected: Why) {
        let now = self.world.now();
        let of_model = self.model.why(tenant, id, now).unwrap();
        let context = format!("left the engine's {told:?}, right the model's {of_model:?}");
        // A delay that is over may still be shown as one.
        let is_late = expected.state == State::Waiting && told.state != State::Waiting;
        assert!(
            told.state == expected.state
                || (is_late && matches!(told.state, State::Scheduled | State::Retrying)),
            "{context}"
        );
        match (&told.constraint, &of_model.hold) {
            (Constraint::Jobs { first, left }, Hold::Jobs(pending)) => {
                assert!(first.is_none_or(|first| pending.contains(&first)), "{context}");
                assert_eq!(*left, pending.len() as u64, "{context}");
            }
            (told, _) => assert_eq!(*told, expected.constraint, "{context}"),
        }
        let (least, most) = of_model.ahead;
        assert!((least..=most).contains(&told.ahead) || (is_late && told.ahead == 0), "{context}");
        match told.constraint {
            Constraint::Time { until } => assert_eq!(told.estimate, Some(until), "{context}"),
            Constraint::Rate { until } => assert!(told.estimate.is_some_and(|at| at >= until), "{context}"),
            Constraint::Turn => assert!(told.estimate.is_none_or(|at| at >= now), "{context}"),
            _ => assert_eq!(told.estimate, None, "{context}"),
        }
    }

    /// Keeps of each tenant a few of its finished jobs. Which ones is judged by what the engine itself had shown: among
    /// those that ended at one instant it may choose.
    pub(super) async fn sweep_by_number(&mut self) {
        self.place.doing = "sweeping by number";
        self.tidy().await;
        self.world.clock.advance(Duration::from_millis(1));
        self.tidy = false;
        self.tidy().await;
        let (now, kept) = (self.world.now(), self.chance.below(12));
        let before = self.finished().await;
        let retention = Retention { finished_before: Timestamp::EPOCH, most_finished: Some(kept as u64) };
        let removed = self.world.sweep_all(&retention).await;
        let after = self.finished().await;

        let is_gone = |key: &(TenantId, JobId)| !after.contains_key(key);
        for tenant in TENANTS.map(|name| name.parse::<TenantId>().unwrap()) {
            let of_tenant = |jobs: &BTreeMap<(TenantId, JobId), Timestamp>| {
                jobs.iter()
                    .filter(|(key, _)| key.0 == tenant)
                    .map(|(key, at)| (key.clone(), *at))
                    .collect::<Vec<_>>()
            };
            let (had, has) = (of_tenant(&before), of_tenant(&after));
            assert!(has.len() <= kept, "{tenant} has {} finished jobs, {kept} may stay", has.len());
            let last_gone = had.iter().filter(|(key, _)| is_gone(key)).map(|(_, at)| *at).max();
            let first_kept = has.iter().map(|(_, at)| *at).min();
            if let Some(last_gone) = last_gone {
                assert_eq!(has.len(), kept, "{tenant} has fewer finished jobs than may stay");
                assert!(
                    first_kept.is_none_or(|first| first >= last_gone),
                    "{tenant} kept one that ended earlier"
                );
            }
        }
        // The model forgets the same ones; each may cancel others, which then may be among them.
        let mut forgotten = 0;
        loop {
            let gone: Vec<_> = self
                .model
                .jobs()
                .filter(|job| job.state.is_final())
                .map(|job| (job.tenant.clone(), job.id))
                .filter(|key| is_gone(key))
                .collect();
            if gone.is_empty() {
                break;
            }
            forgotten += gone.iter().filter(|key| self.model.forget(key, now)).count();
        }
        assert_eq!(removed, forgotten, "left the engine, right the model");
        self.forget();
    }

    /// The finished jobs of all tenants, as the engine shows them, and when they ended.
    async fn finished(&self) -> BTreeMap<(TenantId, JobId), Timestamp> {
        let mut finished = BTreeMap::new();
        for tenant in TENANTS.map(|name| name.parse::<TenantId>().unwrap()) {
            let jobs = self.world.list(&tenant, &Filter::default(), 100).await;
            finished.extend(
                jobs.into_iter().filter_map(|job: Job| Some(((job.tenant, job.id), job.finished_at?))),
            );
        }
        finished
    }
}

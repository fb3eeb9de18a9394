//! Waiting for a job to end: [`wait_for`] on what this process holds.

use std::time::Duration;

use super::Engine;
use crate::{
    domain::{Job, JobId, TenantId},
    queue::{WaitError, wait_for},
};

impl Engine {
    /// Waits until a job has ended; see [`wait_for`].
    ///
    /// # Errors
    /// [`WaitError`].
    pub async fn wait_for(
        &self,
        tenant: &TenantId,
        job: JobId,
        within: Duration,
    ) -> Result<Option<Job>, WaitError> {
        wait_for(&*self.queue, &*self.progress, tenant, job, within).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        config::Settings,
        domain::{
            KindName, ManualClock, NewJob, Output, Payload, SeededRandom, State, Timestamp, Verdict, WorkerId,
        },
        queue::Ask,
    };

    const KIND: KindName = KindName::literal("print");

    struct World {
        _folder: tempfile::TempDir,
        engine: Engine,
        tenant: TenantId,
        job: JobId,
    }

    async fn world() -> World {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { data_dir: folder.path().to_owned(), ..Settings::default() };
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000_000)));
        let engine = Engine::open_with(&settings, clock, Arc::new(SeededRandom::new(1))).unwrap();
        let (tenant, job): (TenantId, _) =
            ("acme".parse().unwrap(), JobId::new(engine.clock.now(), &*engine.random));
        let payload = Payload { version: 1, bytes: b"{}".as_slice().into() };
        let new = NewJob::new(job, tenant.clone(), KIND, payload);
        engine.queue.enqueue(vec![new]).await.unwrap()[0].as_ref().unwrap();
        World { _folder: folder, engine, tenant, job }
    }

    impl World {
        async fn complete(&self) {
            let ask = Ask { kinds: vec![KIND], most: 1, lease: Duration::from_secs(15) };
            let claim = self.engine.queue.claim(&WorkerId::new("w"), &ask).await.unwrap().remove(0);
            let output = Output { result: "printed".into(), artifacts: Vec::new() };
            self.engine.queue.settle(vec![(claim.lease, Verdict::Done(output))]).await.unwrap();
        }
    }

    const LONG: Duration = Duration::from_secs(600);

    #[tokio::test]
    async fn who_waits_is_given_the_result_whether_it_came_before_or_comes_later() {
        let world = world().await;
        let wait = world.engine.wait_for(&world.tenant, world.job, LONG);
        let (waited, ()) = tokio::join!(wait, world.complete());
        let job = waited.unwrap().unwrap();
        assert_eq!((job.state, job.output.unwrap().result), (State::Completed, "printed".into()));
        let again = world.engine.wait_for(&world.tenant, world.job, LONG).await.unwrap().unwrap();
        assert_eq!(again.state, State::Completed);
    }

    #[tokio::test]
    async fn a_wait_ends_with_its_time_and_at_once_where_there_is_no_such_job() {
        let world = world().await;
        let waited = world.engine.wait_for(&world.tenant, world.job, Duration::ZERO).await;
        assert!(matches!(waited, Ok(None)), "{waited:?}");
        let other: TenantId = "other".parse().unwrap();
        let unknown = world.engine.wait_for(&other, world.job, LONG).await;
        assert!(matches!(unknown, Err(WaitError::UnknownJob { .. })), "{unknown:?}");
    }
}

//! Waiting for a job to end, wherever it runs. Must not know: what is shown meanwhile.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::{sleep, timeout};

use super::Engine;
use crate::{
    domain::{Job, JobId, TenantId},
    progress::ProgressError,
    queue::QueueError,
};

/// How often the store may fail in a row.
const MOST_FAILURES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(500);

/// Why there is nothing to wait for, or no way to, one variant per next action.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// Name a job that there is.
    #[error("tenant {tenant} has no job {job}: it never had one, or it has been removed after its end")]
    UnknownJob {
        /// Whose was asked for.
        tenant: TenantId,
        /// The id asked for.
        job: JobId,
    },
    /// Try again later.
    #[error(transparent)]
    Progress(ProgressError),
    /// Try again later.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl Engine {
    /// Waits until a job has ended, and answers what became of it: its output or its reason; `None` where it has not ended
    /// within the time. It is told of the end by the job's events, whichever process runs it; nothing is asked again and
    /// again. Where the store is away for a moment it waits on.
    ///
    /// # Errors
    /// [`WaitError`].
    pub async fn wait_for(
        &self,
        tenant: &TenantId,
        job: JobId,
        within: Duration,
    ) -> Result<Option<Job>, WaitError> {
        // On the machine's clock, whatever the engine's says: somebody waits.
        match timeout(within, self.end_of(tenant, job)).await {
            Ok(ended) => ended.map(Some),
            Err(_) => Ok(None),
        }
    }

    async fn end_of(&self, tenant: &TenantId, job: JobId) -> Result<Job, WaitError> {
        let unknown = || WaitError::UnknownJob { tenant: tenant.clone(), job };
        let (mut after, mut failures) = (0, 0);
        loop {
            // The events, and not a look beforehand: between the two the end could pass unseen.
            let problem = match self.progress.follow(tenant, job, after).await {
                Err(ProgressError::UnknownJob { .. }) => return Err(unknown()),
                Err(error) => Some(error),
                Ok(mut events) => loop {
                    match events.next().await {
                        None => break None,
                        Some(Ok(event)) => (after, failures) = (event.sequence, 0),
                        Some(Err(error)) => break Some(error),
                    }
                },
            };
            if let Some(error) = problem {
                failures += 1;
                if failures > MOST_FAILURES {
                    return Err(WaitError::Progress(error));
                }
                sleep(PAUSE).await;
                continue;
            }
            let found = self.queue.inspect(tenant, &[job]).await?.into_iter().next().flatten();
            let found = found.ok_or_else(unknown)?;
            // Somebody may have put it back just after its end.
            if found.state.is_final() {
                return Ok(found);
            }
        }
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

//! What has to be cleared away from time to time: lapsed leases, finished jobs, expired records, orphaned artifacts,
//! used uploads, files that killed processes left. And the jobs of schedules are made. Safe in many processes at once. Must
//! not know: what runs.

use std::time::Duration;

use async_trait::async_trait;
use object_store::{ObjectStoreExt as _, PutPayload};
use tokio::time::{MissedTickBehavior, interval};

use super::{Engine, ownership::Ownership, scratch, uploads};
use crate::{
    artifact::{
        ArtifactError, advice,
        sweep::{Keep, Keeper},
        sweep_staging,
    },
    domain::{JobId, State, TenantId},
    queue::{Queue, Retention},
    worker::checkpoint::Parted,
};

/// How often the queue and the records are swept.
const BEAT: Duration = Duration::from_secs(60);
/// After so many beats the storage is swept also where no job was removed: each time lists all of it.
const BEATS_A_STORAGE_SWEEP: u32 = 15;
/// Files that nobody has touched for so long belong to nobody.
const ABANDONED: Duration = Duration::from_secs(86_400);
/// Bounds one beat: what is left over is done in the next.
const MOST_CALLS: usize = 1_000;

impl Engine {
    /// Makes the jobs of schedules when they are due, and sweeps now and then once a minute, for as long as it is
    /// polled; stop it by dropping it. What fails is logged and tried again.
    pub async fn maintain(&self) {
        self.warn_of_settings().await;
        self.audit.note_start().await;
        let scheduler = self.scheduler();
        tokio::join!(scheduler.run(), self.sweep_regularly());
    }

    async fn sweep_regularly(&self) {
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut until_storage = 0;
        loop {
            beats.tick().await;
            let removed_jobs = self.sweep_jobs().await;
            self.sweep_records().await;
            if removed_jobs || until_storage == 0 {
                self.sweep_storage().await;
                until_storage = BEATS_A_STORAGE_SWEEP;
            }
            until_storage -= 1;
        }
    }

    /// One round of everything.
    pub async fn sweep(&self) {
        self.sweep_jobs().await;
        self.sweep_records().await;
        self.sweep_storage().await;
    }

    /// Answers whether jobs were removed.
    async fn sweep_jobs(&self) -> bool {
        let finished_before = self.clock.now().before(self.retention);
        let retention = Retention { finished_before, most_finished: self.keep_finished };
        let (mut lapsed, mut removed) = (0, 0);
        for _ in 0..MOST_CALLS {
            match self.queue.sweep(&retention).await {
                Ok(swept) if swept.lapsed == 0 && swept.removed == 0 => break,
                Ok(swept) => (lapsed, removed) = (lapsed + swept.lapsed, removed + swept.removed),
                Err(error) => {
                    tracing::warn!(%error, "the queue can't be swept");
                    break;
                }
            }
        }
        if lapsed + removed > 0 {
            tracing::info!(lapsed, removed, "swept the queue");
        }
        removed > 0
    }

    async fn sweep_records(&self) {
        for _ in 0..MOST_CALLS {
            match self.records.sweep().await {
                Ok(0) => return,
                Ok(removed) => tracing::debug!(removed, "swept the records"),
                Err(error) => return tracing::warn!(%error, "the records can't be swept"),
            }
        }
    }

    async fn sweep_storage(&self) {
        let place = self.artifacts.storage();
        match self.storage_ownership().await {
            Ok(Ownership::Ours) => {}
            Ok(Ownership::Another(mark)) => {
                return tracing::error!(
                    %place, mark,
                    "the storage belongs to another queue and is not swept: give each queue a bucket or prefix of its own; \
                     where this queue replaces that one, remove the object .presswork/queue"
                );
            }
            Err(error) => return tracing::warn!(%place, error, "the storage can't be swept"),
        }
        match self.artifacts.sweep(&QueueKeeper(&*self.queue)).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "swept artifacts that no job points to"),
            Err(error) => tracing::warn!(%error, "the artifacts can't be swept"),
        }
        let before = self.clock.now().before(ABANDONED);
        match uploads::sweep(&*self.storage, &*self.queue, before).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "swept uploads that no job needs any more"),
            Err(error) => tracing::warn!(%error, "the uploads can't be swept"),
        }
        match uploads::give_up_files(self.artifacts.storage(), before).await {
            Ok(0) => {}
            Ok(given_up) => tracing::info!(given_up, "gave up uploads of files that nobody goes on with"),
            // Not everybody who speaks S3 tells of open uploads.
            Err(error) => tracing::debug!(%error, "the uploads of files can't be swept"),
        }
        let objects = self.artifacts.storage().local_folder().map(ToOwned::to_owned);
        let tmp = self.folder.join("tmp");
        let swept = tokio::task::spawn_blocking(move || {
            let staging = objects.map_or(Ok(0), |objects| sweep_staging(&objects, before))?;
            Ok::<_, std::io::Error>((staging, scratch::sweep(&tmp, before)?))
        });
        match swept.await {
            Ok(Ok((0, 0))) => {}
            Ok(Ok((staging, scratch))) => {
                tracing::info!(staging, scratch, "swept what processes left behind")
            }
            Ok(Err(error)) => tracing::warn!(%error, "abandoned files can't be swept"),
            Err(error) => tracing::warn!(%error, "abandoned files can't be swept"),
        }
    }
}

/// How long the storage may take to be found sound.
const STORAGE_WITHIN: Duration = Duration::from_secs(20);

impl Engine {
    /// Stores something on the storage, reads it back and removes it.
    ///
    /// # Errors
    /// What does not work, and why.
    pub async fn check_storage(&self) -> Result<(), String> {
        let checked = tokio::time::timeout(STORAGE_WITHIN, self.try_storage()).await;
        checked.unwrap_or_else(|_| Err(format!("no answer within {} s", STORAGE_WITHIN.as_secs())))
    }

    async fn try_storage(&self) -> Result<(), String> {
        let told = |what: &str| {
            let place = self.artifacts.storage().to_string();
            let what = what.to_owned();
            move |error: object_store::Error| {
                let advice = advice(&error).map(|advice| format!("\n{advice}")).unwrap_or_default();
                format!("{place}: {what}: {error}{advice}")
            }
        };
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes);
        // No tenant's name begins with a dot.
        let key = object_store::path::Path::from(format!(".doctor/{:032x}", u128::from_be_bytes(bytes)));
        let put = self.storage.put(&key, PutPayload::from(bytes.to_vec())).await;
        put.map_err(told("an object can't be stored"))?;
        let found = self.storage.get(&key).await.map_err(told("an object can't be read"))?.bytes().await;
        let found = found.map_err(told("an object can't be read"))?;
        self.storage.delete(&key).await.map_err(told("an object can't be removed"))?;
        if found[..] != bytes {
            return Err("what is read is not what was stored".to_owned());
        }
        match self.storage_ownership().await? {
            Ownership::Ours => Ok(()),
            Ownership::Another(_) => Err(format!(
                "{} belongs to another queue, so nothing is ever swept there: give each queue a bucket or prefix of its own",
                self.artifacts.storage()
            )),
        }
    }
}

/// Asks the queue what of a job's artifacts must stay.
struct QueueKeeper<'a>(&'a dyn Queue);

#[async_trait]
impl Keeper for QueueKeeper<'_> {
    async fn keep(&self, tenant: &TenantId, job: JobId) -> Result<Keep, ArtifactError> {
        let found = self.0.inspect(tenant, &[job]).await.map_err(|error| ArtifactError::Storage {
            doing: "ask the queue what must stay",
            cause: object_store::Error::Generic { store: "queue", source: error.into() },
        })?;
        let Some(job) = found.into_iter().next().flatten() else { return Ok(Keep::Nothing) };
        Ok(match (job.state, job.output) {
            (State::Completed, Some(output)) => {
                Keep::Published(output.artifacts.into_iter().map(|pointer| pointer.manifest).collect())
            }
            (State::Completed | State::Cancelled | State::Dead, _) => Keep::Nothing,
            (state, _) => {
                let running = (state == State::Running).then_some(job.epoch);
                let left = Parted::of(job.checkpoint.as_ref());
                let left = left.map_err(|error| ArtifactError::Storage {
                    doing: "read which uploads a job may go on with",
                    cause: object_store::Error::Generic { store: "queue", source: error.into() },
                })?;
                let left = left.artifacts;
                Keep::Attempts(
                    running.into_iter().chain(left.into_values().map(|upload| upload.epoch)).collect(),
                )
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        artifact::ArtifactOptions,
        config::Settings,
        domain::{
            KindName, ManualClock, NewJob, Output, Payload, SeededRandom, Timestamp, Verdict, WorkerId,
        },
        queue::{Ask, Claim},
    };

    const RETENTION: Duration = Duration::from_secs(3_600);

    async fn claimed(engine: &Engine) -> Claim {
        let kind = KindName::literal("print");
        let payload = Payload { version: 1, bytes: bytes::Bytes::from_static(b"{}") };
        let id = JobId::new(engine.clock.now(), &*engine.random);
        let job = NewJob::new(id, "acme".parse().unwrap(), kind.clone(), payload);
        engine.queue.enqueue(vec![job]).await.unwrap()[0].as_ref().unwrap();
        let ask = Ask { kinds: vec![kind], most: 1, lease: Duration::from_secs(15) };
        engine.queue.claim(&WorkerId::new("w"), &ask).await.unwrap().remove(0)
    }

    #[tokio::test]
    async fn the_storage_of_another_queue_is_not_swept() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000_000)));
        let open = |data_dir: &std::path::Path, seed| {
            let storage = format!("file://{}/shared", folder.path().display());
            let settings = Settings {
                data_dir: data_dir.to_owned(),
                storage_url: Some(storage.parse().unwrap()),
                ..Settings::default()
            };
            Engine::open_with(&settings, clock.clone(), Arc::new(SeededRandom::new(seed))).unwrap()
        };
        let (ours, theirs) = (open(folder.path(), 1), open(other.path(), 2));
        ours.sweep().await;
        let lease = claimed(&ours).await.lease;
        let (name, options) = ("book.txt".parse().unwrap(), ArtifactOptions::default());
        let writer = ours.artifacts.create(&lease.tenant, lease.job, lease.epoch, &name, options).await;
        let kept = writer.unwrap().finish().await.unwrap();
        theirs.sweep().await;
        assert!(ours.artifacts.exists(&kept.manifest).await.unwrap());
        assert!(theirs.check_storage().await.unwrap_err().contains("another queue"));
        assert_eq!(ours.check_storage().await, Ok(()));
        ours.sweep().await;
        assert!(ours.artifacts.exists(&kept.manifest).await.unwrap(), "its attempt lives");
    }

    #[tokio::test]
    async fn what_is_published_stays_until_retention_ends_and_orphans_go_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let settings =
            Settings { data_dir: folder.path().to_owned(), retention: RETENTION, ..Settings::default() };
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000_000)));
        let engine = Engine::open_with(&settings, clock.clone(), Arc::new(SeededRandom::new(1))).unwrap();
        let claim = claimed(&engine).await;
        let write = async |epoch| {
            let (lease, name) = (&claim.lease, "book.txt".parse().unwrap());
            let options = ArtifactOptions::default();
            let writer = engine.artifacts.create(&lease.tenant, lease.job, epoch, &name, options).await;
            let mut writer = writer.unwrap();
            writer.write(b"words").await.unwrap();
            writer.finish().await.unwrap()
        };
        // What an earlier attempt would have left, and what this one publishes.
        let (orphan, kept) = (write(0).await, write(claim.lease.epoch).await);
        engine.sweep().await;
        assert!(!engine.artifacts.exists(&orphan.manifest).await.unwrap());
        assert!(engine.artifacts.exists(&kept.manifest).await.unwrap());

        let output = Output { artifacts: vec![kept.clone()], ..Output::default() };
        engine.queue.settle(vec![(claim.lease.clone(), Verdict::Done(output))]).await.unwrap();
        engine.sweep().await;
        assert!(engine.artifacts.exists(&kept.manifest).await.unwrap());

        clock.advance(RETENTION * 2);
        engine.sweep().await;
        assert!(!engine.artifacts.exists(&kept.manifest).await.unwrap());
        let found = engine.queue.inspect(&claim.lease.tenant, &[claim.lease.job]).await.unwrap();
        assert_eq!(found, vec![None]);
    }
}

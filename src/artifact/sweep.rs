//! Removes what attempts left behind: everything below `<tenant>/artifacts/` that no live attempt is writing and no
//! completed job has published.
//!
//! Safe at any time and from many processes: what is stored is listed first and the job is asked afterwards, so that an
//! epoch that is listed had been claimed before the answer; it is live then, published, or gone for good.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
};

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream::TryReadyChunksError};
use object_store::{ObjectMeta, ObjectStore as _, ObjectStoreExt as _, path::Path};

use super::{
    error::ArtifactError,
    key::{folder_names, key},
    place::{MANIFESTS, UPLOADS},
    store::{ArtifactStore, attempt_folder, tenant_folder},
    upload::Marker,
};
use crate::domain::{JobId, TenantId};

/// What of a job's artifacts must stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The attempts with these epochs may still be writing, or be gone on with.
    Attempts(BTreeSet<u64>),
    /// What these manifests, by their storage keys, describe.
    Published(Vec<String>),
    /// Nothing.
    Nothing,
}

impl Keep {
    /// Whether something of an attempt, whose folder this is, must stay.
    fn keeps(&self, folder: &Path, epoch: u64) -> bool {
        match self {
            Self::Attempts(epochs) => epochs.contains(&epoch),
            Self::Published(manifests) => {
                manifests.iter().any(|manifest| manifest.starts_with(&format!("{folder}/")))
            }
            Self::Nothing => false,
        }
    }

    /// Whether this object of such an attempt must stay.
    fn keeps_object(&self, folder: &Path, object: &Path) -> bool {
        let Self::Published(manifests) = self else { return true };
        let manifests = manifests.iter().filter_map(|manifest| {
            let name = manifest.strip_prefix(&format!("{folder}/{MANIFESTS}/"))?.strip_suffix(".json")?;
            Some((manifest.as_str(), key([folder.as_ref(), name])))
        });
        let mut manifests = manifests;
        manifests.any(|(manifest, published)| manifest == object.as_ref() || published == *object)
    }
}

/// Who knows what must stay: the queue, told through the engine.
#[async_trait]
pub trait Keeper: Send + Sync {
    /// What of this job's artifacts must stay.
    ///
    /// # Errors
    /// Where it can't be told; the job's artifacts are left alone then.
    async fn keep(&self, tenant: &TenantId, job: JobId) -> Result<Keep, ArtifactError>;
}

impl ArtifactStore {
    /// Removes the orphans of all tenants, and gives up their uploads; answers how many objects that were. What can't be
    /// told or removed is logged and left to the next round: one job must not keep those of others from being swept.
    ///
    /// # Errors
    /// [`ArtifactError::Storage`] where the storage is away. What was removed before stays removed.
    pub async fn sweep(&self, keeper: &dyn Keeper) -> Result<usize, ArtifactError> {
        let (mut removed, mut failed) = (0, 0);
        for tenant in self.folders(None).await? {
            let Ok(tenant) = tenant.parse::<TenantId>() else { continue };
            let folder = tenant_folder(tenant.as_str());
            // One listing for all of a tenant's jobs: one for each of them would be a request for each.
            let objects = self.storage().objects().list(Some(&folder)).try_ready_chunks(MOST_AT_ONCE);
            let mut objects = pin!(objects);
            while let Some(found) = objects.next().await {
                let found = match found {
                    Ok(found) => found,
                    Err(TryReadyChunksError(_, error)) => {
                        passed_over(
                            ArtifactError::storage("list artifacts", error),
                            &tenant,
                            None,
                            &mut failed,
                        )?;
                        break;
                    }
                };
                for (job, found) in by_job(&folder, found) {
                    match self.sweep_job(&tenant, job, found, keeper).await {
                        Ok(count) => (removed, failed) = (removed + count, 0),
                        Err(error) => passed_over(error, &tenant, Some(job), &mut failed)?,
                    }
                }
            }
            if let Err(error) = self.sweep_uploads(&tenant, &folder, keeper).await {
                passed_over(error, &tenant, None, &mut failed)?;
            }
        }
        Ok(removed)
    }

    /// Removes what need not stay of these objects of a job, which have been listed before.
    async fn sweep_job(
        &self,
        tenant: &TenantId,
        job: JobId,
        found: Vec<Path>,
        keeper: &dyn Keeper,
    ) -> Result<usize, ArtifactError> {
        let folder = tenant_folder(tenant.as_str()).join(job.to_string());
        let objects = self.storage().objects();
        let Some(keep) = told(keeper, tenant, job).await else { return Ok(0) };
        let orphans = found.into_iter().filter(|object| {
            let attempt = object.prefix_match(&folder).and_then(|mut parts| parts.next());
            let Some(attempt) = attempt else { return false };
            let below = folder.clone().join(attempt.as_ref());
            let kept = attempt.as_ref().parse().is_ok_and(|epoch| keep.keeps(&below, epoch));
            !(kept && keep.keeps_object(&below, object))
        });
        let mut orphans: Vec<Path> = orphans.collect();
        let markers: Vec<Path> =
            orphans.iter().filter(|object| is_marker(&folder, object)).cloned().collect();
        for marker in markers {
            if let Err(error) = self.give_up_marked(&folder, &marker).await {
                tracing::warn!(%error, %marker, "an upload can't be given up now");
                // Without it nobody might find the upload again.
                orphans.retain(|object| *object != marker);
            }
        }
        let keys = futures_util::stream::iter(orphans).map(Ok).boxed();
        let (mut removals, mut removed) = (objects.delete_stream(keys), 0);
        while let Some(removal) = removals.next().await {
            match removal {
                Ok(_) => removed += 1,
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => tracing::warn!(%error, %tenant, %job, "an orphan can't be removed now"),
            }
        }
        Ok(removed)
    }

    /// Gives up the upload that a marker names.
    async fn give_up_marked(&self, folder: &Path, marker: &Path) -> Result<(), ArtifactError> {
        let failed = |error| ArtifactError::storage("read an upload's marker", error);
        let bytes = match self.storage().objects().get(marker).await {
            Ok(found) if found.meta.size <= MOST_MARKER_BYTES => found.bytes().await.map_err(failed)?,
            Ok(_) | Err(object_store::Error::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        let named = serde_json::from_slice::<Marker>(&bytes).ok();
        let named = named.and_then(|marker| Some((Path::parse(&marker.key).ok()?, marker.upload)));
        match named.filter(|(key, _)| key.prefix_matches(folder)) {
            Some((key, upload)) => self.abort(&key, &upload).await,
            None => Ok(()),
        }
    }

    /// Gives up the uploads of a tenant that no marker names: their attempt was killed before it could write one.
    async fn sweep_uploads(
        &self,
        tenant: &TenantId,
        folder: &Path,
        keeper: &dyn Keeper,
    ) -> Result<(), ArtifactError> {
        let Some(unfinished) = self.storage().unfinished() else { return Ok(()) };
        let uploads = match unfinished.uploads(folder).await {
            Ok(uploads) => uploads,
            // Then the markers must do.
            Err(
                object_store::Error::PermissionDenied { .. } | object_store::Error::NotImplemented { .. },
            ) => {
                return Ok(());
            }
            Err(error) => return Err(ArtifactError::storage("list uploads", error)),
        };
        for (key, upload) in uploads {
            let names: Vec<String> =
                key.prefix_match(folder).into_iter().flatten().map(|part| part.as_ref().to_owned()).collect();
            let [job, attempt, ..] = &names[..] else { continue };
            let (Ok(job), Ok(epoch)) = (job.parse::<JobId>(), attempt.parse::<u64>()) else { continue };
            let below = attempt_folder(tenant, job, epoch);
            let Some(keep) = told(keeper, tenant, job).await else { continue };
            // What is published is complete.
            if !matches!(keep, Keep::Attempts(_)) || !keep.keeps(&below, epoch) {
                self.abort(&key, &upload).await?;
            }
        }
        Ok(())
    }

    async fn abort(&self, key: &Path, upload: &str) -> Result<(), ArtifactError> {
        match self.storage().multipart().abort_multipart(key, &upload.to_owned()).await {
            Ok(()) => {
                tracing::debug!(%key, "gave up an upload that nobody goes on with");
                Ok(())
            }
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            // One that can't be told from one that is gone must not keep the rest from being swept.
            Err(error) => {
                tracing::debug!(%error, %key, "an upload could not be given up");
                Ok(())
            }
        }
    }

    /// The names of the folders in a folder.
    async fn folders(&self, folder: Option<&Path>) -> Result<Vec<String>, ArtifactError> {
        let names = folder_names(&**self.storage().objects(), folder).await;
        names.map_err(|error| ArtifactError::storage("list artifacts", error))
    }
}

/// So many failures of the storage one after another are not those of single jobs.
const MOST_FAILED: u32 = 16;

/// Logs what is left to the next round; the error, where it is the last one to be borne.
fn passed_over(
    error: ArtifactError,
    tenant: &TenantId,
    job: Option<JobId>,
    failed: &mut u32,
) -> Result<(), ArtifactError> {
    *failed += 1;
    if *failed >= MOST_FAILED {
        return Err(error);
    }
    let job = job.map(tracing::field::display);
    tracing::warn!(%error, %tenant, job, "artifacts can't be swept now");
    Ok(())
}

/// So many objects are looked at together.
const MOST_AT_ONCE: usize = 1_000;

/// Objects by the job below whose folder they lie, in the order of the jobs. What belongs to no job is left out.
fn by_job(folder: &Path, found: Vec<ObjectMeta>) -> BTreeMap<JobId, Vec<Path>> {
    let mut jobs = BTreeMap::<_, Vec<_>>::new();
    for object in found.into_iter().map(|meta| meta.location) {
        let job = object.prefix_match(folder).and_then(|mut parts| parts.next()?.as_ref().parse().ok());
        if let Some(job) = job {
            jobs.entry(job).or_default().push(object);
        }
    }
    jobs
}

/// What must stay, where it can be told.
async fn told(keeper: &dyn Keeper, tenant: &TenantId, job: JobId) -> Option<Keep> {
    let keep = keeper.keep(tenant, job).await;
    keep.inspect_err(|error| tracing::warn!(%error, %tenant, %job, "a job's artifacts are left alone")).ok()
}

/// A marker has a key and an id.
const MOST_MARKER_BYTES: u64 = 16 << 10;

/// Whether this is `<attempt>/.uploads/<name>.json` below a job's folder.
fn is_marker(folder: &Path, object: &Path) -> bool {
    let parts: Vec<String> =
        object.prefix_match(folder).into_iter().flatten().map(|part| part.as_ref().to_owned()).collect();
    matches!(&parts[..], [_, uploads, _] if uploads == UPLOADS)
}

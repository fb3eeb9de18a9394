//! Removes what attempts left behind: everything below `<tenant>/artifacts/` that no live attempt is writing and no
//! completed job has published.
//!
//! Safe at any time and from many processes: what is stored is listed first and the job is asked afterwards, so that an
//! epoch that is listed had been claimed before the answer; it is live then, published, or gone for good.

use async_trait::async_trait;
use object_store::path::Path;

use super::{
    error::ArtifactError,
    key::folder_names,
    store::{ArtifactStore, tenant_folder},
};
use crate::domain::{JobId, TenantId};

/// What of a job's artifacts must stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The attempt with this epoch may still be writing.
    Attempt(u64),
    /// What these manifests, by their storage keys, describe.
    Published(Vec<String>),
    /// Nothing.
    Nothing,
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
    /// Removes the orphans of all tenants; answers how many objects that were.
    ///
    /// # Errors
    /// [`ArtifactError::Storage`], or what `keeper` says. What was removed before stays removed.
    pub async fn sweep(&self, keeper: &dyn Keeper) -> Result<usize, ArtifactError> {
        let mut removed = 0;
        for tenant in self.folders(None).await? {
            let Ok(tenant) = tenant.parse::<TenantId>() else { continue };
            for job in self.folders(Some(&tenant_folder(tenant.as_str()))).await? {
                let Ok(job) = job.parse::<JobId>() else { continue };
                removed += self.sweep_job(&tenant, job, keeper).await?;
            }
        }
        Ok(removed)
    }

    async fn sweep_job(
        &self,
        tenant: &TenantId,
        job: JobId,
        keeper: &dyn Keeper,
    ) -> Result<usize, ArtifactError> {
        let folder = tenant_folder(tenant.as_str()).join(job.to_string());
        let attempts = self.folders(Some(&folder)).await?;
        let keep = keeper.keep(tenant, job).await?;
        let mut removed = 0;
        for attempt in attempts {
            let below = folder.clone().join(attempt.as_str());
            let prefix = format!("{below}/");
            let stays = match &keep {
                Keep::Attempt(epoch) => attempt.parse() == Ok(*epoch),
                // An attempt that published at all published all that it finished.
                Keep::Published(manifests) => manifests.iter().any(|key| key.starts_with(&prefix)),
                Keep::Nothing => false,
            };
            if !stays {
                removed += self.remove_below(&below).await?;
            }
        }
        Ok(removed)
    }

    /// The names of the folders in a folder.
    async fn folders(&self, folder: Option<&Path>) -> Result<Vec<String>, ArtifactError> {
        let names = folder_names(&**self.storage().objects(), folder).await;
        names.map_err(|error| ArtifactError::storage("list artifacts", error))
    }
}

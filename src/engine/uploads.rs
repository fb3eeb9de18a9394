//! What producers uploaded for their jobs: everything below `<tenant>/uploads/<job>/`. It stays as long as the job may
//! still need it, which a dead one does too, and goes with the job's completion or removal. Must not know: kinds.

use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::{ObjectStore, path::Path};

use crate::{
    domain::{JobId, State, TenantId, Timestamp},
    queue::Queue,
};

/// The folder's name: a kind that uploads what its jobs need puts it below this and the job's id.
const FOLDER: &str = "uploads";

/// Removes what no job needs any more; answers how many objects that were. What was uploaded for a job that is not
/// known, and whose id is older than `before`, was uploaded for a job that was refused or has been removed.
pub(super) async fn sweep(
    storage: &dyn ObjectStore,
    queue: &dyn Queue,
    before: Timestamp,
) -> Result<usize, Box<dyn std::error::Error + Send + Sync>> {
    let mut removed = 0;
    for tenant in folders(storage, None).await? {
        let Ok(tenant) = tenant.parse::<TenantId>() else { continue };
        let uploads = Path::from_iter([tenant.as_str(), FOLDER]);
        for job in folders(storage, Some(&uploads)).await? {
            let Ok(job) = job.parse::<JobId>() else { continue };
            let found = queue.inspect(&tenant, &[job]).await?.into_iter().next().flatten();
            let is_needed = match found {
                Some(job) => job.state != State::Completed,
                None => made_at(job) >= before,
            };
            if !is_needed {
                removed += remove_below(storage, uploads.clone().join(job.to_string())).await?;
            }
        }
    }
    Ok(removed)
}

/// The instant in a job's id: its first 48 bits are milliseconds.
fn made_at(job: JobId) -> Timestamp {
    Timestamp::from_millis(i64::try_from(job.as_u128() >> 80).unwrap_or(i64::MAX))
}

async fn folders(storage: &dyn ObjectStore, folder: Option<&Path>) -> object_store::Result<Vec<String>> {
    let listed = storage.list_with_delimiter(folder).await?;
    let name = |path: Path| path.parts().next_back().map(|part| part.as_ref().to_owned());
    Ok(listed.common_prefixes.into_iter().filter_map(name).collect())
}

async fn remove_below(storage: &dyn ObjectStore, folder: Path) -> object_store::Result<usize> {
    let keys = storage.list(Some(&folder)).map_ok(|found| found.location).boxed();
    storage.delete_stream(keys).try_fold(0, |count, _| async move { Ok(count + 1) }).await
}

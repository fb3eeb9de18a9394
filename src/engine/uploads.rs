//! Uploads: what a producer stored for a job before it asked for it, at `<tenant>/uploads/<job>/`. They stay for as
//! long as the job may still be run. Owns: that rule. Must not know: what they are.

use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::{ObjectStore, path::Path};

use crate::{
    artifact::{Storage, folder_names, key},
    domain::{JobId, State, TenantId, Timestamp},
    queue::{BoxError, Queue},
};

/// Removes the uploads of jobs that have completed, and those of jobs that nobody knows (any more) and that were
/// stored before `before`: a producer may be about to ask for a newer one. Answers how many objects that were.
pub(super) async fn sweep(
    storage: &dyn ObjectStore,
    queue: &dyn Queue,
    before: Timestamp,
) -> Result<usize, BoxError> {
    let mut removed = 0;
    for tenant in folder_names(storage, None).await? {
        let Ok(tenant) = tenant.parse::<TenantId>() else { continue };
        for name in folder_names(storage, Some(&key([tenant.as_str(), "uploads"]))).await? {
            let Ok(job) = name.parse::<JobId>() else { continue };
            // One job that can't be read must not keep those of others from being swept.
            let known = match queue.inspect(&tenant, &[job]).await {
                Ok(known) => known.into_iter().next().flatten(),
                Err(error) => {
                    tracing::warn!(%error, %tenant, %job, "a job's uploads are left alone");
                    continue;
                }
            };
            let uploads = key([tenant.as_str(), "uploads", &name]);
            removed += match known.map(|job| job.state) {
                Some(State::Completed) => remove(storage, &uploads, None).await?,
                Some(_) => 0,
                None => remove(storage, &uploads, Some(before)).await?,
            };
        }
    }
    Ok(removed)
}

/// Gives up the uploads of tenants' own files (`<tenant>/files/…`) that were begun before `before`: their process was stopped
/// in the middle, and nobody goes on with them. Answers how many that were.
pub(super) async fn give_up_files(storage: &Storage, before: Timestamp) -> object_store::Result<usize> {
    let Some(unfinished) = storage.unfinished() else { return Ok(0) };
    let mut given_up = 0;
    for (key, upload) in unfinished.begun_before(before).await? {
        if key.parts().nth(1).is_none_or(|folder| folder.as_ref() != "files") {
            continue;
        }
        match storage.multipart().abort_multipart(&key, &upload).await {
            Ok(()) => given_up += 1,
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => tracing::warn!(%error, "an upload can't be given up now"),
        }
    }
    Ok(given_up)
}

/// Removes what is below a folder; of it only what was stored before `before`, where that is said.
async fn remove(
    storage: &dyn ObjectStore,
    folder: &Path,
    before: Option<Timestamp>,
) -> Result<usize, BoxError> {
    let is_old = move |object: &object_store::ObjectMeta| {
        before.is_none_or(|before| Timestamp::from_micros(object.last_modified.timestamp_micros()) < before)
    };
    let listed = storage.list(Some(folder)).try_filter(move |object| std::future::ready(is_old(object)));
    let keys = listed.map_ok(|object| object.location).boxed();
    let (mut removals, mut removed) = (storage.delete_stream(keys), 0);
    while let Some(removal) = removals.next().await {
        match removal {
            Ok(_) => removed += 1,
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => tracing::warn!(%error, "an upload can't be removed now"),
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use object_store::{ObjectStoreExt as _, PutPayload, memory::InMemory};

    use super::*;
    use crate::{
        artifact::{StoredPart, Unfinished},
        config::Settings,
        domain::{KindName, NewJob, Output, Payload, Verdict, WorkerId},
        engine::Engine,
        queue::Ask,
    };

    /// Tells of these uploads, whenever they were begun.
    #[derive(Debug)]
    struct Known(Vec<(Path, String)>);

    #[async_trait::async_trait]
    impl Unfinished for Known {
        async fn parts(&self, _: &Path, _: &str) -> object_store::Result<Vec<StoredPart>> {
            Ok(Vec::new())
        }

        async fn uploads(&self, _: &Path) -> object_store::Result<Vec<(Path, String)>> {
            Ok(self.0.clone())
        }

        async fn begun_before(&self, _: Timestamp) -> object_store::Result<Vec<(Path, String)>> {
            Ok(self.0.clone())
        }
    }

    #[tokio::test]
    async fn old_uploads_of_files_are_given_up_and_those_of_artifacts_left_to_who_knows_them() {
        let storage = Storage::memory();
        let mut known = Vec::new();
        for name in ["acme/files/a", "acme/artifacts/job/000001/a"] {
            let name = Path::from(name);
            let upload = storage.multipart().create_multipart(&name).await.unwrap();
            known.push((name, upload));
        }
        let storage = storage.with_unfinished(Arc::new(Known(known.clone())));
        assert_eq!(give_up_files(&storage, Timestamp::EPOCH).await.unwrap(), 1);
        assert_eq!(give_up_files(&storage, Timestamp::EPOCH).await.unwrap(), 0);
        let [(file, upload), (artifact, other)] = &known[..] else { panic!() };
        assert!(storage.multipart().abort_multipart(file, upload).await.is_err());
        storage.multipart().abort_multipart(artifact, other).await.unwrap();
    }

    #[tokio::test]
    async fn uploads_stay_while_their_job_may_run() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { data_dir: folder.path().to_owned(), ..Settings::default() };
        let engine = Engine::open(&settings).unwrap();
        let (storage, tenant): (_, TenantId) = (InMemory::new(), "acme".parse().unwrap());
        let kind = KindName::literal("import");
        let id = JobId::new(engine.clock.now(), &*engine.random);
        let unknown = JobId::new(engine.clock.now(), &*engine.random);
        let payload = Payload { version: 1, bytes: Bytes::from_static(b"{}") };
        engine.queue.enqueue(vec![NewJob::new(id, tenant, kind.clone(), payload)]).await.unwrap();
        for job in [id, unknown] {
            let key = key(["acme", "uploads", &job.to_string(), "0000"]);
            storage.put(&key, PutPayload::from_static(b"text")).await.unwrap();
        }
        let sweep = async |before| sweep(&storage, &*engine.queue, before).await.unwrap();
        assert_eq!(sweep(Timestamp::EPOCH).await, 0);
        assert_eq!(sweep(Timestamp::from_micros(i64::MAX)).await, 1, "the unknown job's");

        let ask = Ask { kinds: vec![kind], most: 1, lease: std::time::Duration::from_secs(15) };
        let claims = engine.queue.claim(&WorkerId::new("w"), &ask).await.unwrap();
        let done = Verdict::Done(Output::default());
        engine.queue.settle(vec![(claims[0].lease.clone(), done)]).await.unwrap();
        assert_eq!(sweep(Timestamp::EPOCH).await, 1);
    }
}

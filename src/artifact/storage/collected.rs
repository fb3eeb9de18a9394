//! Multipart uploads of a storage of which nothing is known but that it keeps objects: parts wait in memory until the last
//! one. For tests, whose objects are small.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use object_store::{
    Error, MultipartId, ObjectStore, ObjectStoreExt as _, PutPayload, PutPayloadMut, PutResult, Result,
    multipart::{MultipartStore, PartId},
    path::Path,
};

type Parts = BTreeMap<usize, PutPayload>;

#[derive(Debug)]
pub(super) struct Collected {
    objects: Arc<dyn ObjectStore>,
    uploads: Mutex<(u64, BTreeMap<MultipartId, Parts>)>,
}

impl Collected {
    pub(super) fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects, uploads: Mutex::default() }
    }

    fn uploads(&self) -> MutexGuard<'_, (u64, BTreeMap<MultipartId, Parts>)> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, key: &Path, id: &MultipartId) -> Result<Parts> {
        self.uploads().1.remove(id).ok_or_else(|| unknown(key))
    }
}

fn unknown(key: &Path) -> Error {
    Error::NotFound { path: key.to_string(), source: "there is no such upload".into() }
}

#[async_trait]
impl MultipartStore for Collected {
    async fn create_multipart(&self, _: &Path) -> Result<MultipartId> {
        let mut uploads = self.uploads();
        uploads.0 += 1;
        let id = uploads.0.to_string();
        uploads.1.insert(id.clone(), Parts::new());
        Ok(id)
    }

    async fn put_part(&self, key: &Path, id: &MultipartId, index: usize, data: PutPayload) -> Result<PartId> {
        let mut uploads = self.uploads();
        uploads.1.get_mut(id).ok_or_else(|| unknown(key))?.insert(index, data);
        Ok(PartId { content_id: index.to_string() })
    }

    async fn complete_multipart(&self, key: &Path, id: &MultipartId, _: Vec<PartId>) -> Result<PutResult> {
        let mut whole = PutPayloadMut::new();
        for piece in self.take(key, id)?.into_values().flatten() {
            whole.push(piece);
        }
        self.objects.put(key, whole.freeze()).await
    }

    async fn abort_multipart(&self, key: &Path, id: &MultipartId) -> Result<()> {
        self.take(key, id).map(drop)
    }
}

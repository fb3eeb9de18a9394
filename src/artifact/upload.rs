//! Parts on their way to storage: one put where a part is not filled (to a disk of this machine: where there is at most 1 MiB), a
//! multipart upload by explicit ids where there is more. Two parts are on their way while a third one fills: the three parts of
//! memory that a writer is allowed. To a disk a part goes in pieces ([`pieces`](super::pieces)).

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use object_store::{Error, ObjectStoreExt as _, PutPayload, multipart::PartId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;

use super::{
    PART_BYTES,
    error::ArtifactError,
    pieces::Pieces,
    place::Place,
    state::{Ledger, Point, UploadState},
    storage::StoredPart,
    tags::{is_other, is_other_whole, refuses_parts, same, whole_tag},
    tracker::{Known, Tracker},
};
use crate::domain::Hex;

/// Parts on their way beside the one that fills.
const UNDER_WAY: usize = 2;
/// What has more bytes goes to a disk in pieces, without waiting for a whole part.
const ONE_PUT_TO_DISK: usize = 1 << 20;

/// An object that grows part by part.
pub(super) struct Upload {
    place: Place,
    /// Of the attempt that writes.
    epoch: u64,
    resumable: Option<Resumable>,
    tracker: Arc<Tracker>,
    filling: BytesMut,
    /// A part's memory that is free again: taken once, not once a part.
    spare: Vec<BytesMut>,
    /// Which part fills.
    part: u32,
    stand: Stand,
    /// What the storage has beyond what the state said.
    listed: BTreeMap<u32, StoredPart>,
    under_way: VecDeque<JoinHandle<Result<Bytes, ArtifactError>>>,
    /// Of the part that fills, where the storage takes pieces.
    pieces: Option<Pieces>,
    scribe: Option<JoinHandle<()>>,
}

/// What an upload that another attempt may go on with has beside.
pub(super) struct Resumable {
    pub(super) ledger: Arc<dyn Ledger>,
    /// All but the upload's id, before there is one.
    pub(super) state: UploadState,
}

/// Where the object stands on the storage.
pub(super) enum Stand {
    /// Nothing is stored yet.
    New,
    /// An upload of this id.
    Begun(String),
    /// It was complete when the last attempt was stopped: what comes now must be the same.
    Complete,
}

/// Where an upload is gone on with.
pub(super) struct From {
    pub(super) stand: Stand,
    pub(super) known: Known,
    pub(super) listed: Vec<StoredPart>,
}

/// Says that there is an upload, for the sweep.
#[derive(Serialize, Deserialize)]
pub(super) struct Marker {
    pub(super) key: String,
    pub(super) upload: String,
}

impl Upload {
    pub(super) fn new(place: Place, epoch: u64, resumable: Option<Resumable>, from: From) -> Self {
        let From { stand, known, listed } = from;
        let part = u32::try_from(known.ids.len()).unwrap_or(u32::MAX);
        let listed = listed.into_iter().map(|part| (part.index, part)).collect();
        let mut upload = Self {
            place,
            epoch,
            resumable,
            tracker: Arc::new(Tracker::new(known)),
            filling: BytesMut::new(),
            spare: Vec::new(),
            part,
            listed,
            under_way: VecDeque::new(),
            pieces: None,
            scribe: None,
            stand,
        };
        if let Stand::Begun(id) = &upload.stand {
            upload.pieces = Pieces::of(&upload.place, id);
            upload.begin_keeping();
        }
        upload
    }

    fn begin_keeping(&mut self) {
        if let Some(Resumable { ledger, state }) = &self.resumable {
            let scribe = self.tracker.scribe(ledger.clone(), self.place.clone(), self.epoch);
            self.scribe = Some(tokio::spawn(scribe.run(state.clone())));
        }
    }

    pub(super) fn frame_ended(&self, bytes: u64) {
        self.tracker.frame_ended(bytes);
    }

    pub(super) fn take_frames(&self) -> Vec<u64> {
        self.tracker.take_frames()
    }

    /// Appends bytes of the part that fills, no more than it takes.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), ArtifactError> {
        match (&self.stand, &mut self.pieces) {
            (Stand::Complete, _) => {}
            (_, Some(pieces)) => pieces.write(self.part, bytes).await?,
            (Stand::New, None) if self.place.storage.disk().is_some() => {
                self.filling.extend_from_slice(bytes);
                if self.filling.len() > ONE_PUT_TO_DISK {
                    return self.begin_pieces().await;
                }
            }
            (_, None) => {
                if self.filling.capacity() == 0 {
                    self.filling = self.spare.pop().unwrap_or_else(|| BytesMut::with_capacity(PART_BYTES));
                }
                self.filling.extend_from_slice(bytes);
            }
        }
        Ok(())
    }

    /// There is to be an upload to a disk: what has waited for that goes to it.
    async fn begin_pieces(&mut self) -> Result<(), ArtifactError> {
        let upload = self.begun().await?;
        let Some(mut pieces) = Pieces::of(&self.place, &upload) else {
            return Err(ArtifactError::Stopped("the storage is no disk".to_owned()));
        };
        pieces.write(self.part, &std::mem::take(&mut self.filling)).await?;
        self.pieces = Some(pieces);
        Ok(())
    }

    /// The part that fills is full; waits while two others are on their way.
    pub(super) async fn part_full(&mut self, point: Point) -> Result<(), ArtifactError> {
        if matches!(self.stand, Stand::Complete) {
            self.part += 1;
            return Ok(());
        }
        self.tracker.part_full(point);
        self.send().await
    }

    async fn send(&mut self) -> Result<(), ArtifactError> {
        if self.pieces.is_some() {
            return self.send_pieces().await;
        }
        let (part, bytes) = (self.part, std::mem::take(&mut self.filling).freeze());
        self.part += 1;
        let upload = self.begun().await?;
        if let Some(stored) = self.listed.remove(&part) {
            let is_other = is_other(&stored, &bytes);
            if let Some(id) = same(stored, &bytes) {
                self.tracker.part_stored(part, id);
                self.free(bytes);
                return Ok(());
            }
            // Two texts must never be sealed by one key at one place.
            if is_other && self.is_sealed() {
                return Err(ArtifactError::changed());
            }
        }
        while self.under_way.len() >= UNDER_WAY {
            self.oldest().await?;
        }
        let (place, tracker) = (self.place.clone(), self.tracker.clone());
        self.under_way.push_back(tokio::spawn(async move {
            let multipart = place.storage.multipart();
            let put = multipart.put_part(&place.object(), &upload, part as usize, bytes.clone().into()).await;
            match put {
                Ok(PartId { content_id }) => tracker.part_stored(part, content_id),
                Err(Error::NotFound { .. }) => return Err(gone()),
                Err(error) => return Err(ArtifactError::storage("upload a part", error)),
            }
            Ok(bytes)
        }));
        Ok(())
    }

    /// The part's pieces are on the disk but for the last one; it is to be kept while the next part's come.
    async fn send_pieces(&mut self) -> Result<(), ArtifactError> {
        let (part, tracker) = (self.part, self.tracker.clone());
        let Some(pieces) = &mut self.pieces else { return Ok(()) };
        let kept = pieces.end_part(part).await?;
        self.part += 1;
        while self.under_way.len() >= UNDER_WAY {
            self.oldest().await?;
        }
        self.under_way.push_back(tokio::spawn(async move {
            tracker.part_stored(part, kept.await?);
            Ok(Bytes::new())
        }));
        Ok(())
    }

    fn is_sealed(&self) -> bool {
        self.resumable.as_ref().is_some_and(|resumable| resumable.state.seal.is_some())
    }

    /// Waits until the part that went first is stored.
    async fn oldest(&mut self) -> Result<(), ArtifactError> {
        let Some(task) = self.under_way.pop_front() else { return Ok(()) };
        let bytes = task.await.map_err(|error| ArtifactError::Stopped(error.to_string()))??;
        self.free(bytes);
        Ok(())
    }

    /// A part's memory is needed no more, unless the storage's client still holds it.
    fn free(&mut self, bytes: Bytes) {
        if self.pieces.is_none()
            && let Ok(mut spare) = bytes.try_into_mut()
        {
            spare.clear();
            self.spare.push(spare);
        }
    }

    /// The upload's id. Before its first part goes, it is known where the sweep and where the next attempt looks.
    async fn begun(&mut self) -> Result<String, ArtifactError> {
        if let Stand::Begun(upload) = &self.stand {
            return Ok(upload.clone());
        }
        let (key, storage) = (self.place.object(), &self.place.storage);
        let upload = storage.multipart().create_multipart(&key).await;
        let upload = upload.map_err(|error| ArtifactError::storage("begin an upload", error))?;
        self.stand = Stand::Begun(upload.clone());
        let marker = Marker { key: key.to_string(), upload: upload.clone() };
        let json = serde_json::to_vec(&marker).map_err(|error| ArtifactError::Stopped(error.to_string()))?;
        let put = storage.objects().put(&self.place.marker(), PutPayload::from(json)).await;
        put.map_err(|error| ArtifactError::storage("note an upload", error))?;
        if let Some(Resumable { ledger, state }) = &mut self.resumable {
            state.upload.clone_from(&upload);
            match ledger.keep(&self.place.name, Some(state.clone())).await {
                Ok(()) => self.begin_keeping(),
                Err(ArtifactError::Invalid(problem)) => {
                    tracing::warn!(
                        problem,
                        "a restart of the job would upload this artifact from its beginning"
                    );
                    self.resumable = None;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(upload)
    }

    /// Stores what is left and makes the object visible; answers how many parts it took (0: a single put). `bytes` and
    /// `digest` are all of what is stored.
    pub(super) async fn finish(&mut self, bytes: u64, digest: Hex<32>) -> Result<u32, ArtifactError> {
        match &self.stand {
            Stand::New => {
                // A copy: a storage in memory would keep a whole part's room for a few bytes.
                let all = PutPayload::from(Bytes::copy_from_slice(&std::mem::take(&mut self.filling)));
                let put = self.place.storage.objects().put(&self.place.object(), all).await;
                put.map(|_| 0).map_err(|error| ArtifactError::storage("store an artifact", error))
            }
            Stand::Complete => self.compare(bytes, digest).await,
            Stand::Begun(_) => {
                if !self.filling.is_empty() || self.pieces.as_ref().is_some_and(|pieces| !pieces.is_empty()) {
                    self.send().await?;
                }
                while !self.under_way.is_empty() {
                    self.oldest().await?;
                }
                self.complete(bytes).await.map(|()| self.part)
            }
        }
    }

    async fn complete(&self, bytes: u64) -> Result<(), ArtifactError> {
        let Stand::Begun(upload) = &self.stand else { return Ok(()) };
        // Another attempt may go on with it.
        if self.resumable.as_ref().is_some_and(|resumable| !resumable.ledger.holds()) {
            return Err(ArtifactError::LeaseLost);
        }
        let ids = self.tracker.ids().filter(|ids| ids.len() == self.part as usize);
        let ids = ids.ok_or_else(|| ArtifactError::Stopped("a part of the upload has no id".to_owned()))?;
        let tag = whole_tag(&ids);
        let parts = ids.into_iter().map(|content_id| PartId { content_id }).collect();
        let multipart = self.place.storage.multipart();
        let Err(error) = multipart.complete_multipart(&self.place.object(), upload, parts).await else {
            return Ok(());
        };
        // It may have been done and the answer lost.
        if let Ok(Some((stored, found))) = self.place.stored().await {
            let differs = tag.zip(found).is_some_and(|(tag, found)| is_other_whole(&found, &tag));
            if stored == bytes && !differs {
                return Ok(());
            }
        }
        Err(match error {
            Error::NotFound { .. } => gone(),
            error if refuses_parts(&error) => {
                ArtifactError::StartOver("the storage has other parts than were noted".to_owned())
            }
            error => ArtifactError::storage("complete an upload", error),
        })
    }

    /// Whether the object that is complete is what came now; answers how many parts it has.
    async fn compare(&self, bytes: u64, digest: Hex<32>) -> Result<u32, ArtifactError> {
        let failed = |error| match error {
            Error::NotFound { .. } => gone(),
            error => ArtifactError::storage("read an artifact", error),
        };
        let objects = self.place.storage.objects().clone();
        let found =
            super::reader::fetch(objects, self.place.object(), 0..bytes, None).await.map_err(failed)?;
        let (stored, stream) = (found.size, found.bytes);
        let hash = stream.try_fold(Sha256::new(), |mut hash, piece| async move {
            hash.update(&piece);
            Ok(hash)
        });
        let hash = hash.await.map_err(failed)?;
        if (stored, Hex(hash.finalize().into())) != (bytes, digest) {
            return Err(ArtifactError::changed());
        }
        let begin = super::places::begin(self.part).unwrap_or(bytes);
        Ok(self.part + u32::from(bytes > begin))
    }

    /// The attempt ends before the artifact is whole. What another one may go on with stays; the rest is given up.
    pub(super) async fn leave(&mut self, error: Option<&ArtifactError>) {
        // Nothing of this attempt may come behind what the next one stores.
        if let Some(pieces) = &mut self.pieces {
            pieces.settle().await;
        }
        for task in self.under_way.drain(..) {
            task.abort();
            drop(task.await);
        }
        let over = matches!(error, Some(ArtifactError::StartOver(_)));
        match &self.resumable {
            Some(Resumable { ledger, .. }) if !over || !ledger.holds() => {}
            Some(Resumable { ledger, .. }) => {
                if let Some(scribe) = self.scribe.take() {
                    scribe.abort();
                    drop(scribe.await);
                }
                // What is not forgotten may be another attempt's by now.
                match ledger.keep(&self.place.name, None).await {
                    Ok(()) => self.abort().await,
                    Err(error) => {
                        tracing::debug!(%error, "an upload was not forgotten; the next attempt will find out again");
                    }
                }
            }
            None => self.abort().await,
        }
    }

    async fn abort(&self) {
        match &self.stand {
            Stand::Begun(upload) => {
                self.place.abort(upload).await;
                // Without it the sweep would ask again, and find nothing.
                drop(self.place.storage.objects().delete(&self.place.marker()).await);
            }
            Stand::Complete => drop(self.place.storage.objects().delete(&self.place.object()).await),
            Stand::New => {}
        }
    }
}

pub(super) fn gone() -> ArtifactError {
    ArtifactError::StartOver("the storage has it no more".to_owned())
}

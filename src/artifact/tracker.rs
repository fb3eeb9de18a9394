//! How far an upload has got, and the task that keeps it: parts end in any order, the state names those without a gap. The
//! upload never waits for a state to be kept; the newest one is, one at a time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use object_store::{ObjectStoreExt as _, PutPayload};
use tokio::sync::watch;

use super::{
    error::ArtifactError,
    place::Place,
    state::{Ledger, Piece, Point, UploadState},
};

/// What has become of an upload's parts and frames. The stage and the parts' tasks write to it.
pub(super) struct Tracker {
    data: Arc<Mutex<Data>>,
    /// How many parts are stored without a gap. Gone with the last who could store one.
    durable: watch::Sender<u32>,
}

/// Keeps the newest state for as long as there may be newer ones.
pub(super) struct Scribe {
    data: Arc<Mutex<Data>>,
    durable: watch::Receiver<u32>,
    ledger: Arc<dyn Ledger>,
    place: Place,
    /// Of the attempt that writes.
    epoch: u64,
}

/// What is known of an upload that is gone on with.
#[derive(Default)]
pub(super) struct Known {
    pub(super) ids: Vec<String>,
    pub(super) frames: Vec<u64>,
    /// How many of them are in objects of their own.
    pub(super) in_pieces: (usize, usize),
}

struct Data {
    ids: Vec<Option<String>>,
    frames: Vec<u64>,
    in_pieces: (usize, usize),
    /// Where to go on from once so many parts are stored.
    points: BTreeMap<u32, Point>,
    kept: u32,
}

fn lock(data: &Mutex<Data>) -> MutexGuard<'_, Data> {
    data.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tracker {
    pub(super) fn new(known: Known) -> Self {
        let kept = u32::try_from(known.ids.len()).unwrap_or(u32::MAX);
        let Known { ids, frames, in_pieces } = known;
        let ids = ids.into_iter().map(Some).collect();
        let data = Data { ids, frames, in_pieces, points: BTreeMap::new(), kept };
        Self { data: Arc::new(Mutex::new(data)), durable: watch::channel(kept).0 }
    }

    /// Who keeps its states.
    pub(super) fn scribe(&self, ledger: Arc<dyn Ledger>, place: Place, epoch: u64) -> Scribe {
        Scribe { data: self.data.clone(), durable: self.durable.subscribe(), ledger, place, epoch }
    }

    pub(super) fn frame_ended(&self, bytes: u64) {
        lock(&self.data).frames.push(bytes);
    }

    pub(super) fn take_frames(&self) -> Vec<u64> {
        std::mem::take(&mut lock(&self.data).frames)
    }

    /// A part is full; this is what there is to know where it ends.
    pub(super) fn part_full(&self, point: Point) {
        lock(&self.data).points.insert(point.parts, point);
    }

    /// A part is stored.
    pub(super) fn part_stored(&self, part: u32, id: String) {
        let mut data = lock(&self.data);
        let place = part as usize;
        if data.ids.len() <= place {
            data.ids.resize(place + 1, None);
        }
        data.ids[place] = Some(id);
        let durable = data.durable();
        drop(data);
        self.durable.send_if_modified(|known| std::mem::replace(known, durable) != durable);
    }

    /// The ids of all parts, where all are stored.
    pub(super) fn ids(&self) -> Option<Vec<String>> {
        lock(&self.data).ids.iter().cloned().collect()
    }
}

impl Data {
    fn durable(&self) -> u32 {
        let stored = self.ids.iter().take_while(|id| id.is_some()).count();
        u32::try_from(stored).unwrap_or(u32::MAX)
    }

    /// The newest point that is not kept yet, and the lists until there from where the pieces end.
    fn news(&mut self) -> Option<(Point, Piece)> {
        let durable = self.durable();
        let (parts, point) = self.points.range(self.kept + 1..=durable).next_back()?;
        let (parts, point) = (*parts, point.clone());
        self.points = self.points.split_off(&parts);
        let (ids, frames) = self.in_pieces;
        let ids = self.ids.get(ids..parts as usize)?.iter().flatten().cloned().collect();
        let until = usize::try_from(point.frame).ok()?;
        let frames = self.frames.get(frames..until)?.to_vec();
        Some((point, Piece { ids, frames }))
    }
}

impl Scribe {
    /// Keeps each newest state until no part is under way any more. `state` is the one that is kept.
    pub(super) async fn run(mut self, mut state: UploadState) {
        loop {
            let more = self.durable.changed().await.is_ok();
            let news = lock(&self.data).news();
            if let Some((point, tail)) = news {
                match self.keep(&mut state, point, tail).await {
                    Ok(()) => {}
                    Err(ArtifactError::LeaseLost) => return,
                    // The next part brings a newer one.
                    Err(error) => tracing::debug!(%error, "the state of an upload was not kept"),
                }
            }
            if !more {
                return;
            }
        }
    }

    async fn keep(&self, state: &mut UploadState, point: Point, tail: Piece) -> Result<(), ArtifactError> {
        let parts = point.parts;
        let mut next = UploadState { point: Some(point), tail, ..state.clone() };
        if next.tail.bytes() > UploadState::MOST_TAIL_BYTES {
            if !self.ledger.holds() {
                return Err(ArtifactError::LeaseLost);
            }
            let piece = std::mem::take(&mut next.tail);
            let json =
                serde_json::to_vec(&piece).map_err(|error| ArtifactError::Stopped(error.to_string()))?;
            let key = self.place.piece(next.pieces.len(), self.epoch);
            let put = self.place.storage.objects().put(&key, PutPayload::from(json)).await;
            put.map_err(|error| ArtifactError::storage("store a list of parts", error))?;
            next.pieces.push(self.epoch);
            let mut data = lock(&self.data);
            data.in_pieces.0 += piece.ids.len();
            data.in_pieces.1 += piece.frames.len();
            drop(data);
            // The piece stays part of the state also where that can't be kept now.
            *state = next.clone();
        }
        self.ledger.keep(&self.place.name, Some(next.clone())).await?;
        *state = next;
        lock(&self.data).kept = parts;
        Ok(())
    }
}

impl Piece {
    /// About how many bytes it has as JSON.
    fn bytes(&self) -> usize {
        let digits = |number: &u64| number.checked_ilog10().unwrap_or_default() as usize + 2;
        self.ids.iter().map(|id| id.len() + 5).sum::<usize>() + self.frames.iter().map(digits).sum::<usize>()
    }
}

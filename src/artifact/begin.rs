//! How an artifact begins: anew, or where another attempt has left its upload.

use std::sync::Arc;

use object_store::{Error, ObjectStoreExt as _};
use sha2::{Digest as _, Sha256};

use super::{
    FRAME_BYTES, WINDOW_BYTES,
    error::ArtifactError,
    keys::{Sealing, sealed_object},
    manifest::Manifest,
    place::Place,
    stage::Begin,
    state::{Ledger, Piece, UploadState},
    storage::StoredPart,
    store::{ArtifactOptions, ArtifactStore, attempt_folder},
    tail::GoingOn,
    tracker::Known,
    upload::{From, Resumable, Stand, Upload},
    writer::ArtifactWriter,
};
use crate::{
    domain::{FileName, JobId, TenantId},
    security::{
        seal::{KeyId, Salt},
        text::hex,
    },
};

/// A piece of an upload's lists has no more bytes than this.
const MOST_PIECE_BYTES: u64 = 8 << 20;

/// Whose artifact begins.
#[derive(Clone, Debug)]
pub struct Maker {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which job makes it.
    pub job: JobId,
    /// Under which lease.
    pub epoch: u64,
}

/// Where another attempt has left an upload.
struct Left {
    epoch: u64,
    sealing: Option<Sealing>,
    state: UploadState,
    going_on: Option<GoingOn>,
    from: From,
}

impl ArtifactStore {
    /// Begins an artifact that other attempts of the job may go on with: its state is kept in the ledger. `left` is what
    /// the ledger has of it.
    ///
    /// # Errors
    /// As [`create`](Self::create); [`ArtifactError::LeaseLost`].
    pub async fn begin(
        &self,
        maker: Maker,
        name: &FileName,
        options: ArtifactOptions,
        ledger: Arc<dyn Ledger>,
        left: Option<UploadState>,
    ) -> Result<ArtifactWriter, ArtifactError> {
        self.begin_with(maker, name, options, Some((ledger, left))).await
    }

    pub(super) async fn begin_with(
        &self,
        maker: Maker,
        name: &FileName,
        options: ArtifactOptions,
        kept: Option<(Arc<dyn Ledger>, Option<UploadState>)>,
    ) -> Result<ArtifactWriter, ArtifactError> {
        let (least, most) = (256, WINDOW_BYTES / 2);
        if !(least..=most).contains(&options.chunk_bytes) {
            let given = options.chunk_bytes;
            return Err(ArtifactError::Invalid(format!(
                "a chunk size of {given} bytes: choose {least} to {most}"
            )));
        }
        let key = match self.keys() {
            Some(keys) => keys.newest(&maker.tenant).await?,
            None => None,
        };
        let source = options.source.as_deref().map(|source| hex(&Sha256::digest(source)));
        let (ledger, state) = match kept {
            Some((ledger, state)) => (Some(ledger), state),
            None => (None, None),
        };
        let mut left = None;
        if let (Some(ledger), Some(state)) = (&ledger, state) {
            let place = self.place(&maker, state.epoch, name);
            let fits = Some(&state.source) == source.as_ref()
                && (state.version, state.program.as_str()) == (UploadState::VERSION, UploadState::PROGRAM)
                && (state.encoding, state.seal.is_some()) == (options.encoding, key.is_some());
            if fits {
                left = self.left(&maker, &place, &state).await?;
            }
            if left.is_none() {
                give_up(&**ledger, &place, &state).await?;
            }
        }
        let begun = match left {
            Some(left) => left,
            None => {
                let sealing = key.map(|(id, key)| {
                    let object = sealed_object(maker.job, maker.epoch, name);
                    let salt = Salt::random(&*self.random());
                    Sealing { tenant: maker.tenant.clone(), object, id, key, salt }
                });
                let state = UploadState {
                    version: UploadState::VERSION,
                    program: UploadState::PROGRAM.to_owned(),
                    epoch: maker.epoch,
                    upload: String::new(),
                    encoding: options.encoding,
                    source: source.clone().unwrap_or_default(),
                    seal: sealing.as_ref().map(Sealing::told),
                    point: None,
                    pieces: Vec::new(),
                    tail: Piece::default(),
                };
                let from = From { stand: Stand::New, known: Known::default(), listed: Vec::new() };
                Left { epoch: maker.epoch, sealing, state, going_on: None, from }
            }
        };
        let Left { epoch, sealing, state, going_on, from } = begun;
        let place = self.place(&maker, epoch, name);
        let manifest = Manifest {
            epoch,
            seal: sealing.as_ref().map(Sealing::told),
            ..Manifest::begun(&maker, name, &place.object(), &options, FRAME_BYTES)
        };
        // Nobody could go on with what has no source.
        let resumable = ledger.filter(|_| source.is_some()).map(|ledger| Resumable { ledger, state });
        let upload = Upload::new(place.clone(), maker.epoch, resumable, from);
        let begin = Begin { encoding: options.encoding, sealing: sealing.clone(), upload, going_on };
        let seal = sealing.map(|sealing| (sealing, self.random()));
        Ok(ArtifactWriter::begin(place, seal, manifest, options.chunk_bytes, begin))
    }

    /// Gives up the upload of an artifact that a job will not go on with.
    pub(crate) async fn give_up(&self, maker: &Maker, name: &FileName, state: &UploadState) {
        self.place(maker, state.epoch, name).abort(&state.upload).await;
    }

    fn place(&self, maker: &Maker, epoch: u64, name: &FileName) -> Place {
        let folder = attempt_folder(&maker.tenant, maker.job, epoch);
        Place { storage: self.storage().clone(), folder, name: name.clone() }
    }

    /// What is there of an upload that was left; `None` where it can't be gone on with.
    async fn left(
        &self,
        maker: &Maker,
        place: &Place,
        state: &UploadState,
    ) -> Result<Option<Left>, ArtifactError> {
        let Some((known, going_on)) = known(place, state).await? else { return Ok(None) };
        let sealing = match (&state.seal, self.keys()) {
            (Some(seal), Some(keys)) => {
                let id = KeyId::from_bytes(seal.key.0);
                let (tenant, salt) = (maker.tenant.clone(), Salt::from_bytes(seal.salt.0));
                let object = sealed_object(maker.job, state.epoch, &place.name);
                let key = match keys.key(&tenant, id).await {
                    // A key that is gone opens nothing that was stored under it.
                    Err(ArtifactError::Keys { soon: false, .. }) => return Ok(None),
                    key => key?,
                };
                let sealing = Sealing { key, tenant, object, id, salt };
                if sealing.told() != *seal {
                    return Ok(None);
                }
                Some(sealing)
            }
            _ => None,
        };
        let (stand, listed) = if place.stored().await?.is_some() {
            (Stand::Complete, Vec::new())
        } else {
            match parts(place, &state.upload).await? {
                Some(listed) if fits(&listed, &known.ids) => (Stand::Begun(state.upload.clone()), listed),
                _ => return Ok(None),
            }
        };
        let from = From { stand, known, listed };
        Ok(Some(Left { epoch: state.epoch, sealing, state: state.clone(), going_on, from }))
    }
}

/// The parts that the storage has, as far as it tells; `None` where it has no such upload.
async fn parts(place: &Place, upload: &str) -> Result<Option<Vec<StoredPart>>, ArtifactError> {
    let Some(unfinished) = place.storage.unfinished() else { return Ok(Some(Vec::new())) };
    match unfinished.parts(&place.object(), upload).await {
        Ok(parts) => Ok(Some(parts)),
        Err(Error::NotFound { .. }) => Ok(None),
        // It is no more than a shortcut.
        Err(Error::PermissionDenied { .. } | Error::NotImplemented { .. } | Error::NotSupported { .. }) => {
            tracing::warn!(
                "the storage does not tell which parts it has (S3: ListMultipartUploadParts; Google: \
                 storage.multipartUploads.listParts)"
            );
            Ok(Some(Vec::new()))
        }
        Err(error) => Err(ArtifactError::storage("list the parts of an upload", error)),
    }
}

/// Whether the parts that the storage lists are those of the state, as far as both know them: with others it would not
/// complete the upload.
fn fits(listed: &[StoredPart], ids: &[String]) -> bool {
    let bare = |id: &str| id.trim_matches('"').to_ascii_lowercase();
    listed.iter().all(|part| ids.get(part.index as usize).is_none_or(|id| bare(id) == bare(&part.id)))
}

/// The lists of an upload, and where to go on; `None` where they are not whole.
async fn known(
    place: &Place,
    state: &UploadState,
) -> Result<Option<(Known, Option<GoingOn>)>, ArtifactError> {
    let mut known = Known::default();
    for (number, epoch) in state.pieces.iter().enumerate() {
        let found = match place.storage.objects().get(&place.piece(number, *epoch)).await {
            Ok(found) if found.meta.size <= MOST_PIECE_BYTES => found.bytes().await,
            Ok(_) | Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => Err(error),
        };
        let bytes = found.map_err(|error| ArtifactError::storage("read a list of parts", error))?;
        let Ok(piece) = serde_json::from_slice::<Piece>(&bytes) else { return Ok(None) };
        known.ids.extend(piece.ids);
        known.frames.extend(piece.frames);
    }
    known.in_pieces = (known.ids.len(), known.frames.len());
    known.ids.extend_from_slice(&state.tail.ids);
    known.frames.extend_from_slice(&state.tail.frames);
    let Some(point) = &state.point else {
        let empty = known.ids.is_empty() && known.frames.is_empty();
        return Ok(empty.then_some((known, None)));
    };
    let whole = (known.ids.len() as u64, known.frames.len() as u64) == (u64::from(point.parts), point.frame)
        && point.stored_from.hash().is_some();
    let compressed = known.frames.iter().try_fold(0_u64, |sum, bytes| sum.checked_add(*bytes));
    let going_on =
        compressed.filter(|_| whole).map(|compressed| GoingOn { point: point.clone(), compressed });
    Ok(going_on.map(|going_on| (known, Some(going_on))))
}

/// Gives up an upload that can't be gone on with: forgotten first, which nobody can whose lease is gone.
async fn give_up(ledger: &dyn Ledger, place: &Place, state: &UploadState) -> Result<(), ArtifactError> {
    if !ledger.holds() {
        return Err(ArtifactError::LeaseLost);
    }
    ledger.keep(&place.name, None).await?;
    place.abort(&state.upload).await;
    Ok(())
}

//! Uploads that are stopped anywhere and gone on with: the stored bytes are those of a run that nobody disturbed, and no
//! part that was stored is stored again.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use md5::{Digest as _, Md5};
use object_store::{
    Error, MultipartId, ObjectStore as _, ObjectStoreExt as _, PutPayload, PutResult,
    memory::InMemory,
    multipart::{MultipartStore, PartId},
    path::Path,
};
use presswork::{
    artifact::{
        ArtifactError, ArtifactOptions, ArtifactStore, ArtifactWriter, FRAME_BYTES, Keys, Ledger, Maker,
        PART_BYTES, Storage, StoredPart, Unfinished, UploadState,
        sweep::{Keep, Keeper},
    },
    domain::{ArtifactPointer, Encoding, FileName, Hex, JobId, Random, SeededRandom, TenantId},
    security::seal::{DataKey, KeyId},
};
use tokio::sync::watch;

fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

fn name() -> FileName {
    "book.bin".parse().unwrap()
}

fn job() -> JobId {
    JobId::from_u128(0x77)
}

fn content(bytes: usize, seed: u64) -> Vec<u8> {
    let mut all = vec![0; bytes];
    SeededRandom::new(seed).fill(&mut all);
    all.iter_mut().enumerate().filter(|(place, _)| place / 64 % 8 == 0).for_each(|(_, byte)| *byte = b'x');
    all
}

type Parts = BTreeMap<usize, Vec<u8>>;

/// A server of multipart uploads over a storage in memory: keeps parts, counts them, loses answers.
#[derive(Debug)]
struct Server {
    objects: Arc<InMemory>,
    uploads: Mutex<BTreeMap<MultipartId, (Path, Parts)>>,
    stored: watch::Sender<usize>,
    twice: Mutex<Vec<usize>>,
    /// No part with this number or a later one is taken.
    refuse_from: Mutex<usize>,
    /// The answer to completing is lost.
    lose_completion: AtomicBool,
    /// Uploads are not told of.
    silent: AtomicBool,
}

impl Server {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            objects: Arc::default(),
            uploads: Mutex::default(),
            stored: watch::channel(0).0,
            twice: Mutex::default(),
            refuse_from: Mutex::new(usize::MAX),
            lose_completion: AtomicBool::new(false),
            silent: AtomicBool::new(false),
        })
    }

    fn storage(self: &Arc<Self>) -> Storage {
        Storage::new(self.objects.clone(), self.clone()).with_unfinished(self.clone())
    }

    fn unfinished(&self) -> usize {
        self.uploads.lock().unwrap().len()
    }
}

fn unknown(key: &Path) -> Error {
    Error::NotFound { path: key.to_string(), source: "NoSuchUpload".into() }
}

fn down() -> Error {
    Error::Generic { store: "test", source: "the server is down".into() }
}

fn tag(bytes: &[u8]) -> String {
    format!("\"{}\"", Hex::<16>(Md5::digest(bytes).into()))
}

#[async_trait]
impl MultipartStore for Server {
    async fn create_multipart(&self, key: &Path) -> object_store::Result<MultipartId> {
        let mut uploads = self.uploads.lock().unwrap();
        let id = format!("upload-{}-{}", key.as_ref().len(), uploads.len() + self.stored.borrow().to_owned());
        uploads.insert(id.clone(), (key.clone(), Parts::new()));
        Ok(id)
    }

    async fn put_part(
        &self,
        key: &Path,
        id: &MultipartId,
        index: usize,
        data: PutPayload,
    ) -> object_store::Result<PartId> {
        if index >= *self.refuse_from.lock().unwrap() {
            return Err(down());
        }
        let bytes: Vec<u8> = data.iter().flat_map(|piece| piece.to_vec()).collect();
        let content_id = tag(&bytes);
        let mut uploads = self.uploads.lock().unwrap();
        let (_, parts) = uploads.get_mut(id).ok_or_else(|| unknown(key))?;
        if parts.insert(index, bytes).is_some() {
            self.twice.lock().unwrap().push(index);
        }
        drop(uploads);
        self.stored.send_modify(|stored| *stored += 1);
        Ok(PartId { content_id })
    }

    async fn complete_multipart(
        &self,
        key: &Path,
        id: &MultipartId,
        ids: Vec<PartId>,
    ) -> object_store::Result<PutResult> {
        let (_, parts) = self.uploads.lock().unwrap().remove(id).ok_or_else(|| unknown(key))?;
        let mut whole = Vec::new();
        for (index, id) in ids.iter().enumerate() {
            let part = &parts[&index];
            assert_eq!(tag(part), id.content_id, "part {index}");
            assert!(index + 1 == ids.len() || part.len() >= PART_BYTES, "part {index} is too small");
            whole.extend_from_slice(part);
        }
        let put = self.objects.put(key, PutPayload::from(whole)).await?;
        if self.lose_completion.swap(false, Ordering::SeqCst) { Err(down()) } else { Ok(put) }
    }

    async fn abort_multipart(&self, key: &Path, id: &MultipartId) -> object_store::Result<()> {
        self.uploads.lock().unwrap().remove(id).map(drop).ok_or_else(|| unknown(key))
    }
}

#[async_trait]
impl Unfinished for Server {
    async fn parts(&self, key: &Path, upload: &str) -> object_store::Result<Vec<StoredPart>> {
        let uploads = self.uploads.lock().unwrap();
        let (_, parts) = uploads.get(upload).ok_or_else(|| unknown(key))?;
        if self.silent.load(Ordering::SeqCst) {
            return Ok(Vec::new());
        }
        let told = |(index, bytes): (&usize, &Vec<u8>)| StoredPart {
            index: u32::try_from(*index).unwrap(),
            bytes: bytes.len() as u64,
            id: tag(bytes),
        };
        Ok(parts.iter().map(told).collect())
    }

    async fn uploads(&self, folder: &Path) -> object_store::Result<Vec<(Path, String)>> {
        let uploads = self.uploads.lock().unwrap();
        let below = uploads.iter().filter(|(_, (key, _))| key.prefix_matches(folder));
        Ok(below.map(|(id, (key, _))| (key.clone(), id.clone())).collect())
    }
}

/// Whether a part is known to be stored.
fn has_point(state: &Option<UploadState>) -> bool {
    serde_json::to_value(state).unwrap()["point"]["parts"].as_u64() >= Some(1)
}

/// The job's checkpoint, as the queue has it; refuses what an attempt says whose lease is gone.
struct Kept {
    state: Arc<watch::Sender<Option<UploadState>>>,
    holds: AtomicBool,
    /// No more is kept once so many have been.
    most: Mutex<usize>,
}

impl Kept {
    fn of(state: &Arc<watch::Sender<Option<UploadState>>>, most: usize) -> Arc<Self> {
        Arc::new(Self { state: state.clone(), holds: AtomicBool::new(true), most: Mutex::new(most) })
    }

    fn lose(&self) {
        self.holds.store(false, Ordering::SeqCst);
    }
}

#[async_trait]
impl Ledger for Kept {
    async fn keep(&self, _: &FileName, state: Option<UploadState>) -> Result<(), ArtifactError> {
        if !self.holds() {
            return Err(ArtifactError::LeaseLost);
        }
        let mut most = self.most.lock().unwrap();
        if *most == 0 {
            return Err(ArtifactError::Stopped("the queue is away".to_owned()));
        }
        *most -= 1;
        // As the queue would have it.
        let json = serde_json::to_vec(&state).unwrap();
        assert!(json.len() <= UploadState::MOST_BYTES, "{}", json.len());
        self.state.send_replace(serde_json::from_slice(&json).unwrap());
        Ok(())
    }

    fn holds(&self) -> bool {
        self.holds.load(Ordering::SeqCst)
    }
}

struct OneKey(KeyId, Arc<DataKey>);

impl OneKey {
    fn new() -> Arc<Self> {
        let random = SeededRandom::new(5);
        Arc::new(Self(KeyId::random(&random), Arc::new(DataKey::random(&random))))
    }
}

#[async_trait]
impl Keys for OneKey {
    async fn newest(&self, _: &TenantId) -> Result<Option<(KeyId, Arc<DataKey>)>, ArtifactError> {
        Ok(Some((self.0, self.1.clone())))
    }

    async fn key(&self, _: &TenantId, id: KeyId) -> Result<Arc<DataKey>, ArtifactError> {
        assert_eq!(id, self.0);
        Ok(self.1.clone())
    }
}

/// A job on a storage: attempt after attempt.
struct Book {
    server: Arc<Server>,
    store: ArtifactStore,
    state: Arc<watch::Sender<Option<UploadState>>>,
    encoding: Encoding,
    epoch: u64,
}

impl Book {
    fn new(encoding: Encoding, sealed: bool) -> Self {
        let server = Server::new();
        let store = ArtifactStore::new(server.storage());
        // The same salt in each book, so that two of them can be compared.
        let keys = || OneKey::new() as Arc<dyn Keys>;
        let store = if sealed { store.with_keys(keys(), Arc::new(SeededRandom::new(3))) } else { store };
        Self { server, store, state: Arc::new(watch::channel(None).0), encoding, epoch: 0 }
    }

    fn left(&self) -> Option<UploadState> {
        self.state.borrow().clone()
    }

    async fn attempt(&mut self, source: &str, kept: &Arc<Kept>) -> ArtifactWriter {
        self.epoch += 1;
        let options = ArtifactOptions {
            encoding: self.encoding,
            source: Some(source.to_owned()),
            ..ArtifactOptions::default()
        };
        let maker = Maker { tenant: tenant(), job: job(), epoch: self.epoch };
        self.store.begin(maker, &name(), options, kept.clone(), self.left()).await.unwrap()
    }

    async fn whole(&mut self, plain: &[u8]) -> Result<ArtifactPointer, ArtifactError> {
        let kept = Kept::of(&self.state, usize::MAX);
        let mut writer = self.attempt("one", &kept).await;
        for piece in plain.chunks(50_021) {
            writer.write(piece).await?;
        }
        writer.finish().await
    }

    async fn stored(&self, pointer: &ArtifactPointer) -> Vec<u8> {
        let key = pointer.manifest.replace(".manifests/", "").replace(".json", "");
        self.server.objects.get(&Path::parse(key).unwrap()).await.unwrap().bytes().await.unwrap().to_vec()
    }

    /// An attempt that is killed once so many bytes were written and so many parts and states are durable.
    async fn killed(&mut self, plain: &[u8], parts: usize, states: usize) {
        let kept = Kept::of(&self.state, states);
        let goal = *self.server.stored.borrow() + parts;
        *self.server.refuse_from.lock().unwrap() = usize::MAX;
        let mut stored = self.server.stored.subscribe();
        let mut writer = self.attempt("one", &kept).await;
        for piece in plain.chunks(50_021) {
            writer.write(piece).await.unwrap();
        }
        stored.wait_for(|stored| *stored >= goal).await.unwrap();
        let mut state = self.state.subscribe();
        // The state follows the parts without being waited for.
        let until = |state: &Option<UploadState>| *kept.most.lock().unwrap() == 0 || has_point(state);
        state.wait_for(until).await.unwrap();
        kept.lose();
        // From here on nothing of it reaches the server, as from a process that is gone.
        *self.server.refuse_from.lock().unwrap() = 0;
        drop(writer);
        while Arc::strong_count(&kept) > 1 {
            tokio::task::yield_now().await;
        }
        *self.server.refuse_from.lock().unwrap() = usize::MAX;
    }
}

#[tokio::test]
async fn whatever_is_stopped_where_the_stored_bytes_are_those_of_a_run_that_nobody_disturbed() {
    for sealed in [false, true] {
        for encoding in Encoding::ALL {
            let plain = content(4 * PART_BYTES + 3 * FRAME_BYTES / 2, 1);
            let mut undisturbed = Book::new(encoding, sealed);
            let pointer = undisturbed.whole(&plain).await.unwrap();
            assert_eq!(pointer.seal.is_some(), sealed);
            let expected = undisturbed.stored(&pointer).await;
            assert!(expected.len() > 3 * PART_BYTES, "{encoding}: {}", expected.len());

            let mut book = Book::new(encoding, sealed);
            // Twice: with all states kept, then with states that lag behind the parts.
            book.killed(&plain[..plain.len() / 2], 1, usize::MAX).await;
            book.killed(&plain[..plain.len() * 4 / 5], 1, 1).await;
            let second = book.whole(&plain).await.unwrap();
            assert!(book.stored(&second).await == expected, "{encoding}, sealed: {sealed}");
            assert_eq!(second, pointer, "the attempt that began it is in its key");
            assert_eq!(*book.server.twice.lock().unwrap(), Vec::<usize>::new(), "{encoding}");
            assert_eq!(book.server.unfinished(), 0);
        }
    }
}

#[tokio::test]
async fn a_storage_that_tells_nothing_of_its_parts_is_gone_on_with_from_the_state_alone() {
    let plain = content(4 * PART_BYTES, 2);
    let mut book = Book::new(Encoding::None, true);
    book.server.silent.store(true, Ordering::SeqCst);
    book.killed(&plain[..3 * PART_BYTES], 2, usize::MAX).await;
    let pointer = book.whole(&plain).await.unwrap();
    let mut undisturbed = Book::new(Encoding::None, true);
    let expected = undisturbed.whole(&plain).await.unwrap();
    assert!(book.stored(&pointer).await == undisturbed.stored(&expected).await);
}

#[tokio::test]
async fn a_completion_whose_answer_is_lost_is_one() {
    let plain = content(2 * PART_BYTES, 3);
    let mut book = Book::new(Encoding::None, false);
    book.server.lose_completion.store(true, Ordering::SeqCst);
    let pointer = book.whole(&plain).await.unwrap();
    assert!(book.stored(&pointer).await == plain);
}

#[tokio::test]
async fn an_attempt_that_was_killed_after_completing_is_compared_and_nothing_is_stored_again() {
    let plain = content(2 * PART_BYTES + 5, 4);
    for sealed in [false, true] {
        let mut book = Book::new(Encoding::Zstd, sealed);
        let first = book.whole(&plain).await.unwrap();
        let (parts, state) = (*book.server.stored.borrow(), book.left());
        let second = book.whole(&plain).await.unwrap();
        assert_eq!(second, first);
        assert_eq!(*book.server.stored.borrow(), parts);

        // Other bytes are not taken for those.
        book.state.send_replace(state);
        let mut other = plain.clone();
        *other.last_mut().unwrap() ^= 1;
        assert!(matches!(book.whole(&other).await, Err(ArtifactError::StartOver(_))));
        assert_eq!(book.left(), None);
        let third = book.whole(&other).await.unwrap();
        assert_ne!(third.manifest, first.manifest);
    }
}

#[tokio::test]
async fn what_is_made_from_something_else_starts_over_and_what_has_changed_unsaid_is_found_out() {
    let plain = content(3 * PART_BYTES, 5);
    for (place, encoding) in [(0, Encoding::None), (PART_BYTES - 100, Encoding::None), (7, Encoding::Brotli)]
    {
        let mut book = Book::new(encoding, false);
        book.killed(&plain[..5 * PART_BYTES / 2], 1, usize::MAX).await;
        let mut other = plain.clone();
        other[place] ^= 0x55;
        let refused = book.whole(&other).await;
        assert!(matches!(refused, Err(ArtifactError::StartOver(_))), "{place}: {refused:?}");
        assert_eq!((book.left(), book.server.unfinished()), (None, 0), "{place}");
        let again = book.whole(&other).await.unwrap();
        let mut undisturbed = Book::new(encoding, false);
        let expected = undisturbed.whole(&other).await.unwrap();
        assert!(book.stored(&again).await == undisturbed.stored(&expected).await);
    }
    // Shorter than what is stored.
    let mut book = Book::new(Encoding::None, false);
    book.killed(&plain[..5 * PART_BYTES / 2], 2, usize::MAX).await;
    assert!(matches!(book.whole(&plain[..PART_BYTES / 2]).await, Err(ArtifactError::StartOver(_))));
    // Said to be something else: the old one is given up before the first byte.
    let mut book = Book::new(Encoding::None, false);
    book.killed(&plain[..5 * PART_BYTES / 2], 1, usize::MAX).await;
    let kept = Kept::of(&book.state, usize::MAX);
    let writer = book.attempt("two", &kept).await;
    assert_eq!((book.left(), book.server.unfinished()), (None, 0));
    drop(writer);
}

#[tokio::test]
async fn who_has_lost_the_lease_neither_completes_nor_gives_up_what_another_goes_on_with() {
    let plain = content(3 * PART_BYTES, 6);
    let mut book = Book::new(Encoding::None, false);
    let kept = Kept::of(&book.state, usize::MAX);
    let mut stored = book.server.stored.subscribe();
    let mut zombie = book.attempt("one", &kept).await;
    zombie.write(&plain).await.unwrap();
    stored.wait_for(|stored| *stored >= 2).await.unwrap();
    kept.lose();
    let ended = zombie.finish().await;
    assert!(matches!(ended, Err(ArtifactError::LeaseLost)), "{ended:?}");
    assert_eq!(book.server.unfinished(), 1);
    let pointer = book.whole(&plain).await.unwrap();
    assert!(book.stored(&pointer).await == plain);
}

#[tokio::test]
async fn what_could_not_be_forgotten_is_not_given_up() {
    let plain = content(3 * PART_BYTES, 11);
    let mut book = Book::new(Encoding::None, false);
    book.killed(&plain[..5 * PART_BYTES / 2], 1, usize::MAX).await;
    let mut other = plain.clone();
    other[0] ^= 0x55;
    let kept = Kept::of(&book.state, 0);
    let mut writer = book.attempt("one", &kept).await;
    let written = writer.write(&other).await;
    let ended = if written.is_ok() { writer.finish().await.map(drop) } else { written };
    assert!(matches!(ended, Err(ArtifactError::StartOver(_))), "{ended:?}");
    assert!(book.left().is_some());
    assert_eq!(book.server.unfinished(), 1);
    let pointer = book.whole(&plain).await.unwrap();
    assert!(book.stored(&pointer).await == plain);
}

#[tokio::test]
async fn no_other_bytes_are_sealed_in_the_place_of_a_part_that_is_stored() {
    let plain = content(3 * PART_BYTES, 12);
    let mut book = Book::new(Encoding::None, true);
    // The state lags behind the parts: nothing but their tags tells that they are others.
    book.killed(&plain[..5 * PART_BYTES / 2], 1, 1).await;
    let mut other = plain.clone();
    other[0] ^= 0x55;
    let refused = book.whole(&other).await;
    assert!(matches!(refused, Err(ArtifactError::StartOver(_))), "{refused:?}");
    assert_eq!(*book.server.twice.lock().unwrap(), Vec::<usize>::new());
    assert_eq!((book.left(), book.server.unfinished()), (None, 0));
    assert!(book.whole(&other).await.is_ok());
}

struct Known(Keep);

#[async_trait]
impl Keeper for Known {
    async fn keep(&self, _: &TenantId, _: JobId) -> Result<Keep, ArtifactError> {
        Ok(self.0.clone())
    }
}

#[tokio::test]
async fn the_sweep_keeps_what_may_be_gone_on_with_and_gives_up_the_rest() {
    let plain = content(3 * PART_BYTES, 7);
    let mut book = Book::new(Encoding::None, false);
    book.killed(&plain[..5 * PART_BYTES / 2], 2, usize::MAX).await;
    // One whose attempt was killed before it could say so.
    let dead = Path::from(format!("acme/artifacts/{}/000009/other", job()));
    book.server.create_multipart(&dead).await.unwrap();
    let keep = |epochs: &[u64]| Known(Keep::Attempts(epochs.iter().copied().collect::<BTreeSet<_>>()));
    assert_eq!(book.store.sweep(&keep(&[1])).await.unwrap(), 0);
    assert_eq!(book.server.unfinished(), 1, "the dead one is gone");
    let pointer = book.whole(&plain).await.unwrap();
    assert!(book.stored(&pointer).await == plain);
    // Published: what belonged to the upload goes, the artifact stays.
    let published = Known(Keep::Published(vec![pointer.manifest.clone()]));
    assert_eq!(book.store.sweep(&published).await.unwrap(), 1);
    assert_eq!(book.store.sweep(&published).await.unwrap(), 0);
    assert!(book.stored(&pointer).await == plain);
    assert_eq!(book.store.sweep(&Known(Keep::Nothing)).await.unwrap(), 2);

    let mut book = Book::new(Encoding::None, false);
    book.killed(&plain[..5 * PART_BYTES / 2], 2, usize::MAX).await;
    book.store.sweep(&Known(Keep::Nothing)).await.unwrap();
    assert_eq!(book.server.unfinished(), 0);
    let keys: Vec<_> = book.server.objects.list(None).try_collect().await.unwrap();
    assert!(keys.is_empty(), "{keys:?}");
    // The state of the job that was put back names an upload that is gone.
    assert!(book.whole(&plain).await.is_ok());
}

#[tokio::test]
async fn a_server_that_is_down_fails_the_attempt_and_keeps_the_upload_for_the_next() {
    let plain = content(4 * PART_BYTES, 8);
    let mut book = Book::new(Encoding::None, false);
    *book.server.refuse_from.lock().unwrap() = 2;
    let failed = book.whole(&plain).await;
    assert!(matches!(failed, Err(ArtifactError::Storage { .. })), "{failed:?}");
    assert_eq!(book.server.unfinished(), 1);
    *book.server.refuse_from.lock().unwrap() = usize::MAX;
    let pointer = book.whole(&plain).await.unwrap();
    assert!(book.stored(&pointer).await == plain);
    assert_eq!(*book.server.twice.lock().unwrap(), Vec::<usize>::new());
}

#[tokio::test]
async fn a_disk_goes_on_with_what_a_killed_process_left() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::folder(folder.path().to_owned()).unwrap();
    let state = Arc::new(watch::channel(None).0);
    let plain = content(3 * PART_BYTES + 11, 9);
    let options = ArtifactOptions {
        encoding: Encoding::None,
        source: Some("one".to_owned()),
        ..ArtifactOptions::default()
    };
    let begin = async |epoch, kept: &Arc<Kept>| {
        let maker = Maker { tenant: tenant(), job: job(), epoch };
        let left = state.borrow().clone();
        let store = ArtifactStore::new(storage.clone());
        store.begin(maker, &name(), options.clone(), kept.clone(), left).await.unwrap()
    };
    let kept = Kept::of(&state, usize::MAX);
    let mut writer = begin(1, &kept).await;
    writer.write(&plain[..2 * PART_BYTES + 200_000]).await.unwrap();
    let mut known = state.subscribe();
    known.wait_for(has_point).await.unwrap();
    kept.lose();
    drop(writer);
    let kept = Kept::of(&state, usize::MAX);
    let mut writer = begin(2, &kept).await;
    writer.write(&plain).await.unwrap();
    let pointer = writer.finish().await.unwrap();
    assert!(pointer.manifest.contains("/000001/"));
    let store = ArtifactStore::new(storage.clone());
    let manifest = store.manifest(&pointer).await.unwrap();
    let bytes = std::fs::read(folder.path().join(&manifest.object)).unwrap();
    assert!(bytes == plain);
    assert_eq!(manifest.parts, 4);

    // And one of which nothing is to be left.
    state.send_replace(None);
    let kept = Kept::of(&state, usize::MAX);
    let mut writer = begin(3, &kept).await;
    writer.write(&plain[..2 * PART_BYTES]).await.unwrap();
    state.subscribe().wait_for(Option::is_some).await.unwrap();
    kept.lose();
    drop(writer);
    store.sweep(&Known(Keep::Nothing)).await.unwrap();
    let left: Vec<_> = storage.objects().list(None).try_collect().await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_disk_gets_in_pieces_the_bytes_that_another_storage_gets_in_parts() {
    for sealed in [false, true] {
        for encoding in Encoding::ALL {
            let plain = content(3 * PART_BYTES + FRAME_BYTES / 2, 4);
            let mut elsewhere = Book::new(encoding, sealed);
            let pointer = elsewhere.whole(&plain).await.unwrap();
            let expected = elsewhere.stored(&pointer).await;

            let folder = tempfile::tempdir().unwrap();
            let storage = Storage::folder(folder.path().to_owned()).unwrap();
            let on_disk = Book::new(encoding, sealed);
            let store = ArtifactStore::new(storage);
            let random = Arc::new(SeededRandom::new(3));
            let store = if sealed { store.with_keys(OneKey::new(), random) } else { store };
            let mut on_disk = Book { store, ..on_disk };
            let kept = Kept::of(&on_disk.state, usize::MAX);
            let mut writer = on_disk.attempt("one", &kept).await;
            writer.write(&plain[..plain.len() * 3 / 4]).await.unwrap();
            on_disk.state.subscribe().wait_for(has_point).await.unwrap();
            kept.lose();
            drop(writer);
            let again = on_disk.whole(&plain).await.unwrap();
            assert_eq!(again, pointer, "{encoding}, sealed: {sealed}");
            let key = again.manifest.replace(".manifests/", "").replace(".json", "");
            let stored = std::fs::read(folder.path().join(key)).unwrap();
            assert!(stored == expected, "{encoding}, sealed: {sealed}");
        }
    }
}

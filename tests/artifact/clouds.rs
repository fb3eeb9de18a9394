//! What every kind of bucket does for artifacts, over a server of each, with clients as the program makes them: S3, Google (a
//! translation of the S3 server) and Azure (Azurite).

use std::{
    collections::BTreeSet,
    ops::Deref,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use object_store::{Error, ObjectStoreExt as _, PutMode, PutPayload, UpdateVersion, path::Path};
use presswork::{
    artifact::{
        ArtifactError, ArtifactOptions, ArtifactStore, Keys, Ledger, Maker, PART_BYTES, Storage, UploadState,
        sweep::{Keep, Keeper},
    },
    domain::{ArtifactPointer, Encoding, FileName, JobId, SeededRandom, TenantId},
    security::seal::{DataKey, KeyId},
};
use tokio::sync::watch;

use crate::{
    content, job, read,
    servers::{
        AzureServer, S3Server,
        s3::{Fault, Gateway, Matching, Moment, Operation},
    },
    tenant,
};

/// A server of one kind, and a storage on it.
struct Cloud {
    server: Server,
    storage: Storage,
}

enum Server {
    S3(S3Server),
    Google(S3Server),
    Azure(AzureServer),
}

impl Deref for Cloud {
    type Target = Gateway;

    fn deref(&self) -> &Gateway {
        match &self.server {
            Server::S3(server) | Server::Google(server) => server,
            Server::Azure(server) => server,
        }
    }
}

impl Cloud {
    fn on(server: Server) -> Self {
        let (url, variables) = match &server {
            Server::S3(server) | Server::Google(server) => {
                (server.storage_url("some/prefix"), server.environment())
            }
            Server::Azure(server) => (server.storage_url("some/prefix"), server.environment()),
        };
        let variables: Vec<_> = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let storage = Storage::open_with(&url.parse().unwrap(), &variables).unwrap();
        Self { server, storage }
    }

    fn all() -> [Self; 3] {
        [
            Server::S3(S3Server::start()),
            Server::Google(S3Server::start_google()),
            Server::Azure(AzureServer::start()),
        ]
        .map(Self::on)
    }

    /// Whether it tells which parts it has.
    fn tells_parts(&self) -> bool {
        !matches!(self.server, Server::Azure(_))
    }

    fn name(&self) -> String {
        self.storage.to_string()
    }

    fn store(&self, sealed: bool) -> ArtifactStore {
        let store = ArtifactStore::new(self.storage.clone());
        if sealed { store.with_keys(OneKey::new(), Arc::new(SeededRandom::new(3))) } else { store }
    }

    async fn keys(&self) -> Vec<String> {
        let found = self.storage.objects().list(None).map_ok(|meta| meta.location.to_string());
        found.try_collect().await.unwrap()
    }
}

struct OneKey(KeyId, Arc<DataKey>);

impl OneKey {
    fn new() -> Arc<Self> {
        Arc::new(Self(KeyId::from_bytes([7; 16]), Arc::new(DataKey::from_bytes(&[9; 32]))))
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

/// A job's checkpoint: keeps so many states, and none of an attempt whose lease is gone.
struct Kept {
    state: watch::Sender<Option<UploadState>>,
    most: Mutex<usize>,
    holds: AtomicBool,
}

impl Kept {
    fn new(state: Option<UploadState>, most: usize) -> Arc<Self> {
        Arc::new(Self {
            state: watch::channel(state).0,
            most: Mutex::new(most),
            holds: AtomicBool::new(true),
        })
    }

    fn state(&self) -> Option<UploadState> {
        self.state.borrow().clone()
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
        self.state.send_replace(state);
        Ok(())
    }

    fn holds(&self) -> bool {
        self.holds.load(Ordering::SeqCst)
    }
}

/// How many parts a state says are stored.
fn points(state: Option<&UploadState>) -> u64 {
    serde_json::to_value(state).unwrap()["point"]["parts"].as_u64().unwrap_or_default()
}

fn options() -> ArtifactOptions {
    let source = Some("one".to_owned());
    ArtifactOptions { encoding: Encoding::None, source, ..ArtifactOptions::default() }
}

/// An attempt that gets to its end.
async fn finished(
    store: &ArtifactStore,
    epoch: u64,
    kept: &Arc<Kept>,
    plain: &[u8],
) -> Result<ArtifactPointer, ArtifactError> {
    let (maker, name) = (Maker { tenant: tenant(), job: job(), epoch }, "book.bin".parse().unwrap());
    let mut writer = store.begin(maker, &name, options(), kept.clone(), kept.state()).await?;
    for piece in plain.chunks(50_021) {
        writer.write(piece).await?;
    }
    writer.finish().await
}

#[tokio::test]
async fn what_goes_into_any_cloud_comes_out_of_it_whole_and_in_ranges() {
    let plain = content(3 * PART_BYTES + 7);
    for cloud in Cloud::all() {
        for (epoch, sealed) in [(1, false), (2, true)] {
            let (store, what) = (cloud.store(sealed), format!("{}, sealed: {sealed}", cloud.name()));
            let pointer = finished(&store, epoch, &Kept::new(None, usize::MAX), &plain).await.unwrap();
            assert_eq!(store.manifest(&pointer).await.unwrap().parts, 4, "{what}");
            assert!(read(&store, &pointer).await.unwrap() == plain, "{what}");
            let (from, to) = (PART_BYTES as u64 - 3, PART_BYTES as u64 + 70_001);
            let range = store.read_range(&pointer, from..to).await.unwrap();
            let range: Vec<u8> = range.map_ok(|piece| piece.to_vec()).try_concat().await.unwrap();
            assert!(range == plain[PART_BYTES - 3..PART_BYTES + 70_001], "{what}");
            store.verify(&pointer).await.unwrap();
            assert_eq!(pointer.seal.is_some(), sealed, "{what}");
        }
        let figures = cloud.figures();
        assert_eq!(figures.done(Operation::UploadPart), 8, "{}", cloud.name());
        assert!(figures.most_parts_at_once <= 2, "{}: {}", cloud.name(), figures.most_parts_at_once);
    }
}

#[tokio::test]
async fn an_upload_to_any_cloud_goes_on_where_it_was_stopped_and_sends_nothing_durable_again() {
    let plain = content(5 * PART_BYTES + 7);
    for cloud in Cloud::all() {
        // With one state, what is known is no more than the upload's id: the state lags behind the parts.
        for (epoch, sealed, states) in [(1, false, usize::MAX), (3, true, 1)] {
            let states = if cloud.tells_parts() { states } else { usize::MAX };
            let what = format!("{}, sealed: {sealed}, states: {states}", cloud.name());
            let store = cloud.store(sealed);
            let before = cloud.figures().done(Operation::UploadPart);
            let kept = Kept::new(None, states);
            let (maker, name) = (Maker { tenant: tenant(), job: job(), epoch }, "book.bin".parse().unwrap());
            let mut writer = store.begin(maker, &name, options(), kept.clone(), None).await.unwrap();
            // So that nothing of it is stored later than it is looked for.
            let gate = cloud.hold(Matching::operation(Operation::UploadPart), 3, Moment::Arrived);
            writer.write(&plain[..7 * PART_BYTES / 2]).await.unwrap();
            gate.reached().await;
            cloud.until(&what, |figures| figures.done(Operation::UploadPart) >= before + 2).await;
            let wanted = u64::from(states > 1);
            kept.state.subscribe().wait_for(|state| points(state.as_ref()) >= wanted).await.unwrap();
            kept.holds.store(false, Ordering::SeqCst);
            drop(writer);
            while Arc::strong_count(&kept) > 1 {
                tokio::task::yield_now().await;
            }
            gate.cut();

            let named = points(kept.state().as_ref());
            let sent = cloud.figures().arrived(Operation::UploadPart);
            let again = Kept::new(kept.state(), usize::MAX);
            let pointer = finished(&store, epoch + 1, &again, &plain).await.unwrap();
            assert!(
                pointer.manifest.contains(&format!("/{epoch:06}/")),
                "{what}: it went on with the first attempt's"
            );
            let sent = u64::from(cloud.figures().arrived(Operation::UploadPart) - sent);
            assert!(sent <= 6 - named, "{what}: {named} of 6 parts were known, {sent} were sent");
            if cloud.tells_parts() {
                let figures = cloud.figures();
                assert_eq!((figures.parts_stored_twice(), figures.parts_sent_again()), (0, 0), "{what}");
            }
            assert!(read(&store, &pointer).await.unwrap() == plain, "{what}");
            store.remove_attempt(&tenant(), job(), epoch).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_completion_by_any_cloud_whose_answer_is_lost_is_one() {
    let plain = content(2 * PART_BYTES + 9);
    for cloud in Cloud::all() {
        let store = cloud.store(false);
        cloud.break_one(Matching::operation(Operation::CompleteUpload), 1, Fault::LoseAnswer);
        let pointer = finished(&store, 1, &Kept::new(None, usize::MAX), &plain).await;
        let pointer = pointer.unwrap_or_else(|error| panic!("{}: {error}", cloud.name()));
        assert!(read(&store, &pointer).await.unwrap() == plain, "{}", cloud.name());
        assert_eq!(cloud.figures().done(Operation::UploadPart), 3, "{}", cloud.name());
    }
}

struct Nobody;

#[async_trait]
impl Keeper for Nobody {
    async fn keep(&self, _: &TenantId, _: JobId) -> Result<Keep, ArtifactError> {
        Ok(Keep::Nothing)
    }
}

#[tokio::test]
async fn what_a_dead_attempt_left_on_any_cloud_is_swept() {
    let plain = content(3 * PART_BYTES);
    for cloud in Cloud::all() {
        let (store, kept) = (cloud.store(false), Kept::new(None, usize::MAX));
        let (maker, name) = (Maker { tenant: tenant(), job: job(), epoch: 1 }, "book.bin".parse().unwrap());
        let mut writer = store.begin(maker, &name, options(), kept.clone(), None).await.unwrap();
        writer.write(&plain).await.unwrap();
        kept.state.subscribe().wait_for(|state| points(state.as_ref()) >= 1).await.unwrap();
        kept.holds.store(false, Ordering::SeqCst);
        drop(writer);
        while Arc::strong_count(&kept) > 1 {
            tokio::task::yield_now().await;
        }
        // And one that was killed before it could say that there is an upload.
        let silent = Path::from(format!("acme/artifacts/{}/000002/other.bin", job()));
        cloud.storage.multipart().create_multipart(&silent).await.unwrap();
        assert_eq!(cloud.keys().await.len(), 1, "{}: nothing is seen but the marker", cloud.name());

        assert_eq!(store.sweep(&Nobody).await.unwrap(), 1, "{}", cloud.name());
        assert_eq!(cloud.keys().await, [] as [String; 0], "{}", cloud.name());
        if let Some(unfinished) = cloud.storage.unfinished() {
            let left = unfinished.uploads(&Path::from("acme")).await.unwrap();
            assert_eq!(left, [], "{}", cloud.name());
        }
        // What it left is not gone on with, whether the storage has it still or not.
        let pointer = finished(&store, 3, &Kept::new(kept.state(), usize::MAX), &plain).await.unwrap();
        assert!(read(&store, &pointer).await.unwrap() == plain, "{}", cloud.name());
    }
}

#[tokio::test]
async fn an_object_of_any_cloud_is_replaced_on_the_condition_that_it_is_the_one_that_was_read() {
    for cloud in Cloud::all() {
        let (store, key) = (cloud.storage.objects(), Path::from("acme/projects/ü ß/book.json"));
        let put = async |text: &'static str, mode: PutMode| {
            store.put_opts(&key, PutPayload::from_static(text.as_bytes()), mode.into()).await
        };
        let version = async || {
            let meta = store.get(&key).await.unwrap().meta;
            UpdateVersion { e_tag: meta.e_tag, version: meta.version }
        };
        let what = cloud.name();
        let made = put("1", PutMode::Create).await.unwrap();
        let made = UpdateVersion { e_tag: made.e_tag, version: made.version };
        let second = put("2", PutMode::Create).await;
        assert!(matches!(second, Err(Error::AlreadyExists { .. })), "{what}: {second:?}");
        let first = version().await;
        put("3", PutMode::Update(first.clone())).await.unwrap();
        for old in [first, made] {
            let stale = put("4", PutMode::Update(old)).await;
            assert!(matches!(stale, Err(Error::Precondition { .. })), "{what}: {stale:?}");
        }
        let (one, two) = (version().await, version().await);
        let racing = tokio::join!(put("5", PutMode::Update(one)), put("6", PutMode::Update(two)));
        let won = [racing.0.is_ok(), racing.1.is_ok()];
        // `s3s-fs` looks first and writes then.
        let is_one_step = !matches!(cloud.server, Server::S3(_));
        assert!(!is_one_step || won == [true, false] || won == [false, true], "{what}: {racing:?}");
        let last = store.get(&key).await.unwrap().bytes().await.unwrap();
        assert!(!is_one_step || last == if won[0] { "5" } else { "6" }, "{what}");
        let gone = version().await;
        store.delete(&key).await.unwrap();
        assert!(
            put("7", PutMode::Update(gone)).await.is_err(),
            "{what}: what is removed is not the one that was read"
        );
    }
}

#[tokio::test]
async fn folders_and_objects_of_any_cloud_are_listed_and_removed_by_their_names() {
    for cloud in Cloud::all() {
        let (store, what) = (cloud.storage.objects(), cloud.name());
        let names = ["acme/a", "acme/b/1", "acme/ü ß/c%2F#?&+", "other/d"];
        for name in names {
            store.put(&Path::from(name), PutPayload::from_static(b"0123456789")).await.unwrap();
        }
        let found: BTreeSet<String> = cloud.keys().await.into_iter().collect();
        assert_eq!(found, names.map(|name| Path::from(name).to_string()).into(), "{what}");
        let listed = store.list_with_delimiter(Some(&Path::from("acme"))).await.unwrap();
        assert_eq!((listed.objects.len(), listed.common_prefixes.len()), (1, 2), "{what}");
        // Azurite does not know `startFrom`, and answers with all.
        if !matches!(cloud.server, Server::Azure(_)) {
            let offset = store.list_with_offset(None, &Path::from("acme/b"));
            let behind: Vec<_> = offset.map_ok(|meta| meta.location.to_string()).try_collect().await.unwrap();
            let wanted = |name: &&String| name.as_str() > "acme/b";
            assert_eq!(
                behind.iter().collect::<BTreeSet<_>>(),
                found.iter().filter(wanted).collect(),
                "{what}"
            );
        }
        let every = futures_util::stream::iter(names.map(|name| Ok(Path::from(name))));
        let removed = store.delete_stream(Box::pin(every)).try_collect::<Vec<_>>().await.unwrap();
        assert_eq!((removed.len(), cloud.keys().await.len()), (4, 0), "{what}");
        let none = store.get(&Path::from("acme/a")).await;
        assert!(matches!(none, Err(Error::NotFound { .. })), "{what}: {none:?}");
    }
}

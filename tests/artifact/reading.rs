//! Reading back: ranges against the whole, at every edge and at random, for every encoding, sealed or not; what is read of
//! storage for them; and that nothing that was changed is taken for what was written.

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{TryStreamExt as _, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload, PutResult, memory::InMemory,
    path::Path,
};
use presswork::{
    artifact::{ArtifactError, ArtifactStore, FRAME_BYTES, Keys, Manifest, sealed_object},
    domain::{ArtifactPointer, Encoding, Hex, Random as _, SealedAs, SeededRandom, TenantId, Timestamp},
    security::seal::{self, DataKey, KeyId, SEGMENT_BYTES, SealContext, TAG_BYTES},
};
use sha2::{Digest as _, Sha256};

use crate::{content, read, tenant, write};

/// One tenant's one key.
struct Ring {
    tenant: TenantId,
    id: KeyId,
    key: Arc<DataKey>,
}

#[async_trait]
impl Keys for Ring {
    async fn newest(&self, _: &TenantId) -> Result<Option<(KeyId, Arc<DataKey>)>, ArtifactError> {
        Ok(None)
    }

    async fn key(&self, tenant: &TenantId, id: KeyId) -> Result<Arc<DataKey>, ArtifactError> {
        if (tenant, id) == (&self.tenant, self.id) {
            return Ok(self.key.clone());
        }
        Err(ArtifactError::Keys { cause: "no such key".into(), soon: false })
    }
}

fn ring() -> Arc<Ring> {
    let (id, key) = (KeyId::from_bytes([7; 16]), Arc::new(DataKey::from_bytes(&[9; 32])));
    Arc::new(Ring { tenant: tenant(), id, key })
}

/// Storage that counts what is read of it.
#[derive(Debug, Default)]
struct Counted {
    inner: InMemory,
    read: AtomicU64,
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "counted")
    }
}

#[async_trait]
impl ObjectStore for Counted {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        let got = self.inner.get_opts(location, options).await?;
        if !location.as_ref().contains("/.manifests/") {
            self.read.fetch_add(got.range.end - got.range.start, Ordering::Relaxed);
        }
        Ok(got)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

struct World {
    storage: Arc<Counted>,
    store: ArtifactStore,
    ring: Arc<Ring>,
}

impl World {
    fn new() -> Self {
        let (storage, ring) = (Arc::new(Counted::default()), ring());
        let objects: Arc<dyn ObjectStore> = storage.clone();
        Self {
            store: ArtifactStore::new(objects).with_keys(ring.clone(), Arc::new(SeededRandom::new(11))),
            storage,
            ring,
        }
    }

    async fn bytes(&self, key: &str) -> Vec<u8> {
        self.storage.get(&Path::from(key)).await.unwrap().bytes().await.unwrap().to_vec()
    }

    async fn put(&self, key: &str, bytes: Vec<u8>) {
        self.storage.put(&Path::from(key), PutPayload::from(bytes)).await.unwrap();
    }

    /// An artifact with these bytes, sealed if that is asked for.
    async fn artifact(
        &self,
        name: &str,
        encoding: Encoding,
        plain: &[u8],
        is_sealed: bool,
    ) -> ArtifactPointer {
        let pointer = write(&self.store, 1, name, encoding, plain).await;
        if is_sealed { self.sealed(pointer).await } else { pointer }
    }

    /// Puts the sealed form in an artifact's place, by the format alone.
    async fn sealed(&self, pointer: ArtifactPointer) -> ArtifactPointer {
        let (manifest, random) = (self.store.manifest(&pointer).await.unwrap(), SeededRandom::new(5));
        let object = sealed_object(manifest.job, manifest.epoch, &manifest.name);
        let seal_as = |object: &str, plain: &[u8]| {
            let context = SealContext { tenant: &self.ring.tenant, object };
            seal::seal(&self.ring.key, self.ring.id, &context, plain, &random).unwrap()
        };
        let stored = seal_as(&object, &self.bytes(&manifest.object).await);
        let seal = SealedAs {
            key: Hex(self.ring.id.bytes()),
            salt: Hex(stored[32..56].try_into().unwrap()),
            commitment: Hex(stored[56..88].try_into().unwrap()),
        };
        let digest: [u8; 32] = Sha256::digest(&stored).into();
        let manifest = Manifest {
            stored_bytes: stored.len() as u64,
            stored_sha256: Hex(digest).to_string(),
            seal: Some(seal.clone()),
            ..manifest
        };
        let sealed = seal_as(&format!("{object}/manifest"), &serde_json::to_vec(&manifest).unwrap());
        let pointer = ArtifactPointer { stored_bytes: manifest.stored_bytes, seal: Some(seal), ..pointer };
        self.put(&manifest.object, stored).await;
        self.put(&pointer.manifest, sealed).await;
        pointer
    }

    async fn range(&self, pointer: &ArtifactPointer, range: Range<u64>) -> Result<Vec<u8>, ArtifactError> {
        let pieces: Vec<_> = self.store.read_range(pointer, range).await?.try_collect().await?;
        Ok(pieces.concat())
    }
}

const SEALED: [bool; 2] = [false, true];

#[tokio::test]
async fn every_range_is_what_the_whole_has_there() {
    let (frame, segment) = (FRAME_BYTES as u64, SEGMENT_BYTES as u64);
    for encoding in Encoding::ALL {
        let bytes = if encoding == Encoding::Brotli { 300_000 } else { 2 * FRAME_BYTES + 70_001 };
        let plain = content(bytes);
        let end = bytes as u64;
        for is_sealed in SEALED {
            let world = World::new();
            let pointer = world.artifact("x", encoding, &plain, is_sealed).await;
            assert!(read(&world.store, &pointer).await.unwrap() == plain);
            let edges = [0, segment, 2 * segment, frame, 2 * frame, end];
            let near = |edge: u64| [edge.saturating_sub(1), edge, edge + 1];
            let mut places: Vec<u64> =
                edges.into_iter().flat_map(near).filter(|place| *place <= end).collect();
            places.dedup();
            let mut ranges: Vec<Range<u64>> = Vec::new();
            for (at, from) in places.iter().enumerate() {
                // All pairs would read the large ones hundreds of times; each edge is begun at, ended at and crossed.
                ranges.extend(places[at..].iter().take(3).map(|to| *from..*to));
                ranges.push(*from..(from + 10).min(end + 10));
            }
            ranges.extend([0..end, 0..u64::MAX, end - 5..end + 5, end..end, end..end + 9]);
            let random = SeededRandom::new(3);
            ranges.extend((0..20).map(|_| {
                let from = random.below(end);
                from..from + random.below(40_000)
            }));
            for range in ranges {
                let cut = |place: u64| usize::try_from(place.min(end)).unwrap();
                let found = world.range(&pointer, range.clone()).await;
                let found = found.unwrap_or_else(|error| panic!("{encoding} {is_sealed} {range:?}: {error}"));
                assert!(found == plain[cut(range.start)..cut(range.end)], "{encoding} {is_sealed} {range:?}");
            }
            for wrong in [end + 1..end + 2, Range { start: 7, end: 3 }] {
                let error = world.range(&pointer, wrong).await.unwrap_err();
                assert!(matches!(error, ArtifactError::Invalid(_)), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn an_empty_artifact_is_read_sealed_or_not() {
    for encoding in Encoding::ALL {
        for is_sealed in SEALED {
            let world = World::new();
            let pointer = world.artifact("x", encoding, b"", is_sealed).await;
            assert_eq!(read(&world.store, &pointer).await.unwrap(), b"");
            assert_eq!(world.range(&pointer, 0..10).await.unwrap(), b"");
            assert_eq!(world.store.verify(&pointer).await.unwrap().frames, 0, "{encoding} {is_sealed}");
        }
    }
}

#[tokio::test]
async fn a_range_reads_of_storage_what_it_needs_and_no_more() {
    let (plain, sealed_segment) = (content(6 * FRAME_BYTES), (SEGMENT_BYTES + TAG_BYTES) as u64);
    for encoding in [Encoding::Zstd, Encoding::Gzip, Encoding::None] {
        for is_sealed in SEALED {
            let world = World::new();
            let pointer = world.artifact("x", encoding, &plain, is_sealed).await;
            let largest = *world.store.manifest(&pointer).await.unwrap().frames.iter().max().unwrap();
            let from = 3 * FRAME_BYTES as u64 + 100_000;
            world.storage.read.store(0, Ordering::Relaxed);
            assert_eq!(world.range(&pointer, from..from + 1_000).await.unwrap().len(), 1_000);
            let read = world.storage.read.load(Ordering::Relaxed);
            let needed = if encoding == Encoding::None { 1_000 } else { largest };
            let most = if is_sealed { needed + needed / 1_000 + 2 * sealed_segment } else { needed };
            assert!(read >= needed.min(1_000) && read <= most, "{encoding} {is_sealed}: {read} of {most}");
        }
    }
}

#[tokio::test]
async fn no_changed_byte_of_what_is_sealed_is_given_out() {
    for encoding in [Encoding::Zstd, Encoding::None] {
        let world = World::new();
        let plain = content(40_000);
        let pointer = world.artifact("x", encoding, &plain, true).await;
        let key = world.store.manifest(&pointer).await.unwrap().object;
        let whole = world.bytes(&key).await;
        // Every byte of the preamble, of a segment's edges and of the end; and one in a hundred of the rest.
        let (segment, end) = (88 + SEGMENT_BYTES + TAG_BYTES, whole.len());
        let places =
            (0..end).filter(|at| *at < 100 || end - at < 40 || at.abs_diff(segment) < 20 || at % 101 == 0);
        for place in places {
            let mut changed = whole.clone();
            changed[place] ^= 1 << (place % 8);
            world.put(&key, changed).await;
            for whole in
                [read(&world.store, &pointer).await, world.store.verify(&pointer).await.map(|_| vec![])]
            {
                assert!(matches!(whole, Err(ArtifactError::Damaged { .. })), "{encoding} byte {place}");
            }
            // A range may lie beside it; what it gives out is right in any case.
            for range in [0..1_000, 20_000..39_999, 39_990..40_000] {
                let asked = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
                if let Ok(found) = world.range(&pointer, range).await {
                    assert!(found == plain[asked], "{encoding} byte {place}");
                }
            }
        }
        for cut in [0, 87, 88, segment, end - 1] {
            world.put(&key, whole[..cut].to_vec()).await;
            for range in [0..10, 39_990..40_000] {
                let error = world.range(&pointer, range).await.unwrap_err();
                assert!(matches!(error, ArtifactError::Damaged { .. }), "cut at {cut}: {error}");
            }
        }
    }
}

#[tokio::test]
async fn sealed_objects_of_one_tenant_and_key_can_not_stand_for_each_other() {
    let world = World::new();
    let one = world.artifact("one", Encoding::None, &content(50_000), true).await;
    let two = world.artifact("two", Encoding::None, &content(50_000), true).await;
    let bytes = world.bytes(&world.store.manifest(&one).await.unwrap().object).await;
    world.put(&world.store.manifest(&two).await.unwrap().object, bytes).await;
    for result in [read(&world.store, &two).await, world.range(&two, 20_000..20_010).await] {
        assert!(matches!(result, Err(ArtifactError::Damaged { .. })), "{result:?}");
    }
    let manifest = world.bytes(&one.manifest).await;
    world.put(&two.manifest, manifest).await;
    let error = world.store.manifest(&two).await.unwrap_err();
    assert!(matches!(error, ArtifactError::Damaged { .. }), "{error}");
    let unsealed = ArtifactPointer { seal: None, ..one.clone() };
    assert!(matches!(world.store.manifest(&unsealed).await, Err(ArtifactError::Damaged { .. })));
    let keyless = ArtifactStore::new(world.store.storage().clone());
    assert!(matches!(keyless.read(&one).await.map(drop), Err(ArtifactError::Keys { .. })));
}

#[tokio::test]
async fn verifying_finds_every_change_of_what_is_not_sealed() {
    for encoding in Encoding::ALL {
        let world = World::new();
        let pointer = world.artifact("x", encoding, &content(30_000), false).await;
        let verified = world.store.verify(&pointer).await.unwrap();
        assert_eq!((verified.plain_bytes, verified.frames, verified.sealed), (30_000, 1, false));
        let manifest = world.store.manifest(&pointer).await.unwrap();
        let whole = world.bytes(&manifest.object).await;
        for place in (0..whole.len()).step_by(whole.len() / 150) {
            let mut changed = whole.clone();
            changed[place] ^= 1 << (place % 8);
            world.put(&manifest.object, changed).await;
            let found = world.store.verify(&pointer).await;
            assert!(matches!(found, Err(ArtifactError::Damaged { .. })), "{encoding} byte {place}");
        }
        world.put(&manifest.object, whole).await;
        for wrong in [
            Manifest { parts: 3, ..manifest.clone() },
            Manifest { frames: vec![1, manifest.stored_bytes - 1], ..manifest.clone() },
            Manifest { object: manifest.object.replace("acme", "other"), ..manifest.clone() },
            Manifest { stored_sha256: "00".repeat(32), ..manifest.clone() },
            Manifest { tenant: "other".parse().unwrap(), ..manifest.clone() },
        ] {
            world.put(&pointer.manifest, serde_json::to_vec(&wrong).unwrap()).await;
            let found = world.store.verify(&pointer).await;
            assert!(matches!(found, Err(ArtifactError::Damaged { .. })), "{encoding} {wrong:?}");
        }
    }
}

#[tokio::test]
async fn another_tenants_pointer_is_refused() {
    let world = World::new();
    let pointer = world.artifact("x", Encoding::Zstd, b"ours", false).await;
    let (own, other) = (world.store.of(&tenant()), world.store.of(&"other".parse().unwrap()));
    assert_eq!(read(&own, &pointer).await.unwrap(), b"ours");
    let now = Timestamp::from_millis(1);
    for refused in [
        other.read(&pointer).await.map(drop),
        other.read_range(&pointer, 0..1).await.map(drop),
        other.verify(&pointer).await.map(drop),
        other.presign(&pointer, Duration::from_secs(60)).await.map(drop),
        other.remove(&pointer, now).await.map(drop),
        own.read(&ArtifactPointer { manifest: "acme/projects/p/book.json".into(), ..pointer.clone() })
            .await
            .map(drop),
    ] {
        assert!(matches!(refused, Err(ArtifactError::Invalid(_))), "{refused:?}");
    }
    assert_eq!(read(&own, &pointer).await.unwrap(), b"ours");
}

#[tokio::test]
async fn what_was_removed_is_said_to_be_removed_and_its_neighbours_stay() {
    let world = World::new();
    for is_sealed in SEALED {
        let pointer = world.artifact("x", Encoding::Zstd, b"gone", is_sealed).await;
        let other = world.artifact("y", Encoding::Zstd, b"stays", false).await;
        let object = world.store.manifest(&pointer).await.unwrap().object;
        assert_eq!(world.store.removed_at(&pointer).await.unwrap(), None);
        let now = Timestamp::from_millis(1_000);
        assert!(world.store.remove(&pointer, now).await.unwrap());
        assert!(!world.store.exists(&object).await.unwrap());
        let error = read(&world.store, &pointer).await.unwrap_err();
        assert!(matches!(error, ArtifactError::Removed { at, .. } if at == now), "{error}");
        assert!(!world.store.remove(&pointer, Timestamp::from_millis(2_000)).await.unwrap());
        assert_eq!(world.store.removed_at(&pointer).await.unwrap(), Some(now));
        assert_eq!(read(&world.store, &other).await.unwrap(), b"stays");
    }
}

#[tokio::test]
async fn an_address_is_lent_only_where_it_leads_to_something_readable() {
    let world = World::new();
    let (open, sealed) = (
        world.artifact("open", Encoding::None, b"x", false).await,
        world.artifact("sealed", Encoding::None, b"x", true).await,
    );
    let minute = Duration::from_secs(60);
    for (pointer, expires, reason) in [
        (&sealed, minute, "the artifact is sealed"),
        (&open, minute, "this storage can't lend"),
        (&open, Duration::from_secs(8 * 24 * 3_600), "a second to 7 days"),
        (&open, Duration::ZERO, "a second to 7 days"),
    ] {
        let error = world.store.presign(pointer, expires).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

//! The artifact pipeline over real storages: what goes in comes out, nothing is half-seen, orphans go.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "artifact/clouds.rs"]
mod clouds;
#[path = "artifact/conditions.rs"]
mod conditions;
#[path = "artifact/faults.rs"]
mod faults;
#[path = "artifact/reading.rs"]
mod reading;
#[path = "artifact/server.rs"]
mod server;
#[path = "servers/mod.rs"]
mod servers;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use object_store::{
    ObjectStore, ObjectStoreExt as _, PutPayload, local::LocalFileSystem, memory::InMemory, path::Path,
};
use presswork::{
    artifact::{
        ArtifactError, ArtifactOptions, ArtifactStore, FRAME_BYTES, PART_BYTES,
        sweep::{Keep, Keeper},
    },
    domain::{ArtifactPointer, Encoding, FileName, JobId, Random as _, SeededRandom, TenantId},
};

const JOB: u128 = 0x1234;

fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

fn job() -> JobId {
    JobId::from_u128(JOB)
}

/// Half noise, half repetition: so that compression has something to do and can't make it small.
fn content(bytes: usize) -> Vec<u8> {
    let mut all = vec![0; bytes];
    SeededRandom::new(9).fill(&mut all);
    all.iter_mut().enumerate().filter(|(place, _)| place / 64 % 2 == 0).for_each(|(_, byte)| *byte = b'x');
    all
}

fn options(encoding: Encoding) -> ArtifactOptions {
    ArtifactOptions { encoding, ..ArtifactOptions::default() }
}

async fn write(
    store: &ArtifactStore,
    epoch: u64,
    name: &str,
    encoding: Encoding,
    plain: &[u8],
) -> ArtifactPointer {
    let name: FileName = name.parse().unwrap();
    let mut writer = store.create(&tenant(), job(), epoch, &name, options(encoding)).await.unwrap();
    for piece in plain.chunks(10_007) {
        writer.write(piece).await.unwrap();
    }
    writer.finish().await.unwrap()
}

async fn read(store: &ArtifactStore, pointer: &ArtifactPointer) -> Result<Vec<u8>, ArtifactError> {
    let stream = store.read(pointer).await?;
    stream
        .try_fold(Vec::new(), |mut all, piece| async move {
            all.extend_from_slice(&piece);
            Ok(all)
        })
        .await
}

async fn keys(storage: &dyn ObjectStore) -> Vec<String> {
    let mut keys: Vec<String> =
        storage.list(None).map_ok(|meta| meta.location.to_string()).try_collect().await.unwrap();
    keys.sort();
    keys
}

#[tokio::test]
async fn what_goes_in_comes_out_whatever_the_size_the_encoding_and_the_storage() {
    let folder = tempfile::tempdir().unwrap();
    let disk = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
    let storages: [Arc<dyn ObjectStore>; 2] = [Arc::new(disk), Arc::new(InMemory::new())];
    for storage in storages {
        let store = ArtifactStore::new(storage);
        let sizes =
            [0, 1, 8_192, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 2 * PART_BYTES, 3 * PART_BYTES + 7];
        for (place, bytes) in sizes.into_iter().enumerate() {
            // The slow codecs need no more than a few frames; parts are the same to all.
            let large = bytes > 2 * FRAME_BYTES;
            for encoding in
                Encoding::ALL.into_iter().filter(|e| !large || matches!(e, Encoding::Zstd | Encoding::None))
            {
                let plain = content(bytes);
                let pointer = write(&store, 1, &format!("{place}-{encoding}"), encoding, &plain).await;
                assert_eq!(pointer.plain_bytes, bytes as u64);
                assert!(read(&store, &pointer).await.unwrap() == plain, "{bytes} bytes as {encoding}");
            }
        }
    }
}

#[tokio::test]
async fn the_stored_form_is_what_the_encodings_own_tools_read() {
    let storage = Arc::new(InMemory::new());
    let store = ArtifactStore::new(storage.clone());
    let plain = content(3 * FRAME_BYTES + 5);
    let pointer = write(&store, 1, "x", Encoding::Zstd, &plain).await;
    let manifest = store.manifest(&pointer).await.unwrap();
    assert_eq!((manifest.frames.len(), manifest.parts), (4, 0));
    let stored = storage.get(&Path::from(manifest.object)).await.unwrap().bytes().await.unwrap();
    assert_eq!(stored.len() as u64, pointer.stored_bytes);
    let mut decoder = async_compression::tokio::bufread::ZstdDecoder::new(&stored[..]);
    decoder.multiple_members(true);
    let mut decoded = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut decoder, &mut decoded).await.unwrap();
    assert!(decoded == plain);
}

#[tokio::test]
async fn the_same_bytes_in_other_pieces_make_the_same_artifact() {
    let (one, two) =
        (ArtifactStore::new(Arc::new(InMemory::new())), ArtifactStore::new(Arc::new(InMemory::new())));
    let plain = content(2 * PART_BYTES + 99);
    let first = write(&one, 1, "x", Encoding::Zstd, &plain).await;
    let name = "x".parse().unwrap();
    let chunked = ArtifactOptions { chunk_bytes: 4_099, ..options(Encoding::Zstd) };
    let mut writer = two.create(&tenant(), job(), 1, &name, chunked).await.unwrap();
    let writer = tokio::task::spawn_blocking(move || {
        plain.chunks(1_234_567).try_for_each(|piece| writer.write_blocking(piece)).map(|()| writer)
    });
    let second = writer.await.unwrap().unwrap().finish().await.unwrap();
    assert_eq!(first, second);
    assert_eq!(
        one.manifest(&first).await.unwrap().stored_sha256,
        two.manifest(&second).await.unwrap().stored_sha256
    );
}

#[tokio::test]
async fn a_writer_that_is_dropped_leaves_nothing_to_see() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap());
    let store = ArtifactStore::new(storage.clone());
    let name = "x".parse().unwrap();
    let mut writer = store.create(&tenant(), job(), 1, &name, options(Encoding::None)).await.unwrap();
    writer.write(&content(3 * PART_BYTES)).await.unwrap();
    drop(writer);
    // Another artifact in the same folder, finished: by then the first one's stage has seen its window close or not;
    // either way nothing of it is listed but what tells the sweep of it.
    write(&store, 2, "y", Encoding::None, b"y").await;
    let of_first = |key: &String| key.contains("/000001/") && !key.contains("/.uploads/");
    assert!(!keys(&*storage).await.iter().any(of_first));
}

#[tokio::test]
async fn damage_is_found_and_named() {
    let storage = Arc::new(InMemory::new());
    let store = ArtifactStore::new(storage.clone());
    for encoding in Encoding::ALL {
        let plain = content(FRAME_BYTES + 4_000);
        let pointer = write(&store, 1, &format!("x-{encoding}"), encoding, &plain).await;
        let key = Path::from(store.manifest(&pointer).await.unwrap().object);
        let whole = storage.get(&key).await.unwrap().bytes().await.unwrap().to_vec();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 0x40;
        let longer = [&whole[..], b"more"].concat();
        for bad in [flipped, longer, whole[..whole.len() - 1].to_vec(), whole[..10].to_vec(), Vec::new()] {
            storage.put(&key, PutPayload::from(bad)).await.unwrap();
            let error = read(&store, &pointer).await.unwrap_err();
            assert!(matches!(error, ArtifactError::Damaged { .. }), "{encoding}: {error}");
        }
        storage.delete(&key).await.unwrap();
        assert!(matches!(read(&store, &pointer).await, Err(ArtifactError::Missing { .. })));
        let other = ArtifactPointer { plain_bytes: 7, ..pointer };
        assert!(matches!(read(&store, &other).await, Err(ArtifactError::Damaged { .. })));
    }
}

#[tokio::test]
async fn a_storage_that_fails_is_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap());
    let store = ArtifactStore::new(storage);
    // A file where the tenant's folder should be.
    std::fs::write(folder.path().join("acme"), "in the way").unwrap();
    let name = "x".parse().unwrap();
    for bytes in [10, 4 * PART_BYTES] {
        let mut writer = store.create(&tenant(), job(), 1, &name, options(Encoding::None)).await.unwrap();
        let written = writer.write(&content(bytes)).await;
        let ended = match written {
            Ok(()) => writer.finish().await.map(drop),
            error => error,
        };
        assert!(matches!(ended, Err(ArtifactError::Storage { .. })), "{ended:?}");
    }
}

#[tokio::test]
async fn chunk_sizes_out_of_bounds_are_refused() {
    let store = ArtifactStore::new(Arc::new(InMemory::new()));
    for chunk_bytes in [0, 255, 1 << 20] {
        let options = ArtifactOptions { chunk_bytes, ..ArtifactOptions::default() };
        let refused = store.create(&tenant(), job(), 1, &"x".parse().unwrap(), options).await;
        assert!(matches!(refused, Err(ArtifactError::Invalid(_))));
    }
}

struct Known(BTreeMap<JobId, Keep>);

#[async_trait]
impl Keeper for Known {
    async fn keep(&self, _: &TenantId, job: JobId) -> Result<Keep, ArtifactError> {
        Ok(self.0.get(&job).cloned().unwrap_or(Keep::Nothing))
    }
}

#[tokio::test]
async fn the_sweep_removes_orphans_and_nothing_else() {
    let storage = Arc::new(InMemory::new());
    let store = ArtifactStore::new(storage.clone());
    let project = Path::from("acme/projects/novel/book.json");
    storage.put(&project, PutPayload::from_static(b"{}")).await.unwrap();
    let old = write(&store, 1, "x", Encoding::Zstd, b"old").await;
    let live = write(&store, 2, "x", Encoding::Zstd, b"new").await;
    let sweep = async |keep: Keep| store.sweep(&Known([(job(), keep)].into())).await.unwrap();
    assert_eq!(sweep(Keep::Attempts([2].into())).await, 2);
    assert!(!store.exists(&old.manifest).await.unwrap());
    assert_eq!(sweep(Keep::Published(vec![live.manifest.clone()])).await, 0);
    assert_eq!(read(&store, &live).await.unwrap(), b"new");
    assert_eq!(sweep(Keep::Nothing).await, 2);
    assert_eq!(keys(&*storage).await, [project.to_string()]);
}

/// Knows nothing of one tenant's jobs.
struct Forgetful;

#[async_trait]
impl Keeper for Forgetful {
    async fn keep(&self, tenant: &TenantId, _: JobId) -> Result<Keep, ArtifactError> {
        if tenant.as_str() == "acme" {
            return Err(ArtifactError::Stopped("its row can't be read".to_owned()));
        }
        Ok(Keep::Nothing)
    }
}

#[tokio::test]
async fn a_job_that_nobody_can_tell_of_stays_and_the_next_tenants_are_swept() {
    let store = ArtifactStore::new(Arc::new(InMemory::new()));
    let kept = write(&store, 1, "x", Encoding::Zstd, b"kept").await;
    let (zeta, name) = ("zeta".parse().unwrap(), "x".parse().unwrap());
    let mut writer = store.create(&zeta, job(), 1, &name, options(Encoding::Zstd)).await.unwrap();
    writer.write(b"orphan").await.unwrap();
    let orphan = writer.finish().await.unwrap();
    assert_eq!(store.sweep(&Forgetful).await.unwrap(), 2);
    assert!(store.exists(&kept.manifest).await.unwrap());
    assert!(!store.exists(&orphan.manifest).await.unwrap());
}

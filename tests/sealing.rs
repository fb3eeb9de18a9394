//! Payloads of tenants that seal, on each engine: nothing of them lies open in the store, handlers get them as they were
//! written, and what was moved or changed is not run.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in this file's helpers")]

mod servers;
#[path = "sealing/vault.rs"]
mod vault;

use std::{path::Path, sync::Arc};

use presswork::{
    config::{MasterKeySetting, Settings},
    domain::{
        BatchId, Failure, JobId, KindName, NewBatch, NewJob, Payload, State, SystemRandom, TenantId,
        Timestamp, WorkerId,
    },
    engine::Engine,
    queue::{Queue as _, wait_for},
    security::{Keyring, MasterSource, SealingQueue},
    testing::TestEngine,
    worker::{Context, Kind, Options, Registry, Worker, new_job},
};
use redis::cmd;
use serde::{Deserialize, Serialize};

use self::servers::RedisServer;

const MASTER: &str = "1111111111111111111111111111111111111111111111111111111111111111";
/// Long enough that no index or hash holds it by chance.
const SECRET: &str = "the-manuscript-nobody-may-read";
const OPEN: &str = "the-announcement-everybody-may-read";

/// Remembers a text by giving it back; a child is enqueued with the text in it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Keep {
    text: String,
    child: bool,
}

impl Kind for Keep {
    const NAME: KindName = KindName::literal("keep");
    type Output = usize;

    async fn run(self, context: Context) -> Result<usize, Failure> {
        if self.child {
            let child = context.child(&Self { text: self.text.clone(), child: false })?;
            context.enqueue(child).await?;
        }
        Ok(self.text.len())
    }
}

fn keep(text: &str, child: bool) -> Keep {
    Keep { text: text.to_owned(), child }
}

fn job(tenant: &str, payload: &Keep) -> NewJob {
    let id = JobId::new(Timestamp::from_millis(1_800_000_000_000), &SystemRandom);
    new_job(id, tenant.parse().unwrap(), payload).unwrap()
}

fn settings(folder: &Path, redis: Option<&RedisServer>) -> Settings {
    Settings {
        data_dir: folder.to_owned(),
        redis_url: redis.map(|server| server.url().parse().unwrap()),
        master_key: Some(MasterKeySetting::Given(MASTER.parse().unwrap())),
        ..Settings::default()
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// All that lies in the data directory.
fn files(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let read =
            if entry.path().is_dir() { files(&entry.path()) } else { std::fs::read(entry.path()).unwrap() };
        bytes.extend(read);
    }
    bytes
}

/// All that the server holds, as it would write it to disk, but for the compression.
async fn keys(server: &RedisServer) -> Vec<u8> {
    server.command("CONFIG SET rdbcompression no");
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let names: Vec<Vec<u8>> = cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    let mut bytes = Vec::new();
    for name in names {
        let dump: Option<Vec<u8>> = cmd("DUMP").arg(&name).query_async(&mut connection).await.unwrap();
        bytes.extend(name);
        bytes.extend(dump.unwrap_or_default());
    }
    bytes
}

/// Gives an engine jobs in every way; `dump` is what lies in its store.
async fn nothing_lies_open(engine: &Engine, dump: impl AsyncFn() -> Vec<u8>) {
    let (acme, open): (TenantId, TenantId) = ("acme".parse().unwrap(), "open".parse().unwrap());
    engine.keyring.set_seals(&acme, true).await.unwrap();
    let (secret, plain) = (job("acme", &keep(SECRET, true)), job("open", &keep(OPEN, false)));
    let answers = engine.queue.enqueue(vec![secret.clone(), plain.clone()]).await.unwrap();
    assert!(answers.into_iter().all(|answer| answer.is_ok()));
    let batch = NewBatch {
        id: BatchId::from_u128(7),
        tenant: acme.clone(),
        size: 1,
        callback: Some(job("acme", &keep(SECRET, false))),
    };
    engine.queue.open_batch(batch).await.unwrap().unwrap();
    let stored = dump().await;
    assert!(contains(&stored, OPEN), "the dump shows what is plain");
    assert!(!contains(&stored, SECRET), "a sealed payload lies open");

    let parts = engine.parts(Arc::new(Registry::new().register::<Keep>())).await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = Worker::new(parts, Options::new(WorkerId::new("w"))).unwrap();
    let running = tokio::spawn(worker.run(async { drop(stopped.await) }));
    let within = servers::READY_WITHIN;
    for (tenant, id, text) in [(&acme, secret.id, SECRET), (&open, plain.id, OPEN)] {
        let ended = wait_for(&*engine.queue, &*engine.progress, tenant, id, within).await.unwrap().unwrap();
        assert_eq!(ended.state, State::Completed, "{:?}", ended.reason);
        assert_eq!(ended.output.unwrap().result, serde_json::json!(text.len()));
    }
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
    let stored = dump().await;
    assert!(contains(&stored, OPEN) && !contains(&stored, SECRET), "the payload of the child lies open");
}

#[tokio::test]
async fn nothing_of_a_sealed_payload_lies_open_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(&settings(folder.path(), None)).unwrap();
    nothing_lies_open(&engine, async || files(folder.path())).await;
}

#[tokio::test]
async fn nothing_of_a_sealed_payload_lies_open_in_redis() {
    let (folder, server) = (tempfile::tempdir().unwrap(), RedisServer::start());
    let engine = Engine::connect(&settings(folder.path(), Some(&server))).await.unwrap();
    nothing_lies_open(&engine, async || keys(&server).await).await;
}

#[tokio::test]
async fn with_a_redis_and_no_master_key_sealing_is_refused_with_what_to_do() {
    let (folder, server) = (tempfile::tempdir().unwrap(), RedisServer::start());
    let with = Engine::connect(&settings(folder.path(), Some(&server))).await.unwrap();
    let without = Settings { master_key: None, ..settings(folder.path(), Some(&server)) };
    let without = Engine::connect(&without).await.unwrap();
    let acme: TenantId = "acme".parse().unwrap();
    let error = without.keyring.set_seals(&acme, true).await.unwrap_err().to_string();
    assert!(error.contains("PRESSWORK_MASTER_KEY"), "{error}");

    with.keyring.set_seals(&acme, true).await.unwrap();
    let jobs = vec![job("zeta", &keep(OPEN, false)), job("acme", &keep(SECRET, false))];
    let other = Settings { master_key: None, ..settings(folder.path(), Some(&server)) };
    let answers = Engine::connect(&other).await.unwrap().queue.enqueue(jobs).await.unwrap();
    assert!(answers[0].is_ok(), "a neighbour is not harmed");
    let refusal = answers[1].as_ref().unwrap_err().to_string();
    assert!(refusal.contains("PRESSWORK_MASTER_KEY"), "{refusal}");
    assert!(!contains(&keys(&server).await, SECRET));
}

/// A sealed payload as it lies in the queue.
async fn sealed(world: &TestEngine, text: &str) -> Payload {
    let keyring = &world.engine().keyring;
    keyring.set_seals(world.tenant(), true).await.unwrap();
    let job = world.enqueue(&keep(text, false)).await;
    let payload = world.job(job).await.payload;
    assert!(payload.bytes.starts_with(b"PWSE"));
    world.drain().await;
    assert_eq!(world.job(job).await.state, State::Completed);
    keyring.set_seals(world.tenant(), false).await.unwrap();
    payload
}

fn world() -> TestEngine {
    TestEngine::new(Registry::new().register::<Keep>())
}

#[tokio::test]
async fn a_payload_that_was_moved_to_another_job_or_tenant_or_cut_is_not_run() {
    let world = world();
    let payload = sealed(&world, SECRET).await;
    let cut = Payload { bytes: payload.bytes.slice(..payload.bytes.len() - 1), ..payload.clone() };
    let short = Payload { bytes: payload.bytes.slice(..20), ..payload.clone() };
    let (same, other) = (world.tenant().as_str().to_owned(), "other".to_owned());
    for (tenant, payload) in
        [(&same, payload.clone()), (&other, payload.clone()), (&same, cut), (&same, short)]
    {
        let moved = NewJob { payload, ..job(tenant, &keep("", false)) };
        let (id, tenant) = (moved.id, moved.tenant.clone());
        world.engine().queue.enqueue(vec![moved]).await.unwrap().remove(0).unwrap();
        world.drain().await;
        let found = world.engine().queue.inspect(&tenant, &[id]).await.unwrap().remove(0).unwrap();
        assert_eq!(found.state, State::Dead);
        let reason = found.reason.unwrap().to_string();
        assert!(reason.contains("the payload can't be opened"), "{reason}");
    }
}

#[tokio::test]
async fn a_job_whose_key_is_not_at_hand_is_left_for_a_worker_that_has_it() {
    let world = world();
    let engine = world.engine();
    // The worker's keyring takes the tenant not to seal for another ten seconds, so that its queue lets the payload through.
    assert!(!engine.keyring.seals(world.tenant()).await.unwrap());
    let elsewhere = MasterSource::Given(MASTER.parse().unwrap());
    let keyring = Keyring::new(&engine.records, elsewhere, engine.clock.clone(), engine.random.clone());
    keyring.set_seals(world.tenant(), true).await.unwrap();
    let queue = SealingQueue::new(engine.queue.clone(), keyring, engine.random.clone());
    let id = queue.enqueue(vec![world.new_job(&keep(SECRET, false))]).await.unwrap().remove(0).unwrap().id();
    world.pass(std::time::Duration::from_secs(1)).await;
    let job = world.job(id).await;
    assert_eq!(job.state, State::Scheduled, "{:?}", job.reason);
    assert!(job.attempt <= 1 && job.finished_at.is_none());

    // The key is given to it.
    let path = engine.folder().join("master.key");
    std::fs::write(&path, MASTER).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    world.pass(std::time::Duration::from_secs(30)).await;
    assert_eq!(world.job(id).await.state, State::Completed);
}

#[tokio::test]
async fn a_refused_payload_is_not_quoted_where_it_was_sealed() {
    let world = world();
    world.engine().keyring.set_seals(world.tenant(), true).await.unwrap();
    let mut wrong = world.new_job(&keep("", false));
    wrong.payload.bytes = format!("{{\"text\":17,\"{SECRET}\":1}}").into_bytes().into();
    let id = world.enqueue_job(wrong).await;
    world.drain().await;
    let job = world.job(id).await;
    let reason = job.reason.unwrap().to_string();
    assert!(job.state == State::Dead && reason.contains("unreadable") && !reason.contains("17"), "{reason}");
}

#[tokio::test]
async fn a_sealed_payload_counts_with_its_seal_and_a_repeated_job_is_known() {
    let world = world();
    world.engine().keyring.set_seals(world.tenant(), true).await.unwrap();
    let mut large = world.new_job(&keep("", false));
    large.payload.bytes = vec![b' '; NewJob::MOST_PAYLOAD_BYTES - 50].into();
    let refused = world.engine().queue.enqueue(vec![large]).await.unwrap().remove(0).unwrap_err();
    assert!(refused.to_string().contains("bytes"), "{refused}");
    let new = world.new_job(&keep("a", false));
    let twice = world.engine().queue.enqueue(vec![new.clone(), new]).await.unwrap();
    assert_eq!(twice[0].as_ref().unwrap().id(), twice[1].as_ref().unwrap().id());
    assert_eq!(world.drain().await.len(), 1);
}

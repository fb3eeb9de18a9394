//! Secrets of tenants, on each engine: a canary lies open nowhere, and what is open already outlives the store.

use std::{
    io,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use presswork::{
    domain::{Failure, JobId, KindName, State, SystemRandom, TenantId, Timestamp, WorkerId},
    engine::Engine,
    queue::wait_for,
    security::Acting,
    worker::{Context, Kind, Options, Registry, Worker, new_job},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

use super::{contains, files, keys, servers, servers::RedisServer, settings};

const CANARY: &str = "sk-canary-nobody-may-see-2001";
const PLAIN: &str = "what-everybody-may-see-2001";

/// Uses a secret; where it fails it says so in words of its own.
#[derive(Serialize, Deserialize)]
struct Uses {
    name: String,
    remark: String,
}

impl Kind for Uses {
    const NAME: KindName = KindName::literal("uses");
    type Output = usize;

    async fn run(self, context: Context) -> Result<usize, Failure> {
        let secret = context.secret(&self.name).await?;
        context.progress(1, 1, &format!("{} {secret:?}", self.remark));
        tracing::info!(?secret, ?context, "used");
        Ok(secret.expose_secret().len())
    }
}

/// What the process has logged, all levels of it.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Logged {
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let logged = Self::default();
        let writer = logged.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_max_level(tracing::Level::TRACE)
            .finish();
        (logged, tracing::subscriber::set_default(subscriber))
    }
}

fn acme() -> TenantId {
    "acme".parse().unwrap()
}

async fn store(engine: &Engine, name: &str, value: &str) {
    let value = SecretString::from(value);
    engine.vault.set(&acme(), &name.parse().unwrap(), &value, &Acting::command_line()).await.unwrap();
}

async fn work(engine: &Engine, names: &[&str]) -> Vec<State> {
    let parts = engine.parts(Arc::new(Registry::new().register::<Uses>())).await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = Worker::new(parts, Options::new(WorkerId::new("w"))).unwrap();
    let running = tokio::spawn(worker.run(async { drop(stopped.await) }));
    let mut states = Vec::new();
    for name in names {
        let id = JobId::new(Timestamp::from_millis(1_800_000_000_000), &SystemRandom);
        let payload = Uses { name: (*name).to_owned(), remark: PLAIN.to_owned() };
        let job = new_job(id, acme(), &payload).unwrap();
        engine.queue.enqueue(vec![job]).await.unwrap().remove(0).unwrap();
        let ended = wait_for(&*engine.queue, &*engine.progress, &acme(), id, servers::READY_WITHIN).await;
        states.push(ended.unwrap().unwrap().state);
    }
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
    states
}

/// Keeps, reads, rotates, breaks and removes a secret; `dump` is all that lies in the store.
async fn nothing_of_a_secret_lies_open(engine: &Engine, dump: impl AsyncFn() -> Vec<u8>) {
    let (logged, guard) = Logged::start();
    let by = Acting::command_line();
    store(engine, "openai", &format!("{CANARY}-old")).await;
    store(engine, "openai", CANARY).await;
    assert_eq!(work(engine, &["openai", "nothing"]).await, [State::Completed, State::Dead]);
    engine.keyring.rotate(&acme()).await.unwrap();
    let resealed = engine.vault.rewrap(&acme(), &by).await.unwrap();
    assert_eq!((resealed.resealed, resealed.broken), (1, 0));
    assert_eq!(work(engine, &["openai"]).await, [State::Completed]);
    let facts = engine.vault.list(&acme(), None, 10).await.unwrap();
    let mut dumps = vec![dump().await];
    // Its record moved to another name: refused, in words without it.
    let record = engine.records.get("secrets", "acme/openai").await.unwrap().unwrap();
    let anything = presswork::store::Expect::Anything;
    engine.records.put("secrets", "acme/moved", record.value, anything, None).await.unwrap();
    assert_eq!(work(engine, &["moved"]).await, [State::Dead]);
    assert!(engine.vault.remove(&acme(), &"openai".parse().unwrap(), &by).await.unwrap());
    dumps.push(dump().await);
    drop(guard);
    dumps.push(logged.0.lock().unwrap().clone());
    for (place, dump) in dumps.iter().enumerate() {
        assert!(contains(dump, PLAIN) || place == 2, "the dump {place} shows what is plain");
        for form in [CANARY.to_owned(), base64(CANARY), hex(CANARY)] {
            assert!(!contains(dump, &form), "the canary lies open in dump {place}");
        }
    }
    assert!(contains(&dumps[2], "used"), "the log was kept");
    let shown = format!("{facts:?} {:?} {engine:?}", engine.vault);
    assert!(!shown.contains("canary"), "{shown}");
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// Of whole groups of three bytes.
fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(&text.as_bytes()[..text.len() / 3 * 3])
}

#[tokio::test]
async fn nothing_of_a_secret_lies_open_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(&settings(folder.path(), None)).unwrap();
    nothing_of_a_secret_lies_open(&engine, async || files(folder.path())).await;
}

#[tokio::test]
async fn nothing_of_a_secret_lies_open_in_redis() {
    let (folder, server) = (tempfile::tempdir().unwrap(), RedisServer::start());
    let engine = Engine::connect(&settings(folder.path(), Some(&server))).await.unwrap();
    nothing_of_a_secret_lies_open(&engine, async || {
        let mut dump = keys(&server).await;
        dump.extend(files(folder.path()));
        dump
    })
    .await;
}

/// Reads a secret, waits until the store is gone, and reads again.
#[derive(Serialize, Deserialize)]
struct Outlives;

struct Wires {
    read: watch::Sender<bool>,
    gone: Notify,
    said: watch::Sender<Option<String>>,
}

fn wires() -> &'static Wires {
    static WIRES: OnceLock<Wires> = OnceLock::new();
    WIRES.get_or_init(|| Wires {
        read: watch::Sender::new(false),
        gone: Notify::new(),
        said: watch::Sender::new(None),
    })
}

impl Kind for Outlives {
    const NAME: KindName = KindName::literal("outlives");
    type Output = ();

    async fn run(self, context: Context) -> Result<(), Failure> {
        context.secret("openai").await?;
        wires().read.send_replace(true);
        wires().gone.notified().await;
        let again = context.secret("openai").await.map(|secret| secret.expose_secret().len());
        let other = context.secret("other").await.map(|_| ());
        wires().said.send_replace(Some(format!("{again:?} {other:?}")));
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_open_outlives_a_killed_redis_and_another_one_is_waited_for() {
    let (folder, server) = (tempfile::tempdir().unwrap(), RedisServer::start());
    let engine = Engine::connect(&settings(folder.path(), Some(&server))).await.unwrap();
    store(&engine, "openai", CANARY).await;
    store(&engine, "other", "x").await;
    let parts = engine.parts(Arc::new(Registry::new().register::<Outlives>())).await.unwrap();
    let mut options = Options::new(WorkerId::new("w"));
    (options.lease, options.drain) = (Duration::from_secs(120), Duration::from_millis(1));
    let worker = Worker::new(parts, options).unwrap();
    let running = tokio::spawn(worker.run(std::future::pending()));
    let id = JobId::new(Timestamp::from_millis(1_800_000_000_000), &SystemRandom);
    let job = new_job(id, acme(), &Outlives).unwrap();
    engine.queue.enqueue(vec![job]).await.unwrap().remove(0).unwrap();
    wires().read.subscribe().wait_for(|read| *read).await.unwrap();
    drop(server);
    wires().gone.notify_one();
    let said = wires().said.subscribe().wait_for(Option::is_some).await.unwrap().clone().unwrap();
    running.abort();
    assert!(said.starts_with("Ok(29) Err(Snooze") && said.contains("a secret can't be read now"), "{said}");
    assert!(!said.contains("canary"));
}

#[tokio::test]
async fn without_a_master_key_nothing_is_stored_but_names_are_listed() {
    let (folder, server) = (tempfile::tempdir().unwrap(), RedisServer::start());
    let engine = Engine::connect(&settings(folder.path(), Some(&server))).await.unwrap();
    store(&engine, "openai", CANARY).await;
    let without = presswork::config::Settings { master_key: None, ..settings(folder.path(), Some(&server)) };
    let without = Engine::connect(&without).await.unwrap();
    let (name, value) = ("mine".parse().unwrap(), SecretString::from("x"));
    let refused = without.vault.set(&acme(), &name, &value, &Acting::command_line()).await;
    assert!(refused.unwrap_err().to_string().contains("PRESSWORK_MASTER_KEY"));
    assert_eq!(without.vault.list(&acme(), None, 10).await.unwrap().items.len(), 1);
}

//! Where a benchmark works: a folder of its own, or a namespace of its own on a Redis, both empty at first and gone at
//! the end. Must not know: what is measured.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use presswork::{
    cli::{App, CliError},
    config::Settings,
    domain::{NewJob, Random as _, SystemRandom, TenantId, TenantLimits, Timestamp},
    engine::Engine,
    progress::redis::RedisProgress,
    queue::{Retention, Swept, redis::RedisQueue},
    store::redis::{Redis, Topology},
    worker::{Registry, Worker},
};
use redis::{Cmd, RedisError, cmd};

use super::noop::Noop;
use crate::in_process::enqueue;

/// How many calls a bulk producer has under way.
pub(super) const IN_FLIGHT: usize = 4;

/// How often a place is emptied at most.
const ROUNDS: usize = 100;

/// Where a benchmark works.
pub(super) struct Place {
    pub(super) engine: Engine,
    pub(super) server: Option<Server>,
    folder: tempfile::TempDir,
}

/// The Redis below, for baselines and to look at it from outside.
pub(super) struct Server {
    pub(super) redis: Redis,
    pub(super) url: String,
    namespace: String,
}

/// Which engine is measured.
pub(super) fn engine_name(app: &App) -> &'static str {
    if app.settings().redis_url.is_some() { "redis" } else { "sqlite" }
}

impl Place {
    /// On the Redis of the settings, in a namespace of its own, or embedded where they name none.
    pub(super) async fn open(app: &App) -> Result<Self, CliError> {
        Self::open_with(app, app.settings().clone()).await
    }

    /// The same with other settings.
    pub(super) async fn open_with(app: &App, settings: Settings) -> Result<Self, CliError> {
        if let Some(url) = &app.settings().redis_url
            && url.url().topology != Topology::Single
        {
            let message = "bench measures a single Redis server, beside bare commands of the same one";
            return Err(CliError::usage(message).hint("name one node or the master, as in redis://host:6379"));
        }
        let folder = super::scratch().await?;
        let data_dir = folder.path().join("data");
        let settings = Settings { data_dir, redis_url: None, ..settings };
        let mut engine = app.engine_with(&settings).await?;
        let Some(url) = &app.settings().redis_url else { return Ok(Self { engine, server: None, folder }) };
        let server = Server::open(url.reveal()).await?;
        engine.queue = Arc::new(RedisQueue::new(server.redis.clone(), None));
        engine.progress = Arc::new(RedisProgress::new(server.redis.clone(), None));
        Ok(Self { engine, server: Some(server), folder })
    }

    /// Removes everything.
    pub(super) async fn close(self) -> Result<(), CliError> {
        match self.server {
            Some(server) => server.empty().await,
            None => Ok(()),
        }
    }

    pub(super) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// A worker for no-op jobs.
    pub(super) async fn worker(&self, app: &App, slots: u16) -> Result<Worker, CliError> {
        self.worker_of(app, slots, Registry::new().register::<Noop>()).await
    }

    /// A worker for jobs of these kinds.
    pub(super) async fn worker_of(
        &self,
        app: &App,
        slots: u16,
        registry: Registry,
    ) -> Result<Worker, CliError> {
        let mut options = app.worker_options();
        options.concurrency = usize::from(slots);
        Ok(Worker::new(self.engine.parts(Arc::new(registry)).await?, options)?)
    }

    /// Enqueues in batches as a bulk producer does: the next ones are sent before the first is answered.
    pub(super) async fn enqueue(&self, jobs: &[NewJob], batch: usize) -> Result<(), CliError> {
        let batches = jobs.chunks(batch).map(<[NewJob]>::to_vec).map(Ok);
        stream::iter(batches).try_for_each_concurrent(IN_FLIGHT, |batch| enqueue(&self.engine, batch)).await
    }

    /// Lets the tenants have as many jobs waiting as it takes, and sets what else is asked for.
    pub(super) async fn limit(&self, tenants: &[TenantId], limits: &TenantLimits) -> Result<(), CliError> {
        let limits = &TenantLimits { max_waiting: None, max_waiting_bytes: None, ..limits.clone() };
        let set = |tenant| async move {
            Ok::<_, CliError>(self.engine.queue.set_tenant_limits(tenant, Some(limits.clone())).await?)
        };
        stream::iter(tenants).map(Ok).try_for_each_concurrent(64, set).await
    }

    /// Removes all finished jobs, as retention does once their time has come.
    pub(super) async fn sweep(&self) -> Result<(), CliError> {
        let retention = Retention::before(Timestamp::from_micros(i64::MAX));
        while self.engine.queue.sweep(&retention).await? != Swept::default() {}
        Ok(())
    }
}

impl Server {
    /// The address of the place, for another process.
    pub(super) fn address(&self) -> String {
        let Self { url, namespace, .. } = self;
        // Of two that name the same the last one holds.
        let mark = if url.contains('?') { '&' } else { '?' };
        format!("{url}{mark}namespace={namespace}&shards=1")
    }

    async fn open(url: &str) -> Result<Self, CliError> {
        let namespace = format!("bench-{:08x}", SystemRandom.below(1 << 32));
        let redis = Redis::connect_with(url, &namespace, 1).await.map_err(|error| away(&error))?;
        let server = Self { redis, url: url.to_owned(), namespace };
        let (_, keys) = server.scan(0).await?;
        if keys.is_empty() {
            return Ok(server);
        }
        Err(CliError::unavailable(format_args!("the namespace {} is not empty", server.namespace)))
    }

    /// A key for a baseline, beside those of the queue.
    pub(super) fn key(&self, name: &str) -> String {
        format!("{{{}:0}}:{name}", self.namespace)
    }

    pub(super) async fn send<T: redis::FromRedisValue>(&self, command: &Cmd) -> Result<T, CliError> {
        let value = self.redis.command(command).await.map_err(|error| away(&error))?;
        redis::from_redis_value(value).map_err(|error| away(&error.into()))
    }

    /// At once: what is freed later would be taken for somebody else's.
    pub(super) async fn remove(&self, name: &str) -> Result<(), CliError> {
        self.send::<()>(cmd("DEL").arg(self.key(name))).await
    }

    /// A figure of `INFO`.
    pub(super) async fn info(&self, section: &str, field: &str) -> Result<f64, CliError> {
        let text: String = self.send(cmd("INFO").arg(section)).await?;
        let found = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let missing = || CliError::unavailable(format_args!("the server does not tell its {field}"));
        found.and_then(|figure| figure.trim().parse().ok()).ok_or_else(missing)
    }

    /// Bytes that the server's data takes.
    pub(super) async fn memory(&self) -> Result<f64, CliError> {
        self.info("memory", "used_memory").await
    }

    /// Seconds of processor time that the server has used.
    pub(super) async fn cpu(&self) -> Result<f64, CliError> {
        Ok(self.info("cpu", "used_cpu_user").await? + self.info("cpu", "used_cpu_sys").await?)
    }

    async fn scan(&self, cursor: u64) -> Result<(u64, Vec<Vec<u8>>), CliError> {
        let pattern = format!("{{{}:*", self.namespace);
        self.send(cmd("SCAN").arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(10_000)).await
    }

    /// Removes the keys of the namespace, and no others; again until there are none, for a worker that was stopped in
    /// the middle may have a call under way.
    async fn empty(&self) -> Result<(), CliError> {
        for _ in 0..ROUNDS {
            let (mut cursor, mut removed) = (0, 0);
            loop {
                let (next, keys) = self.scan(cursor).await?;
                removed += keys.len();
                if !keys.is_empty() {
                    self.send::<()>(cmd("UNLINK").arg(keys)).await?;
                }
                if next == 0 {
                    break;
                }
                cursor = next;
            }
            if removed == 0 {
                return Ok(());
            }
        }
        Err(CliError::unavailable(format_args!("keys of the namespace {} keep coming", self.namespace)))
    }
}

pub(super) fn away(error: &RedisError) -> CliError {
    CliError::unavailable(format_args!("Redis can't be measured: {error}"))
}

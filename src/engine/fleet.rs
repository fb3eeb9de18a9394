//! The engine on Redis: opened, and looked after. Must not know: any key.

use std::{path::Path, sync::Arc};

use redis::RedisError;

use super::{Backing, Engine, EngineError, file_error, local_storage, make_folder};
use crate::{
    artifact::ArtifactStore,
    config::Settings,
    domain::{Clock, SystemRandom, clock::SystemClock},
    progress::redis::RedisProgress,
    queue::redis::RedisQueue,
    schedule::Schedules,
    store::{
        Records,
        redis::{Finding, Redis, RedisRecords, RedisUrl, Severity},
    },
};

impl Engine {
    pub(super) async fn connect_redis(settings: &Settings, url: &RedisUrl) -> Result<Self, EngineError> {
        let unusable = |cause: RedisError| EngineError::Redis { url: url.to_string(), cause: cause.into() };
        let redis = Redis::new(url.clone()).map_err(unusable)?;
        warn(&redis.check().await.map_err(unusable)?);
        let folder = settings.data_dir.clone();
        let opened = tokio::task::spawn_blocking(move || open_storage(&folder)).await;
        let storage = opened.map_err(|error| EngineError::Unavailable {
            folder: settings.data_dir.clone(),
            cause: error.into(),
        })??;
        let (records, clock): (Arc<dyn Records>, Arc<dyn Clock>) =
            (Arc::new(RedisRecords::new(redis.clone(), None)), Arc::new(SystemClock));
        Ok(Self {
            queue: Arc::new(RedisQueue::new(redis.clone(), None)),
            schedules: Schedules::new(&records, clock.clone()),
            records,
            progress: Arc::new(RedisProgress::new(redis.clone(), None)),
            artifacts: ArtifactStore::new(storage.clone()),
            storage,
            clock,
            random: Arc::new(SystemRandom),
            backing: Backing::Fleet(redis),
            folder: settings.data_dir.clone(),
            retention: settings.retention,
            keep_finished: settings.keep_finished,
            scratch: Arc::default(),
        })
    }

    /// What of the Redis's settings could lose jobs or stand in the way; `None` on the embedded engine.
    ///
    /// # Errors
    /// Where it can't be reached.
    pub async fn check_redis(&self) -> Result<Option<Vec<Finding>>, EngineError> {
        let Backing::Fleet(redis) = &self.backing else { return Ok(None) };
        let found = redis.check().await;
        found.map(Some).map_err(|cause| EngineError::Redis { url: format!("{redis:?}"), cause: cause.into() })
    }
}

fn open_storage(folder: &Path) -> Result<Arc<dyn object_store::ObjectStore>, EngineError> {
    make_folder(folder).map_err(|error| file_error(folder, folder, error))?;
    local_storage(folder)
}

/// Told once a process, before anything is entrusted to it.
fn warn(findings: &[Finding]) {
    for Finding { severity, server, what, advice } in findings {
        match severity {
            Severity::Error => tracing::error!(server, advice, "Redis: {what}"),
            Severity::Warning => tracing::warn!(server, advice, "Redis: {what}"),
            Severity::Unknown => tracing::info!(server, advice, "Redis: {what}"),
        }
    }
}

//! The engine on Redis: opened, and looked after. Must not know: any key.

use std::{sync::Arc, time::Duration};

use redis::RedisError;
use tokio_util::task::TaskTracker;

use super::{Backing, Engine, EngineError, file_error, make_folder, master_source, open_storage};
use crate::{
    artifact::{ArtifactStore, Storage},
    cache::{Cache, CacheOptions},
    config::Settings,
    domain::{Clock, Random, Rate, SystemRandom, clock::SystemClock},
    limits::{Bucket, FallbackLimiter, Health, LimitRules, Limiter, RedisLimiter, Rules, Scope},
    progress::redis::RedisProgress,
    queue::redis::RedisQueue,
    schedule::Schedules,
    security::{
        Keyring, MasterSource, SealingQueue, api_keys::ApiKeys, identity::Identity, oidc::Oidc,
        outgoing::Outgoing, sessions::Sessions, users::Users, vault::Vault,
    },
    spending::Spending,
    store::{
        Records,
        redis::{Finding, Redis, RedisRecords, RedisUrl, Severity, is_lost},
    },
};

/// How soon invalidations must be heard for the way to be taken as sound.
const HEARS_WITHIN: Duration = Duration::from_secs(3);

/// What a Redis that can't be reached is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// A mistake.
    Fails,
    /// One that will be there.
    Comes,
}

/// How what the fleet shares beside its jobs fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedHealth {
    /// The limits.
    pub limits: Health,
    /// The cache.
    pub cache: Health,
    /// Whether invalidations of other processes are heard; else this process's memory is not used.
    pub hears: bool,
}

impl Engine {
    pub(super) async fn connect_redis(
        settings: &Settings,
        url: &RedisUrl,
        missing: Missing,
    ) -> Result<Self, EngineError> {
        let unusable = |cause: RedisError| EngineError::Redis { url: url.to_string(), cause: cause.into() };
        let redis = match Redis::reach(url.clone()).await {
            Err(error) if missing == Missing::Comes && is_lost(&error) => {
                tracing::warn!(%url, %error, "the Redis is away: what needs it fails until it is there");
                Redis::new(url.clone()).map_err(unusable)?
            }
            reached => reached.map_err(unusable)?,
        };
        let blocking = settings.clone();
        let opened = tokio::task::spawn_blocking(move || open_files(&blocking)).await;
        let (storage, masters) = opened.map_err(|error| EngineError::Unavailable {
            folder: settings.data_dir.clone(),
            cause: error.into(),
        })??;
        let (records, clock): (Arc<dyn Records>, Arc<dyn Clock>) =
            (Arc::new(RedisRecords::new(redis.clone(), None)), Arc::new(SystemClock));
        let random: Arc<dyn Random> = Arc::new(SystemRandom);
        let limiter = Arc::new(RedisLimiter::new(redis.clone(), random.clone()));
        let audit = super::audit::open(settings, &masters, &records, (&clock, &random));
        let keyring = Keyring::new(&records, masters, clock.clone(), random.clone());
        let queue = Arc::new(RedisQueue::new(redis.clone(), None));
        let limiter: Arc<dyn Limiter> =
            Arc::new(FallbackLimiter::new(limiter, clock.clone(), random.clone()));
        let users = Users::new(&records, clock.clone(), random.clone());
        let outgoing = Outgoing::new(settings.outgoing.clone());
        Ok(Self {
            identity: Identity::new(&records, &keyring, limiter.clone(), &audit, &clock, &random),
            limiter,
            queue: Arc::new(SealingQueue::new(queue, keyring.clone(), random.clone())),
            storage: storage.objects().clone(),
            artifacts: ArtifactStore::new(storage).with_keys(Arc::new(keyring.clone()), random.clone()),
            vault: Vault::new(&records, &keyring, Arc::new(audit.clone()), clock.clone(), random.clone()),
            keyring,
            oidc: Oidc::new(
                &settings.oidc,
                &records,
                users.clone(),
                &outgoing,
                clock.clone(),
                random.clone(),
            ),
            outgoing,
            sessions: Sessions::new(&records, users, settings.sessions, clock.clone(), random.clone()),
            api_keys: ApiKeys::new(&records, Arc::new(audit.clone()), clock.clone(), random.clone()),
            audit,
            rules: Arc::new(Rules::new(settings.limits.clone(), records.clone(), clock.clone())),
            spending: Spending::new(settings.budgets.clone(), &records, clock.clone(), random.clone()),
            cache: Cache::shared(redis.clone(), CacheOptions::default(), clock.clone(), random.clone()),
            schedules: Schedules::new(&records, clock.clone()),
            records,
            progress: Arc::new(RedisProgress::new(redis.clone(), None)),
            clock,
            random,
            endings: TaskTracker::new(),
            backing: Backing::Fleet(redis),
            folder: settings.data_dir.clone(),
            retention: settings.retention,
            keep_finished: settings.keep_finished,
            models: settings.models.clone().map(Arc::new),
            scratch: Arc::default(),
        })
    }

    /// Whether a fleet shares what this process works on: it is on a Redis.
    pub fn is_shared(&self) -> bool {
        matches!(self.backing, Backing::Fleet(_))
    }

    /// Tells the log what of the Redis's settings could lose jobs: once a process that stays.
    pub(super) async fn warn_of_settings(&self) {
        match self.check_redis().await {
            Ok(findings) => warn(&findings.unwrap_or_default()),
            Err(error) => tracing::warn!(%error, "the Redis's settings can't be looked at"),
        }
    }

    /// How what the fleet shares beside its jobs fares, asked now; `None` on the embedded engine. Takes some seconds at
    /// most.
    pub async fn check_shared(&self) -> Option<SharedHealth> {
        let Backing::Fleet(_) = &self.backing else { return None };
        let bucket = Bucket::new(Scope::Other("doctor".to_owned()), &LimitRules::API);
        // What came of it is told by the health.
        let _ = self.limiter.level(&bucket, Rate::per_minute(1, 1)).await;
        let (limits, cache) = (self.limiter.health(), self.cache.check().await);
        let hears =
            cache == Health::Well && tokio::time::timeout(HEARS_WITHIN, self.cache.hearing()).await.is_ok();
        Some(SharedHealth { limits, cache, hears })
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

fn open_files(settings: &Settings) -> Result<(Storage, MasterSource), EngineError> {
    let folder = &settings.data_dir;
    make_folder(folder).map_err(|error| file_error(folder, folder, error))?;
    Ok((open_storage(settings)?, master_source(settings)?))
}

fn warn(findings: &[Finding]) {
    for Finding { severity, server, what, advice } in findings {
        match severity {
            Severity::Error => tracing::error!(server, advice, "Redis: {what}"),
            Severity::Warning => tracing::warn!(server, advice, "Redis: {what}"),
            Severity::Unknown => tracing::info!(server, advice, "Redis: {what}"),
        }
    }
}

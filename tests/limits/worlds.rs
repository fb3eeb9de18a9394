//! Limiters to try: each twice, as two processes have it, with a clock that stands still.

use std::{path::Path, sync::Arc, time::Duration};

use presswork::{
    domain::{ManualClock, Rate, SystemRandom, Timestamp},
    limits::{Bucket, FallbackLimiter, Limiter, MemoryLimiter, RecordsLimiter, RedisLimiter, Scope},
    store::sqlite::{Database, SqliteRecords},
};

use crate::servers;

pub(crate) struct World {
    pub(crate) here: Arc<dyn Limiter>,
    /// The same, as another process has it.
    pub(crate) there: Arc<dyn Limiter>,
    pub(crate) clock: Arc<ManualClock>,
    _folder: Option<tempfile::TempDir>,
}

pub(crate) fn bucket(scope: &str, resource: &str) -> Bucket {
    Bucket::new(Scope::Other(scope.to_owned()), &resource.parse().unwrap())
}

pub(crate) fn rate(text: &str) -> Rate {
    text.parse().unwrap()
}

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_millis(1_795_312_058_000)))
}

fn world(clock: Arc<ManualClock>, open: impl Fn() -> Arc<dyn Limiter>) -> World {
    World { here: open(), there: open(), clock, _folder: None }
}

pub(crate) async fn in_memory() -> World {
    let clock = clock();
    let one = Arc::new(MemoryLimiter::new(clock.clone(), Arc::new(SystemRandom)));
    world(clock, || one.clone())
}

pub(crate) fn records(folder: &Path, clock: Arc<ManualClock>) -> Arc<SqliteRecords> {
    let database = Database::open(&folder.join("presswork.db"), &[SqliteRecords::MIGRATIONS]).unwrap();
    Arc::new(SqliteRecords::new(Arc::new(database), clock))
}

pub(crate) async fn in_records_of_sqlite() -> World {
    let (clock, folder) = (clock(), tempfile::tempdir().unwrap());
    let open = || -> Arc<dyn Limiter> {
        let records = records(folder.path(), clock.clone());
        Arc::new(RecordsLimiter::new(records, clock.clone(), Arc::new(SystemRandom)))
    };
    World { here: open(), there: open(), clock: clock.clone(), _folder: Some(folder) }
}

async fn two_redises() -> [presswork::store::redis::Redis; 2] {
    let namespace = servers::fresh_namespace();
    let url = servers::shared_server().url();
    let connect = || presswork::store::redis::Redis::connect_with(&url, &namespace, 1);
    [connect().await.unwrap(), connect().await.unwrap()]
}

pub(crate) async fn on_redis() -> World {
    let clock = clock();
    let [here, there] = two_redises().await.map(|redis| -> Arc<dyn Limiter> {
        Arc::new(RedisLimiter::new(redis, Arc::new(SystemRandom)).with_clock(clock.clone()))
    });
    World { here, there, clock, _folder: None }
}

/// Patient, for tests that are not about an outage and may run on a busy machine.
pub(crate) const PATIENT: Duration = Duration::from_secs(60);

pub(crate) async fn on_redis_with_a_fallback() -> World {
    let World { here, there, clock, .. } = on_redis().await;
    let [here, there] = [here, there].map(|shared| -> Arc<dyn Limiter> {
        Arc::new(FallbackLimiter::with_patience(shared, clock.clone(), Arc::new(SystemRandom), PATIENT))
    });
    World { here, there, clock, _folder: None }
}

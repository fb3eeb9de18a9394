//! Limiters to try: each twice, as two processes have it, with a clock that stands still.

use std::{path::Path, sync::Arc, time::Duration};

use presswork::{
    domain::{ManualClock, Rate, SystemRandom, Timestamp},
    limits::{Bucket, FallbackLimiter, Limiter, MemoryLimiter, RecordsLimiter, RedisLimiter, Scope},
    store::{
        redis::Redis,
        sqlite::{Database, SqliteRecords},
    },
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

async fn two_redises(url: &str) -> [Redis; 2] {
    let namespace = servers::fresh_namespace();
    let connect = || Redis::connect_with(url, &namespace, 1);
    [connect().await.unwrap(), connect().await.unwrap()]
}

fn on(redises: [Redis; 2]) -> World {
    let clock = clock();
    let [here, there] = redises.map(|redis| -> Arc<dyn Limiter> {
        Arc::new(RedisLimiter::new(redis, Arc::new(SystemRandom)).with_clock(clock.clone()))
    });
    World { here, there, clock, _folder: None }
}

pub(crate) async fn on_redis() -> World {
    on(two_redises(&servers::shared_server().url()).await)
}

pub(crate) async fn on_a_redis_cluster() -> World {
    on(two_redises(&servers::shared_cluster_server().url()).await)
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

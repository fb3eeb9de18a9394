//! Spending as two processes see it, with a clock that stands still.

use std::{path::Path, sync::Arc};

use presswork::{
    domain::{ManualClock, SystemRandom, TenantId, Timestamp},
    spending::{Budget, Estimate, Measure, ModelName, Spending, Used},
    store::{
        Records,
        redis::{Redis, RedisRecords},
        sqlite::{Database, SqliteRecords},
    },
};

use crate::servers;

pub(crate) struct World {
    pub(crate) here: Spending,
    /// The same, as another process has it.
    pub(crate) there: Spending,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) acme: TenantId,
    pub(crate) other: TenantId,
    _folder: Option<tempfile::TempDir>,
}

/// 2026-11-22T10:00:00Z: a Sunday, eight days before the month's end.
const START: &str = "2026-11-22T10:00:00Z";

fn world(
    clock: Arc<ManualClock>,
    folder: Option<tempfile::TempDir>,
    records: [Arc<dyn Records>; 2],
) -> World {
    let [here, there] = records
        .map(|records| Spending::new(Budget::default(), &records, clock.clone(), Arc::new(SystemRandom)));
    let tenant = |name: &str| name.parse().unwrap();
    World { here, there, clock, acme: tenant("acme"), other: tenant("other"), _folder: folder }
}

fn clock() -> Arc<ManualClock> {
    let start: Timestamp = START.parse().unwrap();
    Arc::new(ManualClock::at(start))
}

pub(crate) async fn on_sqlite() -> World {
    let (clock, folder) = (clock(), tempfile::tempdir().unwrap());
    let open = |folder: &Path| -> Arc<dyn Records> {
        let database = Database::open(&folder.join("presswork.db"), &[SqliteRecords::MIGRATIONS]).unwrap();
        Arc::new(SqliteRecords::new(Arc::new(database), clock.clone()))
    };
    let records = [open(folder.path()), open(folder.path())];
    world(clock.clone(), Some(folder), records)
}

async fn on(url: &str) -> World {
    let (clock, namespace) = (clock(), servers::fresh_namespace());
    let open = async || {
        let redis = Redis::connect_with(url, &namespace, 1).await.unwrap();
        Arc::new(RedisRecords::new(redis, Some(clock.clone())))
    };
    let records: [Arc<dyn Records>; 2] = [open().await, open().await];
    world(clock.clone(), None, records)
}

pub(crate) async fn on_redis() -> World {
    on(&servers::shared_server().url()).await
}

pub(crate) async fn on_a_redis_cluster() -> World {
    on(&servers::shared_cluster_server().url()).await
}

impl World {
    pub(crate) async fn limit(&self, tenant: &TenantId, measure: Measure, amount: u64) {
        self.here.budgets().set(tenant, measure, Some(amount)).await.unwrap();
        // The other process has read another one within this second.
        self.clock.advance(std::time::Duration::from_secs(1));
    }

    /// What is spent of a budget, and what is set aside.
    pub(crate) async fn standing(&self, measure: Measure) -> (u64, u64) {
        let all = self.there.standings(&self.acme).await.unwrap();
        let standing = all.into_iter().find(|standing| standing.measure == measure).unwrap();
        (standing.spent, standing.reserved)
    }
}

pub(crate) fn model(model: &str) -> ModelName {
    ModelName { provider: "openai".to_owned(), model: model.to_owned() }
}

/// A call of 10 tokens in and 90 out that may cost so much.
pub(crate) fn call(nanos: u64) -> Estimate {
    let cost = Some(presswork::domain::Cost::from_nanos(nanos));
    Estimate { name: model("a"), input_tokens: 10, output_tokens: 90, cost }
}

pub(crate) fn used(nanos: u64) -> Used {
    let cost = Some(presswork::domain::Cost::from_nanos(nanos));
    Used { input_tokens: 8, output_tokens: 12, cost, ..Used::default() }
}

//! Random operations on an engine and on the reference model at once: same answers after each step, same jobs every
//! so often. What an engine is free to choose, which job of several is claimed next, is not predicted but judged.
//!
//! A failure prints its seed and step; `PRESSWORK_MODEL_SEED` runs that seed again, `PRESSWORK_MODEL_STEPS` sets how far.

mod answers;
mod chance;
mod operations;
pub(crate) mod queue;
mod relations;
mod view;

use std::collections::{BTreeMap, VecDeque};

use presswork::{
    domain::{BatchId, Job, JobId, TenantId, Timestamp, model::Model},
    queue::{Filter, Lease, Retention, Swept},
};

use crate::conformance::queue::{World, listing::check_statistics};
use chance::{Chance, TENANTS};

/// Steps of each seed: four seeds make 24,000.
const STEPS: usize = 6_000;
/// All jobs are compared after so many steps.
const COMPARE_EVERY: usize = 40;

/// Makes the tests, on worlds that `$open().await` opens.
macro_rules! random_operations {
    ($open:ident) => {
        $crate::model::random_operations! { $open:
            random_operations_agree_with_the_model_1 = 1,
            random_operations_agree_with_the_model_2 = 2,
            random_operations_agree_with_the_model_3 = 3,
            random_operations_agree_with_the_model_4 = 4,
        }
    };
    ($open:ident: $($name:ident = $seed:literal,)+) => {
        $(
            #[tokio::test]
            async fn $name() {
                $crate::model::run(&$open().await, $seed).await;
            }
        )+
    };
}

pub(crate) use random_operations;

fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} has to be a number")))
}

/// Runs one seed.
pub(crate) async fn run(world: &World, seed: u64) {
    let seed = setting("PRESSWORK_MODEL_SEED").unwrap_or(seed);
    let mut run = Run {
        world,
        model: Model::default(),
        chance: Chance::new(seed),
        known: VecDeque::new(),
        batches: VecDeque::new(),
        leases: VecDeque::new(),
        settled: BTreeMap::new(),
        epochs: BTreeMap::new(),
        tidy: true,
        place: Place { seed, step: 0, doing: "starting" },
    };
    for step in 1..=setting("PRESSWORK_MODEL_STEPS").unwrap_or(STEPS) {
        run.place.step = step;
        run.step().await;
        if step % COMPARE_EVERY == 0 {
            run.compare().await;
        }
    }
    run.compare().await;
}

/// Where the run is: printed when it fails.
struct Place {
    seed: u64,
    step: usize,
    doing: &'static str,
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "engine and model part while {}: PRESSWORK_MODEL_SEED={} PRESSWORK_MODEL_STEPS={}",
                self.doing, self.seed, self.step
            );
        }
    }
}

struct Run<'a> {
    world: &'a World,
    model: Model,
    chance: Chance,
    /// Ids that were given, the latest last; some of them swept since.
    known: VecDeque<(TenantId, JobId)>,
    /// Batches that were opened, the latest last; some of them swept since.
    batches: VecDeque<(TenantId, BatchId)>,
    /// Leases that were given, the latest last; most of them ended since.
    leases: VecDeque<Lease>,
    /// What settlements that were applied were answered.
    settled: BTreeMap<(TenantId, JobId, u64), presswork::domain::State>,
    /// The highest epoch seen of each job.
    epochs: BTreeMap<(TenantId, JobId), u64>,
    /// Whether the engine has noticed all lapses up to now, as the model has.
    tidy: bool,
    place: Place,
}

impl Run<'_> {
    /// Lets the engine notice all lapses, so that what it shows is as new as what the model shows.
    async fn tidy(&mut self) {
        let now = self.world.now();
        self.model.pass_time(now);
        while !self.tidy {
            self.tidy = self.world.queue.sweep(&Retention::before(Timestamp::EPOCH)).await.unwrap()
                == Swept::default();
        }
    }

    /// Compares all jobs and the statistics.
    async fn compare(&mut self) {
        self.place.doing = "comparing all jobs";
        self.tidy().await;
        let now = self.world.now();
        let tenants = TENANTS.map(|name| name.parse::<TenantId>().unwrap());
        for tenant in &tenants {
            let page = 1 + self.chance.below(60);
            let listed = self.world.list(tenant, &Filter::default(), page).await;
            // By acceptance or by the time in the producer's id: they differ where a swept id came again.
            let by_acceptance = listed.is_sorted_by(|one, next| one.created_at >= next.created_at);
            assert!(by_acceptance || listed.is_sorted_by(|one, next| one.id > next.id), "newest first");
            let of_engine: BTreeMap<JobId, Job> =
                listed.iter().map(|job| (job.id, view::essence(job.clone(), now))).collect();
            assert_eq!(of_engine.len(), listed.len(), "each job once");
            let of_model: BTreeMap<JobId, Job> = self
                .model
                .jobs()
                .filter(|job| job.tenant == *tenant)
                .map(|job| (job.id, view::essence(job.clone(), now)))
                .collect();
            for (id, job) in &of_model {
                assert_eq!(of_engine.get(id), Some(job), "left the engine, right the model");
            }
            assert_eq!(of_engine.len(), of_model.len(), "the engine has jobs that the model has not");
        }
        for (tenant, id) in &self.batches {
            let of_engine = self.world.queue.batch(tenant, *id).await.unwrap();
            assert_eq!(of_engine.as_ref(), self.model.batch(tenant, *id), "left the engine, right the model");
        }
        let stats = self.world.queue.stats(None).await.unwrap();
        check_statistics(self.world, &tenants, stats).await;
    }
}

//! Workers that are killed or frozen: what they held is done by others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::TryStreamExt as _;
use object_store::local::LocalFileSystem;
use presswork::{
    artifact::ArtifactStore,
    domain::{JobId, LaneLimits, NewJob, Random as _, Rate, SeededRandom, State, SystemRandom, TenantLimits},
    queue::{Queue as _, redis::RedisQueue},
    worker::{Kind as _, new_job},
};

use super::{
    child::{Orders, Process, Task, job_of, said, storage_of},
    nothing_is_left, queue, tenant, unfinished, until,
};
use crate::servers::{RedisServer, fresh_namespace};

/// A queue, and processes that share its work.
struct Fleet {
    server: RedisServer,
    folder: tempfile::TempDir,
    queue: Arc<RedisQueue>,
    orders: Orders,
}

impl Fleet {
    async fn new(shards: u16) -> Self {
        let (server, namespace) = (RedisServer::start(), fresh_namespace());
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(&server.url(), &namespace, shards).await;
        let orders = Orders {
            url: server.url(),
            namespace,
            shards,
            folder: folder.path().to_owned(),
            concurrency: 8,
            lease: Duration::from_secs(1),
        };
        Self { server, folder, queue, orders }
    }

    fn start(&self, concurrency: usize) -> Process {
        Process::start(&Orders { concurrency, ..self.orders.clone() })
    }

    async fn enqueue(&self, jobs: Vec<NewJob>) {
        for answer in self.queue.enqueue(jobs).await.unwrap() {
            answer.unwrap();
        }
    }

    fn said(&self, word: &str) -> Vec<Vec<String>> {
        said(self.folder.path(), word)
    }

    async fn all_end(&self) {
        until("all jobs end", async || unfinished(&self.queue).await == Some(0)).await;
    }

    async fn nothing_is_left(&self) {
        nothing_is_left(&self.queue, &[self.server.port()], &self.orders.namespace).await;
    }
}

fn task(number: u64, task: Task) -> NewJob {
    let job = super::job(&tenant(number), &Task::NAME, b"");
    new_job(job.id, job.tenant, &task).unwrap()
}

#[tokio::test]
async fn the_leases_of_a_killed_worker_are_worked_off_by_another() {
    const HELD: usize = 500;
    let fleet = Fleet::new(1).await;
    let jobs: Vec<NewJob> =
        (0..5).flat_map(|number| (0..100).map(move |_| task(number, Task::Hold))).collect();
    fleet.enqueue(jobs.clone()).await;
    let first = fleet.start(HELD);
    until("it holds them all", async || fleet.said("started").len() == HELD).await;
    first.kill();
    assert_eq!(fleet.queue.stats(None).await.unwrap().count(State::Running), HELD as u64);
    let second = fleet.start(50);
    fleet.all_end().await;
    second.stop();
    for job in &jobs {
        let found = fleet.queue.inspect(&job.tenant, &[job.id]).await.unwrap().remove(0).unwrap();
        assert_eq!(
            (found.state, found.attempt),
            (State::Completed, 2),
            "{}: the lost attempt counts",
            job.id
        );
    }
    let done: BTreeSet<JobId> = fleet.said("done").iter().map(job_of).collect();
    assert_eq!((done.len(), fleet.said("done").len()), (HELD, HELD), "each once");
    fleet.nothing_is_left().await;
}

#[tokio::test]
async fn a_worker_frozen_beyond_its_lease_settles_nothing_and_leaves_no_artifact() {
    let fleet = Fleet::new(1).await;
    let job = task(0, Task::Write);
    fleet.enqueue(vec![job.clone()]).await;
    let mut frozen = fleet.start(1);
    until("half is written", async || fleet.said("half").len() == 1).await;
    frozen.signal("STOP");
    let other = fleet.start(1);
    fleet.all_end().await;
    // When it wakes up it has all that it was waiting for.
    frozen.go();
    frozen.signal("CONT");
    frozen.stop();
    other.stop();

    let summaries: BTreeSet<String> = fleet.said("summary").iter().map(|line| line[1..].join(" ")).collect();
    assert_eq!(summaries, ["0 0 1", "1 0 0"].map(str::to_owned).into(), "completed, dead, lost");
    let found = fleet.queue.inspect(&job.tenant, &[job.id]).await.unwrap().remove(0).unwrap();
    assert_eq!((found.state, found.attempt), (State::Completed, 2));
    let [pointer] = &found.output.as_ref().unwrap().artifacts[..] else { panic!("{found:?}") };
    let storage = Arc::new(LocalFileSystem::new_with_prefix(storage_of(fleet.folder.path())).unwrap());
    let store = ArtifactStore::new(storage);
    let read = store.read(pointer).await.unwrap();
    let text: Vec<u8> = read.map_ok(|bytes| bytes.to_vec()).try_concat().await.unwrap();
    assert_eq!(text, b"attempt 2, whole");
    fleet.nothing_is_left().await;
}

#[tokio::test]
async fn jobs_of_many_tenants_end_as_they_are_to_while_processes_are_killed_at_random() {
    const JOBS: u64 = 5_000;
    const TENANTS: u64 = 20;
    let seed = std::env::var("PRESSWORK_FAULTS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| SystemRandom.below(u64::MAX));
    println!("PRESSWORK_FAULTS_SEED={seed}");
    let (random, fleet) = (SeededRandom::new(seed), Fleet::new(2).await);
    for number in 0..TENANTS / 2 {
        let rate = (number % 3 == 0).then(|| Rate::per_second(500, 20));
        let lane = LaneLimits { rate, max_running: (number % 3 == 1).then_some(3) };
        let limits = TenantLimits {
            weight: 1 + u32::try_from(random.below(4)).unwrap(),
            max_running: (number % 3 == 2).then_some(4),
            kinds: BTreeMap::from([(Task::NAME, lane)]),
            ..TenantLimits::default()
        };
        fleet.queue.set_tenant_limits(&tenant(number), Some(limits)).await.unwrap();
    }
    let chance = || Task::Chance {
        failures: u32::try_from(random.below(6)).unwrap().saturating_sub(3),
        ends_well: random.below(10) > 0,
    };
    let jobs: Vec<(NewJob, bool)> = (0..JOBS)
        .map(|_| {
            let chance = chance();
            let Task::Chance { ends_well, .. } = chance else { unreachable!() };
            (task(random.below(TENANTS), chance), ends_well)
        })
        .collect();

    let mut processes: Vec<Process> = (0..3).map(|_| fleet.start(8)).collect();
    for some in jobs.chunks(500) {
        fleet.enqueue(some.iter().map(|(job, _)| job.clone()).collect()).await;
        let goal = fleet.said("started").len() + usize::try_from(random.below(600)).unwrap();
        until("they work", async || {
            fleet.said("started").len() >= goal || unfinished(&fleet.queue).await == Some(0)
        })
        .await;
        let victim = usize::try_from(random.below(3)).unwrap();
        std::mem::replace(&mut processes[victim], fleet.start(8)).kill();
    }
    fleet.all_end().await;
    processes.into_iter().for_each(Process::stop);

    let mut leases = BTreeSet::new();
    for line in fleet.said("started") {
        assert!(leases.insert((line[1].clone(), line[2].clone())), "{line:?} began twice");
    }
    let (mut completed, mut dead) = (0, 0);
    for (job, ends_well) in &jobs {
        let found = fleet.queue.inspect(&job.tenant, &[job.id]).await.unwrap().remove(0).expect("it is lost");
        let expected = if *ends_well { State::Completed } else { State::Dead };
        assert_eq!(found.state, expected, "{found:?}");
        *(if *ends_well { &mut completed } else { &mut dead }) += 1;
    }
    let stats = fleet.queue.stats(None).await.unwrap();
    assert_eq!((stats.count(State::Completed), stats.count(State::Dead)), (completed, dead));
    for number in 0..TENANTS {
        fleet.queue.set_tenant_limits(&tenant(number), None).await.unwrap();
    }
    fleet.nothing_is_left().await;
}

//! Producers and workers that go on whatever breaks, and keep a book of what they were answered.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use presswork::{
    domain::{
        JobId, NewJob, Random as _, Reason, SeededRandom, State, SystemRandom, Timestamp, Verdict, WorkerId,
    },
    queue::{Ask, Queue as _, QueueError, Settled, redis::RedisQueue},
};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{EXPORT, job, queue, rest, tenant, unfinished, until};
use crate::conformance::queue::world::done;

/// More than any job can be unlucky.
const MOST_ATTEMPTS: u32 = 1_000;
/// Producers wait while so many jobs are under way.
const MOST_UNDER_WAY: usize = 200;
const LEASE: Duration = Duration::from_secs(2);

/// What was answered.
#[derive(Default)]
pub(super) struct Book {
    /// Jobs accepted, and where they live.
    pub(super) accepted: BTreeMap<JobId, u64>,
    /// How often each was said to be completed now.
    pub(super) completed: BTreeMap<JobId, usize>,
    /// Every lease that was handed out.
    leases: BTreeSet<(JobId, u64)>,
    /// Those that were handed out before, with the same number.
    doubled: Vec<(JobId, u64)>,
    /// Calls that failed.
    pub(super) failures: usize,
}

/// Several clients at work.
pub(super) struct Load {
    url: String,
    namespace: String,
    shards: u16,
    book: Mutex<Book>,
    /// Rises with each answer.
    answers: watch::Sender<usize>,
    closing: CancellationToken,
    over: CancellationToken,
    pub(super) random: SeededRandom,
    producers: Mutex<JoinSet<()>>,
    workers: Mutex<JoinSet<()>>,
}

impl Load {
    /// So many producers and workers, each with connections of its own.
    pub(super) async fn start(url: &str, namespace: &str, shards: u16, each: usize) -> Arc<Self> {
        let seed = std::env::var("PRESSWORK_FAULTS_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| SystemRandom.below(u64::MAX));
        println!("PRESSWORK_FAULTS_SEED={seed}");
        let load = Arc::new(Self {
            url: url.to_owned(),
            namespace: namespace.to_owned(),
            shards,
            book: Mutex::default(),
            answers: watch::Sender::new(0),
            closing: CancellationToken::new(),
            over: CancellationToken::new(),
            random: SeededRandom::new(seed),
            producers: Mutex::default(),
            workers: Mutex::default(),
        });
        for number in 0..each {
            let (producer, worker) = (load.clone(), load.clone());
            let queue = load.queue().await;
            load.producers.lock().unwrap().spawn(async move { producer.produce(&queue).await });
            let queue = load.queue().await;
            load.workers.lock().unwrap().spawn(async move { worker.work(&queue, number).await });
        }
        load
    }

    /// Another client's queue.
    pub(super) async fn queue(&self) -> Arc<RedisQueue> {
        queue(&self.url, &self.namespace, self.shards).await
    }

    /// Ends after so many more answers.
    pub(super) async fn answered(&self, more: u64) {
        let goal = *self.answers.borrow() + usize::try_from(more).unwrap();
        self.answers.subscribe().wait_for(|answers| *answers >= goal).await.unwrap();
    }

    /// Has producers stop, waits until everything has ended, and gives the book.
    pub(super) async fn finish(&self) -> Book {
        self.producers_end().await;
        until("all that was accepted is completed", async || self.under_way() == 0).await;
        self.finish_what_is_there().await
    }

    /// The same where a store may have lost what it had answered: what it still has ends.
    pub(super) async fn finish_what_is_there(&self) -> Book {
        self.producers_end().await;
        let queue = self.queue().await;
        until("all jobs end", async || unfinished(&queue).await == Some(0)).await;
        self.over.cancel();
        let mut workers = std::mem::take(&mut *self.workers.lock().unwrap());
        while let Some(ended) = workers.join_next().await {
            ended.unwrap();
        }
        std::mem::take(&mut *self.book.lock().unwrap())
    }

    /// Until then one may bring a job whose call was under way.
    async fn producers_end(&self) {
        self.closing.cancel();
        let mut producers = std::mem::take(&mut *self.producers.lock().unwrap());
        while let Some(ended) = producers.join_next().await {
            ended.unwrap();
        }
    }

    fn under_way(&self) -> usize {
        let book = self.book.lock().unwrap();
        book.accepted.keys().filter(|id| !book.completed.contains_key(id)).count()
    }

    fn note(&self, note: impl FnOnce(&mut Book)) {
        note(&mut self.book.lock().unwrap());
        self.answers.send_modify(|answers| *answers += 1);
    }

    /// What a client does with an error: only those that say "try again" are in order.
    async fn failed(&self, error: QueueError) {
        assert!(matches!(error, QueueError::Unavailable { .. } | QueueError::Unwritable { .. }), "{error:?}");
        self.book.lock().unwrap().failures += 1;
        rest().await;
    }

    async fn produce(&self, queue: &RedisQueue) {
        while !self.closing.is_cancelled() {
            if self.under_way() > MOST_UNDER_WAY {
                tokio::select! {
                    () = self.answered(1) => {}
                    () = self.closing.cancelled() => {}
                }
                continue;
            }
            let new = |_| {
                let number = self.random.below(7);
                (number, NewJob { max_attempts: MOST_ATTEMPTS, ..job(&tenant(number), &EXPORT, b"{}") })
            };
            let jobs: Vec<_> = (0..=self.random.below(20)).map(new).collect();
            loop {
                match queue.enqueue(jobs.iter().map(|(_, job)| job.clone()).collect()).await {
                    Ok(answers) => {
                        for (answer, (number, job)) in answers.into_iter().zip(&jobs) {
                            assert_eq!(answer.unwrap().id(), job.id);
                            self.note(|book| {
                                book.accepted.insert(job.id, *number);
                            });
                        }
                        break;
                    }
                    Err(error) => self.failed(error).await,
                }
            }
        }
    }

    async fn work(&self, queue: &RedisQueue, number: usize) {
        let who = WorkerId::new(&format!("w{number}"));
        let ask = Ask { kinds: vec![EXPORT], most: 16, lease: LEASE };
        while !self.over.is_cancelled() {
            let claims = match queue.claim(&who, &ask).await {
                Ok(claims) => claims,
                Err(error) => {
                    self.failed(error).await;
                    continue;
                }
            };
            if claims.is_empty() {
                let waited = tokio::select! {
                    waited = queue.wait(&ask.kinds) => waited,
                    () = self.over.cancelled() => Ok(()),
                };
                if let Err(error) = waited {
                    self.failed(error).await;
                }
                continue;
            }
            let mut settlements = Vec::new();
            for claim in claims {
                let key = (claim.lease.job, claim.lease.epoch);
                self.note(|book| {
                    if !book.leases.insert(key) {
                        book.doubled.push(key);
                    }
                });
                let verdict = match self.random.below(8) {
                    0 => Verdict::Retry { at: Timestamp::EPOCH, reason: Reason::new("again") },
                    _ => done(),
                };
                settlements.push((claim.lease, verdict));
            }
            loop {
                match queue.settle(settlements.clone()).await {
                    Ok(answers) => {
                        for (settled, (lease, _)) in answers.into_iter().zip(&settlements) {
                            if settled == Settled::Now(State::Completed) {
                                self.note(|book| *book.completed.entry(lease.job).or_default() += 1);
                            }
                        }
                        break;
                    }
                    Err(error) => self.failed(error).await,
                }
            }
        }
    }
}

impl Book {
    /// All that was accepted is there and completed, once.
    pub(super) async fn holds(&self, queue: &RedisQueue) {
        assert!(!self.accepted.is_empty());
        assert_eq!(self.doubled, [], "handed out twice under one number");
        for (id, times) in &self.completed {
            assert_eq!(*times, 1, "{id} was settled so often");
            assert!(self.accepted.contains_key(id), "{id} came from nowhere");
        }
        for (id, number) in &self.accepted {
            assert!(self.completed.contains_key(id), "{id} was lost");
            let found = queue.inspect(&tenant(*number), &[*id]).await.unwrap().remove(0);
            assert_eq!(found.map(|job| job.state), Some(State::Completed), "{id}");
        }
    }
}

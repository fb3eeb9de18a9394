//! Hands what is heard on the tenants' channels to those who follow the job. Owns: who follows what in this process, one
//! subscription a tenant. Must not know: what has been read.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use redis::RedisError;
use serde::Deserialize;
use tokio::sync::{OnceCell, broadcast};

use crate::{
    domain::{Event, JobId, TenantId},
    store::redis::{
        Redis,
        channels::{Ear, News},
    },
};

/// How much news of a job is held for those who are slow; beyond that they read.
const MOST_HELD: usize = 64;

/// What a follower hears.
#[derive(Clone, Debug)]
pub(super) enum Heard {
    /// This has happened.
    Event(Arc<Event>),
    /// Something may have happened.
    Missed,
}

/// Who follows what in this process.
pub(super) struct Hub {
    redis: Redis,
    lines: Mutex<HashMap<TenantId, Weak<Line>>>,
}

/// The jobs of a tenant that are followed.
#[derive(Default)]
struct Jobs(Mutex<HashMap<JobId, broadcast::Sender<Heard>>>);

/// A tenant's subscription, while somebody follows one of its jobs.
struct Line {
    jobs: Arc<Jobs>,
    ear: OnceCell<Ear>,
}

impl Hub {
    pub(super) fn new(redis: Redis) -> Self {
        Self { redis, lines: Mutex::default() }
    }

    /// Hears of a job, from now on.
    pub(super) async fn hear(&self, tenant: &TenantId, job: JobId) -> Result<JobEar, RedisError> {
        let line = self.line(tenant);
        let news = line.jobs.lock().entry(job).or_insert_with(|| broadcast::channel(MOST_HELD).0).subscribe();
        let ear = JobEar { line, job, news: Some(news) };
        let jobs = ear.line.jobs.clone();
        let channel = self.channel(tenant);
        let listen =
            || self.redis.channels().listen(channel.as_bytes(), Arc::new(move |news| jobs.tell(news)));
        ear.line.ear.get_or_try_init(listen).await?;
        Ok(ear)
    }

    fn line(&self, tenant: &TenantId) -> Arc<Line> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get(tenant).and_then(Weak::upgrade) {
            return line;
        }
        lines.retain(|_, line| line.strong_count() > 0);
        let line = Arc::new(Line { jobs: Arc::default(), ear: OnceCell::new() });
        lines.insert(tenant.clone(), Arc::downgrade(&line));
        line
    }

    fn channel(&self, tenant: &TenantId) -> String {
        let namespace = self.redis.namespace();
        if self.redis.is_cluster() {
            format!("{namespace}:progress:{}:{tenant}", self.redis.tag(self.redis.shard(tenant)))
        } else {
            format!("{namespace}:progress:{tenant}")
        }
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    job: Cow<'a, str>,
}

impl Jobs {
    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, broadcast::Sender<Heard>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called by the connection's task: never waits.
    fn tell(&self, news: News<'_>) {
        match news {
            News::Message(message) => {
                // Most jobs of a tenant are followed by nobody here.
                let Ok(head) = serde_json::from_slice::<Head<'_>>(message) else { return };
                let Ok(job) = head.job.parse::<JobId>() else { return };
                let followers = self.lock().get(&job).cloned();
                if let (Some(followers), Ok(event)) = (followers, serde_json::from_slice::<Event>(message)) {
                    // Nobody there any more: nothing to do.
                    let _ = followers.send(Heard::Event(Arc::new(event)));
                }
            }
            // What was missed is read once one hears again.
            News::Lost => {}
            News::Missed => {
                for followers in self.lock().values() {
                    let _ = followers.send(Heard::Missed);
                }
            }
        }
    }
}

/// Hears of one job.
pub(super) struct JobEar {
    line: Arc<Line>,
    job: JobId,
    news: Option<broadcast::Receiver<Heard>>,
}

impl JobEar {
    /// The next news.
    pub(super) async fn next(&mut self) -> Heard {
        match self.news.as_mut() {
            Some(news) => match news.recv().await {
                Ok(heard) => heard,
                // One that was too slow has missed something.
                Err(_) => Heard::Missed,
            },
            None => Heard::Missed,
        }
    }
}

impl Drop for JobEar {
    fn drop(&mut self) {
        self.news = None;
        let mut jobs = self.line.jobs.lock();
        if jobs.get(&self.job).is_some_and(|followers| followers.receiver_count() == 0) {
            jobs.remove(&self.job);
        }
    }
}

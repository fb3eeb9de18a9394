//! One follow of a job for all who follow it in this process. Owns: [`Live`], the bound on streams a tenant. Must not know:
//! HTTP's forms.
//!
//! A follow of the progress bus may cost a read of the store at each change in it, so a process has one a job, however many
//! follow: its task makes each event into bytes once and hands them round. It lives as long as somebody follows.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::{sync::broadcast, task::AbortHandle};

use super::subscription::Subscription;
use crate::{
    api::problem::{Problem, ProblemType},
    domain::{Event, EventBody, JobId, TenantId},
    progress::{ProgressBus, ProgressError},
};

/// How many events are held for those who are slow; beyond that they read for themselves.
const MOST_HELD: usize = 64;
/// When a tenant with as many streams as it may have may try again.
const FULL: Duration = Duration::from_secs(5);

/// An event as it is sent: made once, shared by all.
#[derive(Debug)]
pub(super) struct Frame {
    /// Its place.
    pub(super) sequence: u64,
    sse: Bytes,
    json: Range<usize>,
}

impl Frame {
    pub(super) fn of(event: &Event) -> Self {
        let name = match &event.body {
            EventBody::State { .. } => "state",
            EventBody::Progress(_) => "progress",
            EventBody::Text { .. } => "text",
        };
        let head = format!("id: {}\nevent: {name}\ndata: ", event.sequence);
        // Strings and numbers can't fail to be JSON, and JSON has no line break within.
        let json = serde_json::to_vec(event).unwrap_or_default();
        let range = head.len()..head.len() + json.len();
        Self { sequence: event.sequence, sse: [head.as_bytes(), &json, b"\n\n"].concat().into(), json: range }
    }

    /// As a server-sent event.
    pub(super) fn sse(&self) -> Bytes {
        self.sse.clone()
    }

    /// As JSON.
    pub(super) fn json(&self) -> Bytes {
        self.sse.slice(self.json.clone())
    }
}

/// What a feed tells.
#[derive(Clone, Debug)]
pub(super) enum Told {
    /// An event.
    Event(Arc<Frame>),
    /// The job has ended, or is gone: nothing more comes.
    Over,
    /// Events can't be read now.
    Failed,
}

type Feeds = HashMap<(TenantId, JobId), Weak<Feed>>;

/// What is followed in this process, and how many streams are open.
#[derive(Clone)]
pub(in crate::api) struct Live(Arc<Inner>);

struct Inner {
    progress: Arc<dyn ProgressBus>,
    most_streams: usize,
    feeds: Mutex<Feeds>,
    streams: Mutex<HashMap<TenantId, usize>>,
}

/// A job that is followed; dropped, it is no longer.
pub(super) struct Feed {
    sender: broadcast::Sender<Told>,
    task: AbortHandle,
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Somebody's ear at a feed.
pub(super) struct Ear {
    pub(super) news: broadcast::Receiver<Told>,
    _feed: Arc<Feed>,
}

/// Room for a stream; dropped, it is free again.
pub(in crate::api) struct Slot {
    live: Live,
    tenant: TenantId,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut streams = self.live.streams();
        if let Some(open) = streams.get_mut(&self.tenant) {
            *open -= 1;
            if *open == 0 {
                streams.remove(&self.tenant);
            }
        }
    }
}

impl Live {
    /// Nothing is followed yet. A tenant may have `most_streams` open at one time.
    pub(in crate::api) fn new(progress: Arc<dyn ProgressBus>, most_streams: usize) -> Self {
        let (feeds, streams) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { progress, most_streams, feeds, streams }))
    }

    /// Room for one more stream of a tenant.
    ///
    /// # Errors
    /// [`Problem`] where it has as many as it may.
    pub(in crate::api) fn open(&self, tenant: &TenantId) -> Result<Slot, Problem> {
        let mut streams = self.streams();
        let open = streams.entry(tenant.clone()).or_default();
        if *open >= self.0.most_streams {
            let most = self.0.most_streams;
            let detail = format_args!("the tenant has {most} streams open here, its limit: close one first");
            return Err(Problem::new(ProblemType::LimitReached, detail).after(FULL));
        }
        *open += 1;
        Ok(Slot { live: self.clone(), tenant: tenant.clone() })
    }

    /// How many streams are open, of a tenant or of all.
    pub(in crate::api) fn open_streams(&self, tenant: Option<&TenantId>) -> usize {
        let streams = self.streams();
        match tenant {
            Some(tenant) => streams.get(tenant).copied().unwrap_or(0),
            None => streams.values().sum(),
        }
    }

    /// A job's events above `after`.
    pub(super) fn subscribe(&self, tenant: &TenantId, job: JobId, after: u64) -> Subscription {
        Subscription::new(self.clone(), tenant.clone(), job, after)
    }

    pub(super) fn progress(&self) -> &dyn ProgressBus {
        &*self.0.progress
    }

    /// Hears of a job from now on. Where nobody has followed it until now the feed begins behind `after`, and the answer's
    /// second half is true: nothing is missed then.
    pub(super) fn hear(&self, tenant: &TenantId, job: JobId, after: u64) -> (Ear, bool) {
        let mut feeds = self.feeds();
        let key = (tenant.clone(), job);
        if let Some(feed) = feeds.get(&key).and_then(Weak::upgrade) {
            return (Ear { news: feed.sender.subscribe(), _feed: feed }, false);
        }
        if feeds.len() == feeds.capacity() {
            feeds.retain(|_, feed| feed.strong_count() > 0);
        }
        let (sender, news) = broadcast::channel(MOST_HELD);
        let work = self.clone().follow(key.clone(), after, sender.clone());
        let task = tokio::spawn(work).abort_handle();
        let feed = Arc::new(Feed { sender, task });
        feeds.insert(key, Arc::downgrade(&feed));
        (Ear { news, _feed: feed }, true)
    }

    async fn follow(self, key: (TenantId, JobId), after: u64, sender: broadcast::Sender<Told>) {
        let (tenant, job) = &key;
        let end = match self.0.progress.follow(tenant, *job, after).await {
            Err(ProgressError::UnknownJob { .. }) => Told::Over,
            Err(error) => failed(&error),
            Ok(mut events) => loop {
                match events.next().await {
                    // Nobody there: the feed is about to be dropped.
                    Some(Ok(event)) => drop(sender.send(Told::Event(Arc::new(Frame::of(&event))))),
                    Some(Err(ProgressError::UnknownJob { .. })) | None => break Told::Over,
                    Some(Err(error)) => break failed(&error),
                }
            },
        };
        // Whoever hears so far hears the end; who comes later makes a feed of his own.
        let mut feeds = self.feeds();
        let mine = |feed: &Weak<Feed>| feed.upgrade().is_some_and(|feed| feed.sender.same_channel(&sender));
        if feeds.get(&key).is_some_and(mine) {
            feeds.remove(&key);
        }
        drop(sender.send(end));
    }

    fn feeds(&self) -> MutexGuard<'_, Feeds> {
        self.0.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<TenantId, usize>> {
        self.0.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(error: &ProgressError) -> Told {
    tracing::warn!(%error, "a job can't be followed");
    Told::Failed
}

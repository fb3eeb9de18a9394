//! The thread that writes: all that waits in one go. Owns: what happens when the disk does not take it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};

use super::{
    Checked, Health,
    entry::Outcome,
    line::Clean,
    log::{Log, Timed},
};
use crate::{
    domain::{Clock, Timestamp},
    security::alerts::Alerts,
};

/// How many entries are written in one go at most.
const MOST_TOGETHER: usize = 2_048;
/// How often the thread looks whether a checkpoint is due.
const BEAT: Duration = Duration::from_secs(5);
/// How long a disk that takes nothing is left alone.
const AGAIN: Duration = Duration::from_millis(500);

/// What the thread is given.
pub(super) enum Item {
    Entry {
        at: Timestamp,
        entry: Box<Clean>,
        written: oneshot::Sender<()>,
        /// Room for another, once this one is on disk.
        permit: OwnedSemaphorePermit,
    },
    /// Write a checkpoint behind all that came before.
    Flush(oneshot::Sender<()>),
}

/// Entries that found no room.
#[derive(Clone, Copy)]
struct Gap {
    count: u64,
    since: Timestamp,
    until: Timestamp,
}

/// What those who record and the thread tell each other.
#[derive(Default)]
pub(super) struct Shared {
    health: Mutex<Health>,
    gap: Mutex<Option<Gap>>,
}

impl Shared {
    pub(super) fn health(&self) -> Health {
        self.locked().clone()
    }

    /// Counts an entry that is lost.
    pub(super) fn lose(&self, at: Timestamp) {
        tracing::error!("an entry of the audit log is lost: too many wait for the disk");
        self.locked().lost += 1;
        self.put_back(Gap { count: 1, since: at, until: at });
    }

    pub(super) fn trouble(&self, problem: Option<String>) {
        self.locked().problem = problem;
    }

    pub(super) fn store_trouble(&self, problem: Option<String>) {
        self.locked().store = problem;
    }

    pub(super) fn checked(&self, checked: Checked) {
        self.locked().checked = Some(checked);
    }

    pub(super) fn broken(&self, problem: &str) {
        self.locked().broken = Some(problem.to_owned());
    }

    fn take_gap(&self) -> Option<Gap> {
        self.gap.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put_back(&self, lost: Gap) {
        let mut gap = self.gap.lock().unwrap_or_else(PoisonError::into_inner);
        let before = gap.unwrap_or(Gap { count: 0, ..lost });
        *gap = Some(Gap {
            count: before.count + lost.count,
            since: before.since.min(lost.since),
            until: before.until.max(lost.until),
        });
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the thread works with.
pub(super) struct Writer {
    log: Log,
    shared: Arc<Shared>,
    news: Arc<Notify>,
    alerts: Alerts,
    clock: Arc<dyn Clock>,
    waiting: Vec<Timed>,
    answers: Vec<(oneshot::Sender<()>, OwnedSemaphorePermit)>,
    flushes: Vec<oneshot::Sender<()>>,
}

impl Writer {
    pub(super) fn new(
        log: Log,
        shared: Arc<Shared>,
        news: Arc<Notify>,
        alerts: Alerts,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (waiting, answers, flushes) = (Vec::new(), Vec::new(), Vec::new());
        Self { log, shared, news, alerts, clock, waiting, answers, flushes }
    }

    /// Writes until nobody can give it anything any more.
    pub(super) fn run(mut self, items: &Receiver<Item>) {
        // Until then a disk that took nothing is left alone.
        let mut again: Option<Duration> = None;
        loop {
            let rest = again.map(|again| again.saturating_sub(self.clock.elapsed()));
            let ended = match items.recv_timeout(rest.unwrap_or(BEAT)) {
                Ok(item) => {
                    self.take(item);
                    while self.waiting.len() < MOST_TOGETHER
                        && let Ok(item) = items.try_recv()
                    {
                        self.take(item);
                    }
                    false
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            if !ended && again.is_some_and(|again| self.clock.elapsed() < again) {
                continue;
            }
            again = if self.write(ended) { None } else { Some(self.clock.elapsed() + AGAIN) };
            if ended {
                return;
            }
        }
    }

    fn take(&mut self, item: Item) {
        match item {
            Item::Entry { at, entry, written, permit } => {
                self.waiting.push((at, *entry));
                self.answers.push((written, permit));
            }
            Item::Flush(done) => self.flushes.push(done),
        }
    }

    /// Whether nothing waits any more.
    fn write(&mut self, ended: bool) -> bool {
        let gap = self.shared.take_gap();
        if let Some(Gap { count, since, until }) = gap {
            let detail =
                [("lost", count.to_string()), ("since", since.to_string()), ("until", until.to_string())];
            self.waiting.push((self.clock.now(), Clean::about_log(Outcome::Failed, "gap", &detail)));
        }
        let mut written =
            if self.waiting.is_empty() { Ok(Vec::new()) } else { self.log.append(&self.waiting) };
        let is_news = !self.waiting.is_empty();
        if written.is_ok() {
            self.waiting.clear();
            for (written, _room) in self.answers.drain(..) {
                // Who waited may have gone.
                let _ = written.send(());
            }
            if ended || !self.flushes.is_empty() || self.log.is_checkpoint_due() {
                let before = written.unwrap_or_default();
                written = self.log.checkpoint().map(|found| before.into_iter().chain(found).collect());
            }
        } else if let Some(gap) = gap {
            // It is told when the disk takes it, with what is lost until then.
            self.waiting.pop();
            self.shared.put_back(gap);
        }
        match written {
            Ok(found) => {
                self.alerts.set_node(self.log.node());
                if self.shared.health().problem.is_some() {
                    tracing::info!("the audit log is written again");
                }
                self.shared.trouble(None);
                for done in self.flushes.drain(..) {
                    let _ = done.send(());
                }
                for problem in found {
                    tracing::error!(problem, "the audit log was tampered with");
                    self.shared.broken(&problem);
                    self.alerts.broken(&problem, self.clock.now());
                }
                if let Some(gap) = gap {
                    self.alerts.broken(&format!("{} entries were lost", gap.count), self.clock.now());
                }
                if is_news {
                    self.news.notify_one();
                }
                true
            }
            Err(error) => {
                if self.shared.health().problem.is_none() {
                    tracing::error!(%error, "the audit log can't be written: entries wait");
                    self.alerts.broken(&format!("it can't be written: {error}"), self.clock.now());
                }
                self.shared.trouble(Some(error.to_string()));
                false
            }
        }
    }
}

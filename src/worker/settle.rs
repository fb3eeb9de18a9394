//! Settles attempts: whatever has ended meanwhile goes in one call, and an outage of the store loses no verdict while
//! its lease holds. Must not know: apalis, handlers.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::sleep,
};

use super::{Summary, attempt::Attempt};
use crate::{
    domain::{Reason, Verdict},
    queue::{Lease, Queue, QueueError, Settled},
};

const MOST_A_CALL: usize = 512;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const MOST_PAUSE: Duration = Duration::from_secs(1);

struct Settlement {
    /// Keeps the lease until it is settled.
    attempt: Arc<Attempt>,
    verdict: Verdict,
}

enum Message {
    Settle(Settlement),
    Flush(oneshot::Sender<()>),
}

/// The way to the task that settles.
#[derive(Clone)]
pub(crate) struct Settlements(mpsc::UnboundedSender<Message>);

impl Settlements {
    /// The way to a settler, and the settler.
    pub(crate) fn new(queue: Arc<dyn Queue>) -> (Self, Settler) {
        // Unbounded, and yet bounded: no more jobs are claimed while the store is away.
        let (sender, messages) = mpsc::unbounded_channel();
        (Self(sender), Settler { queue, messages, summary: Arc::default() })
    }

    /// Has an attempt settled soon.
    pub(crate) fn send(&self, attempt: Arc<Attempt>, verdict: Verdict) {
        // Where the settler is gone the worker is broken; the lease lapses and the job goes on elsewhere.
        drop(self.0.send(Message::Settle(Settlement { attempt, verdict })));
    }

    /// Ends once everything sent before has been settled.
    pub(crate) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.0.send(Message::Flush(done)).is_ok() {
            drop(flushed.await);
        }
    }
}

/// The task that settles.
pub(crate) struct Settler {
    queue: Arc<dyn Queue>,
    messages: mpsc::UnboundedReceiver<Message>,
    summary: Arc<Mutex<Summary>>,
}

impl Settler {
    /// What has been settled so far.
    pub(crate) fn summary(&self) -> Arc<Mutex<Summary>> {
        self.summary.clone()
    }

    /// Settles until nobody can send any more.
    pub(crate) async fn run(mut self) {
        let mut news = Vec::with_capacity(MOST_A_CALL);
        while self.messages.recv_many(&mut news, MOST_A_CALL).await > 0 {
            let (mut batch, mut flushes) = (Vec::new(), Vec::new());
            for message in news.drain(..) {
                match message {
                    Message::Settle(settlement) => batch.push(settlement),
                    Message::Flush(done) => flushes.push(done),
                }
            }
            self.settle(batch).await;
            // Nobody may be waiting any more: no matter.
            flushes.into_iter().for_each(|done: oneshot::Sender<()>| drop(done.send(())));
        }
    }

    async fn settle(&self, mut batch: Vec<Settlement>) {
        let (mut pause, mut away) = (FIRST_PAUSE, false);
        while !batch.is_empty() {
            let call = batch.iter().map(|one| (one.attempt.lease().lease().clone(), one.verdict.clone())).collect();
            match self.queue.settle(call).await {
                Ok(answers) => {
                    for (settlement, answer) in batch.drain(..).zip(answers) {
                        self.note(settlement, answer).await;
                    }
                }
                Err(QueueError::Invalid(problem)) => batch = self.isolate(batch, &problem).await,
                Err(error) => {
                    if !away {
                        tracing::warn!(%error, attempts = batch.len(), "attempts can't be settled; trying again");
                        away = true;
                    }
                    batch.retain(|one| self.is_worth_keeping(one));
                    sleep(pause).await;
                    pause = (pause * 2).min(MOST_PAUSE);
                }
            }
        }
    }

    /// One verdict that can't be stored must not hold up its neighbours: each goes alone, and the one that is refused
    /// alone ends its job with the queue's own words. Gives back what is to be tried again.
    async fn isolate(&self, batch: Vec<Settlement>, problem: &str) -> Vec<Settlement> {
        if let [alone] = &batch[..] {
            if matches!(alone.verdict, Verdict::Dead(_)) {
                tracing::error!(lease = ?alone.lease(), problem, "an attempt can't be settled");
                return Vec::new();
            }
            tracing::error!(lease = ?alone.lease(), problem, "a verdict was refused; the job is dead");
            let verdict = Verdict::Dead(Reason::new(problem));
            return batch.into_iter().map(|one| Settlement { verdict: verdict.clone(), ..one }).collect();
        }
        for one in batch {
            Box::pin(self.settle(vec![one])).await;
        }
        Vec::new()
    }

    /// Once the lease has ended, another worker may run the job: nothing is to be said of this attempt any more.
    fn is_worth_keeping(&self, settlement: &Settlement) -> bool {
        let holds = settlement.attempt.lease().is_safe();
        if !holds {
            tracing::warn!(lease = ?settlement.lease(), "the store was away until the lease ended: verdict dropped");
            self.count(|summary| summary.lost += 1);
        }
        holds
    }

    async fn note(&self, settlement: Settlement, answer: Settled) {
        match answer {
            Settled::Now(state) => self.count(|summary| summary.count(state)),
            Settled::LeaseLost => {
                tracing::warn!(lease = ?settlement.lease(), "the lease was gone before the attempt was settled");
                self.count(|summary| summary.lost += 1);
                settlement.attempt.remove_artifacts().await;
            }
        }
    }

    fn count(&self, count: impl FnOnce(&mut Summary)) {
        count(&mut self.summary.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Settlement {
    fn lease(&self) -> &Lease {
        self.attempt.lease().lease()
    }
}

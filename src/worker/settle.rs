//! Settles attempts: whatever has ended meanwhile goes in one call, and an outage of the store loses no verdict while
//! its lease holds. Must not know: apalis, handlers.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::sleep,
};

use super::{Summary, attempt::Attempt};
use crate::{
    domain::{Reason, State, Verdict},
    queue::{Lease, Queue, QueueError, Settled},
};

const MOST_A_CALL: usize = 1_000;
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
pub(crate) struct Settlements {
    sender: mpsc::UnboundedSender<Message>,
    summary: Arc<Mutex<Summary>>,
}

impl Settlements {
    /// The way to a settler, and the settler.
    pub(crate) fn new(queue: Arc<dyn Queue>) -> (Self, Settler) {
        // Unbounded, and yet bounded: no more jobs are claimed while the store is away.
        let (sender, messages) = mpsc::unbounded_channel();
        let summary = Arc::<Mutex<Summary>>::default();
        (
            Self { sender, summary: summary.clone() },
            Settler { queue, messages, summary, removals: JoinSet::new() },
        )
    }

    /// Has an attempt settled soon; without a verdict there is nothing to settle, for the lease is gone.
    pub(crate) fn send(&self, attempt: Arc<Attempt>, verdict: Option<Verdict>) {
        match verdict {
            // Where the settler is gone the worker is broken; the lease lapses and the job goes on elsewhere.
            Some(verdict) => drop(self.sender.send(Message::Settle(Settlement { attempt, verdict }))),
            None => count(&self.summary, |summary| summary.lost += 1),
        }
    }

    /// What has been settled so far.
    pub(crate) fn summary(&self) -> Summary {
        *self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends once everything sent before has been settled.
    pub(crate) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.sender.send(Message::Flush(done)).is_ok() {
            drop(flushed.await);
        }
    }
}

/// The task that settles.
pub(crate) struct Settler {
    queue: Arc<dyn Queue>,
    messages: mpsc::UnboundedReceiver<Message>,
    summary: Arc<Mutex<Summary>>,
    /// Removals of what attempts have left on storage, which may be slow: nobody's verdict waits for them.
    removals: JoinSet<()>,
}

impl Settler {
    /// Settles until nobody can send any more.
    pub(crate) async fn run(mut self) {
        let mut news = Vec::with_capacity(MOST_A_CALL);
        while self.messages.recv_many(&mut news, MOST_A_CALL).await > 0 {
            let (mut batch, mut flushes) = (Vec::new(), Vec::<oneshot::Sender<()>>::new());
            for message in news.drain(..) {
                match message {
                    Message::Settle(settlement) => batch.push(settlement),
                    Message::Flush(done) => flushes.push(done),
                }
            }
            self.settle(batch).await;
            while self.removals.try_join_next().is_some() {}
            if !flushes.is_empty() {
                while self.removals.join_next().await.is_some() {}
            }
            // Whoever waits for a flush hears of it by the end of its channel.
            drop(flushes);
        }
    }

    async fn settle(&mut self, mut batch: Vec<Settlement>) {
        let (mut pause, mut away) = (FIRST_PAUSE, false);
        loop {
            batch.retain(|one| self.is_worth_keeping(one));
            if batch.is_empty() {
                return;
            }
            let call =
                batch.iter().map(|one| (one.attempt.lease().lease().clone(), one.verdict.clone())).collect();
            match self.queue.settle(call).await {
                Ok(answers) => return self.note(batch, answers),
                Err(QueueError::Invalid(problem)) => batch = self.isolate(batch, &problem).await,
                Err(error) => {
                    if !away {
                        tracing::warn!(%error, attempts = batch.len(), "attempts can't be settled; trying again");
                        away = true;
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(MOST_PAUSE);
                }
            }
        }
    }

    /// One verdict that can't be stored must not hold up its neighbours: each goes alone, and the one that is refused
    /// alone ends its job with the queue's own words. Gives back what is to be tried again.
    async fn isolate(&mut self, batch: Vec<Settlement>, problem: &str) -> Vec<Settlement> {
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
            tracing::warn!(lease = ?settlement.lease(), "the lease ended before it could be settled: verdict dropped");
            count(&self.summary, |summary| summary.lost += 1);
        }
        holds
    }

    fn note(&mut self, batch: Vec<Settlement>, answers: Vec<Settled>) {
        let mut sum = Summary::default();
        for (settlement, answer) in batch.into_iter().zip(answers) {
            match answer {
                Settled::Now(state) => {
                    sum.count(state);
                    if matches!(state, State::Cancelled | State::Dead) {
                        self.removals.spawn(async move { settlement.attempt.remove_begun().await });
                    }
                }
                Settled::LeaseLost => {
                    tracing::warn!(lease = ?settlement.lease(), "the lease was gone before the attempt was settled");
                    sum.lost += 1;
                    self.removals.spawn(async move { settlement.attempt.remove_artifacts().await });
                }
            }
        }
        count(&self.summary, |summary| summary.add(sum));
    }
}

fn count(summary: &Mutex<Summary>, count: impl FnOnce(&mut Summary)) {
    count(&mut summary.lock().unwrap_or_else(PoisonError::into_inner));
}

impl Settlement {
    fn lease(&self) -> &Lease {
        self.attempt.lease().lease()
    }
}

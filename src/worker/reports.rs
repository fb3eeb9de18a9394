//! Takes what handlers report and publishes it: at most ten publications a second a job, all jobs of a tick in one
//! call, the last report always before the job is settled. Must not know: apalis, verdicts.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval},
};

use crate::{
    domain::{EventBody, Timestamp, progress::ProgressFold},
    progress::{ProgressBus, Publication},
    queue::Lease,
};

/// Ten a second.
const TICK: Duration = Duration::from_millis(100);
/// Pieces of text are joined up to this size.
const MOST_TEXT_BYTES: usize = 4 << 10;
/// How many events of a job wait at most, while the bus is slow or away; the oldest go first.
const MOST_WAITING: usize = 256;

/// What one attempt has reported and nobody has published yet.
pub(crate) struct Outbox {
    lease: Lease,
    to_publisher: mpsc::UnboundedSender<Message>,
    /// Held for a few instructions at a time, never across an await.
    contents: Mutex<Contents>,
}

struct Contents {
    fold: ProgressFold,
    waiting: VecDeque<EventBody>,
    /// Whether the publisher has been told; it is told once, not at each report.
    announced: bool,
}

impl Contents {
    fn begin_text(&mut self) {
        self.waiting.push_back(EventBody::Text { text: String::new() });
        self.forget_oldest();
    }

    fn forget_oldest(&mut self) {
        while self.waiting.len() > MOST_WAITING {
            self.waiting.pop_front();
        }
    }
}

enum Message {
    Announced(Arc<Outbox>),
    Flush(Arc<Outbox>, oneshot::Sender<()>),
}

impl Outbox {
    /// Reports progress; an earlier report that was not published yet is replaced.
    pub(crate) fn progress(self: &Arc<Self>, done: u64, total: u64, message: &str, now: Timestamp) {
        let mut contents = self.contents();
        let progress = EventBody::Progress(contents.fold.report(done, total, message, now));
        match contents.waiting.back_mut() {
            Some(last @ EventBody::Progress(_)) => *last = progress,
            _ => contents.waiting.push_back(progress),
        }
        self.announce(contents);
    }

    /// Reports something new without progress.
    pub(crate) fn says(self: &Arc<Self>, message: &str, now: Timestamp) {
        let (done, total) = self.contents().fold.last();
        self.progress(done, total, message, now);
    }

    /// Reports a piece of text; joined with the one before where that was not published yet, and cut where it is large.
    pub(crate) fn text(self: &Arc<Self>, mut piece: &str) {
        let mut contents = self.contents();
        while !piece.is_empty() {
            let room = match contents.waiting.back() {
                Some(EventBody::Text { text }) => MOST_TEXT_BYTES.saturating_sub(text.len()),
                _ => 0,
            };
            let (now, later) = piece.split_at(piece.floor_char_boundary(room));
            match contents.waiting.back_mut() {
                Some(EventBody::Text { text }) if !now.is_empty() => text.push_str(now),
                _ => contents.begin_text(),
            }
            piece = later;
        }
        if !contents.waiting.is_empty() {
            self.announce(contents);
        }
    }

    /// Publishes what is left, or tries to: an outage of the bus does not hold up a job's end.
    pub(crate) async fn flush(self: &Arc<Self>) {
        if self.contents().waiting.is_empty() {
            return;
        }
        let (done, flushed) = oneshot::channel();
        if self.to_publisher.send(Message::Flush(self.clone(), done)).is_ok() {
            drop(flushed.await);
        }
    }

    fn announce(self: &Arc<Self>, mut contents: MutexGuard<'_, Contents>) {
        contents.forget_oldest();
        if !contents.announced {
            // Where the publisher is gone, so is the process.
            contents.announced = self.to_publisher.send(Message::Announced(self.clone())).is_ok();
        }
    }

    fn take(&self) -> Vec<Publication> {
        let mut contents = self.contents();
        contents.announced = false;
        let Lease { tenant, job, epoch } = &self.lease;
        let publication = |body| Publication { tenant: tenant.clone(), job: *job, epoch: *epoch, body };
        contents.waiting.drain(..).map(publication).collect()
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The way to the task that publishes.
#[derive(Clone)]
pub(crate) struct Publisher(mpsc::UnboundedSender<Message>);

impl Publisher {
    /// A publisher, and its work: a future to run for as long as the worker lives.
    pub(crate) fn new(bus: Arc<dyn ProgressBus>) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, messages) = mpsc::unbounded_channel();
        (Self(sender), publish_all(bus, messages))
    }

    /// An outbox for an attempt that began at `begun`.
    pub(crate) fn outbox(&self, lease: Lease, begun: Timestamp) -> Arc<Outbox> {
        // The bus knows what earlier attempts have reached and raises the percentage to it.
        let fold = ProgressFold::new(begun, 0.0);
        let contents = Contents { fold, waiting: VecDeque::new(), announced: false };
        Arc::new(Outbox { lease, to_publisher: self.0.clone(), contents: Mutex::new(contents) })
    }
}

async fn publish_all(bus: Arc<dyn ProgressBus>, mut messages: mpsc::UnboundedReceiver<Message>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut news, mut announced) = (Vec::new(), Vec::new());
    let mut away = false;
    loop {
        let (mut now, mut flushed) = (Vec::new(), Vec::<oneshot::Sender<()>>::new());
        tokio::select! {
            count = messages.recv_many(&mut news, 512) => {
                if count == 0 {
                    return;
                }
            }
            _ = ticks.tick(), if !announced.is_empty() => now.append(&mut announced),
        }
        for message in news.drain(..) {
            match message {
                Message::Announced(outbox) => announced.push(outbox),
                Message::Flush(outbox, done) => {
                    now.push(outbox);
                    flushed.push(done);
                }
            }
        }
        let publications: Vec<Publication> = now.iter().flat_map(|outbox| outbox.take()).collect();
        if !publications.is_empty() {
            // What can't be published is dropped: it is superseded soon, and the job's end is told by the queue.
            let published = bus.publish(publications).await;
            match &published {
                Err(error) if !away => tracing::warn!(%error, "progress can't be published"),
                Ok(()) if away => tracing::info!("progress is published again"),
                _ => {}
            }
            away = published.is_err();
        }
        // Whoever waits for a flush hears of it by the end of its channel.
        drop(flushed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_and_bounded_however_much_comes_at_once() {
        let (sender, _messages) = mpsc::unbounded_channel();
        let lease =
            Lease { tenant: "acme".parse().unwrap(), job: crate::domain::JobId::from_u128(1), epoch: 1 };
        let outbox = Publisher(sender).outbox(lease, Timestamp::EPOCH);
        outbox.text("a");
        outbox.text(&"é".repeat(MOST_TEXT_BYTES));
        outbox.text("b");
        let texts = |outbox: &Outbox| -> Vec<String> {
            let text = |publication: Publication| match publication.body {
                EventBody::Text { text } => text,
                other => panic!("{other:?}"),
            };
            outbox.take().into_iter().map(text).collect()
        };
        let pieces = texts(&outbox);
        assert!(pieces.iter().all(|text| !text.is_empty() && text.len() <= MOST_TEXT_BYTES));
        assert_eq!(pieces.concat(), format!("a{}b", "é".repeat(MOST_TEXT_BYTES)));
        outbox.text(&"x".repeat(MOST_TEXT_BYTES * MOST_WAITING * 2));
        assert_eq!(texts(&outbox).len(), MOST_WAITING);
    }
}

//! One who follows a job: what is kept first, then what the job's feed tells. Owns: where he has got to.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::broadcast::error::RecvError;

use super::feed::{Ear, Frame, Live, Told};
use crate::{
    domain::{JobId, TenantId},
    progress::ProgressError,
};

/// How many events are read at once: bounds what one who follows holds in memory, for an event may have 4 KiB of text.
const PAGE: usize = 8;

/// What comes next.
pub(super) enum Next {
    Event(Arc<Frame>),
    /// The job has ended: nothing more comes.
    Over,
    /// Events can't be read now: come again, from the last one.
    Failed,
}

/// Where he has got to.
pub(super) struct Subscription {
    live: Live,
    tenant: TenantId,
    job: JobId,
    after: u64,
    /// The last event that there was for certain: a client may name a place that nobody has got to yet, and a feed that began
    /// there would keep others waiting.
    known: u64,
    page: VecDeque<Arc<Frame>>,
    ear: Option<Ear>,
    /// Whether all that was kept has been read, so that what is heard follows on it.
    caught_up: bool,
}

impl Subscription {
    pub(super) fn new(live: Live, tenant: TenantId, job: JobId, after: u64) -> Self {
        Self { live, tenant, job, after, known: 0, page: VecDeque::new(), ear: None, caught_up: false }
    }

    /// Reads on, where nothing is read; whether there is something.
    pub(super) async fn look(&mut self) -> Result<bool, ProgressError> {
        if self.page.is_empty() {
            let events = self.live.progress().replay(&self.tenant, self.job, self.after, PAGE).await?;
            self.page = events.iter().map(|event| Arc::new(Frame::of(event))).collect();
        }
        Ok(!self.page.is_empty())
    }

    /// What comes next, each event once and in order. May be dropped and called again: nothing is lost.
    pub(super) async fn next(&mut self) -> Next {
        loop {
            if let Some(frame) = self.page.pop_front() {
                return self.give(frame);
            }
            if !self.caught_up {
                match self.look().await {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(ProgressError::UnknownJob { .. }) => return Next::Over,
                    Err(error) => {
                        tracing::warn!(%error, "a job's events can't be read");
                        return Next::Failed;
                    }
                }
                // First the ear, then once more what is kept: nothing falls between the two.
                if self.ear.is_none() {
                    let (ear, is_fresh) = self.live.hear(&self.tenant, self.job, self.known);
                    self.ear = Some(ear);
                    if !is_fresh {
                        continue;
                    }
                }
                self.caught_up = true;
            }
            let Some(ear) = &mut self.ear else { return Next::Failed };
            match ear.news.recv().await {
                Ok(Told::Event(frame)) if frame.sequence <= self.after => {}
                Ok(Told::Event(frame)) => return self.give(frame),
                Ok(Told::Over) => return Next::Over,
                Ok(Told::Failed) | Err(RecvError::Closed) => return Next::Failed,
                // Too slow: what was missed is kept.
                Err(RecvError::Lagged(_)) => self.caught_up = false,
            }
        }
    }

    fn give(&mut self, frame: Arc<Frame>) -> Next {
        (self.after, self.known) = (frame.sequence, frame.sequence);
        Next::Event(frame)
    }
}

//! Batches: how many of their jobs there are and have ended, and the job that follows them.

use super::{Door, Model};
use crate::domain::{Batch, BatchId, NewBatch, State, TenantId, Timestamp};

/// A batch and what is remembered of it.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    pub(super) batch: Batch,
    pub(super) opened_at: Timestamp,
    /// When one of its jobs ended last.
    pub(super) ended_at: Option<Timestamp>,
    /// Whether all of its jobs have ended once: its callback is let go but once.
    over: bool,
}

impl Opened {
    pub(super) fn is_full(&self) -> bool {
        self.batch.enqueued >= self.batch.size
    }
}

impl Model {
    /// Opens a batch and takes its callback in; whether it was opened now, not before.
    ///
    /// # Errors
    /// Why the batch or its callback is refused; never [`Door::Accepted`]. [`Door::Duplicate`]: another job stands in
    /// the callback's place.
    pub fn open_batch(&mut self, new: NewBatch, now: Timestamp) -> Result<bool, Door> {
        self.pass_time(now);
        let NewBatch { id, tenant, size, callback } = new;
        let fits = callback.as_ref().is_none_or(|callback| {
            callback.tenant == tenant && callback.batch.is_none() && callback.after.is_empty()
        });
        if !fits || !(1..=NewBatch::MOST_JOBS).contains(&size) {
            return Err(Door::Invalid);
        }
        let key = (tenant.clone(), id);
        if self.batches.contains_key(&key) {
            return Ok(false);
        }
        let callback_id = callback.as_ref().map(|callback| callback.id);
        if let Some(callback) = callback {
            let before = self.jobs.get(&(tenant.clone(), callback.id)).and_then(|entry| entry.follows);
            match self.admit(callback, Some(id), now) {
                Door::Accepted => {}
                Door::Duplicate(_) if before == Some(id) => return Ok(false),
                refused => return Err(refused),
            }
        }
        let batch = Batch {
            id,
            tenant,
            size,
            enqueued: 0,
            completed: 0,
            dead: 0,
            cancelled: 0,
            callback: callback_id,
        };
        self.batches.insert(key, Opened { batch, opened_at: now, ended_at: None, over: false });
        Ok(true)
    }

    /// A tenant's batch.
    pub fn batch(&self, tenant: &TenantId, id: BatchId) -> Option<&Batch> {
        self.batches.get(&(tenant.clone(), id)).map(|opened| &opened.batch)
    }

    pub(super) fn has_room(&self, tenant: &TenantId, id: BatchId) -> bool {
        self.batches.get(&(tenant.clone(), id)).is_some_and(|opened| !opened.is_full())
    }

    pub(super) fn enqueued_in(&mut self, tenant: &TenantId, id: BatchId) {
        self.batches.entry((tenant.clone(), id)).and_modify(|opened| opened.batch.enqueued += 1);
    }

    /// One of a batch's jobs has ended, or was requeued. Once all have ended, what follows is let go.
    pub(super) fn count_in(
        &mut self,
        tenant: &TenantId,
        id: BatchId,
        from: State,
        to: State,
        now: Timestamp,
    ) {
        let Some(opened) = self.batches.get_mut(&(tenant.clone(), id)) else { return };
        if let Some(count) = count_of(&mut opened.batch, from) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = count_of(&mut opened.batch, to) {
            *count += 1;
            opened.ended_at = Some(now);
        }
        if !opened.over && opened.batch.ended() >= opened.batch.size {
            opened.over = true;
            if let Some(callback) = opened.batch.callback {
                self.unblock(&(tenant.clone(), callback), now);
            }
        }
    }
}

fn count_of(batch: &mut Batch, state: State) -> Option<&mut u32> {
    match state {
        State::Completed => Some(&mut batch.completed),
        State::Dead => Some(&mut batch.dead),
        State::Cancelled => Some(&mut batch.cancelled),
        _ => None,
    }
}

//! A batch: several jobs that end together, with a job that follows them and one figure for how far they are.

use serde::Serialize;

use super::{
    id::{BatchId, JobId},
    job::NewJob,
    names::TenantId,
};

/// What a producer asks for: room for so many jobs, which are then enqueued with the batch's id, in as many calls as
/// it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBatch {
    /// Chosen by the producer, so that a repeated call opens no second batch.
    pub id: BatchId,
    /// Whose it is.
    pub tenant: TenantId,
    /// How many jobs it will have: 1 to [`NewBatch::MOST_JOBS`].
    pub size: u32,
    /// Accepted with the batch, blocked until all of its jobs have ended, however they ended. Of the same tenant; in no
    /// batch, and waiting for no other job.
    pub callback: Option<NewJob>,
}

impl NewBatch {
    /// The most jobs of a batch.
    pub const MOST_JOBS: u32 = 1_000_000;
}

/// What the queue knows of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Batch {
    /// Its id.
    pub id: BatchId,
    /// Whose it is.
    pub tenant: TenantId,
    /// How many jobs it will have.
    pub size: u32,
    /// How many it has so far.
    pub enqueued: u32,
    /// Of those, how many have completed,
    pub completed: u32,
    /// are dead,
    pub dead: u32,
    /// or were cancelled. A requeued job counts again once it has ended again.
    pub cancelled: u32,
    /// The job that follows.
    pub callback: Option<JobId>,
}

impl Batch {
    /// How many of its jobs have ended.
    pub fn ended(&self) -> u32 {
        self.completed + self.dead + self.cancelled
    }

    /// How far it is, in whole tenths of a per cent.
    pub fn percent(&self) -> f64 {
        let tenths = u64::from(self.ended()) * 1_000 / u64::from(self.size.max(1));
        f64::from(u32::try_from(tenths).unwrap_or(1_000)) / 10.0
    }
}

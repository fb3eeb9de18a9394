//! Progress on SQLite: how it works.
//!
//! Two tables. `events` holds a row an event, by job and sequence number; `event_heads` a row a job: the last number
//! given, how many events are kept and the highest percentage published. Writing an event is two statements: the head
//! is moved on and says the number, then the event is inserted. So numbers have no gap and are never given twice,
//! also when old events have been trimmed away. The head knows how many are kept, so nobody counts: when one too many
//! is there, a tenth of [`MOST_EVENTS`] goes at once, the oldest that are not state changes first.
//!
//! There are two writers. The queue calls `append` inside the transaction that changes a job's state, so that state
//! and event are one; and `remove` when it removes a job. Workers call [`ProgressBus::publish`], one transaction a
//! batch, in which each event is checked against the queue's table `jobs`: the tenant and the epoch must match and
//! the job must be running, else the lease has lapsed and the event is dropped. `job.rs` is the one place that
//! reads that table.
//!
//! A follower reads pages. It begins to listen to the [bell](crate::store::sqlite::Bell) before its first page and reads
//! on from the last number it has given; where it has got everything it waits for the bell. A commit between page and
//! bell has rung already, so nothing is missed, and numbers rise, so nothing comes twice. A page is one snapshot of
//! job and events: where the job has ended and the page is the last, so is the stream, also if the final event
//! itself has been trimmed. No task runs for a follower: dropping the stream ends it.
//!
//! The cost: each commit wakes each follower for one indexed read. That suits the dashboards of one machine.

mod events;
mod follow;
mod job;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream};

pub(crate) use events::{append, remove};

use self::follow::Follower;
use super::{MOST_EVENTS, ProgressBus, ProgressError, Publication};
use crate::{
    domain::{Clock, Event, JobId, TenantId},
    store::sqlite::{Database, DatabaseError, Migrations},
};

/// The progress of the jobs in one SQLite file.
#[derive(Clone, Debug)]
pub struct SqliteProgress {
    database: Arc<Database>,
    clock: Arc<dyn Clock>,
    look_again: Duration,
}

/// After this long without a bell a follower looks all the same: a process that is killed between its commit and its
/// ringing would else leave those in other processes waiting for the next commit of anybody.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

impl SqliteProgress {
    /// Its tables; give them to [`Database::open`], with the queue's.
    pub const MIGRATIONS: Migrations = Migrations { module: "progress", steps: events::STEPS };

    /// The progress in a file that was opened with [`Self::MIGRATIONS`] and the queue's.
    pub fn new(database: Arc<Database>, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock, look_again: LOOK_AGAIN }
    }
}

#[async_trait]
impl ProgressBus for SqliteProgress {
    async fn publish(&self, publications: Vec<Publication>) -> Result<(), ProgressError> {
        if publications.is_empty() {
            return Ok(());
        }
        let clock = self.clock.clone();
        let published = self.database.write(move |connection| {
            // Read on the writer's thread, so that times rise with sequence numbers.
            let now = clock.now();
            for Publication { tenant, job, epoch, body } in &publications {
                let found = job::find(connection, tenant, *job)?;
                if found.is_some_and(|found| found.may_publish(*epoch)) {
                    append(connection, *job, now, body)?;
                }
            }
            Ok(())
        });
        published.await.map_err(|error| unavailable("publish progress", error))
    }

    async fn replay(
        &self,
        tenant: &TenantId,
        job: JobId,
        after: u64,
        most: usize,
    ) -> Result<Vec<Event>, ProgressError> {
        let (tenant, most) = (tenant.clone(), most.min(MOST_EVENTS));
        let page = self.database.read(move |connection| events::page(connection, &tenant, job, after, most));
        let page = page.await.map_err(|error| unavailable("read events", error))?;
        page.map(|page| page.events).ok_or(ProgressError::UnknownJob { job })
    }

    async fn follow(
        &self,
        tenant: &TenantId,
        job: JobId,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Event, ProgressError>>, ProgressError> {
        let (database, tenant) = (self.database.clone(), tenant.clone());
        let follower = Follower::begin(database, tenant, job, after, self.look_again).await?;
        Ok(Box::pin(stream::try_unfold(follower, Follower::next)))
    }
}

fn unavailable(doing: &'static str, error: DatabaseError) -> ProgressError {
    ProgressError::Unavailable { doing, cause: error.into() }
}

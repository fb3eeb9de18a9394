//! Schedules: jobs that are made again and again, at the times of a cron expression in a time zone. Owns: [`Schedules`] (what is
//! stored of them) and [`Scheduler`] (which makes the jobs). Must not know: engines, handlers, the command line.
//!
//! Any number of processes may run a scheduler on one store: a firing's job has an id that follows from tenant, name, plan
//! and time alone, so the queue keeps it once, whoever makes it and however often; and the schedule's next time moves on by
//! compare-and-set. What a process does not finish another does.

mod book;
mod cron;
mod document;
mod firing;
mod scheduler;

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;

pub use cron::{Timing, TimingError};
pub use document::{
    CatchUp, CatchUpError, Dropped, Fired, MOST_CAUGHT_UP, MOST_JITTER, Next, Plan, Schedule,
    SchedulePayload, Trouble, WINDOW,
};
pub use scheduler::{NOTICED_WITHIN, Scheduler, Ticked};

use self::book::{Book, key};
use crate::{
    domain::{Clock, NewJob, ScheduleName, TenantId},
    queue::QueueError,
    store::{Document, Records, StoreError},
};

/// How often a change is tried where others change the same schedule.
const MOST_TRIES: usize = 32;

/// Why something with schedules did not happen, one variant per next action.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// Mend the expression or the zone.
    #[error(transparent)]
    Timing(#[from] TimingError),
    /// Mend the plan.
    #[error("{0}")]
    Invalid(String),
    /// Name one that is there.
    #[error("tenant {tenant} has no schedule {name}")]
    Unknown {
        /// Whose was asked for.
        tenant: TenantId,
        /// The name asked for.
        name: ScheduleName,
    },
    /// As the store says.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// As the queue says.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// A piece of a listing.
#[derive(Clone, Debug, PartialEq)]
pub struct SchedulePage {
    /// The schedules, by name.
    pub items: Vec<Schedule>,
    /// Go on after this name; `None` at the end.
    pub next: Option<ScheduleName>,
}

/// The schedules of a store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Schedules {
    book: Book,
    clock: Arc<dyn Clock>,
    changed: Arc<Notify>,
}

impl Schedules {
    /// The schedules in these records.
    pub fn new(records: &Arc<dyn Records>, clock: Arc<dyn Clock>) -> Self {
        Self { book: Book::new(records), clock, changed: Arc::default() }
    }

    /// Makes a schedule, or changes its plan: from now on it fires by the new one. The same plan again changes nothing. A paused one
    /// stays paused.
    ///
    /// # Errors
    /// [`ScheduleError`]; nothing was changed then.
    pub async fn set(
        &self,
        tenant: &TenantId,
        name: &ScheduleName,
        mut plan: Plan,
    ) -> Result<Schedule, ScheduleError> {
        // As it is kept, so that the same plan is known again.
        plan.jitter -= Duration::from_nanos(u64::from(plan.jitter.subsec_nanos()) % 1_000_000);
        let timing = check(&plan)?;
        let make = |found: Option<&Schedule>| {
            let now = self.clock.now();
            if let Some(same) = found.filter(|found| found.plan == plan) {
                return Ok(same.clone());
            }
            // Above every earlier one, also where the schedule was removed in between.
            let generation = u64::try_from(now.as_micros()).unwrap_or(0);
            let mut schedule = Schedule {
                tenant: tenant.clone(),
                name: name.clone(),
                plan: plan.clone(),
                paused: found.is_some_and(|found| found.paused),
                generation: found.map_or(generation, |found| generation.max(found.generation + 1)),
                next: None,
                last: found.and_then(|found| found.last),
                trouble: None,
                dropped: None,
                changed_at: now,
            };
            let next = schedule.next_after(&timing, now);
            if next.is_none() {
                return Err(TimingError::Never(schedule.plan.cron).into());
            }
            schedule.next = next.filter(|_| !schedule.paused);
            Ok(schedule)
        };
        self.change(tenant, name, make).await
    }

    /// What is known of a schedule.
    ///
    /// # Errors
    /// [`ScheduleError::Store`].
    pub async fn get(
        &self,
        tenant: &TenantId,
        name: &ScheduleName,
    ) -> Result<Option<Schedule>, ScheduleError> {
        Ok(self.book.get(&key(tenant, name)).await?.map(|document| document.value))
    }

    /// A tenant's schedules by name, at most `most` (1 to 1,000) from behind `after`; fewer where they are large.
    ///
    /// # Errors
    /// [`ScheduleError::Store`].
    pub async fn list(
        &self,
        tenant: &TenantId,
        after: Option<&ScheduleName>,
        most: usize,
    ) -> Result<SchedulePage, ScheduleError> {
        let after = after.map(|name| key(tenant, name));
        let page = self.book.list(&format!("{tenant}/"), after.as_deref(), most).await?;
        let name = |key: &str| key.split_once('/').and_then(|(_, name)| name.parse().ok());
        Ok(SchedulePage {
            next: page.next.as_deref().and_then(name),
            items: page.items.into_iter().map(|document| document.value).collect(),
        })
    }

    /// Stops a schedule from firing until it is resumed.
    ///
    /// # Errors
    /// [`ScheduleError::Unknown`], [`ScheduleError::Store`].
    pub async fn pause(&self, tenant: &TenantId, name: &ScheduleName) -> Result<Schedule, ScheduleError> {
        let pause = |found: Option<&Schedule>| {
            let found = found.ok_or_else(|| unknown(tenant, name))?;
            Ok(Schedule { paused: true, next: None, ..found.clone() })
        };
        self.change(tenant, name, pause).await
    }

    /// Lets a schedule fire again, from now on: what would have fired meanwhile is not made.
    ///
    /// # Errors
    /// [`ScheduleError::Unknown`], [`ScheduleError::Store`].
    pub async fn resume(&self, tenant: &TenantId, name: &ScheduleName) -> Result<Schedule, ScheduleError> {
        let resume = |found: Option<&Schedule>| {
            let found = found.ok_or_else(|| unknown(tenant, name))?;
            if !found.paused {
                return Ok(found.clone());
            }
            let next = found.next_after(&found.plan.timing()?, self.clock.now());
            Ok(Schedule { paused: false, next, ..found.clone() })
        };
        self.change(tenant, name, resume).await
    }

    /// Removes a schedule; its jobs stay. `false` where there is none.
    ///
    /// # Errors
    /// [`ScheduleError::Store`].
    pub async fn remove(&self, tenant: &TenantId, name: &ScheduleName) -> Result<bool, ScheduleError> {
        let mut tries = 1;
        loop {
            let Some(document) = self.book.get(&key(tenant, name)).await? else { return Ok(false) };
            match self.book.remove(&document).await {
                Err(StoreError::Conflict { .. }) if tries < MOST_TRIES => tries += 1,
                removed => return Ok(removed.map(|()| true)?),
            }
        }
    }

    /// Reads, changes and writes a schedule as if in one step, and tells the scheduler of this process.
    async fn change(
        &self,
        tenant: &TenantId,
        name: &ScheduleName,
        change: impl Fn(Option<&Schedule>) -> Result<Schedule, ScheduleError>,
    ) -> Result<Schedule, ScheduleError> {
        let mut tries = 1;
        loop {
            let before: Option<Document<Schedule>> = self.book.get(&key(tenant, name)).await?;
            let after = change(before.as_ref().map(|document| &document.value))?;
            if before.as_ref().is_some_and(|before| before.value == after) {
                return Ok(after);
            }
            match self.book.write(before.as_ref(), &after, self.clock.now()).await {
                Err(StoreError::Conflict { .. }) if tries < MOST_TRIES => tries += 1,
                Err(error) => return Err(error.into()),
                Ok(()) => {
                    self.changed.notify_waiters();
                    return Ok(after);
                }
            }
        }
    }
}

fn unknown(tenant: &TenantId, name: &ScheduleName) -> ScheduleError {
    ScheduleError::Unknown { tenant: tenant.clone(), name: name.clone() }
}

/// Whether a plan can be kept, and when it fires.
fn check(plan: &Plan) -> Result<Timing, ScheduleError> {
    let bytes = plan.payload.json.get().len();
    if bytes > NewJob::MOST_PAYLOAD_BYTES {
        let most = NewJob::MOST_PAYLOAD_BYTES;
        let problem = format!("the payload of a schedule has {bytes} bytes, at most {most} are accepted");
        return Err(ScheduleError::Invalid(problem));
    }
    if plan.jitter > MOST_JITTER {
        return Err(ScheduleError::Invalid("a schedule's jitter is at most a day".to_owned()));
    }
    Ok(plan.timing()?)
}

#[cfg(test)]
mod tests;

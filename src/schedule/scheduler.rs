//! Makes the jobs of due schedules. Owns: the turns that processes take. Must not know: engines, how jobs run.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::sleep;

use super::{
    ScheduleError, Schedules,
    book::Due,
    cron::TimingError,
    document::Schedule,
    firing::{self, Work},
};
use crate::{
    domain::{NewJob, Timestamp},
    queue::{Enqueued, Queue, QueueError, Refusal},
    store::{Document, Expect, Records, StoreError},
};

/// How soon a schedule that another process has changed is noticed.
pub const NOTICED_WITHIN: Duration = Duration::from_secs(2);
/// How many schedules are looked at in one go.
const PAGE: usize = 100;
/// How many a tick looks at; what is left is done in the next, which follows at once.
const MOST_A_TICK: usize = 1_000;
/// How many documents are read or written at one time.
const AT_ONCE: usize = 32;
/// How many jobs go to the queue in one call.
const MOST_A_CALL: usize = 500;
/// How long a process that stops in the middle of a tick holds up the others.
const TURN: Duration = Duration::from_secs(10);
/// When somebody who did not get a turn asks again, and when a tick that failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often it is made sure that every schedule is in the index.
const MENDED_EVERY: Duration = Duration::from_secs(3_600);
const TURNS: &str = "schedules-turns";

/// What a tick did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticked {
    /// How many jobs were made, or had been made by another process.
    pub made: usize,
    /// When the next tick has something to do, as far as is known now.
    pub next: Option<Timestamp>,
}

/// Makes the jobs of due schedules. Cheap to clone.
#[derive(Clone)]
pub struct Scheduler {
    schedules: Schedules,
    records: Arc<dyn Records>,
    queue: Arc<dyn Queue>,
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scheduler").finish_non_exhaustive()
    }
}

impl Scheduler {
    /// A scheduler for these schedules, with the records that they are in.
    pub fn new(schedules: Schedules, records: Arc<dyn Records>, queue: Arc<dyn Queue>) -> Self {
        Self { schedules, records, queue }
    }

    /// Ticks whenever a schedule is due, for as long as it is polled; stop it by dropping it. A change made through
    /// the same [`Schedules`] is noticed at once, one of another process within [`NOTICED_WITHIN`]. What fails is logged
    /// and tried again.
    pub async fn run(&self) {
        let (mut away, mut mend_at) = (false, self.schedules.clock.now());
        loop {
            let changed = self.schedules.changed.notified();
            tokio::pin!(changed);
            // From before the look, so that no change falls between look and sleep.
            changed.as_mut().enable();
            let now = self.schedules.clock.now();
            let ticked = match self.mend_once_due(now, &mut mend_at).await {
                Ok(()) => self.tick(now).await,
                Err(error) => Err(error),
            };
            match &ticked {
                Err(error) if !away => tracing::warn!(%error, "schedules can't be looked at; trying again"),
                Ok(_) if away => tracing::info!("schedules are looked at again"),
                _ => {}
            }
            away = ticked.is_err();
            let wait = match ticked {
                Ok(Ticked { next: Some(next), .. }) => next.since(self.schedules.clock.now()),
                Ok(Ticked { next: None, .. }) => NOTICED_WITHIN,
                Err(_) => AGAIN,
            };
            tokio::select! {
                () = sleep(wait.min(NOTICED_WITHIN)) => {}
                () = changed => {}
            }
        }
    }

    /// Asks once an hour whether there is something to mend, not at each tick.
    async fn mend_once_due(&self, now: Timestamp, at: &mut Timestamp) -> Result<(), ScheduleError> {
        if now >= *at {
            self.mend(now).await?;
            *at = now.after(MENDED_EVERY);
        }
        Ok(())
    }

    /// Makes the jobs of all schedules that are due, at most a thousand schedules a call. Of several processes one does
    /// it at a time.
    ///
    /// # Errors
    /// [`ScheduleError::Store`], [`ScheduleError::Queue`]: what is left is done by the next call.
    pub async fn tick(&self, now: Timestamp) -> Result<Ticked, ScheduleError> {
        // More than one: what is no entry is left out.
        let (first, _) = self.schedules.book.due(None, PAGE).await?;
        match first.first() {
            Some(due) if due.at <= now => {}
            later => return Ok(Ticked { made: 0, next: later.map(|due| due.at) }),
        }
        let Some(turn) = self.take_turn("tick", now, TURN).await? else {
            return Ok(Ticked { made: 0, next: Some(now.after(AGAIN)) });
        };
        let ticked = self.work_off(now).await;
        // Where this fails the turn ends by itself.
        if let Err(error) = self.records.delete(TURNS, "tick", Expect::Version(turn)).await {
            tracing::debug!(%error, "a turn at the schedules could not be given back");
        }
        ticked
    }

    /// Makes sure, once an hour on each store, that each schedule that has a next time is in the index: a crash at the
    /// wrong moment may have left it out. Answers how many were not.
    ///
    /// # Errors
    /// [`ScheduleError::Store`].
    pub async fn mend(&self, now: Timestamp) -> Result<usize, ScheduleError> {
        let Some(turn) = self.take_turn("mend", now, MENDED_EVERY).await? else { return Ok(0) };
        let mended = self.mend_all().await;
        if mended.is_err() {
            // Whoever comes next tries again; where this fails, too, in an hour.
            drop(self.records.delete(TURNS, "mend", Expect::Version(turn)).await);
        }
        mended
    }

    async fn mend_all(&self) -> Result<usize, ScheduleError> {
        let (book, mut after, mut mended) = (&self.schedules.book, None::<String>, 0);
        loop {
            let page = book.list("", after.as_deref(), PAGE).await?;
            let mends = stream::iter(page.items).map(|document| async move { book.mend(&document).await });
            let done: Vec<bool> = mends.buffer_unordered(AT_ONCE).try_collect().await?;
            mended += done.into_iter().filter(|mended| *mended).count();
            after = page.next;
            if after.is_none() {
                return Ok(mended);
            }
        }
    }

    /// Takes a turn that nobody has, for a time.
    async fn take_turn(
        &self,
        what: &str,
        now: Timestamp,
        time: Duration,
    ) -> Result<Option<u64>, ScheduleError> {
        let end = Some(now.after(time));
        match self.records.put(TURNS, what, Bytes::from_static(b"{}"), Expect::Nothing, end).await {
            Ok(version) => Ok(Some(version)),
            Err(StoreError::Conflict { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// As [`tick`](Self::tick), without asking whether others do it too.
    pub(super) async fn work_off(&self, now: Timestamp) -> Result<Ticked, ScheduleError> {
        let (book, mut after, mut seen, mut made) = (&self.schedules.book, None::<String>, 0, 0);
        // Those that this build can't read: perhaps a newer one's, which will see to them.
        let mut unreadable = HashSet::new();
        while seen < MOST_A_TICK {
            let (mut page, next) = book.due(after.as_deref(), PAGE).await?;
            let listed = page.len();
            page.retain(|due| due.at <= now);
            seen += page.len();
            let is_last = page.len() < listed || next.is_none();
            made += self.work_off_page(page, now, &mut unreadable).await?;
            after = next;
            if is_last {
                break;
            }
        }
        // What has moved on may come before what was listed behind it.
        let (first, _) = book.due(None, PAGE).await?;
        let next = first.iter().find(|due| !unreadable.contains(&due.schedule)).map(|due| due.at);
        Ok(Ticked { made, next })
    }

    async fn work_off_page(
        &self,
        page: Vec<Due>,
        now: Timestamp,
        unreadable: &mut HashSet<String>,
    ) -> Result<usize, ScheduleError> {
        let book = &self.schedules.book;
        let reads = stream::iter(page).map(|due| async move { (book.get(&due.schedule).await, due) });
        let found: Vec<_> = reads.buffered(AT_ONCE).collect().await;
        let mut due = Vec::new();
        for (document, entry) in found {
            match document {
                Ok(Some(document)) if document.value.next.is_some_and(|next| next.at == entry.at) => {
                    due.push(document)
                }
                Ok(_) => book.forget_due(&entry).await?,
                Err(error @ StoreError::Corrupt(_)) => {
                    tracing::warn!(schedule = entry.schedule, %error, "a schedule can't be read: it is left out");
                    unreadable.insert(entry.schedule);
                }
                Err(error) => return Err(error.into()),
            }
        }
        // A long outage makes for much counting of firings.
        let planned = tokio::task::spawn_blocking(move || {
            due.into_iter().map(|document| (firing::work(&document.value, now), document)).collect::<Vec<_>>()
        });
        let planned = planned.await.map_err(|error| StoreError::Unavailable {
            doing: "tell the times of schedules",
            cause: error.into(),
        })?;
        let answers = self.enqueue(&planned).await?;
        self.write_down(planned, answers, now).await
    }

    /// Gives the queue the jobs of all of them; its answers, those of each together.
    async fn enqueue(&self, planned: &[Planned]) -> Result<Vec<Vec<Answer>>, QueueError> {
        let jobs = |(work, document): &Planned| -> Vec<NewJob> {
            work.as_ref().map(|work| work.jobs(&document.value).collect()).unwrap_or_default()
        };
        let (mut all, mut counts) = (Vec::new(), Vec::new());
        for planned in planned {
            let before = all.len();
            all.extend(jobs(planned));
            counts.push(all.len() - before);
        }
        let (mut answers, mut jobs) = (Vec::with_capacity(all.len()), all.into_iter());
        loop {
            let some: Vec<NewJob> = jobs.by_ref().take(MOST_A_CALL).collect();
            if some.is_empty() {
                break;
            }
            answers.extend(self.queue.enqueue(some).await?);
        }
        let mut answers = answers.into_iter();
        Ok(counts.into_iter().map(|count| answers.by_ref().take(count).collect()).collect())
    }

    /// Moves the schedules on. One that somebody has changed meanwhile is left to the next tick, which makes the same
    /// jobs at most.
    async fn write_down(
        &self,
        planned: Vec<Planned>,
        answers: Vec<Vec<Answer>>,
        now: Timestamp,
    ) -> Result<usize, ScheduleError> {
        let book = &self.schedules.book;
        let made = answers.iter().flatten().filter(|answer| answer.is_ok()).count();
        let writes =
            stream::iter(planned.into_iter().zip(answers)).map(|((work, document), answers)| async move {
                let after = match work {
                    Ok(work) => work.concluded(&document.value, &answers, now),
                    Err(error) => firing::put_off(&document.value, &error, now),
                };
                log(&document.value, &after);
                match book.write(Some(&document), &after, now).await {
                    Ok(()) | Err(StoreError::Conflict { .. }) => Ok(()),
                    Err(error) => Err(error),
                }
            });
        writes.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        Ok(made)
    }
}

/// A due schedule with what it is to make.
type Planned = (Result<Work, TimingError>, Document<Schedule>);
/// What the queue says to a job.
type Answer = Result<Enqueued, Refusal>;

/// The one place where it is logged that a firing was not made.
fn log(before: &Schedule, after: &Schedule) {
    let (tenant, schedule) = (&after.tenant, &after.name);
    if let Some(trouble) = after.trouble.as_ref().filter(|_| after.trouble != before.trouble) {
        let (firing, reason) = (trouble.firing, &trouble.reason);
        tracing::warn!(%tenant, %schedule, %firing, %reason, "a firing could not be made");
    }
    if let Some(dropped) = after.dropped.filter(|_| after.dropped != before.dropped) {
        let (from, until) = (dropped.from, dropped.until);
        tracing::info!(%tenant, %schedule, %from, %until, "missed firings were left out");
    }
}

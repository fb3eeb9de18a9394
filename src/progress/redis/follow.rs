//! One follower: pages of what is kept, then what is heard. Owns: where the follower has got to.

use std::{time::Duration, vec};

use tokio::time::{Instant, sleep, timeout};

use super::{
    hub::{Heard, Hub, JobEar},
    read::{Page, page},
    unavailable,
};
use crate::{
    domain::{Event, JobId, TenantId},
    progress::{PAGE, ProgressError, Rest},
    store::redis::Redis,
};

/// After so long without news a follower looks all the same: where a producer's user may not publish on channels, nobody
/// is told.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// For so long a follower sits out an outage; reading again does no harm.
const PATIENCE: Duration = Duration::from_secs(60);
const REST: Duration = Duration::from_millis(100);
const MOST_REST: Duration = Duration::from_secs(2);

/// Where a follower has got to.
pub(super) struct Follower {
    redis: Redis,
    tenant: TenantId,
    job: JobId,
    ear: JobEar,
    after: u64,
    page: vec::IntoIter<Event>,
    rest: Rest,
}

impl Follower {
    /// Begins behind `after` and reads the first page.
    pub(super) async fn begin(
        hub: &Hub,
        redis: Redis,
        tenant: &TenantId,
        job: JobId,
        after: u64,
    ) -> Result<Self, ProgressError> {
        // First the ear, then the page: nothing falls between the two.
        let ear = hub.hear(tenant, job).await.map_err(|error| unavailable("follow a job", error))?;
        let page = Vec::new().into_iter();
        let tenant = tenant.clone();
        let mut follower = Self { redis, tenant, job, ear, after, page, rest: Rest::Unread };
        follower.read().await?;
        Ok(follower)
    }

    /// The next event, as soon as there is one; `None` at the end.
    pub(super) async fn next(mut self) -> Result<Option<(Event, Self)>, ProgressError> {
        loop {
            if let Some(event) = self.page.next() {
                self.after = event.sequence;
                return Ok(Some((event, self)));
            }
            match self.rest {
                Rest::Unread => self.read_on().await?,
                Rest::Nothing => return Ok(None),
                Rest::ToCome => {
                    let heard = timeout(LOOK_AGAIN, self.ear.next()).await.unwrap_or(Heard::Missed);
                    match heard {
                        Heard::Event(event) if event.sequence <= self.after => {}
                        Heard::Event(event) if Some(event.sequence) == self.after.checked_add(1) => {
                            self.after = event.sequence;
                            if event.body.is_last() {
                                // Unless something has come after it, this was the end.
                                self.rest = Rest::Unread;
                            }
                            return Ok(Some(((*event).clone(), self)));
                        }
                        Heard::Event(_) | Heard::Missed => self.read_on().await?,
                    }
                }
            }
        }
    }

    /// Reads on, after an outage where there is one.
    async fn read_on(&mut self) -> Result<(), ProgressError> {
        let (begun, mut rest) = (Instant::now(), REST);
        loop {
            match self.read().await {
                Err(ProgressError::Unavailable { .. }) if begun.elapsed() < PATIENCE => sleep(rest).await,
                read => return read,
            }
            rest = (rest * 2).min(MOST_REST);
        }
    }

    async fn read(&mut self) -> Result<(), ProgressError> {
        let Page { events, last, rest } = page(&self.redis, &self.tenant, self.job, self.after, PAGE).await?;
        if events.is_empty() {
            // Nothing but what somebody has put there: it must not be read again and again.
            self.after = self.after.max(last.unwrap_or(0));
        }
        self.page = events.into_iter();
        self.rest = rest;
        Ok(())
    }
}

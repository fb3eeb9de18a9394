//! One subscriber: pages of what is kept, then the bell. Owns: where the subscriber has got to.

use std::{sync::Arc, time::Duration, vec};

use tokio::{sync::watch, time::timeout};

use super::{
    events::{self, EventPage},
    unavailable,
};
use crate::{
    domain::{Event, JobId, TenantId},
    progress::{PAGE, ProgressError, Rest},
    store::sqlite::Database,
};

/// Where a subscriber has got to.
#[derive(Debug)]
pub(super) struct Follower {
    database: Arc<Database>,
    tenant: TenantId,
    job: JobId,
    bell: watch::Receiver<u64>,
    look_again: Duration,
    after: u64,
    page: vec::IntoIter<Event>,
    rest: Rest,
}

impl Follower {
    /// Begins behind `after` and reads the first page. Will look every `look_again` even where nobody rings.
    pub(super) async fn begin(
        database: Arc<Database>,
        tenant: TenantId,
        job: JobId,
        after: u64,
        look_again: Duration,
    ) -> Result<Self, ProgressError> {
        // First the bell, then the page: a commit between the two has rung.
        let bell = database.bell().listen();
        let page = Vec::new().into_iter();
        let mut follower = Self { database, tenant, job, bell, look_again, after, page, rest: Rest::Unread };
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
                Rest::Unread => {}
                // Whichever of the two it was, and also where nobody can ring any more: look.
                Rest::ToCome => drop(timeout(self.look_again, self.bell.changed()).await),
                Rest::Nothing => return Ok(None),
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Result<(), ProgressError> {
        let (tenant, job, after) = (self.tenant.clone(), self.job, self.after);
        let page = self.database.read(move |connection| events::page(connection, &tenant, job, after, PAGE));
        let page = page.await.map_err(|error| unavailable("follow a job", error))?;
        let EventPage { events, rest } = page.ok_or(ProgressError::UnknownJob { job })?;
        self.page = events.into_iter();
        self.rest = rest;
        Ok(())
    }
}

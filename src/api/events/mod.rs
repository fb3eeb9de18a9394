//! `/v1/jobs/{job}/events`: progress as it happens, by server-sent events and by WebSocket. Owns: how long a stream may last,
//! and its end.
//!
//! Events of all of a tenant's jobs are not offered: the progress bus follows one job at a time.

mod feed;
mod sse;
mod subscription;
mod watch;
mod ws;

use std::{pin::Pin, sync::Arc, time::Duration};

use axum::http::HeaderMap;
use serde::Deserialize;
use tokio::time::{Instant, Interval, MissedTickBehavior, Sleep, interval_at, sleep_until};
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) use self::{feed::Live, watch::Watch};
use self::{
    feed::{Frame, Slot},
    subscription::{Next, Subscription},
    watch::Watching,
};
use super::{
    Routes,
    caller::Caller,
    credential, jobs,
    problem::{Problem, ProblemType},
    state::ApiState,
};
use crate::domain::JobId;

/// The two kinds of streams.
pub(super) fn routes() -> Routes {
    OpenApiRouter::new().routes(routes!(sse::follow)).routes(routes!(ws::follow))
}

/// How often a stream says that it is there, where nothing happens.
const BEAT: Duration = Duration::from_secs(15);
/// No stream lasts longer. Whoever follows comes again, which a proxy between may need, and counts as use of his session.
const LONGEST: Duration = Duration::from_secs(900);

/// Where to begin.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AfterQuery {
    /// Only events with a higher sequence number; all that are kept where nothing is said
    after: Option<u64>,
}

/// Why a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The job has ended, and all of its events were told.
    Over,
    /// The server stops.
    Stopping,
    /// The credential has to be proved anew.
    Credential,
    /// Events can't be read now.
    Failed,
}

/// What comes next.
enum Step {
    Event(Arc<Frame>),
    /// Nothing has happened for a while.
    Beat,
    End(Ending),
}

/// A stream that is open.
struct Stream {
    subscription: Subscription,
    stopping: CancellationToken,
    until: Pin<Box<Sleep>>,
    beat: Interval,
    watching: Watching,
    _slot: Slot,
}

impl Stream {
    /// Opens a stream of a job's events above `after`; `None` where the job has ended and there are none.
    ///
    /// # Errors
    /// [`Problem`] where the tenant has no such job, or as many streams as it may.
    async fn open(
        state: &ApiState,
        caller: &Caller,
        headers: &HeaderMap,
        job: JobId,
        after: u64,
    ) -> Result<Option<Self>, Problem> {
        let tenant = caller.tenant();
        let held = credential::held(headers)?.ok_or_else(credential::refused)?;
        let slot = state.live().open(tenant)?;
        let mut subscription = state.live().subscribe(tenant, job, after);
        if !subscription.look().await? && jobs::find(state, tenant, job).await?.state.is_final() {
            // It may have ended between the two.
            if !subscription.look().await? {
                return Ok(None);
            }
        }
        let left = caller.principal.until.map(|until| until.since(state.engine().clock.now()));
        let until = Instant::now() + left.unwrap_or(LONGEST).min(LONGEST);
        let mut beat = interval_at(Instant::now() + BEAT, BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stopping = state.stopping().clone();
        let (until, watching) = (Box::pin(sleep_until(until)), state.watch().begin(held, tenant));
        Ok(Some(Self { subscription, stopping, until, beat, watching, _slot: slot }))
    }

    /// What comes next. May be dropped and called again: nothing is lost.
    async fn next(&mut self) -> Step {
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Step::End(Ending::Stopping),
            () = &mut self.until => Step::End(Ending::Credential),
            () = self.watching.ended() => Step::End(Ending::Credential),
            next = self.subscription.next() => match next {
                Next::Event(frame) => {
                    self.beat.reset();
                    Step::Event(frame)
                }
                Next::Over => Step::End(Ending::Over),
                Next::Failed => Step::End(Ending::Failed),
            },
            _ = self.beat.tick() => Step::Beat,
        }
    }
}

/// The place that a client has got to: the header `Last-Event-ID`, which a browser sends when it comes again, else the query.
fn place(headers: &HeaderMap, query: &AfterQuery) -> Result<u64, Problem> {
    let given = headers.get("last-event-id").map(|value| value.to_str().unwrap_or("?").trim());
    match given.filter(|text| !text.is_empty()) {
        Some(text) => text.parse().map_err(|_| {
            Problem::at(
                ProblemType::Invalid,
                "Last-Event-ID",
                "not the id of an event: send one that was sent here",
            )
        }),
        None => Ok(query.after.unwrap_or(0)),
    }
}

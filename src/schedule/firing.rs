//! What a due schedule is to make now, and what becomes of it afterwards. Pure. Must not know: stores, queues' engines.

use std::time::Duration;

use super::{
    cron::TimingError,
    document::{CatchUp, Dropped, Fired, MOST_CAUGHT_UP, Next, Schedule, Trouble, WINDOW},
};
use crate::{
    domain::{NewJob, Reason, Timestamp},
    queue::{Enqueued, Refusal},
};

/// When a firing that the queue had no room for is tried again: as the queue says, but within these.
const SOONEST: Duration = Duration::from_secs(5);
const LATEST: Duration = Duration::from_secs(60);
/// When a schedule whose time zone this build does not know is looked at again: by another build, perhaps.
const PUT_OFF: Duration = Duration::from_secs(300);

/// What a due schedule is to make.
#[derive(Debug, PartialEq)]
pub(super) struct Work {
    /// The firings to make, oldest first.
    pub(super) firings: Vec<Timestamp>,
    dropped: Option<Dropped>,
    next: Option<Next>,
}

/// What a schedule is to make at `now`; nothing where it is not due.
///
/// # Errors
/// [`TimingError`] where this build can't tell its times.
pub(super) fn work(schedule: &Schedule, now: Timestamp) -> Result<Work, TimingError> {
    let Some(next) = schedule.next.filter(|next| next.at <= now) else {
        return Ok(Work { firings: Vec::new(), dropped: None, next: schedule.next });
    };
    let timing = schedule.plan.timing()?;
    let most = if schedule.plan.catch_up == CatchUp::All { MOST_CAUGHT_UP } else { 1 };
    // One more: the time of the last one may have come and its jitter not yet.
    let mut firings = timing.latest(next.firing, now, most + 1);
    let is_waiting =
        |firing: &&Timestamp| **firing > next.firing && schedule.next_at(&timing, **firing).at > now;
    let upcoming = if let Some(waiting) = firings.last().filter(is_waiting).copied() {
        firings.pop();
        Some(schedule.next_at(&timing, waiting))
    } else {
        schedule.next_after(&timing, firings.last().copied().unwrap_or(now))
    };
    let surplus = firings.len().saturating_sub(most);
    firings.drain(..surplus);
    if schedule.plan.catch_up == CatchUp::Skip {
        firings.retain(|firing| now.since(schedule.next_at(&timing, *firing).at) <= WINDOW);
    }
    let dropped = match firings.first() {
        Some(first) if *first == next.firing => None,
        first => Some(Dropped { from: next.firing, until: first.copied().unwrap_or(now) }),
    };
    Ok(Work { firings, dropped, next: upcoming })
}

impl Work {
    /// The jobs of the firings.
    pub(super) fn jobs<'a>(&'a self, schedule: &'a Schedule) -> impl Iterator<Item = NewJob> + 'a {
        self.firings.iter().map(|firing| schedule.job(*firing))
    }

    /// The schedule once the queue has answered, one answer a firing.
    pub(super) fn concluded(
        &self,
        schedule: &Schedule,
        answers: &[Result<Enqueued, Refusal>],
        now: Timestamp,
    ) -> Schedule {
        let mut after = Schedule { next: self.next, ..schedule.clone() };
        after.dropped = self.dropped.or(after.dropped);
        for (firing, answer) in self.firings.iter().zip(answers) {
            match answer {
                Ok(made) => {
                    after.last = Some(Fired { firing: *firing, at: now, job: made.id() });
                    after.trouble = None;
                }
                Err(refusal) => {
                    after.trouble = Some(trouble(*firing, refusal, now));
                    after.next = match refusal {
                        // It would be refused for ever, and so would those after it: on to the next time.
                        Refusal::Invalid(_) => self.next,
                        Refusal::TooMany { retry_after, .. } | Refusal::TooLarge { retry_after, .. } => {
                            let at = now.after((*retry_after).clamp(SOONEST, LATEST));
                            Some(Next { firing: *firing, at })
                        }
                    };
                    break;
                }
            }
        }
        after
    }
}

/// The schedule where this build can't tell its times.
pub(super) fn put_off(schedule: &Schedule, error: &TimingError, now: Timestamp) -> Schedule {
    let next = schedule.next.map(|next| Next { at: now.after(PUT_OFF), ..next });
    let firing = schedule.next.map_or(now, |next| next.firing);
    Schedule { next, trouble: Some(trouble(firing, error, now)), ..schedule.clone() }
}

fn trouble(firing: Timestamp, problem: &dyn std::fmt::Display, now: Timestamp) -> Trouble {
    Trouble { firing, at: now, reason: Reason::new(problem.to_string()) }
}

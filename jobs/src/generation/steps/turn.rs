//! Whose turn it is to write a project's next chapter: who writes it knows the one before it, and no two write the same one. Owns:
//! `next-chapter.json`, which lies in the project meanwhile. Must not know: how a chapter is written.
//!
//! It spares asking in vain, and no more: that no chapter is lost or stands twice is [`put_chapter`](crate::book::project)'s
//! affair. Nobody waits in a worker: a job whose turn it is not goes back into its queue, at the cost of no attempt.

use std::{sync::Arc, time::Duration};

use object_store::{Error, ObjectStore, ObjectStoreExt as _, path::Path};
use presswork::{
    domain::{Failure, Reason, Timestamp},
    worker::Context,
};
use serde::{Deserialize, Serialize};
use tokio::time::{MissedTickBehavior, interval};

use crate::book::project::fence::{Seen, put_where};

/// The file in a project.
const FILE: &str = "next-chapter.json";
/// How long a turn holds that nobody prolongs: its job has died with its worker.
const HOLDS: Duration = Duration::from_secs(180);
/// How often it is prolonged.
const BEAT: Duration = Duration::from_secs(60);
/// How soon another job looks again.
const LOOKS: Duration = Duration::from_secs(5);

/// Whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    by: String,
    until: Timestamp,
}

impl Held {
    /// Clocks differ by less than a turn's length: what is said to hold for longer was said by a clock that is wrong.
    fn holds(&self, now: Timestamp) -> bool {
        self.until > now && self.until.since(now) <= HOLDS * 2
    }
}

/// A job and its turn, where it has one. To be [given back](Self::give_back).
pub(super) struct Turn {
    context: Context,
    project: Arc<dyn ObjectStore>,
    by: String,
    is_taken: bool,
}

impl Turn {
    /// Of a job's attempt, which has not taken it.
    pub(super) fn of(context: &Context, project: &Arc<dyn ObjectStore>) -> Self {
        let by = context.job().id.to_string();
        // An earlier attempt may have taken it.
        let is_taken = context.job().epoch > 1;
        Self { context: context.clone(), project: project.clone(), by, is_taken }
    }

    /// Takes the turn, also where an earlier attempt of the job has it.
    ///
    /// # Errors
    /// Snooze where it is another job's, Retry where storage fails.
    pub(super) async fn take(&mut self) -> Result<(), Failure> {
        let (held, seen) = self.look().await?;
        let now = self.context.clock().now();
        let left = match held {
            Some(held) if held.by != self.by && held.holds(now) => held.until.since(now),
            _ if self.write(&seen).await? => {
                self.is_taken = true;
                return Ok(());
            }
            // Somebody was faster.
            _ => HOLDS,
        };
        let spread = u64::try_from(LOOKS.as_micros() / 4).unwrap_or(1);
        let wait = left.min(LOOKS) + Duration::from_micros(self.context.random().below(spread.max(1)));
        let reason =
            Reason::new("another job is writing the project's next chapter: this one comes behind it");
        Err(Failure::Snooze { wait, reason })
    }

    /// Does what takes its time, and keeps the turn meanwhile.
    pub(super) async fn kept_while<T>(&self, work: impl Future<Output = T>) -> T {
        if !self.is_taken {
            return work.await;
        }
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beats.tick().await;
        let keeping = async {
            loop {
                beats.tick().await;
                match self.look().await {
                    Ok((Some(held), seen)) if held.by == self.by => {
                        // Should it fail, another job may write the same chapter: that costs money and loses nothing.
                        let _ = self.write(&seen).await;
                    }
                    // Not to be read just now.
                    Err(_) => {}
                    Ok(_) => std::future::pending().await,
                }
            }
        };
        tokio::select! {
            done = work => done,
            () = keeping => unreachable!("keeps it for ever"),
        }
    }

    /// Lets the next one begin, as far as that succeeds: else it begins once this turn is over.
    pub(super) async fn give_back(self) {
        if !self.is_taken {
            return;
        }
        let is_own = self.look().await.is_ok_and(|(held, _)| held.is_some_and(|held| held.by == self.by));
        if is_own && let Err(error) = self.project.delete(&Path::from(FILE)).await {
            tracing::warn!(%error, "the turn to write a chapter could not be given back: it ends by itself");
        }
    }

    async fn look(&self) -> Result<(Option<Held>, Seen), Failure> {
        let got = match self.project.get(&Path::from(FILE)).await {
            Err(Error::NotFound { .. }) => return Ok((None, Seen::NOTHING)),
            got => got.map_err(Failure::retry)?,
        };
        let seen = Seen::of(&got.meta);
        let bytes = got.bytes().await.map_err(Failure::retry)?;
        // What nobody can read is nobody's.
        Ok((serde_json::from_slice(&bytes).ok(), seen))
    }

    async fn write(&self, seen: &Seen) -> Result<bool, Failure> {
        let held = Held { by: self.by.clone(), until: self.context.clock().now().after(HOLDS) };
        let json = serde_json::to_vec(&held).map_err(Failure::fatal)?;
        put_where(&*self.project, &Path::from(FILE), json, seen).await.map_err(Failure::retry)
    }
}

//! Whose turn it is to write a project's next chapter: who writes it knows the one before it, and no two write the same one. Owns:
//! `next-chapter.json`, which lies in the project. Must not know: how a chapter is written.
//!
//! It spares asking in vain, and keeps chapters in the order in which they were asked for: those who wait are written down, the
//! oldest job first, and go before those who came later. That no chapter is lost or stands twice is
//! [`put_chapter`](crate::book::project)'s affair. Nobody waits in a worker: a job whose turn it is not goes back into its queue, at
//! the cost of no attempt, and has read no more than this file.

use std::{sync::Arc, time::Duration};

use object_store::{Error, ObjectStore, ObjectStoreExt as _, path::Path};
use presswork::{
    domain::{Failure, ProjectId, Reason, Timestamp},
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
/// How soon a job that waits looks again.
const LOOKS: Duration = Duration::from_secs(5);
/// The same for the one that is next.
const LOOKS_NEXT: Duration = Duration::from_secs(2);

/// How long one that waits is waited for that does not look again: it may have been cancelled.
const WAITS: Duration = Duration::from_secs(60);
/// How often a change of the file is made anew where others were faster.
const MOST_TRIES: usize = 16;
/// So many who wait are written down; those behind them wait all the same.
const MOST_WAITING: usize = 100;

/// Whose turn it is, and who comes next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    /// Nobody's where it is empty.
    by: String,
    until: Timestamp,
    /// By id, that is by age.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    waiting: Vec<Waiting>,
}

/// A job that waits; it looks again before this is over, unless it has come to an end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Waiting {
    by: String,
    until: Timestamp,
}

/// Clocks differ by less than a turn's length: what is said to hold for longer was said by a clock that is wrong.
fn holds(until: Timestamp, now: Timestamp) -> bool {
    until > now && until.since(now) <= HOLDS * 2
}

impl Line {
    fn empty(now: Timestamp) -> Self {
        Self { by: String::new(), until: now, waiting: Vec::new() }
    }

    /// The same without those who have not looked for long.
    fn now(mut self, now: Timestamp) -> Self {
        self.waiting.retain(|waiting| holds(waiting.until, now));
        self
    }

    /// Whether it is this job's turn, or nobody's and nobody older waits.
    fn is_turn_of(&self, job: &str, now: Timestamp) -> bool {
        let is_held = !self.by.is_empty() && holds(self.until, now);
        let is_first = self.waiting.first().is_none_or(|first| first.by.as_str() >= job);
        self.by == job || (!is_held && is_first)
    }

    fn give_to(&mut self, job: &str, now: Timestamp) {
        self.waiting.retain(|waiting| waiting.by != job);
        (self.by, self.until) = (job.to_owned(), now.after(HOLDS));
    }

    /// Has a job wait in it; whether that is news.
    fn enter(&mut self, job: &str, now: Timestamp) -> bool {
        let is_fresh = |waiting: &Waiting| waiting.by == job && waiting.until.since(now) >= WAITS / 2;
        if self.waiting.iter().any(is_fresh) {
            return false;
        }
        self.waiting.retain(|waiting| waiting.by != job);
        let place = self.waiting.partition_point(|waiting| waiting.by.as_str() < job);
        self.waiting.insert(place, Waiting { by: job.to_owned(), until: now.after(WAITS) });
        self.waiting.truncate(MOST_WAITING);
        place < MOST_WAITING
    }
}

/// A job and its turn, where it has one. To be [given back](Self::give_back).
pub(super) struct Turn {
    context: Context,
    project: Arc<dyn ObjectStore>,
    by: String,
    is_taken: bool,
    /// Whether an earlier attempt may have left it.
    may_be_left: bool,
    beat: Duration,
}

impl Turn {
    /// Of a job's attempt, which has not taken it.
    pub(super) fn of(context: &Context, project: &ProjectId) -> Self {
        let by = context.job().id.to_string();
        let may_be_left = context.job().epoch > 1;
        let (context, project) = (context.clone(), context.project(project));
        Self { context, project, by, is_taken: false, may_be_left, beat: BEAT }
    }

    /// Whether this attempt has taken it.
    pub(super) fn is_taken(&self) -> bool {
        self.is_taken
    }

    /// Takes the turn, also where an earlier attempt of the job has it.
    ///
    /// # Errors
    /// Snooze where it is another job's, or one's that is older and waits; Retry where storage fails.
    pub(super) async fn take(&mut self) -> Result<(), Failure> {
        let mut wait = LOOKS;
        for _ in 0..MOST_TRIES {
            let (line, seen) = self.look().await?;
            let now = self.context.clock().now();
            let mut line = line.unwrap_or_else(|| Line::empty(now)).now(now);
            if line.is_turn_of(&self.by, now) {
                line.give_to(&self.by, now);
                if self.write(&line, &seen).await? {
                    self.is_taken = true;
                    return Ok(());
                }
                continue;
            }
            self.may_be_left = false;
            let is_news = line.enter(&self.by, now);
            let is_next = line.waiting.first().is_some_and(|first| first.by == self.by);
            wait = if is_next { LOOKS_NEXT } else { LOOKS };
            if holds(line.until, now) {
                wait = wait.min(line.until.since(now));
            }
            if !is_news || self.write(&line, &seen).await? {
                break;
            }
        }
        let spread = u64::try_from(LOOKS.as_micros() / 4).unwrap_or(1);
        wait += Duration::from_micros(self.context.random().below(spread.max(1)));
        let reason =
            Reason::new("another job is writing the project's next chapter: this one comes behind it");
        Err(Failure::Snooze { wait, reason })
    }

    /// Does what takes its time, and keeps the turn meanwhile.
    pub(super) async fn kept_while<T>(&self, work: impl Future<Output = T>) -> T {
        if !self.is_taken {
            return work.await;
        }
        let mut beats = interval(self.beat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beats.tick().await;
        let keeping = async {
            loop {
                beats.tick().await;
                if !self.renewed().await {
                    std::future::pending().await
                }
            }
        };
        tokio::select! {
            done = work => done,
            () = keeping => unreachable!("keeps it for ever"),
        }
    }

    /// Prolongs the turn; whether it may still be this job's. Should it fail, another job may write the same chapter: that costs
    /// money and loses nothing.
    async fn renewed(&self) -> bool {
        for _ in 0..MOST_TRIES {
            // Not to be read or written just now: the next beat tries again.
            let Ok((line, seen)) = self.look().await else { return true };
            let Some(mut line) = line.filter(|line| line.by == self.by) else { return false };
            line.until = self.context.clock().now().after(HOLDS);
            if self.write(&line, &seen).await.unwrap_or(true) {
                return true;
            }
        }
        true
    }

    /// Lets the next one begin, as far as that succeeds: else it begins once this turn is over.
    pub(super) async fn give_back(self) {
        if !self.is_taken && !self.may_be_left {
            return;
        }
        for _ in 0..MOST_TRIES {
            let now = self.context.clock().now();
            let Ok((Some(line), seen)) = self.look().await else { return };
            if line.by != self.by {
                return;
            }
            let waiting = line.now(now).waiting;
            // Not removed: that can't rest on a condition, and somebody may have come since.
            match self.write(&Line { waiting, ..Line::empty(now) }, &seen).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, "the turn to write a chapter could not be given back: it ends by itself");
                    return;
                }
            }
        }
    }

    async fn look(&self) -> Result<(Option<Line>, Seen), Failure> {
        let got = match self.project.get(&Path::from(FILE)).await {
            Err(Error::NotFound { .. }) => return Ok((None, Seen::NOTHING)),
            got => got.map_err(Failure::retry)?,
        };
        let seen = Seen::of(&got.meta);
        let bytes = got.bytes().await.map_err(Failure::retry)?;
        // What nobody can read is nobody's.
        Ok((serde_json::from_slice(&bytes).ok(), seen))
    }

    async fn write(&self, line: &Line, seen: &Seen) -> Result<bool, Failure> {
        let json = serde_json::to_vec(line).map_err(Failure::fatal)?;
        put_where(&*self.project, &Path::from(FILE), json, seen).await.map_err(Failure::retry)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    };

    use presswork::{domain::KindName, testing::Inline, worker::Kind};
    use tokio::{sync::watch, time::timeout};

    use super::*;
    use crate::watched::{Ends, Touch, Watched};

    /// How often the file was written.
    static WRITTEN: LazyLock<watch::Sender<u32>> = LazyLock::new(watch::Sender::default);

    /// A job that keeps its turn until it was prolonged.
    #[derive(Serialize, Deserialize)]
    struct Keeps {}

    impl Kind for Keeps {
        const NAME: KindName = KindName::literal("keeps");
        type Output = bool;

        async fn run(self, context: Context) -> Result<bool, Failure> {
            let mut turn = Turn::of(&context, &"p".parse().map_err(Failure::fatal)?);
            turn.beat = Duration::from_millis(1);
            turn.take().await?;
            let mut written = WRITTEN.subscribe();
            let prolonged = async {
                let waited = written.wait_for(|written| *written > 1).await;
                waited.is_ok()
            };
            let is_prolonged = turn.kept_while(timeout(LOOKS * 2, prolonged)).await.unwrap_or(false);
            turn.give_back().await;
            Ok(is_prolonged)
        }
    }

    #[tokio::test]
    async fn a_turn_that_could_not_be_read_once_is_prolonged_the_next_time() {
        let reads = AtomicU32::new(0);
        let storage = Watched::by(move |touch, file| {
            assert!(file.ends_with(FILE), "{file}");
            match touch {
                // The first one takes the turn.
                Touch::Read if reads.fetch_add(1, Ordering::Relaxed) == 1 => return Ends::Fails,
                Touch::Read => {}
                Touch::Write => WRITTEN.send_modify(|written| *written += 1),
            }
            Ends::Well
        });
        let ran = Inline::new(Keeps {}).on_storage(Arc::new(storage)).run().await.unwrap();
        assert_eq!(ran.result.unwrap(), true);
    }

    #[test]
    fn those_who_wait_go_by_age_and_as_long_as_they_look() {
        let now = presswork::testing::START;
        let mut line = Line::empty(now);
        for job in ["c", "a", "b"] {
            assert!(line.enter(job, now));
        }
        assert!(!line.enter("a", now), "it was written down just now");
        assert!(line.is_turn_of("a", now) && !line.is_turn_of("b", now));
        line.give_to("a", now);
        assert!(line.is_turn_of("a", now) && !line.is_turn_of("b", now));
        let (again, later) = (now.after(HOLDS - LOOKS), now.after(HOLDS + LOOKS));
        assert!(line.enter("b", again));
        let line = line.now(later);
        assert!(line.is_turn_of("b", later) && !line.is_turn_of("d", later));
        let waiting: Vec<&str> = line.waiting.iter().map(|waiting| waiting.by.as_str()).collect();
        assert_eq!(waiting, ["b"], "the others have not looked again");
        let mut line = Line::empty(now);
        for number in 0..MOST_WAITING {
            line.enter(&format!("{number:03}"), now);
        }
        assert!(!line.enter("zzz", now) && line.enter("000a", now));
        assert_eq!(line.waiting.len(), MOST_WAITING);
    }
}

//! Who waits for jobs, and whom an arrival wakes.
//!
//! One of a process's waiters leads: it hears the store's bell, looks once for the kinds of all, and wakes one waiter
//! a kind that has something. Nobody else is woken for that kind until a claim has been made, which leaves the rest to
//! the next waiter: an arrival never wakes the fleet. When the leader goes, another waiter takes its place and looks
//! before it sleeps, so nothing is missed in between.
//!
//! Owns: the book of waiters. Must not know: how jobs are claimed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{self, Notify, oneshot},
    time::{Instant, sleep},
};

use super::prospect::Prospect;
use crate::{domain::KindName, queue::QueueError, store::sqlite::Bell};

/// How long a woken waiter has for its claim before another is woken in its place.
const GRACE: Duration = Duration::from_secs(5);
/// A look at the store at least so often, whatever is heard: a process that is killed between its commit and its
/// ringing tells nobody, and file events may fail.
const LONGEST: Duration = Duration::from_secs(5);
/// Timers are no finer.
const SHORTEST: Duration = Duration::from_millis(1);

/// The waiters of one process.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    leader: sync::Mutex<()>,
    /// Tells the leader to look again.
    look: Notify,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    last: u64,
    /// By arrival.
    asleep: BTreeMap<u64, Sleeper>,
    /// Kinds for which somebody was woken and has not claimed yet, and until when that counts.
    woken: HashMap<KindName, Instant>,
}

#[derive(Debug)]
struct Sleeper {
    kinds: Vec<KindName>,
    wake: oneshot::Sender<()>,
}

impl Waiters {
    /// Waits until a claim of these kinds may get something; `look` says when that is.
    pub(super) async fn wait<F>(
        &self,
        kinds: &[KindName],
        bell: &Bell,
        look: impl Fn(Vec<KindName>) -> F,
    ) -> Result<(), QueueError>
    where
        F: Future<Output = Result<Vec<(KindName, Prospect)>, QueueError>>,
    {
        // First into the book, then a look: what comes in between is seen by one of the two.
        let (mut ticket, mut woken) = self.register(kinds);
        let found = look(kinds.to_vec()).await?;
        if found.iter().all(|(_, prospect)| *prospect != Prospect::Now) {
            // The leader has yet to learn of these kinds.
            self.look.notify_one();
            tokio::select! {
                _ = &mut woken => {}
                leading = self.leader.lock() => {
                    self.lead(&mut woken, bell, look).await?;
                    drop(leading);
                }
            }
        }
        ticket.used = true;
        Ok(())
    }

    async fn lead<F>(
        &self,
        woken: &mut oneshot::Receiver<()>,
        bell: &Bell,
        look: impl Fn(Vec<KindName>) -> F,
    ) -> Result<(), QueueError>
    where
        F: Future<Output = Result<Vec<(KindName, Prospect)>, QueueError>>,
    {
        let mut rings = bell.listen();
        loop {
            rings.mark_unchanged();
            let prospects = look(self.wanted()).await?;
            let nap = self.wake(prospects);
            tokio::select! {
                biased;
                _ = &mut *woken => return Ok(()),
                Ok(()) = rings.changed() => {}
                () = self.look.notified() => {}
                () = sleep(nap) => {}
            }
        }
    }

    /// A claim of these kinds begins: when the answer is dropped, whoever sleeps may be woken for what it left.
    pub(super) fn claiming<'a>(&'a self, kinds: &'a [KindName]) -> Claiming<'a> {
        Claiming { waiters: self, kinds }
    }

    fn register(&self, kinds: &[KindName]) -> (Ticket<'_>, oneshot::Receiver<()>) {
        let (wake, woken) = oneshot::channel();
        let mut book = self.book();
        book.last += 1;
        let number = book.last;
        book.asleep.insert(number, Sleeper { kinds: kinds.to_vec(), wake });
        (Ticket { waiters: self, number, kinds: kinds.to_vec(), used: false }, woken)
    }

    fn wanted(&self) -> Vec<KindName> {
        let book = self.book();
        let kinds: BTreeSet<_> = book.asleep.values().flat_map(|sleeper| &sleeper.kinds).collect();
        kinds.into_iter().cloned().collect()
    }

    /// Wakes one waiter a kind that has something; answers when to look again.
    fn wake(&self, prospects: Vec<(KindName, Prospect)>) -> Duration {
        let (mut book, now, mut nap) = (self.book(), Instant::now(), LONGEST);
        for (kind, prospect) in prospects {
            match prospect {
                Prospect::Now => match book.woken.get(&kind) {
                    Some(until) if *until > now => nap = nap.min(*until - now),
                    _ => book.wake_one(kind, now + GRACE),
                },
                Prospect::Later(wait) => nap = nap.min(wait.unwrap_or(LONGEST)),
            }
        }
        nap.max(SHORTEST)
    }

    /// Nobody is on the way for these kinds any more.
    fn release(&self, kinds: &[KindName]) {
        let mut book = self.book();
        for kind in kinds {
            book.woken.remove(kind);
        }
        if !book.asleep.is_empty() {
            self.look.notify_one();
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn wake_one(&mut self, kind: KindName, until: Instant) {
        let asks = |(number, sleeper): (&u64, &Sleeper)| sleeper.kinds.contains(&kind).then_some(*number);
        while let Some(number) = self.asleep.iter().find_map(asks) {
            let sent = self.asleep.remove(&number).map(|sleeper| sleeper.wake.send(()));
            if sent == Some(Ok(())) {
                self.woken.insert(kind, until);
                return;
            }
        }
    }
}

/// A waiter's entry in the book; dropped, it leaves no trace.
struct Ticket<'a> {
    waiters: &'a Waiters,
    number: u64,
    kinds: Vec<KindName>,
    used: bool,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let asleep = self.waiters.book().asleep.remove(&self.number).is_some();
        if !asleep && !self.used {
            // It was woken and never got to know: let it be another.
            self.waiters.release(&self.kinds);
        }
    }
}

/// A claim on its way.
pub(super) struct Claiming<'a> {
    waiters: &'a Waiters,
    kinds: &'a [KindName],
}

impl Drop for Claiming<'_> {
    fn drop(&mut self) {
        self.waiters.release(self.kinds);
    }
}

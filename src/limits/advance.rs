//! Tokens that a process takes of a shared bucket before they are asked for, so that not each call is a round trip. Owns:
//! [`Advance`]: how many, and for how long they are good. Must not know: what engine the buckets are in.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lru::LruCache;

use super::{Bucket, Decision, LimitError, Limiter};
use crate::domain::{Clock, Rate};

/// How long tokens that were taken in advance are good; what is left then is lost. Also how long calls are counted to tell how
/// many will come.
const PERIOD: Duration = Duration::from_millis(100);
/// Of the calls of a period so many are asked for together: one in eight.
const PARTS: u32 = 8;
/// Of a bucket's burst a process takes so little in advance: a hundredth. Nothing of a burst below 200.
const SHARE: u32 = 100;
/// And never more than this.
const MOST: u32 = 1_024;
/// For how many buckets it does so.
const MOST_BUCKETS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// One token a call, of a shared limiter. Where calls of a bucket come faster than `PARTS` times two a `PERIOD`, and its burst
/// is 200 at least, some are taken together and handed out from memory. Its promise:
///
/// In any stretch of time no more calls are let through than the shared limiter would, and one in a hundred of the burst for
/// each process beside it: those are tokens that were taken before the stretch and handed out in it. As many may be lost
/// where calls stop coming. Where the bucket refuses to give several, each call asks for its own again.
pub struct Advance {
    shared: Arc<dyn Limiter>,
    clock: Arc<dyn Clock>,
    shelves: Mutex<LruCache<Bucket, Arc<Shelf>>>,
}

/// What there is of one bucket.
struct Shelf {
    /// Who has the shelf filled holds it; the others wait for him.
    filling: Arc<tokio::sync::Mutex<()>>,
    /// Held for a few instructions at a time, never across an await.
    stock: Mutex<Stock>,
}

#[derive(Clone, Copy)]
struct Stock {
    rate: Rate,
    left: u32,
    good_until: Duration,
    /// What the bucket said last.
    last: Option<Decision>,
    /// When the period began in which calls are counted, and how many there were in it and in the one before.
    since: Duration,
    calls: u32,
    calls_before: u32,
    /// Each call asks for itself until then.
    alone_until: Duration,
}

/// Where a call's token comes from.
enum Source {
    Shelf(Decision),
    /// The bucket, alone.
    Bucket,
    /// The bucket, with so many for those who come next.
    Together(u32),
}

impl Stock {
    fn new(rate: Rate, now: Duration) -> Self {
        let (left, good_until, alone_until) = (0, Duration::ZERO, Duration::ZERO);
        Self { rate, left, good_until, last: None, since: now, calls: 0, calls_before: 0, alone_until }
    }

    /// Counts a call.
    fn count(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.since);
        if passed >= PERIOD {
            self.calls_before = if passed < 2 * PERIOD { self.calls } else { 0 };
            (self.since, self.calls) = (now, 0);
        }
        self.calls = self.calls.saturating_add(1);
    }

    fn source(&mut self, now: Duration) -> Source {
        if self.left > 0
            && now < self.good_until
            && let Some(last) = self.last
        {
            self.left -= 1;
            return Source::Shelf(Decision { remaining: last.remaining + self.left, ..last });
        }
        self.left = 0;
        let wanted = (self.calls_before / PARTS).min(self.rate.burst() / SHARE).min(MOST);
        if wanted < 2 || now < self.alone_until { Source::Bucket } else { Source::Together(wanted) }
    }
}

impl Advance {
    /// Tokens of this limiter's buckets.
    pub fn new(shared: Arc<dyn Limiter>, clock: Arc<dyn Clock>) -> Self {
        Self { shared, clock, shelves: Mutex::new(LruCache::new(MOST_BUCKETS)) }
    }

    /// Takes a token that is on the shelf; `None` where there is none, which [`take`](Self::take) is for then.
    pub fn take_at_once(&self, bucket: &Bucket, rate: Rate) -> Option<Decision> {
        if rate.burst() / SHARE < 2 {
            return None;
        }
        match self.shelf(bucket, rate).ask(rate, self.clock.elapsed(), true) {
            Source::Shelf(decision) => Some(self.counted(bucket, decision)),
            Source::Bucket | Source::Together(_) => None,
        }
    }

    /// Takes a token where there was none on the shelf, or says how long until there is one.
    ///
    /// # Errors
    /// [`LimitError`]; whether it was taken is unknown then.
    pub async fn take(&self, bucket: &Bucket, rate: Rate) -> Result<Decision, LimitError> {
        if rate.burst() / SHARE < 2 {
            return self.shared.take(bucket, rate, 1).await;
        }
        let shelf = self.shelf(bucket, rate);
        match shelf.ask(rate, self.clock.elapsed(), false) {
            Source::Shelf(decision) => return Ok(self.counted(bucket, decision)),
            Source::Bucket => return self.shared.take(bucket, rate, 1).await,
            Source::Together(_) => {}
        }
        let filling = shelf.filling.clone().lock_owned().await;
        let begun = self.clock.elapsed();
        match shelf.ask(rate, begun, false) {
            Source::Shelf(decision) => return Ok(self.counted(bucket, decision)),
            Source::Bucket => {}
            Source::Together(wanted) => {
                // A task of its own: a caller who goes away takes none of the others' tokens with him.
                let (shared, of, shelf) = (self.shared.clone(), bucket.clone(), shelf.clone());
                let filled = tokio::spawn(async move {
                    let _filling = filling;
                    let decision = shared.take(&of, rate, wanted).await?;
                    Ok(shelf.fill(rate, wanted, begun, decision))
                });
                let lost =
                    |error| LimitError::Unavailable { doing: "take tokens together", cause: Box::new(error) };
                return match filled.await.map_err(lost)?? {
                    Some(decision) => Ok(decision),
                    None => self.shared.take(bucket, rate, 1).await,
                };
            }
        }
        drop(filling);
        self.shared.take(bucket, rate, 1).await
    }

    fn counted(&self, bucket: &Bucket, decision: Decision) -> Decision {
        self.shared.count(&bucket.resource, &decision);
        decision
    }

    fn shelf(&self, bucket: &Bucket, rate: Rate) -> Arc<Shelf> {
        let mut shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let stock = Mutex::new(Stock::new(rate, self.clock.elapsed()));
            Arc::new(Shelf { filling: Arc::default(), stock })
        };
        shelves.get_or_insert_ref(bucket, make).clone()
    }
}

impl Shelf {
    fn ask(&self, rate: Rate, now: Duration, is_new: bool) -> Source {
        let mut stock = self.stock();
        if stock.rate != rate {
            *stock = Stock::new(rate, now);
        }
        if is_new {
            stock.count(now);
        }
        stock.source(now)
    }

    /// Takes in what was taken together, all but the one of him who asked; `None` where he has to ask for that alone.
    fn fill(&self, rate: Rate, wanted: u32, begun: Duration, decision: Decision) -> Option<Decision> {
        let mut stock = self.stock();
        if !decision.allowed {
            stock.alone_until = begun + PERIOD;
            return None;
        }
        if stock.rate != rate {
            // It was changed meanwhile: nothing is kept at the old one.
            return Some(decision);
        }
        // The time counts from before they were taken.
        (stock.left, stock.good_until) = (wanted - 1, begun + PERIOD);
        stock.last = Some(decision);
        Some(Decision { remaining: decision.remaining + stock.left, ..decision })
    }

    fn stock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

//! What is kept of one bucket, and how it changes: pure. Owns: [`Level`], the rule of what a settlement gives back. Must not
//! know: where it is kept. The scripts in `lua/` say the same for Redis.
//!
//! **What a settlement gives back.** Tokens that were taken and are not needed go back, but not those that the bucket
//! would have spilled meanwhile, had they never been taken: else two bursts could pass at once. The bucket would have
//! spilled whenever its debt was smaller than what is to go back. So the least debt since the reservation bounds what
//! goes back. Debt falls between the steps that change the bucket and rises at them, so it is enough to note it at the
//! beginning of each such step. `lows` keeps those of the noted debts that are smaller than all later ones: the answer
//! for each open reservation. What goes back is taken off the lows that have seen it, so that no spill counts twice.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Decision, ReservationId, Settlement};
use crate::domain::{Rate, Timestamp, TokenBucket, clock::micros};

/// How many reservations of a bucket are open at most; beyond that the one that expires first counts as its estimate.
const MOST_OPEN: usize = 1_000;
/// How many lows are kept at most; beyond that the two oldest become the lower one, which gives back less.
const MOST_LOWS: usize = 32;

/// One bucket: its tokens, its park, its open reservations. Times and debts are microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Level {
    full_at: i64,
    /// Of the rate that was used last: tells when it has changed.
    interval: i64,
    parked_until: i64,
    /// Counts the steps while reservations are open.
    step: u64,
    /// The least debt from a step on, up to the next low; steps and debts both rise.
    lows: Vec<(u64, i64)>,
    open: BTreeMap<ReservationId, Open>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Open {
    step: u64,
    taken: i64,
    expires_at: i64,
}

impl Level {
    /// Takes `cost` tokens.
    pub(super) fn take(&mut self, rate: Rate, cost: u32, now: Timestamp) -> Decision {
        if self.parked(now).is_some() {
            return self.peek(rate, cost, now);
        }
        // Also for a call that is refused: a debt that was cut must not be cut anew, from a later now, each time.
        if self.interval != rate.interval_micros() {
            *self = self.clipped(rate, now);
        }
        let mut bucket = self.bucket();
        let refused = bucket.take(rate, cost, now).err();
        if refused.is_none() {
            self.forget_expired(now);
            self.note_low(now);
            self.full_at = bucket.stored().as_micros();
        }
        decision(bucket, rate, now, refused)
    }

    /// Takes an estimate, to be settled by this id.
    pub(super) fn reserve(
        &mut self,
        rate: Rate,
        estimate: u32,
        id: ReservationId,
        hold: Duration,
        now: Timestamp,
    ) -> Decision {
        let decision = self.take(rate, estimate, now);
        if decision.allowed {
            if self.open.len() >= MOST_OPEN {
                let first = self.open.iter().min_by_key(|(_, open)| open.expires_at);
                if let Some(first) = first.map(|(id, _)| id.clone()) {
                    self.open.remove(&first);
                }
            }
            let taken = rate.interval_micros().saturating_mul(i64::from(estimate));
            let open = Open { step: self.step, taken, expires_at: now.after(hold).as_micros() };
            self.open.insert(id, open);
        }
        decision
    }

    /// Puts a reservation right.
    pub(super) fn settle(&mut self, id: &str, rate: Rate, actual: u32, now: Timestamp) -> Settlement {
        self.forget_expired(now);
        if !self.open.contains_key(id) {
            return Settlement::Gone;
        }
        self.note_low(now);
        let Some(open) = self.open.remove(id) else { return Settlement::Gone };
        let used = rate.interval_micros().saturating_mul(i64::from(actual));
        if used > open.taken {
            self.full_at = self.full_at.max(now.as_micros()).saturating_add(used - open.taken);
            return Settlement::Settled;
        }
        let low = self.lows.iter().find(|(step, _)| *step > open.step).map_or(0, |(_, debt)| *debt);
        let back = low.min(open.taken - used);
        self.full_at -= back;
        for (_, debt) in self.lows.iter_mut().filter(|(step, _)| *step > open.step) {
            *debt -= back;
        }
        let mut least = i64::MAX;
        let mut kept: Vec<(u64, i64)> = Vec::with_capacity(self.lows.len());
        for low in self.lows.drain(..).rev() {
            if low.1 < least {
                least = low.1;
                kept.push(low);
            }
        }
        kept.reverse();
        self.lows = kept;
        Settlement::Settled
    }

    /// Lets nothing through for so long; the later of two times wins.
    pub(super) fn park(&mut self, wait: Duration, now: Timestamp) {
        self.parked_until = self.parked_until.max(now.after(wait).as_micros());
    }

    /// How long nothing will be let through yet.
    pub(super) fn parked(&self, now: Timestamp) -> Option<Duration> {
        let wait = Timestamp::from_micros(self.parked_until).since(now);
        (!wait.is_zero()).then_some(wait)
    }

    /// The bucket as it is.
    pub(super) fn level(&self, rate: Rate, now: Timestamp) -> Decision {
        self.peek(rate, 1, now)
    }

    /// From when on there is nothing to remember of it.
    pub(super) fn idle_at(&self) -> Timestamp {
        let open = self.open.values().map(|open| open.expires_at).max().unwrap_or(0);
        Timestamp::from_micros(self.full_at.max(self.parked_until).max(open))
    }

    /// As it is under a rate that may be another than before: the debt that the old one had lent is cut to what the new
    /// one could have.
    fn clipped(&self, rate: Rate, now: Timestamp) -> Self {
        let mut clipped = self.clone();
        clipped.forget_expired(now);
        let interval = rate.interval_micros();
        if clipped.interval != interval {
            if clipped.interval != 0 {
                clipped.full_at = clipped.bucket().clipped(rate, now).stored().as_micros();
                // Nothing goes back of what was reserved at another rate.
                clipped.step += 1;
                clipped.lows = vec![(clipped.step, 0)];
            }
            clipped.interval = interval;
        }
        clipped
    }

    /// What taking would answer, without the taking.
    fn peek(&self, rate: Rate, cost: u32, now: Timestamp) -> Decision {
        let bucket = self.clipped(rate, now).bucket();
        let mut trial = bucket;
        let parked = self.parked(now);
        let wait = trial.take(rate, cost, now).err().max(parked);
        Decision { parked, ..decision(bucket, rate, now, wait) }
    }

    fn bucket(&self) -> TokenBucket {
        TokenBucket::from_stored(Timestamp::from_micros(self.full_at))
    }

    fn forget_expired(&mut self, now: Timestamp) {
        self.open.retain(|_, open| open.expires_at > now.as_micros());
    }

    fn note_low(&mut self, now: Timestamp) {
        if self.open.is_empty() {
            self.lows.clear();
            return;
        }
        self.step += 1;
        let debt = micros(Timestamp::from_micros(self.full_at).since(now));
        while self.lows.last().is_some_and(|(_, low)| *low >= debt) {
            self.lows.pop();
        }
        self.lows.push((self.step, debt));
        if self.lows.len() > MOST_LOWS {
            let (_, lower) = self.lows.remove(0);
            self.lows[0].1 = lower;
        }
    }
}

fn decision(bucket: TokenBucket, rate: Rate, now: Timestamp, retry_after: Option<Duration>) -> Decision {
    Decision {
        allowed: retry_after.is_none(),
        limit: rate.burst(),
        remaining: bucket.level(rate, now),
        retry_after: retry_after.unwrap_or_default(),
        reset: bucket.stored().since(now),
        parked: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Random as _, SeededRandom};

    /// Random reservations and settlements. What a reservation used counts at the time when it was made; no stretch of
    /// time may see more than its share of the rate and one burst.
    #[test]
    fn however_reservations_are_settled_no_stretch_of_time_sees_more_than_rate_and_burst() {
        for seed in 0..300 {
            let random = SeededRandom::new(seed);
            let rate = Rate::per_second(1 + u32::try_from(random.below(5)).unwrap(), 10);
            let (mut level, mut now) = (Level::default(), Timestamp::from_millis(1_000_000));
            // (when, tokens) of what counts; open reservations by their place in it.
            let mut used: Vec<(i64, u32)> = Vec::new();
            let mut open: Vec<(usize, String, u32)> = Vec::new();
            for turn in 0..120 {
                now = now.after(Duration::from_millis(random.below(1_500)));
                let cost = 1 + u32::try_from(random.below(10)).unwrap();
                if random.below(3) > 0 || open.is_empty() {
                    let id = format!("{turn}");
                    let decision = level.reserve(rate, cost, id.clone(), Duration::from_secs(3_600), now);
                    if decision.allowed {
                        open.push((used.len(), id, cost));
                        used.push((now.as_micros(), cost));
                    }
                } else {
                    let which = usize::try_from(random.below(open.len() as u64)).unwrap();
                    let (place, id, cost) = open.remove(which);
                    let actual = u32::try_from(random.below(u64::from(cost) + 1)).unwrap();
                    assert_eq!(level.settle(&id, rate, actual, now), Settlement::Settled);
                    used[place].1 = actual;
                    assert_eq!(level.settle(&id, rate, 0, now), Settlement::Gone);
                }
            }
            for from in 0..used.len() {
                let mut sum = 0_i64;
                for (at, tokens) in &used[from..] {
                    sum += i64::from(*tokens);
                    // Of open ones the estimate counts, which is more than they may have used.
                    let most = rate.tolerance_micros() + (at - used[from].0);
                    assert!(sum * rate.interval_micros() <= most, "seed {seed}: {sum} tokens from {from}");
                }
            }
        }
    }

    #[test]
    fn what_was_not_needed_goes_back_while_the_bucket_is_busy() {
        let rate: Rate = "60/min:60".parse().unwrap();
        let (mut level, now) = (Level::default(), Timestamp::from_millis(1_000));
        let hour = Duration::from_secs(3_600);
        assert!(level.reserve(rate, 40, "a".into(), hour, now).allowed);
        assert!(level.take(rate, 20, now).allowed);
        let later = now.after(Duration::from_secs(30));
        assert_eq!(level.level(rate, later).remaining, 30);
        // The bucket was never closer to full than 30: without the reservation it would have spilled 10 of its 40.
        assert_eq!(level.settle("a", rate, 0, later), Settlement::Settled);
        assert_eq!(level.level(rate, later).remaining, 60);
    }

    #[test]
    fn lows_and_open_reservations_are_bounded() {
        let rate: Rate = "1000/s:100000".parse().unwrap();
        let (mut level, mut now) = (Level::default(), Timestamp::from_millis(1_000));
        for turn in 0..3_000 {
            level.reserve(rate, 2, turn.to_string(), Duration::from_secs(60), now);
            now = now.after(Duration::from_millis(1));
        }
        assert!(level.lows.len() <= MOST_LOWS && level.open.len() <= MOST_OPEN);
        assert!(serde_json::to_vec(&level).unwrap().len() < crate::store::MOST_VALUE_BYTES / 2);
        assert_eq!(level.settle("0", rate, 0, now), Settlement::Gone);
        assert_eq!(level.settle("2999", rate, 0, now), Settlement::Settled);
    }
}

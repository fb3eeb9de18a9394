//! Token buckets without a timer: the generic cell rate algorithm keeps one number, the theoretical arrival
//! time (TAT) of the next token (ITU-T I.371, in its virtual scheduling form).

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::clock::{Timestamp, micros};

/// How fast a bucket fills and how much it holds. Written `10/min:5`: ten a minute, at most five at once;
/// without `:burst` the burst is the count. Units: `s`, `min`, `h`, `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    count: u32,
    unit: Unit,
    burst: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Unit {
    Second,
    Minute,
    Hour,
    Day,
}

impl Unit {
    const ALL: [(Self, &'static str, u64); 4] = [
        (Self::Second, "s", 1),
        (Self::Minute, "min", 60),
        (Self::Hour, "h", 3_600),
        (Self::Day, "d", 86_400),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(unit, ..)| *unit == self).map_or("s", |(_, name, _)| name)
    }

    fn seconds(self) -> u64 {
        Self::ALL.iter().find(|(unit, ..)| *unit == self).map_or(1, |(.., seconds)| *seconds)
    }
}

impl Rate {
    /// `count` a minute, at most `burst` at once; zeroes count as one.
    pub const fn per_minute(count: u32, burst: u32) -> Self {
        Self { count: at_least_one(count), unit: Unit::Minute, burst: at_least_one(burst) }
    }

    /// `count` a second, at most `burst` at once; zeroes count as one.
    pub const fn per_second(count: u32, burst: u32) -> Self {
        Self { count: at_least_one(count), unit: Unit::Second, burst: at_least_one(burst) }
    }

    /// Microseconds from one token to the next, rounded up, so that the rate is never exceeded; at least one.
    pub fn interval_micros(self) -> i64 {
        let unit = self.unit.seconds() * 1_000_000;
        i64::try_from(unit.div_ceil(u64::from(self.count))).unwrap_or(i64::MAX)
    }

    /// How many tokens a full bucket holds.
    pub fn burst(self) -> u32 {
        self.burst
    }

    /// How long an empty bucket needs to fill, in microseconds.
    pub fn tolerance_micros(self) -> i64 {
        self.interval_micros().saturating_mul(i64::from(self.burst))
    }
}

const fn at_least_one(number: u32) -> u32 {
    if number == 0 { 1 } else { number }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.count, self.unit.name(), self.burst)
    }
}

/// The text is not a rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a rate: write count/unit:burst with unit s, min, h or d, for example 10/min:5")]
pub struct RateError;

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (count, rest) = text.split_once('/').ok_or(RateError)?;
        let (unit, burst) = match rest.split_once(':') {
            Some((unit, burst)) => (unit, burst),
            None => (rest, count),
        };
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number > 0).ok_or(RateError);
        let (unit, ..) = Unit::ALL.into_iter().find(|(_, name, _)| *name == unit).ok_or(RateError)?;
        Ok(Self { count: number(count)?, unit, burst: number(burst)? })
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The level of one bucket: the instant at which it would be full again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenBucket {
    full_at: Timestamp,
}

impl TokenBucket {
    /// The bucket whose stored number is `full_at`; [`Timestamp::EPOCH`] is a full one.
    pub fn from_stored(full_at: Timestamp) -> Self {
        Self { full_at }
    }

    /// The number to store.
    pub fn stored(self) -> Timestamp {
        self.full_at
    }

    /// Whole tokens there are at `now`, from 0 to the burst.
    pub fn level(self, rate: Rate, now: Timestamp) -> u32 {
        let debt = micros(self.full_at.since(now));
        let free = rate.tolerance_micros().saturating_sub(debt).max(0);
        u32::try_from(free / rate.interval_micros()).unwrap_or(u32::MAX).min(rate.burst())
    }

    /// Takes `cost` tokens, or says how long until they are there and takes nothing. A cost above the burst is
    /// let through when the bucket is full and leaves a debt: else it could never pass.
    ///
    /// # Errors
    /// The time until the same call would succeed, if nobody else takes.
    pub fn take(&mut self, rate: Rate, cost: u32, now: Timestamp) -> Result<(), Duration> {
        let interval = rate.interval_micros();
        let needed = interval.saturating_mul(i64::from(cost.min(rate.burst())));
        let base = self.full_at.max(now);
        let over = micros(base.since(now)).saturating_add(needed).saturating_sub(rate.tolerance_micros());
        if over > 0 {
            return Err(Duration::from_micros(over.unsigned_abs()));
        }
        let taken = interval.saturating_mul(i64::from(cost));
        self.full_at = base.after(Duration::from_micros(taken.unsigned_abs()));
        Ok(())
    }

    /// The same bucket with at most the debt of an empty one: for a bucket whose rate was changed, which would
    /// else wait for what the old rate had lent.
    #[must_use]
    pub fn clipped(self, rate: Rate, now: Timestamp) -> Self {
        let empty = now.after(Duration::from_micros(rate.tolerance_micros().unsigned_abs()));
        Self { full_at: self.full_at.min(empty) }
    }

    /// When one more token will be there: now, where there is one already.
    pub fn next_token_at(self, rate: Rate, now: Timestamp) -> Timestamp {
        let mut trial = self;
        trial.take(rate, 1, now).map_or_else(|wait| now.after(wait), |()| now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let rate: Rate = "60/min:5".parse().unwrap();
        let (mut bucket, mut now) = (TokenBucket::default(), Timestamp::from_millis(1_000_000));
        assert_eq!(bucket.level(rate, now), 5);
        assert_eq!((0..10).filter(|_| bucket.take(rate, 1, now).is_ok()).count(), 5);
        assert_eq!(bucket.take(rate, 1, now), Err(Duration::from_secs(1)));
        assert_eq!(bucket.next_token_at(rate, now), now.after(Duration::from_secs(1)));
        now = now.after(Duration::from_secs(3));
        assert_eq!(bucket.level(rate, now), 3);
        assert_eq!(bucket.take(rate, 4, now), Err(Duration::from_secs(1)));
        assert_eq!(bucket.take(rate, 3, now), Ok(()));
    }

    #[test]
    fn over_an_hour_no_more_than_rate_and_burst_pass() {
        let rate: Rate = "7/s:3".parse().unwrap();
        let (mut bucket, start) = (TokenBucket::default(), Timestamp::from_millis(5));
        let passed = (0..3_600_000_i64)
            .filter(|ms| bucket.take(rate, 1, Timestamp::from_millis(5 + ms)).is_ok())
            .count();
        assert!((25_190..=25_203).contains(&passed), "{passed} from {start}");
    }

    #[test]
    fn a_cost_above_the_burst_waits_for_a_full_bucket_and_leaves_a_debt() {
        let rate: Rate = "1/s:2".parse().unwrap();
        let (mut bucket, now) = (TokenBucket::default(), Timestamp::from_millis(1_000));
        assert_eq!(bucket.take(rate, 10, now), Ok(()));
        assert_eq!(bucket.level(rate, now.after(Duration::from_secs(8))), 0);
        assert_eq!(bucket.level(rate, now.after(Duration::from_secs(9))), 1);
    }

    #[test]
    fn a_faster_rate_is_in_force_at_once() {
        let (slow, fast): (Rate, Rate) = ("1/d:1".parse().unwrap(), "10/s:1".parse().unwrap());
        let (mut bucket, now) = (TokenBucket::default(), Timestamp::from_millis(1_000));
        assert_eq!(bucket.take(slow, 1, now), Ok(()));
        let clipped = bucket.clipped(fast, now);
        assert_eq!(clipped.next_token_at(fast, now), now.after(Duration::from_millis(100)));
        assert_eq!(clipped.clipped(slow, now), clipped);
    }

    #[test]
    fn rates_survive_their_text_and_nonsense_is_refused() {
        for text in ["10/min:5", "1/s:1", "100/h:10", "4/d:4"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        assert_eq!("10/min".parse::<Rate>().unwrap().burst(), 10);
        for text in ["", "10", "0/s", "10/min:0", "-1/s", "10/week", "1/s:99999999999"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}

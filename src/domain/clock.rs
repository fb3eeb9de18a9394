//! Time as an argument. Owns the type of an instant and the seam it is read through; the system's clock is
//! read in one place, [`SystemClock`].

use std::{
    fmt,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An instant: whole microseconds since 1970-01-01T00:00:00Z. Serialised as RFC 3339 text in UTC; what is beyond the
/// years -9999 to 9999, which that text can't say, as the nearest that it can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From milliseconds since the epoch; saturates at the far ends.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since the epoch, rounded down.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// The instant `by` later; saturates.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(micros(by)))
    }

    /// The instant `by` earlier; saturates.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(micros(by)))
    }

    /// How long from `earlier` to `self`; zero where `earlier` is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// Whole microseconds of a duration, saturating.
pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(instant) => write!(f, "{instant:.3}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let end = if self.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        let instant = jiff::Timestamp::from_microsecond(self.0).unwrap_or(end);
        serializer.collect_str(&format_args!("{instant:.6}"))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl std::str::FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let instant: jiff::Timestamp = text.parse().map_err(|_| TimestampError)?;
        Ok(Self(instant.as_microsecond()))
    }
}

/// The text is not an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time: write it as RFC 3339 does, for example 2026-11-22T08:30:00Z")]
pub struct TimestampError;

/// Where the time comes from. Engines hold one; tests pass a [`ManualClock`].
pub trait Clock: Send + Sync + fmt::Debug {
    /// The time now. May stand still, never goes far back.
    fn now(&self) -> Timestamp;

    /// How much time has passed since a moment of this clock's choice. Unlike the time of day it is never set: it goes
    /// neither back nor ahead at once, and it goes on while the machine sleeps. For what must not be misjudged when
    /// somebody corrects the time: leases.
    fn elapsed(&self) -> Duration {
        self.now().since(Timestamp::EPOCH)
    }
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the system's clock is read")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(micros(since))
    }

    #[cfg(unix)]
    fn elapsed(&self) -> Duration {
        use rustix::time::{ClockId, clock_gettime};
        // The monotonic clock of Linux stands still while the machine sleeps, those of the others go on.
        #[cfg(target_os = "linux")]
        const PASSING: ClockId = ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        const PASSING: ClockId = ClockId::Monotonic;
        let passed = clock_gettime(PASSING);
        let nanos = u32::try_from(passed.tv_nsec).unwrap_or(0);
        Duration::new(u64::try_from(passed.tv_sec).unwrap_or(0), nanos)
    }

    #[cfg(not(unix))]
    fn elapsed(&self) -> Duration {
        static FIRST: std::sync::LazyLock<std::time::Instant> =
            std::sync::LazyLock::new(std::time::Instant::now);
        FIRST.elapsed()
    }
}

/// A clock that moves only when told to.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn at(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.0))
    }

    /// Moves the clock on by `by`.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(micros(by), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_survives_its_text() {
        let instant = Timestamp::from_micros(1_795_312_058_123_456);
        let json = serde_json::to_string(&instant).unwrap();
        assert_eq!(json, "\"2026-11-22T01:47:38.123456Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), instant);
    }

    /// A job put off for ever can still be listed.
    #[test]
    fn instants_beyond_all_years_have_a_text() {
        for (micros, text) in [(i64::MAX, "\"9999-12-30T22:00:00.999999Z\""), (i64::MIN, "\"-009999-")] {
            let json = serde_json::to_string(&Timestamp::from_micros(micros)).unwrap();
            assert!(json.starts_with(text), "{json}");
            assert!(serde_json::from_str::<Timestamp>(&json).is_ok(), "{json}");
        }
    }

    #[test]
    fn nothing_overflows_at_the_far_ends() {
        let last = Timestamp::from_micros(i64::MAX);
        assert_eq!(last.after(Duration::MAX), last);
        assert_eq!(Timestamp::from_micros(i64::MIN).since(last), Duration::ZERO);
    }
}

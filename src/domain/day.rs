//! Days and months of the calendar, in UTC: what budgets and accounts count by.

use std::{fmt, str::FromStr};

use jiff::{civil::Date, tz::TimeZone};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Timestamp;

/// A day, written as `2026-11-22`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(Date);

/// The text is not a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a day: write it as 2026-11-22")]
pub struct DayError;

impl Day {
    /// The day that it is at an instant.
    pub fn of(at: Timestamp) -> Self {
        let end = if at.as_micros() < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        let instant = jiff::Timestamp::from_microsecond(at.as_micros()).unwrap_or(end);
        Self(TimeZone::UTC.to_datetime(instant).date())
    }

    /// When it begins.
    pub fn begins(self) -> Timestamp {
        let instant = TimeZone::UTC.to_timestamp(self.0.at(0, 0, 0, 0));
        Timestamp::from_micros(instant.unwrap_or(jiff::Timestamp::MAX).as_microsecond())
    }

    /// So many days later; the last that there is where that is beyond it.
    #[must_use]
    pub fn later(self, days: u32) -> Self {
        Self(self.0.saturating_add(jiff::Span::new().days(days.min(MOST_DAYS))))
    }

    /// So many days earlier; the first that there is where that is before it.
    #[must_use]
    pub fn earlier(self, days: u32) -> Self {
        Self(self.0.saturating_sub(jiff::Span::new().days(days.min(MOST_DAYS))))
    }

    /// The first of its month.
    #[must_use]
    pub fn first_of_month(self) -> Self {
        Self(self.0.first_of_month())
    }

    /// The first of the next month.
    #[must_use]
    pub fn next_month(self) -> Self {
        Self(self.0.last_of_month()).later(1)
    }

    /// How many days it is from an earlier day to this one; 0 where that is not earlier.
    pub fn since(self, earlier: Self) -> u64 {
        self.begins().since(earlier.begins()).as_secs() / 86_400
    }
}

/// Some thousand years: more are not counted.
const MOST_DAYS: u32 = 400_000;

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Day {
    type Err = DayError;

    fn from_str(text: &str) -> Result<Self, DayError> {
        let day: Date = text.parse().map_err(|_| DayError)?;
        // As it is written, and no other way: it is part of a key, too.
        if day.to_string() == text && day.year() >= 1970 { Ok(Self(day)) } else { Err(DayError) }
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    #[test]
    fn a_day_knows_its_neighbours_and_its_month() {
        let noon: Timestamp = "2028-02-29T12:00:00Z".parse().unwrap();
        let leap = Day::of(noon);
        assert_eq!((leap.to_string().as_str(), leap), ("2028-02-29", day("2028-02-29")));
        assert_eq!(Day::of(leap.begins()), leap);
        assert_eq!(Day::of(leap.begins().before(std::time::Duration::from_micros(1))), leap.earlier(1));
        assert_eq!((leap.later(1), leap.next_month()), (day("2028-03-01"), day("2028-03-01")));
        assert_eq!((leap.first_of_month(), leap.earlier(366)), (day("2028-02-01"), day("2027-02-28")));
        assert_eq!((leap.since(day("2028-01-31")), day("2028-01-31").since(leap)), (29, 0));
        assert_eq!(day("2027-12-31").next_month(), day("2028-01-01"));
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for text in
            ["", "2026-2-3", "20261122", "2026-11-22T00:00:00Z", "2026-02-30", "1969-12-31", "-002026-01-01"]
        {
            assert_eq!(text.parse::<Day>(), Err(DayError), "{text}");
        }
    }
}

//! When a schedule fires: a cron expression in a time zone, and a jitter that is the same everywhere. Pure. Must not know:
//! documents, queues.
//!
//! Five fields (minute, hour, day of month, month, day of week), six with seconds in front, seven with a year behind, or
//! `@daily` and its like. Where both the day of month and the day of week are given, either is enough.
//!
//! An expression that names one time of the day (one second, one minute, one hour) fires once on every day that it names:
//! where clocks go forward over its time, at the first moment after the gap; where they go back over it, the first time.
//! Any other (`*`, `*/n`, a range, a list) is an interval on the wall clock: what falls into the gap is left out, and what
//! comes twice fires twice.

use std::{fmt, str::FromStr, time::Duration};

use croner::Cron;
use jiff::{Zoned, tz::TimeZone};
use sha2::{Digest as _, Sha256};

use crate::domain::{Timestamp, clock::micros};

/// The most characters that an expression may have.
const MOST_CHARACTERS: usize = 200;

/// Why an expression or a time zone can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimingError {
    /// Mend the expression.
    #[error("{text:?} is no cron expression: {problem}; for example '0 6 * * *' is every day at six")]
    Expression {
        /// What was written, its beginning.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Name a zone of the IANA database.
    #[error("there is no time zone {0:?}: write one of the IANA database, such as Europe/Berlin or UTC")]
    Zone(String),
    /// Mend the expression: its time does not come.
    #[error("the cron expression {0:?} never fires")]
    Never(String),
}

/// A cron expression in a time zone.
#[derive(Clone)]
pub struct Timing {
    cron: Cron,
    text: String,
    zone: TimeZone,
}

impl Timing {
    /// From an expression and the name of a zone in the IANA database, which is compiled in.
    ///
    /// # Errors
    /// [`TimingError`].
    pub fn new(expression: &str, zone: &str) -> Result<Self, TimingError> {
        let text: String = expression.chars().take(MOST_CHARACTERS).collect();
        let wrong = |problem: String| TimingError::Expression { text: text.clone(), problem };
        if text.len() < expression.len() {
            return Err(wrong(format!("it has more than {MOST_CHARACTERS} characters")));
        }
        // Upper and lower case of other scripts don't keep their lengths: nothing of theirs is part of an expression.
        if !text.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
            return Err(wrong("it may hold letters, digits, signs and blanks".to_owned()));
        }
        let cron = Cron::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let named = TimeZone::get(zone);
        let zone = named.map_err(|_| TimingError::Zone(zone.chars().take(100).collect()))?;
        Ok(Self { cron, text, zone })
    }

    /// The first firing after an instant; `None` where there is none any more.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let from = self.zoned(after)?;
        let next = self.cron.find_next_occurrence(&from, false).ok()?;
        let next = Timestamp::from_micros(next.timestamp().as_microsecond());
        // Whatever a search says: time goes on, so that nothing fires twice.
        (next > after).then_some(next)
    }

    /// The last firings of those from `first` (which is one) up to `until`, at most `most`, oldest first.
    pub fn latest(&self, first: Timestamp, until: Timestamp, most: usize) -> Vec<Timestamp> {
        let all = self.firings(first, until, most);
        if all.len() <= most {
            return all;
        }
        let behind = |from: Timestamp| match self.next(from) {
            Some(next) => self.firings(next, until, most),
            None => Vec::new(),
        };
        // Behind `many` there are at least as many as asked for, behind `few` there are fewer: bisect to the second.
        let (mut many, mut few) = (first, until);
        while few.since(many) > Duration::from_secs(1) {
            let middle = many.after(few.since(many) / 2);
            if behind(middle).len() >= most { many = middle } else { few = middle }
        }
        let found = behind(many);
        let surplus = found.len().saturating_sub(most);
        found.into_iter().skip(surplus).collect()
    }

    /// The wall clock's words for an instant, with the offset: `2026-03-29T03:00:00+02:00[Europe/Berlin]`.
    pub fn local(&self, at: Timestamp) -> String {
        self.zoned(at).map_or_else(|| at.to_string(), |zoned| zoned.to_string())
    }

    /// How long after its time a firing happens: up to `jitter`, but always before the next firing's time. The same on
    /// every machine, and for each firing another.
    pub fn delay(&self, seed: &[&[u8]], firing: Timestamp, jitter: Duration) -> Duration {
        if jitter.is_zero() {
            return Duration::ZERO;
        }
        let room = self.next(firing).map_or(jitter, |next| next.since(firing).min(jitter));
        let digest = digest(seed.iter().copied().chain([&firing.as_micros().to_be_bytes()[..]]));
        let mut number = [0; 8];
        number.copy_from_slice(&digest[..8]);
        let room = u128::try_from(micros(room)).unwrap_or(0);
        let delay = (u128::from(u64::from_be_bytes(number)) * room) >> 64;
        Duration::from_micros(u64::try_from(delay).unwrap_or(0))
    }

    /// The firings from `first` up to `until`, one more than `most` where there are that many.
    fn firings(&self, first: Timestamp, until: Timestamp, most: usize) -> Vec<Timestamp> {
        let firings = std::iter::successors(Some(first), |last| self.next(*last));
        firings.take_while(|firing| *firing <= until).take(most.saturating_add(1)).collect()
    }

    fn zoned(&self, at: Timestamp) -> Option<Zoned> {
        let instant = jiff::Timestamp::from_microsecond(at.as_micros()).ok()?;
        Some(instant.to_zoned(self.zone.clone()))
    }
}

impl fmt::Debug for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timing({} {:?})", self.text, self.zone.iana_name())
    }
}

/// SHA-256 of texts that can't run into each other.
pub(super) fn digest<'a>(texts: impl Iterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    hash.finalize().into()
}

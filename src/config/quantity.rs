//! Sizes and times as people write them: `8KiB`, `10m`, `1h30m`.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de};

/// A number of bytes. Written as a whole number with `B`, `KiB`, `MiB`, `GiB` or `TiB`; without a unit it is bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// The text is not a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a size: write a whole number with B, KiB, MiB, GiB or TiB, for example 8KiB")]
pub struct ByteSizeError;

const SIZES: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, ByteSizeError> {
        let (number, unit) = split_number(text).ok_or(ByteSizeError)?;
        let unit = if unit.is_empty() { "B" } else { unit };
        let known = SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
        let (_, bytes) = known.ok_or(ByteSizeError)?;
        number.checked_mul(*bytes).map(Self).ok_or(ByteSizeError)
    }
}

impl fmt::Display for ByteSize {
    /// In the largest unit that divides it, so that the text means the same number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, bytes): &&(&str, u64)| self.0 >= *bytes && self.0.is_multiple_of(*bytes);
        let (name, bytes) = SIZES.iter().find(fits).unwrap_or(&("B", 1));
        write!(f, "{}{name}", self.0 / bytes)
    }
}

/// A length of time. Written as whole numbers with `ms`, `s`, `m`, `h` or `d`, the larger unit first: `1h30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeSpan(pub Duration);

/// The text is not a length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a length of time: write whole numbers with ms, s, m, h or d, for example 90s, 10m or 1h30m")]
pub struct TimeSpanError;

const TIMES: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl FromStr for TimeSpan {
    type Err = TimeSpanError;

    fn from_str(text: &str) -> Result<Self, TimeSpanError> {
        let (mut rest, mut millis, mut units) = (text, 0_u64, TIMES.iter());
        while !rest.is_empty() {
            let (number, tail) = split_number(rest).ok_or(TimeSpanError)?;
            let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
            // Going on in the list of units: none comes twice, none before a larger one.
            let (_, unit) = units.find(|(name, _)| *name == &tail[..end]).ok_or(TimeSpanError)?;
            let piece = number.checked_mul(*unit).ok_or(TimeSpanError)?;
            millis = millis.checked_add(piece).ok_or(TimeSpanError)?;
            rest = &tail[end..];
        }
        if text.is_empty() { Err(TimeSpanError) } else { Ok(Self(Duration::from_millis(millis))) }
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if millis == 0 {
            return f.write_str("0s");
        }
        for (name, unit) in TIMES {
            if millis >= unit {
                write!(f, "{}{name}", millis / unit)?;
                millis %= unit;
            }
        }
        Ok(())
    }
}

/// The number at the head of a text, and the rest.
fn split_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

macro_rules! from_text {
    ($name:ident) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

from_text!(ByteSize);
from_text!(TimeSpan);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_survive_their_text_and_nonsense_is_refused() {
        for (text, bytes) in [("8KiB", 8 << 10), ("1GiB", 1 << 30), ("0B", 0), ("1000B", 1_000)] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)));
            assert_eq!(ByteSize(bytes).to_string(), text);
        }
        assert_eq!("512".parse(), Ok(ByteSize(512)));
        assert_eq!("64kib".parse(), Ok(ByteSize(64 << 10)));
        for bad in ["", "KiB", "8KB", "8 KiB", "-1", "1.5MiB", "99999999999TiB", "8KiBx"] {
            assert_eq!(bad.parse::<ByteSize>(), Err(ByteSizeError), "{bad}");
        }
    }

    #[test]
    fn times_survive_their_text_and_nonsense_is_refused() {
        for (text, seconds) in [("10m", 600), ("1m30s", 90), ("1h30m", 5_400), ("7d", 604_800), ("0s", 0)] {
            assert_eq!(text.parse(), Ok(TimeSpan(Duration::from_secs(seconds))));
            assert_eq!(TimeSpan(Duration::from_secs(seconds)).to_string(), text);
        }
        assert_eq!("90s".parse(), Ok(TimeSpan(Duration::from_secs(90))));
        assert_eq!("1s500ms".parse(), Ok(TimeSpan(Duration::from_millis(1_500))));
        for bad in ["", "10", "m", "10 m", "-1s", "1m1h", "1m1m", "1.5h", "10min", "9999999999999999d", "é"]
        {
            assert_eq!(bad.parse::<TimeSpan>(), Err(TimeSpanError), "{bad}");
        }
    }
}

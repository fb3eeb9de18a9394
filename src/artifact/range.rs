//! Which of an artifact's plain bytes somebody asks for, as HTTP asks for them (RFC 9110, section 14.1.2).

use std::{fmt, ops::Range, str::FromStr};

use super::error::ArtifactError;

/// Which plain bytes are asked for: `0-499` the first 500, `500-` all behind those, `-500` the last 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// From one to another, both included; it may end beyond the last byte there is.
    FromTo(u64, u64),
    /// From one on.
    From(u64),
    /// The last so many, or all where there are fewer.
    Last(u64),
}

/// The text is no range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a range of bytes: 0-499 for the first 500, 500- for all behind those, -500 for the last 500")]
pub struct ByteRangeError;

impl FromStr for ByteRange {
    type Err = ByteRangeError;

    fn from_str(text: &str) -> Result<Self, ByteRangeError> {
        let number = |digits: &str| {
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            if plain { digits.parse::<u64>().map_err(|_| ByteRangeError) } else { Err(ByteRangeError) }
        };
        let (first, last) = text.trim().split_once('-').ok_or(ByteRangeError)?;
        match (first, last) {
            ("", last) => Ok(Self::Last(number(last)?)),
            (first, "") => Ok(Self::From(number(first)?)),
            (first, last) => match (number(first)?, number(last)?) {
                (first, last) if first <= last => Ok(Self::FromTo(first, last)),
                _ => Err(ByteRangeError),
            },
        }
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FromTo(first, last) => write!(f, "{first}-{last}"),
            Self::From(first) => write!(f, "{first}-"),
            Self::Last(count) => write!(f, "-{count}"),
        }
    }
}

impl ByteRange {
    /// The bytes that it means of so many.
    ///
    /// # Errors
    /// [`ArtifactError::Invalid`] where it means none of them.
    pub fn of(self, plain_bytes: u64) -> Result<Range<u64>, ArtifactError> {
        let range = match self {
            Self::FromTo(first, last) => first..plain_bytes.min(last.saturating_add(1)),
            Self::From(first) => first..plain_bytes,
            Self::Last(count) => plain_bytes.saturating_sub(count)..plain_bytes,
        };
        if range.is_empty() {
            let problem = format!("the artifact has {plain_bytes} bytes, none of them in the range {self}");
            return Err(ArtifactError::Invalid(problem));
        }
        Ok(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_http() {
        let of = |text: &str, bytes| text.parse::<ByteRange>().unwrap().of(bytes).ok();
        for (text, bytes, range) in [
            ("0-0", 10, Some(0..1)),
            ("0-499", 10, Some(0..10)),
            ("3-5", 10, Some(3..6)),
            ("9-", 10, Some(9..10)),
            ("10-", 10, None),
            ("-3", 10, Some(7..10)),
            ("-30", 10, Some(0..10)),
            ("-0", 10, None),
            ("0-", 0, None),
            ("0-18446744073709551615", 10, Some(0..10)),
        ] {
            assert_eq!(of(text, bytes), range, "{text} of {bytes}");
            assert_eq!(text.parse::<ByteRange>().unwrap().to_string(), text);
        }
        for wrong in ["", "-", "5", "5-3", "a-b", "+1-2", "1-2,4-5", "1--2", "99999999999999999999-"] {
            assert_eq!(wrong.parse::<ByteRange>(), Err(ByteRangeError), "{wrong}");
        }
    }
}

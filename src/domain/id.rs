//! Ids that machines make: typed, with a visible prefix. Names that people choose are in [`super::names`].

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

use super::{clock::Timestamp, random::Random};

/// Crockford's base 32, in lower case: no `i`, `l`, `o`, `u`. <https://www.crockford.com/base32.html>
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $error:ident, $wrong:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            const PREFIX: &'static str = $prefix;

            /// A new id made at `now` (RFC 9562, version 7).
            pub fn new(now: Timestamp, random: &dyn Random) -> Self {
                let mut bytes = [0; 10];
                random.fill(&mut bytes);
                Self::of(now, bytes)
            }

            /// The id of what is to be made once only: the same instant and bytes give the same id. The bytes should be
            /// a hash's.
            pub fn of(now: Timestamp, bytes: [u8; 10]) -> Self {
                let millis = u64::try_from(now.as_millis()).unwrap_or(0);
                Self(uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid())
            }

            /// The 128 bits behind the text.
            pub fn as_u128(self) -> u128 {
                self.0.as_u128()
            }

            /// The id with these 128 bits.
            pub fn from_u128(bits: u128) -> Self {
                Self(Uuid::from_u128(bits))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_digits(self.0.as_u128(), Self::PREFIX, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        /// The text is not an id of that type.
        #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
        #[error($wrong)]
        pub struct $error;

        impl FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                let digits = text.strip_prefix(Self::PREFIX).and_then(read_digits);
                digits.map(|bits| Self(Uuid::from_u128(bits))).ok_or($error)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

id_type!(
    /// `job_` and 26 characters of UUIDv7 in Crockford's base 32: sorts by creation, safe in keys and URLs.
    JobId,
    "job_",
    IdError,
    "not a job id: `job_` and 26 letters and digits, as `presswork jobs list` shows them"
);
id_type!(
    /// `batch_` and 26 characters, as in a [`JobId`]: several jobs that end together.
    BatchId,
    "batch_",
    BatchIdError,
    "not a batch id: `batch_` and 26 letters and digits, as opening the batch answered"
);

id_type!(
    /// `user_` and 26 characters, as in a [`JobId`]: somebody who may log in.
    UserId,
    "user_",
    UserIdError,
    "not a user id: `user_` and 26 letters and digits, as `presswork users list` shows them"
);

fn write_digits(bits: u128, prefix: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut text = [0_u8; 26];
    for (place, slot) in text.iter_mut().rev().enumerate() {
        *slot = ALPHABET[usize::try_from((bits >> (place * 5)) & 31).unwrap_or(0)];
    }
    f.write_str(prefix)?;
    f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
}

fn read_digits(text: &str) -> Option<u128> {
    let digits = text.as_bytes();
    // 26 digits hold 130 bits: the first may only use its lower three.
    if digits.len() != 26 || digits[0] > b'7' {
        return None;
    }
    digits.iter().try_fold(0_u128, |bits, digit| {
        let value = ALPHABET.iter().position(|known| known == digit)?;
        Some((bits << 5) | value as u128)
    })
}

/// Who holds a lease: a worker process. Shown to operators; not a secret and not a proof.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkerId(Arc<str>);

impl WorkerId {
    /// From a text that tells the process apart, such as `host-4711-k3v9`. Control characters are dropped
    /// and it is cut at 100 characters: it is for people to read.
    pub fn new(text: &str) -> Self {
        Self(text.chars().filter(|c| !c.is_control()).take(100).collect::<String>().into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A producer's word for "this very request": a second job with the same key, in the same tenant and kind,
/// is answered with the first. 1 to 200 printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct IdempotencyKey(Arc<str>);

/// The text can't be an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an idempotency key: 1 to 200 printable ASCII characters without spaces")]
pub struct IdempotencyKeyError;

impl IdempotencyKey {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdempotencyKey {
    type Err = IdempotencyKeyError;

    fn from_str(text: &str) -> Result<Self, IdempotencyKeyError> {
        let fits = (1..=200).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(text.into())) } else { Err(IdempotencyKeyError) }
    }
}

impl<'de> Deserialize<'de> for IdempotencyKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::random::SeededRandom;

    #[test]
    fn job_ids_sort_by_creation_and_survive_their_text() {
        let random = SeededRandom::new(1);
        let early = JobId::new(Timestamp::from_millis(1_000), &random);
        let late = JobId::new(Timestamp::from_millis(1_001), &random);
        assert!(early < late && early.to_string() < late.to_string());
        assert_eq!(early.to_string().len(), 30);
        assert_eq!(early.to_string().parse(), Ok(early));
        assert_eq!(JobId::from_u128(late.as_u128()), late);
    }

    #[test]
    fn what_is_no_job_id_is_refused() {
        for text in ["", "job_", "job_zzzzzzzzzzzzzzzzzzzzzzzzzz", "art_00000000000000000000000000"] {
            assert_eq!(text.parse::<JobId>(), Err(IdError), "{text}");
        }
        assert!("job_0000000000000000000000000I".parse::<JobId>().is_err());
    }
}

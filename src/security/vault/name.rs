//! What a secret is called. Pure.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, de};

/// The name of a secret within its tenant: 1 to 100 of `a-z 0-9 _ . -`, beginning with a letter or a digit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SecretName(Arc<str>);

/// The text is no secret's name. What it was is not told: people put the secret itself there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a secret's name: 1 to 100 of a-z, 0-9, _, . and -, beginning with a letter or a digit")]
pub struct SecretNameError;

impl SecretName {
    /// The most characters of a name.
    pub const MOST: usize = 100;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SecretName {
    type Err = SecretNameError;

    fn from_str(text: &str) -> Result<Self, SecretNameError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let begins = text.bytes().next().is_some_and(plain);
        let goes_on = text.bytes().all(|byte| plain(byte) || matches!(byte, b'_' | b'.' | b'-'));
        if begins && goes_on && text.len() <= Self::MOST {
            Ok(Self(text.into()))
        } else {
            Err(SecretNameError)
        }
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl<'de> Deserialize<'de> for SecretName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain_and_a_refusal_does_not_quote_it() {
        for good in ["openai", "0", "open-ai.prod_2", &"x".repeat(100)] {
            assert_eq!(good.parse::<SecretName>().unwrap().as_str(), good);
        }
        for bad in ["", "A", "-a", ".a", "_a", "a b", "a/b", "a=sk-1", "é", "a\0", "a\n", &"x".repeat(101)] {
            assert!(bad.parse::<SecretName>().is_err(), "{bad}");
        }
        assert!(!"sk-Hunter2".parse::<SecretName>().unwrap_err().to_string().contains("unter2"));
        let error = serde_json::from_str::<SecretName>("\"sk-Hunter2\"").unwrap_err().to_string();
        assert!(!error.contains("unter2"), "{error}");
    }
}

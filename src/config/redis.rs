//! The setting that names a Redis. Owns: keeping its password out of sight. Must not know: how to connect.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, de};

use crate::store::redis::{RedisUrl, RedisUrlError};

/// The address of a Redis as it was given, checked. Shown without its passwords.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisSetting {
    url: RedisUrl,
    text: String,
}

impl RedisSetting {
    /// What it names.
    pub fn url(&self) -> &RedisUrl {
        &self.url
    }

    /// The text, passwords and all, for the environment of another process.
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

impl FromStr for RedisSetting {
    type Err = RedisUrlError;

    fn from_str(text: &str) -> Result<Self, RedisUrlError> {
        Ok(Self { url: text.parse()?, text: text.to_owned() })
    }
}

impl fmt::Display for RedisSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.url, f)
    }
}

impl fmt::Debug for RedisSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.url, f)
    }
}

impl<'de> Deserialize<'de> for RedisSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let setting: RedisSetting = "redis://worker:hunter2@127.0.0.1:6380/2".parse().unwrap();
        let shown = format!("{setting} {setting:?}");
        assert!(!shown.contains("hunter2") && shown.contains("127.0.0.1:6380"), "{shown}");
        assert!(setting.reveal().contains("hunter2"));
        let error = "redis://worker:hunter2@".parse::<RedisSetting>().unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

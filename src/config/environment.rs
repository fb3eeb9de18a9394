//! The setting that says what a process is there for. Must not know: what follows from it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What a process is there for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// Trying out: works without being told anything.
    #[default]
    Development,
    /// Real work: `up` and `api` refuse to start on settings that are not safe.
    Production,
}

/// The text is no environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an environment: development or production")]
pub struct EnvironmentError;

impl FromStr for Environment {
    type Err = EnvironmentError;

    fn from_str(text: &str) -> Result<Self, EnvironmentError> {
        match text {
            "development" => Ok(Self::Development),
            "production" => Ok(Self::Production),
            _ => Err(EnvironmentError),
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Development => "development",
            Self::Production => "production",
        })
    }
}

//! Names that people choose, checked in one place on every way in: tenants, kinds, projects, files.
//!
//! A type here can't hold a name that leaves its folder, breaks a key or means something else on another
//! platform. Two alphabets: keys (tenants and kinds: lower-case ASCII) and titles (projects and files: any
//! script, in Unicode normal form C).
//!
//! In a storage key a name stands as it is, through `object_store::path::Path::parse`: readable on disk, at
//! most 200 bytes. `Path::from_iter` percent-encodes every byte that is not ASCII, which trebles a Japanese
//! name, past the 255 bytes that file systems allow.

mod key;
mod title;

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, de};

/// Why a name was refused, for the one who chose it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} name {name:?} {problem}")]
pub struct NameError {
    what: &'static str,
    name: String,
    problem: &'static str,
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $inner:ty, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name($inner);

        impl $name {
            /// The name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> Result<String, &'static str> = $check;
                check(text).map(|name| Self(name.into())).map_err(|problem| NameError {
                    what: $what,
                    name: text.chars().take(100).collect(),
                    problem,
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

fn key(name: &str) -> Result<String, &'static str> {
    match key::problem(name) {
        Some(problem) => Err(problem),
        None => Ok(name.to_owned()),
    }
}

name_type!(
    /// Who pays and is isolated.
    TenantId,
    "tenant",
    Arc<str>,
    key
);
name_type!(
    /// What a job is; its name is its queue.
    KindName,
    "kind",
    Cow<'static, str>,
    key
);
name_type!(
    /// What one of a tenant's schedules is called.
    ScheduleName,
    "schedule",
    Arc<str>,
    key
);
name_type!(
    /// A tenant's project: a folder of its own on storage. At most 120 bytes.
    ProjectId,
    "project",
    Arc<str>,
    |name| title::check(name, 120)
);
name_type!(
    /// A file's name, without folders. At most 200 bytes.
    FileName,
    "file",
    Arc<str>,
    |name| title::check_file(name, 200)
);

impl KindName {
    /// A kind's name written in the program; a bad one does not compile.
    ///
    /// # Panics
    /// At compile time, where the name is not a key.
    pub const fn literal(name: &'static str) -> Self {
        assert!(key::problem(name).is_none(), "a kind's name is 1 to 64 of a-z 0-9 - _, and no device");
        Self(Cow::Borrowed(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_can_not_smuggle_a_name_in() {
        assert!(serde_json::from_str::<ProjectId>("\"../x\"").is_err());
        assert!(serde_json::from_str::<TenantId>("\"ACME\"").is_err());
        assert!(serde_json::from_str::<ProjectId>("\"ok\"").is_ok());
    }

    #[test]
    fn a_refusal_names_the_name_and_the_reason_in_printable_characters() {
        let refusal = "a\u{1b}[31m\n".parse::<FileName>().unwrap_err().to_string();
        assert!(refusal.starts_with("file name") && refusal.contains("can't be part of a name"), "{refusal}");
        assert!(!refusal.chars().any(char::is_control), "{refusal:?}");
        assert!("x".repeat(100_000).parse::<FileName>().unwrap_err().to_string().len() < 200);
    }
}

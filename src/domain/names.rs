//! Names that people choose, checked in one place on every way in: tenants, kinds, projects, files.
//!
//! A type here can't hold a name that leaves its folder, breaks a key or means something else on another
//! platform. Two alphabets: keys (tenants and kinds: lower-case ASCII) and titles (projects and files: any
//! script, in Unicode normal form C).

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, de};
use unicode_normalization::UnicodeNormalization as _;

/// Why a name was refused, for the one who chose it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} name {name:?} {problem}")]
pub struct NameError {
    what: &'static str,
    name: String,
    problem: &'static str,
}

/// Names that Windows gives to devices, whatever the extension.
/// <https://learn.microsoft.com/windows/win32/fileio/naming-a-file>
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];

/// Whether Windows would open a device by this name: `nul`, `COM1.txt`, `lpt²`.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_lowercase();
    let port = |prefix| {
        stem.strip_prefix(prefix).is_some_and(|rest: &str| {
            rest.chars().count() == 1 && rest.chars().all(|c| "0123456789¹²³".contains(c))
        })
    };
    DEVICES.contains(&stem.as_str()) || port("com") || port("lpt")
}

/// Characters that no name may hold: separators, what shells and Windows reserve, what can't be seen.
fn is_forbidden(c: char) -> bool {
    c.is_control()
        || "/\\:*?\"<>|".contains(c)
        // Line and paragraph separators, directions, zero widths, the byte order mark, tags, noncharacters.
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffd}' | '\u{e0000}'..='\u{e007f}')
        || (u32::from(c) & 0xfffe) == 0xfffe
        // Look-alikes of separators and dots, which compatibility normalisation turns into them.
        || matches!(c, '\u{2024}'..='\u{2026}' | '\u{2044}' | '\u{2215}' | '\u{2216}' | '\u{29f5}' | '\u{29f8}' | '\u{fe52}'
            | '\u{fe68}' | '\u{ff0e}' | '\u{ff0f}' | '\u{ff3c}' | '\u{ff61}')
}

/// A title: the name in normal form C, or what is wrong with it.
fn title(name: &str, most_bytes: usize) -> Result<String, &'static str> {
    // Bounded before it is normalised, which may lengthen it.
    if name.len() > most_bytes.saturating_mul(4) {
        return Err("is too long");
    }
    let name: String = name.nfc().collect();
    let problem = if name.is_empty() {
        "is empty"
    } else if name.len() > most_bytes {
        "is too long"
    } else if name.chars().any(is_forbidden) {
        "holds a separator or a character that can't be part of a name"
    } else if name.starts_with(['.', '~', '-']) {
        "may not begin with `.`, `~` or `-`"
    } else if name.starts_with(char::is_whitespace)
        || name.ends_with(char::is_whitespace)
        || name.ends_with('.')
    {
        "may not begin or end with a space, nor end with a dot"
    } else if is_device(&name) {
        "is a device name on Windows"
    } else {
        return Ok(name);
    };
    Err(problem)
}

/// A key: 1 to 64 of `a-z 0-9 - _`, beginning with a letter or a digit.
const fn key_problem(name: &str) -> Option<&'static str> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() > 64 {
        return Some("must have 1 to 64 characters");
    }
    let mut place = 0;
    while place < bytes.len() {
        let byte = bytes[place];
        let plain = byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if !(plain || (place > 0 && (byte == b'-' || byte == b'_'))) {
            return Some("must be made of a-z, 0-9, - and _ and begin with a letter or a digit");
        }
        place += 1;
    }
    None
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
    match key_problem(name) {
        Some(problem) => Err(problem),
        None if is_device(name) => Err("is a device name on Windows"),
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
    /// A tenant's project: a folder of its own on storage. At most 120 bytes.
    ProjectId,
    "project",
    Arc<str>,
    |name| title(name, 120)
);
name_type!(
    /// A file's name, without folders. At most 200 bytes.
    FileName,
    "file",
    Arc<str>,
    |name| title(name, 200)
);

impl KindName {
    /// A kind's name written in the program; a bad one does not compile.
    ///
    /// # Panics
    /// At compile time, where the name is not a key.
    pub const fn literal(name: &'static str) -> Self {
        assert!(key_problem(name).is_none(), "a kind's name is 1 to 64 of a-z 0-9 - _");
        Self(Cow::Borrowed(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_plain() {
        for good in ["acme", "a", "0-9_z", "generation"] {
            assert_eq!(good.parse::<TenantId>().unwrap().as_str(), good);
        }
        for bad in ["", "A", "-a", "a b", "a/b", "..", "{pw:0}", "nul", "com1", "é", &"x".repeat(65)] {
            assert!(bad.parse::<TenantId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn titles_may_use_any_script_and_are_normalised() {
        assert_eq!("cafe\u{301}.md".parse::<FileName>().unwrap().as_str(), "café.md");
        for good in
            ["吾輩は猫である.epub", "War & Peace (1869)", "a..b", "Œuvre", "commander", "con-artist.md"]
        {
            assert!(good.parse::<ProjectId>().is_ok(), "{good}");
        }
    }

    #[test]
    fn titles_never_leave_their_folder() {
        let long = "x".repeat(201);
        for bad in [
            "",
            ".",
            "..",
            "...",
            "a/b",
            "a\\b",
            "/etc",
            "C:",
            "~",
            "~root",
            "a\0b",
            "a\nb",
            " a",
            "a ",
            "a.",
            "NUL",
            "nul.txt",
            "COM¹",
            "lpt9.md",
            "aux .txt",
            "a\u{202e}b",
            "a\u{2028}b",
            "．．",
            "a／b",
            "-rf",
            long.as_str(),
        ] {
            assert!(bad.parse::<FileName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn json_can_not_smuggle_a_name_in() {
        assert!(serde_json::from_str::<ProjectId>("\"../x\"").is_err());
        assert!(serde_json::from_str::<ProjectId>("\"ok\"").is_ok());
    }
}

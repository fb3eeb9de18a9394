//! What entries are called. Owns: [`CacheKey`] and [`Pattern`]. Must not know: tenants, where entries are kept.

use std::{fmt, str::FromStr, sync::Arc};

/// The most bytes of a key or a pattern.
const MOST_BYTES: usize = 512;

/// What an entry is called within its tenant: 1 to 512 bytes of text without control characters and without `*`. Parts
/// that are to be invalidated together stand in front: `chapter:7:outline`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey(Arc<str>);

/// Entries by what they are called: a key, in which each `*` stands for any text, also for none: `chapter:*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern(Arc<str>);

/// The text is no key or no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cache key has 1 to {MOST_BYTES} bytes of text, no control characters, and `*` in patterns only")]
pub struct CacheKeyError;

fn is_bounded_text(text: &str) -> bool {
    (1..=MOST_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
}

impl CacheKey {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CacheKey {
    type Err = CacheKeyError;

    fn from_str(text: &str) -> Result<Self, CacheKeyError> {
        if is_bounded_text(text) && !text.contains('*') { Ok(Self(text.into())) } else { Err(CacheKeyError) }
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Pattern {
    /// Every entry.
    pub fn everything() -> Self {
        Self("*".into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names one entry at most.
    pub(super) fn is_one_key(&self) -> bool {
        !self.0.contains('*')
    }

    /// Whether the entry is meant.
    pub fn matches(&self, key: &CacheKey) -> bool {
        let mut pieces = self.0.split('*');
        let first = pieces.next().unwrap_or_default();
        let Some(mut rest) = key.0.strip_prefix(first) else { return false };
        let Some(last) = pieces.next_back() else { return rest.is_empty() };
        // The leftmost place for each piece leaves the most for the others.
        for piece in pieces {
            let Some(place) = rest.find(piece) else { return false };
            rest = &rest[place + piece.len()..];
        }
        rest.ends_with(last)
    }

    /// The same in the words of Redis' MATCH.
    pub(super) fn in_redis(&self) -> String {
        let mut glob = String::with_capacity(self.0.len());
        for letter in self.0.chars() {
            if matches!(letter, '?' | '[' | ']' | '\\') {
                glob.push('\\');
            }
            glob.push(letter);
        }
        glob
    }
}

impl From<&CacheKey> for Pattern {
    fn from(key: &CacheKey) -> Self {
        Self(key.0.clone())
    }
}

impl FromStr for Pattern {
    type Err = CacheKeyError;

    fn from_str(text: &str) -> Result<Self, CacheKeyError> {
        if is_bounded_text(text) { Ok(Self(text.into())) } else { Err(CacheKeyError) }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text_and_nothing_else_is_special() {
        let cases = [
            ("chapter:*", "chapter:7", true),
            ("chapter:*", "chapter:", true),
            ("chapter:*", "chapters", false),
            ("*", "anything", true),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "acd", false),
            ("a*a", "a", false),
            ("*b*b*", "abab", true),
            ("*b*b*", "aba", false),
            ("a**b", "ab", true),
            ("*:x", "1:x:x", true),
            ("one", "one", true),
            ("one", "ones", false),
            ("a?c", "abc", false),
            ("[a]", "a", false),
            ("[a]", "[a]", true),
            ("*é*", "café au lait", true),
        ];
        for (pattern, key, expected) in cases {
            let (pattern, key): (Pattern, CacheKey) = (pattern.parse().unwrap(), key.parse().unwrap());
            assert_eq!(pattern.matches(&key), expected, "{pattern} {key}");
        }
        assert_eq!("a?[*]\\".parse::<Pattern>().unwrap().in_redis(), "a\\?\\[*\\]\\\\");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for bad in ["", "a\nb", "a\0", "a*", &"x".repeat(513)] {
            assert!(bad.parse::<CacheKey>().is_err(), "{bad:?}");
        }
        assert!("\u{7f}*".parse::<Pattern>().is_err());
    }
}

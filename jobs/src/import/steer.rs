//! Where chapters begin, as the owner of a manuscript says it: at headings of a level, or at lines that look like some pattern.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// How many bytes a pattern has at most.
const MOST_PATTERN_BYTES: usize = 200;
/// How many characters a line may have to be looked at.
const MOST_LINE: usize = 200;

/// Where chapters begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChapterMark {
    /// At headings of this level and above.
    Level(u8),
    /// At lines or headings that are a number, Arabic or Roman, with or without a dot.
    Numbers,
    /// At lines or headings in capitals, between blank lines.
    Capitals,
    /// At lines or headings like this one, in which `*` stands for any text, `#` for a number; capitals count as small letters.
    Pattern(String),
}

/// The text does not say where chapters begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not where chapters begin: h1 to h6, numbers, capitals, or a pattern such as \"Chapter *\" or \"* Act #\""
)]
pub struct ChapterMarkError;

impl FromStr for ChapterMark {
    type Err = ChapterMarkError;

    fn from_str(text: &str) -> Result<Self, ChapterMarkError> {
        match text {
            "numbers" => return Ok(Self::Numbers),
            "capitals" => return Ok(Self::Capitals),
            _ => {}
        }
        if let [b'h', level @ b'1'..=b'6'] = text.as_bytes() {
            return Ok(Self::Level(level - b'0'));
        }
        let says_something = text.chars().any(|c| c.is_alphanumeric() || c == '#');
        if text.len() > MOST_PATTERN_BYTES
            || text.trim() != text
            || !says_something
            || text.chars().any(char::is_control)
        {
            return Err(ChapterMarkError);
        }
        Ok(Self::Pattern(text.to_owned()))
    }
}

impl fmt::Display for ChapterMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Level(level) => write!(f, "h{level}"),
            Self::Numbers => f.write_str("numbers"),
            Self::Capitals => f.write_str("capitals"),
            Self::Pattern(pattern) => f.write_str(pattern),
        }
    }
}

impl Serialize for ChapterMark {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ChapterMark {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl ChapterMark {
    /// The level of headings that it is, if it is one.
    pub(super) const fn level(&self) -> Option<u8> {
        match self {
            Self::Level(level) => Some(*level),
            _ => None,
        }
    }

    /// Whether a chapter begins at a line, if it stands alone.
    pub(super) fn is_line(&self, line: &str) -> bool {
        let line = line.trim();
        if line.is_empty() || line.chars().count() > MOST_LINE {
            return false;
        }
        match self {
            Self::Level(_) => false,
            Self::Numbers => is_number(line.trim_end_matches(['.', ')', ':'])),
            Self::Capitals => {
                let mut letters = line.chars().filter(|c| c.is_alphabetic()).peekable();
                letters.peek().is_some() && letters.all(|c| !c.is_lowercase())
            }
            Self::Pattern(pattern) => fits(&pattern.to_lowercase(), &line.to_lowercase()),
        }
    }

    /// Whether a chapter begins at a heading.
    pub(super) fn is_heading(&self, level: u8, text: &str) -> bool {
        match self {
            Self::Level(most) => level <= *most,
            other => other.is_line(text),
        }
    }
}

/// Whether it is a number, Arabic or Roman, in any script's digits.
fn is_number(text: &str) -> bool {
    !text.is_empty() && (text.chars().all(is_digit) || (text.len() <= 12 && text.chars().all(is_roman)))
}

fn is_digit(c: char) -> bool {
    c.is_numeric() || "〇零一二三四五六七八九十百千".contains(c)
}

fn is_roman(c: char) -> bool {
    "ivxlcdmIVXLCDM".contains(c)
}

/// Whether a text fits a pattern; each star is tried once, from the left.
fn fits(pattern: &str, text: &str) -> bool {
    // Where to go on where a piece does not fit: behind the last star, one character further.
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut place, mut star) = (0, 0, None);
    loop {
        let matched = match pattern.get(at) {
            Some('*') => {
                star = Some((at + 1, place));
                at += 1;
                continue;
            }
            Some('#') => {
                let run = |of: fn(char) -> bool| text[place..].iter().take_while(|c| of(**c)).count();
                let digits = run(is_digit);
                // A word that begins like a Roman number is none.
                let letters = if digits == 0 { run(char::is_alphanumeric) } else { 0 };
                let is_roman = letters > 0 && letters == run(is_roman);
                (digits > 0 || is_roman).then_some(digits.max(letters))
            }
            Some(wanted) => text.get(place).filter(|c| *c == wanted).map(|_| 1),
            None => (place == text.len()).then_some(0),
        };
        match (matched, star) {
            (Some(0), _) => return true,
            (Some(len), _) => (at, place) = (at + 1, place + len),
            (None, Some((behind, from))) if from < text.len() => {
                star = Some((behind, from + 1));
                (at, place) = (behind, from + 1);
            }
            (None, _) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_by_patterns_without_a_language_of_their_own() {
        for (mark, yes, no) in [
            ("Chapter *", &["CHAPTER 1", "chapter the last"][..], &["Chapter", "A chapter 1", ""][..]),
            ("Chapter #", &["Chapter IV", "chapter 12"], &["Chapter one", "Chapter 12: x"]),
            ("* — Akt #*", &["Faust — Akt 2, Szene 1"], &["Faust — Akt"]),
            ("numbers", &["12", "XIV.", "三"], &["12 men", "mix me", ""]),
            ("capitals", &["THE END", "II. LE DÉBUT"], &["The END", "12", "***"]),
            ("第#章", &["第三章", "第12章"], &["第章"]),
        ] {
            let mark: ChapterMark = mark.parse().unwrap();
            assert!(yes.iter().all(|line| mark.is_line(line)), "{mark} {yes:?}");
            assert!(no.iter().all(|line| !mark.is_line(line)), "{mark} {no:?}");
        }
        assert!(ChapterMark::Level(2).is_heading(1, "x") && !ChapterMark::Level(2).is_heading(3, "x"));
    }

    #[test]
    fn what_says_nothing_is_no_mark_and_no_pattern_takes_long() {
        for wrong in ["", "*", " Chapter *", "**", "a\nb", &"x".repeat(201)] {
            assert_eq!(wrong.parse::<ChapterMark>(), Err(ChapterMarkError), "{wrong:?}");
        }
        assert_eq!("h3".parse(), Ok(ChapterMark::Level(3)));
        let slow = ChapterMark::Pattern(format!("{}b", "a*".repeat(90)));
        assert!(!slow.is_line(&"a".repeat(200)));
    }
}

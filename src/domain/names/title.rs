//! The rule of titles: the names of projects and files, in any script, one segment of a path on every platform.
//!
//! Three readers may change a name before they use it, so three readings are checked:
//! - the name itself, in normal form C;
//! - its compatibility form (NFKC), which some file systems, browsers and databases compute, and which turns
//!   `．．` into `..` and `／` into `/`;
//! - what percent-decoding makes of it. A name is its own decoding, however often a proxy decodes: `%` may not
//!   stand before a letter or a digit (so neither `%2e` nor `%u002e` nor `%PATH%`); `100 % wool` is a name.
//!
//! Upper and lower case are kept. Two names that differ in case only are one folder on macOS and Windows.

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

/// The title in normal form C, or what is wrong with it.
pub(super) fn check(name: &str, most_bytes: usize) -> Result<String, &'static str> {
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
    } else if name.starts_with(char::is_whitespace) || name.ends_with(char::is_whitespace) {
        "may not begin or end with a space"
    } else if name.starts_with(is_combining_mark) {
        "may not begin with a combining mark, which would join the separator before it"
    } else if has_short_name_tail(&name) {
        "may not hold `~` before a digit, as short names on Windows do"
    } else {
        let compatible: String = name.nfkc().collect();
        match structure(&name).or_else(|| structure(&compatible)) {
            None => return Ok(name),
            Some(problem) => problem,
        }
    };
    Err(problem)
}

/// A title for a file, checked for one thing more: object_store's local storage keeps `book.epub#12` for the
/// parts of an unfinished upload, refuses such files and leaves them out of its lists.
pub(super) fn check_file(name: &str, most_bytes: usize) -> Result<String, &'static str> {
    let name = check(name, most_bytes)?;
    let part = |(_, tail): (&str, &str)| !tail.is_empty() && tail.bytes().all(|b| b.is_ascii_digit());
    if name.split_once('#').is_some_and(part) {
        return Err("may not end with `#` and digits, as the parts of an upload do on local storage");
    }
    Ok(name)
}

/// What is wrong with a name as a segment of a path; asked of each of its readings.
fn structure(name: &str) -> Option<&'static str> {
    if name.contains(['/', '\\']) {
        Some("holds a separator")
    } else if name.starts_with(['.', '~', '-']) {
        Some("may not begin with `.`, `~` or `-`")
    } else if name.ends_with('.') {
        Some("may not end with a dot")
    } else if decodes_further(name) {
        Some("may not hold `%` before a letter or a digit, which a web address would decode")
    } else if is_device(name) {
        Some("is a device name on Windows")
    } else {
        None
    }
}

/// Characters that no name may hold.
fn is_forbidden(c: char) -> bool {
    c.is_control()
        // Separators, drives, streams and patterns on Windows; shells' patterns and redirections.
        || "/\\:*?\"<>|".contains(c)
        || is_invisible(c)
        // Private use: Windows subsystems and network shares map some of it to the characters above.
        || matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}')
        // Noncharacters, and the replacement of what could not be decoded.
        || matches!(c, '\u{fdd0}'..='\u{fdef}' | '\u{fff0}'..='\u{ffff}')
        || (u32::from(c) & 0xfffe) == 0xfffe
        // Look-alikes of separators that no normal form turns into them.
        || matches!(c, '\u{2044}' | '\u{2215}' | '\u{2216}' | '\u{29f5}' | '\u{29f8}' | '\u{29f9}')
}

/// Whether nothing is seen of a character, so that two names that look the same differ, or part of a name is
/// shown in another order. Variation selectors are left out: emoji and ideographs need them.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e00ff}' | '\u{e01f0}'..='\u{e0fff}')
}

/// Whether some percent-decoder would change the name.
fn decodes_further(name: &str) -> bool {
    follows(name, '%', |after| after.is_ascii_alphanumeric())
}

/// `GIT~1`: Windows lets it stand for a longer name beside it.
fn has_short_name_tail(name: &str) -> bool {
    follows(name, '~', |after| after.is_ascii_digit())
}

/// Whether somewhere in the name `first` stands before a character that is `second`.
fn follows(name: &str, first: char, second: impl Fn(char) -> bool) -> bool {
    name.match_indices(first).any(|(place, _)| name[place + 1..].starts_with(&second))
}

/// Names that Windows gives to devices, whatever the extension.
/// <https://learn.microsoft.com/windows/win32/fileio/naming-a-file>
const DEVICES: [&str; 7] = ["con", "prn", "aux", "nul", "conin$", "conout$", "clock$"];

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

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(name: &str) -> bool {
        check(name, 200).is_ok()
    }

    #[test]
    fn titles_of_real_books_are_names() {
        for good in [
            "吾輩は猫である.epub",
            "War & Peace (1869)",
            "a..b",
            "Œuvre",
            "commander",
            "con-artist.md",
            "100 % wool",
            "１００％ 勇気",
            "100%",
            "C# in Depth",
            "What's next, then; wait… and see!",
            "序章：始まり",
            "J'accuse...! (1898)",
            "❤\u{fe0f} letters",
            "كتاب الحيوان",
            "हिन्दी की कहानी",
            "Chapter #12.md",
            "1984",
            "$100 {draft} [v2]",
        ] {
            assert!(accepted(good), "{good}");
        }
    }

    #[test]
    fn titles_are_normalised() {
        assert_eq!(check("cafe\u{301}.md", 200).as_deref(), Ok("café.md"));
    }

    #[test]
    fn length_is_counted_in_bytes_of_the_normal_form() {
        assert!(check(&"é".repeat(100), 200).is_ok());
        assert!(check(&"e\u{301}".repeat(100), 200).is_ok());
        assert!(check(&"é".repeat(101), 200).is_err());
        assert!(check(&"x".repeat(1 << 20), 200).is_err());
    }

    #[test]
    fn no_title_is_a_folder_above_or_a_path() {
        for bad in [
            "", ".", "..", "...", ". .", ".\u{a0}.", "a/b", "a\\b", "/etc", "C:", "~", "~root", ".git", "-rf",
        ] {
            assert!(!accepted(bad), "{bad:?}");
        }
    }

    #[test]
    fn no_title_means_something_else_on_windows() {
        for bad in [
            " a",
            "a ",
            "a\u{3000}",
            "a.",
            "a:b",
            "a?",
            "NUL",
            "nul.txt",
            "COM¹",
            "lpt9.md",
            "aux .txt",
            "CONIN$",
            "clock$.x",
            "GIT~1",
            "PROGRA~1.TXT",
            "ＣＯＮ",
            "ｎｕｌ.txt",
            "ＣＯＭ１",
        ] {
            assert!(!accepted(bad), "{bad:?}");
        }
    }

    #[test]
    fn no_title_becomes_a_path_by_normalisation_or_decoding() {
        for bad in [
            "．．",
            "‥",
            "…",
            "wait…",
            "a／b",
            "a＼b",
            "a℀b",
            "%2e%2e",
            "a%2fb",
            "a%5Cb",
            "a%252fb",
            "%u002e",
            "a%00",
            "％2e％2e",
            "%c0%ae",
            "%PATH%",
            "a\u{2215}b",
            "a\u{29f8}b",
        ] {
            assert!(!accepted(bad), "{bad:?}");
        }
    }

    #[test]
    fn no_title_hides_anything() {
        for bad in [
            "a\0b",
            "a\nb",
            "a\u{85}b",
            "a\u{1b}[31m",
            "a\u{202e}b",
            "a\u{2028}b",
            "a\u{ad}b",
            "a\u{200d}b",
            "\u{3164}",
            "\u{2800}",
            "a\u{f03a}b",
            "a\u{fffd}b",
            "a\u{fdd0}b",
            "a\u{e0041}b",
            "\u{338}a",
        ] {
            assert!(!accepted(bad), "{bad:?}");
        }
    }

    #[test]
    fn no_file_is_called_like_the_part_of_an_upload() {
        assert!(check_file("book.epub#1", 200).is_err());
        assert!(check_file("Book #1", 200).is_err());
        assert!(check_file("book #1.epub", 200).is_ok());
        assert!(check_file("C#", 200).is_ok());
        assert!(check("Book #1", 200).is_ok());
    }

    /// The look-alikes are not a list of ours alone: every character is asked what NFKC makes of it.
    #[test]
    fn no_character_turns_into_a_separator_or_into_dots() {
        for c in '\0'..=char::MAX {
            let compatible: String = c.nfkc().collect();
            if compatible.contains(['/', '\\']) {
                assert!(!accepted(&format!("a{c}b")), "{c:?}");
            }
            if compatible.contains('.') {
                assert!(!accepted(&format!("{c}{c}")), "{c:?}");
            }
            if compatible.contains('%') {
                assert!(!accepted(&format!("a{c}2e")), "{c:?}");
            }
        }
    }
}

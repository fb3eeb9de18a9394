//! What may stand in a line of the log: text without what drives a terminal or forges a line, without what looks like a secret,
//! and not longer than it may be. Pure.

/// A text as it may be kept: at most `most` bytes.
pub(super) fn clean(text: &str, most: usize) -> String {
    // What is far beyond the bound is not even looked at.
    let text = &text[..floor(text, most.saturating_mul(4).max(1_024))];
    let plain = without_secrets(text);
    let mut out = String::with_capacity(plain.len().min(most));
    for c in plain.chars() {
        let before = out.len();
        if is_harmful(c) {
            out.extend(c.escape_unicode())
        } else {
            out.push(c)
        }
        if out.len() > most {
            out.truncate(before.min(floor(&out, most.saturating_sub(3))));
            out.push('…');
            break;
        }
    }
    out
}

/// Whether a character drives a terminal, ends a line somewhere, turns the direction of writing or can't be seen.
pub(crate) fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The last place at or before `at` where a character begins.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|place| text.is_char_boundary(*place)).unwrap_or(0)
}

/// A beginning of what is secret, how many bytes behind it make it one, and what is put in its place.
const SECRETS: [(&str, usize, &str); 6] = [
    ("pw_", 12, "pw_[removed]"),
    ("eyJ", 16, "[token removed]"),
    ("sk-", 16, "sk-[removed]"),
    ("bearer ", 8, "bearer [removed]"),
    ("basic ", 8, "basic [removed]"),
    ("presswork=", 8, "presswork=[removed]"),
];

fn without_secrets(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        if let Some((kept, skipped)) = secret(rest, out.chars().next_back()) {
            out.push_str(kept);
            at += skipped;
        } else if let Some(skipped) = userinfo(rest) {
            out.push_str("://[removed]@");
            at += skipped;
        } else {
            out.push(c);
            at += c.len_utf8();
        }
    }
    out
}

/// What to put in place of a secret that stands at the beginning of `text`, and how many bytes it has.
fn secret(text: &str, before: Option<char>) -> Option<(&'static str, usize)> {
    let in_word = before.is_some_and(char::is_alphanumeric);
    SECRETS.iter().find_map(|(beginning, least, kept)| {
        let begins = text.get(..beginning.len()).is_some_and(|head| head.eq_ignore_ascii_case(beginning));
        if !begins || (in_word && *beginning != "pw_") {
            return None;
        }
        // What can't be seen does not end a secret.
        let run = text[beginning.len()..].find(|c: char| {
            !(c.is_ascii_alphanumeric() || "_-.+/=~%".contains(c) || (is_harmful(c) && c != '\n'))
        });
        let run = run.unwrap_or(text.len() - beginning.len());
        (run >= *least).then_some((*kept, beginning.len() + run))
    })
}

/// The bytes of `://name:password@` at the beginning of `text`.
fn userinfo(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("://")?;
    let end =
        rest.find(|c: char| c == '/' || c == '?' || c == '#' || c.is_whitespace()).unwrap_or(rest.len());
    let at = rest[..end].rfind('@')?;
    rest[..at].contains(':').then_some(3 + at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_drives_a_terminal_or_forges_a_line_is_left() {
        for hostile in [
            "a\r\n{\"v\":1}",
            "\u{1b}[2J\u{1b}]0;x\u{7}",
            "\u{9b}31m",
            "a\u{2028}b\u{2029}c",
            "\u{202e}txt.exe",
            "\u{2066}x\u{2069}",
            "\u{0}",
            "\u{7f}",
            "\u{85}",
            "a\u{200b}b\u{feff}",
            "\u{e0041}",
            "\u{8}\u{8}",
        ] {
            let clean = clean(hostile, 500);
            assert!(!clean.chars().any(is_harmful) && clean.contains("\\u{"), "{clean:?}");
        }
        assert_eq!(clean("Zoë, 書名 – “x” \u{1f4d6}", 500), "Zoë, 書名 – “x” \u{1f4d6}");
    }

    #[test]
    fn what_looks_like_a_secret_is_removed_wherever_it_stands() {
        let key = "pw_live_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG_abcdef";
        let token = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJlLXNpZ25hdHVyZQ";
        for (text, secret) in [
            (key.to_owned(), "0123456789"),
            (format!("x={key}&y"), "0123456789"),
            (format!("xx{key}"), "0123456789"),
            (format!("key\u{1b}[0m{}\u{0}{}", &key[..14], &key[14..]), "klmnop"),
            (token.to_owned(), "c2lnbmF0"),
            (format!("Authorization: Bearer {token}"), "eyJzdWIi"),
            ("Bearer abcdefghijkl".to_owned(), "abcdefghijkl"),
            ("sk-proj-0123456789abcdefghij".to_owned(), "0123456789"),
            ("redis://worker:hunter2@host".to_owned(), "hunter2"),
        ] {
            let clean = clean(&text, 500);
            assert!(!clean.contains(secret) && clean.contains("removed]"), "{clean}");
        }
        for harmless in
            ["task-0123456789abcdefghij", "key:018f2f3e-7c1d", "pw_live_", "https://host/a@b:c", "eyJ"]
        {
            assert_eq!(clean(harmless, 500), harmless);
        }
    }

    #[test]
    fn a_value_is_bounded_also_where_it_is_escaped() {
        for text in ["x".repeat(1 << 20), "\u{1b}".repeat(9_999), "é".repeat(999), "a\u{1f4d6}".repeat(99)] {
            let clean = clean(&text, 100);
            assert!(clean.len() <= 102 && clean.ends_with('…'), "{} {clean}", clean.len());
        }
        assert_eq!(clean(&"x".repeat(100), 100), "x".repeat(100));
    }
}

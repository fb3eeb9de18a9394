//! Keeps keys out of what servers say: some repeat what they were sent.

/// As many characters of a key in a row are never repeated.
const LEAST: usize = 6;
const INSTEAD: &str = "…";

/// The text, with whatever it has of the key left out, also where it has only a part of it.
pub(super) fn scrub(text: &str, key: Option<&str>) -> String {
    let key = key.map(str::as_bytes).unwrap_or_default();
    let least = LEAST.min(key.len()).max(1);
    let bytes = text.as_bytes();
    let mut is_secret = vec![false; bytes.len()];
    for (at, window) in bytes.windows(least).enumerate() {
        if key.windows(least).any(|part| part == window) {
            is_secret[at..at + least].fill(true);
        }
    }
    let (mut clean, mut was_secret) = (String::with_capacity(text.len()), false);
    for (at, character) in text.char_indices() {
        if !is_secret[at] {
            clean.push(character);
        } else if !was_secret {
            clean.push_str(INSTEAD);
        }
        was_secret = is_secret[at];
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_left_out_whole_or_cut_and_nothing_else_is() {
        let key = "sk-proj-0123456789abcdef";
        for (text, clean) in [
            ("Incorrect API key: sk-proj-0123456789abcdef.", "Incorrect API key: …."),
            ("Incorrect API key: sk-proj-0123…", "Incorrect API key: ……"),
            ("…89abcdef", "……"),
            ("key=sk-proj-0123456789abcdef&again=sk-proj-0123456789abcdef", "key=…&again=…"),
            ("größe 0123", "größe 0123"),
            ("", ""),
        ] {
            assert_eq!(scrub(text, Some(key)), clean);
        }
        assert_eq!(scrub("Incorrect", None), "Incorrect");
        assert_eq!(scrub("my pw", Some("pw")), "my …");
        assert_eq!(scrub("Incorrect", Some("")), "Incorrect");
    }
}

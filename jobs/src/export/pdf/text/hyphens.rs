//! Where a language lets words be divided.

use hypher::Lang;

/// Shorter words stay whole.
const SHORTEST: usize = 5;

/// The language of a tag, if its rules are known.
pub(super) fn language(tag: &str) -> Option<Lang> {
    let code = tag.get(..2).filter(|_| tag.get(2..3).is_none_or(|next| next == "-" || next == "_"))?;
    Lang::from_iso(code.to_ascii_lowercase().as_bytes().try_into().ok()?)
}

/// Calls `take` with each place in `text`, in bytes, where a word may be divided; ascending.
pub(super) fn places(text: &str, language: Lang, mut take: impl FnMut(usize)) {
    if !is_prose(text) {
        return;
    }
    let mut rest = 0;
    while let Some(start) = text[rest..].find(char::is_alphabetic).map(|start| rest + start) {
        let end = text[start..]
            .find(|character: char| !character.is_alphabetic())
            .map_or(text.len(), |end| start + end);
        let word = &text[start..end];
        rest = end;
        // The crate panics beyond its bound; such words are no words.
        if word.len() > hypher::MAX_INLINE_SIZE || word.chars().take(SHORTEST).count() < SHORTEST {
            continue;
        }
        let mut place = start;
        let mut syllables = hypher::hyphenate(word, language).peekable();
        while let Some(syllable) = syllables.next() {
            place += syllable.len();
            if syllables.peek().is_some() {
                take(place);
            }
        }
    }
}

/// Whether a text is of words, and no address, path or formula: a hyphen would change those.
fn is_prose(text: &str) -> bool {
    let inner = text.trim_matches(|character: char| !character.is_alphanumeric());
    let strange = |character: char| character.is_ascii_digit() || ".:".contains(character);
    !inner.contains(strange) && !text.contains(|character: char| "/\\@_=#%&".contains(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divided(text: &str, tag: &str) -> String {
        let mut divided = text.to_owned();
        let mut places_ = Vec::new();
        places(text, language(tag).expect("a language"), |place| places_.push(place));
        for place in places_.into_iter().rev() {
            divided.insert(place, '-');
        }
        divided
    }

    #[test]
    fn words_are_divided_by_their_language() {
        assert_eq!(divided("extensive,", "en-GB"), "ex-ten-sive,");
        assert_eq!(divided("(Silbentrennung)", "de"), "(Sil-ben-tren-nung)");
        assert_eq!(divided("переносы", "ru"), "пе-ре-но-сы");
        assert_eq!(divided("dell\u{2019}amministrazione", "it"), "dell\u{2019}am-mi-ni-stra-zio-ne");
    }

    #[test]
    fn short_words_endless_ones_and_addresses_stay_whole() {
        assert_eq!(divided("only", "en"), "only");
        for address in
            ["example.org,", "notwithstanding/", "somebody@example", "extensive_name", "extensive2"]
        {
            assert_eq!(divided(address, "en"), address);
        }
        let endless = "extensive".repeat(6);
        assert_eq!(divided(&endless, "en"), endless);
    }

    #[test]
    fn unknown_languages_have_no_rules() {
        assert!(language("tlh").is_none() && language("").is_none() && language("eng").is_none());
        assert!(language("ja").is_none() && language("de_AT").is_some());
    }
}

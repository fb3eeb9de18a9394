//! A book's language as its formats want it: a well-formed tag of BCP 47, the way that its script runs, and what a table of
//! contents is called in it.

/// The tag if it is well-formed, else its first part, else `und`. `en_GB` is mended to `en-GB`.
pub(super) fn tag(language: &str) -> String {
    let language = language.trim().replace('_', "-");
    if is_well_formed(&language) {
        return language;
    }
    let primary = language.split('-').next().unwrap_or_default();
    if is_well_formed(primary) { primary.to_owned() } else { "und".to_owned() }
}

/// Whether the tag's script runs from right to left.
pub(super) fn is_right_to_left(tag: &str) -> bool {
    const LANGUAGES: [&str; 12] = ["ar", "arc", "ckb", "dv", "fa", "he", "iw", "ps", "sd", "ug", "ur", "yi"];
    const SCRIPTS: [&str; 6] = ["arab", "hebr", "syrc", "thaa", "nkoo", "adlm"];
    let tag = tag.to_ascii_lowercase();
    let mut parts = tag.split('-');
    let primary = parts.next().unwrap_or_default();
    match parts.find(|part| part.len() == 4 && part.bytes().all(|b| b.is_ascii_alphabetic())) {
        Some(script) => SCRIPTS.contains(&script),
        None => LANGUAGES.contains(&primary),
    }
}

/// What a table of contents is called in books of a language; in English where it isn't known here.
pub(super) fn contents(tag: &str) -> &'static str {
    let tag = tag.to_ascii_lowercase();
    let mut parts = tag.split(['-', '_']);
    match parts.next().unwrap_or_default() {
        "de" => "Inhalt",
        "fr" => "Table des matières",
        "es" => "Índice",
        "ca" => "Índex",
        "it" => "Indice",
        "pt" => "Sumário",
        "nl" => "Inhoud",
        "sv" => "Innehåll",
        "da" => "Indhold",
        "nb" | "nn" | "no" => "Innhold",
        "is" => "Efnisyfirlit",
        "fi" => "Sisällys",
        "et" => "Sisukord",
        "lv" => "Saturs",
        "lt" => "Turinys",
        "pl" => "Spis treści",
        "cs" | "sk" => "Obsah",
        "hu" => "Tartalom",
        "ro" => "Cuprins",
        "hr" | "bs" => "Sadržaj",
        "sl" => "Kazalo",
        "tr" => "İçindekiler",
        "el" => "Περιεχόμενα",
        "ru" => "Содержание",
        "uk" => "Зміст",
        "bg" => "Съдържание",
        "he" | "iw" => "תוכן העניינים",
        "ar" => "المحتويات",
        "fa" => "فهرست",
        "zh" if parts.any(|part| ["hant", "tw", "hk", "mo"].contains(&part)) => "目錄",
        "zh" => "目录",
        "ja" => "目次",
        "ko" => "차례",
        "vi" => "Mục lục",
        _ => "Contents",
    }
}

/// RFC 5646 §2.1 without extensions, private use and the grandfathered tags: books need none of them.
fn is_well_formed(tag: &str) -> bool {
    let letters = |part: &&str| part.bytes().all(|b| b.is_ascii_alphabetic());
    let digits = |part: &&str| part.bytes().all(|b| b.is_ascii_digit());
    let mut parts = tag.split('-').peekable();
    if !parts.next().filter(letters).is_some_and(|primary| (2..=8).contains(&primary.len())) {
        return false;
    }
    parts.next_if(|part| part.len() == 3 && letters(part));
    parts.next_if(|part| part.len() == 4 && letters(part));
    parts.next_if(|part| part.len() == 2 && letters(part) || part.len() == 3 && digits(part));
    parts.all(|part| {
        let variant = (5..=8).contains(&part.len())
            || part.len() == 4 && part.starts_with(|c: char| c.is_ascii_digit());
        variant && part.bytes().all(|b| b.is_ascii_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_well_formed_or_mended() {
        for tag_ in ["en", "de-AT", "zh-Hant-TW", "es-419", "de-1996", "und"] {
            assert_eq!(tag(tag_), tag_);
        }
        for (wrong, mended) in
            [("en_GB", "en-GB"), ("", "und"), ("English!", "und"), ("de-x-", "de"), ("e", "und")]
        {
            assert_eq!(tag(wrong), mended);
        }
    }

    #[test]
    fn the_script_tells_the_direction() {
        assert!(is_right_to_left("he") && is_right_to_left("ar-EG") && is_right_to_left("az-Arab"));
        assert!(!is_right_to_left("en") && !is_right_to_left("ar-Latn"));
    }
    #[test]
    fn a_table_of_contents_is_called_as_in_other_books_of_the_language() {
        for (tag, called) in [("de-AT", "Inhalt"), ("ar", "المحتويات"), ("zh-Hant", "目錄"), ("zh", "目录")]
        {
            assert_eq!(contents(tag), called);
        }
        assert_eq!((contents("und"), contents("")), ("Contents", "Contents"));
    }
}

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

/// Whether the tag's script runs from right to left; the tag may be as somebody wrote it.
pub(super) fn is_right_to_left(tag: &str) -> bool {
    const LANGUAGES: [&str; 12] = ["ar", "arc", "ckb", "dv", "fa", "he", "iw", "ps", "sd", "ug", "ur", "yi"];
    const SCRIPTS: [&str; 6] = ["arab", "hebr", "syrc", "thaa", "nkoo", "adlm"];
    let tag = tag.to_ascii_lowercase();
    let mut parts = tag.trim().split(['-', '_']);
    let primary = parts.next().unwrap_or_default();
    match parts.find(|part| is_script(part)) {
        Some(script) => SCRIPTS.contains(&script),
        None => LANGUAGES.contains(&primary),
    }
}

/// What a table of contents is called, by language and perhaps region, with the script that the words are in.
const CONTENTS: [(&str, &str, &str); 53] = [
    ("ar", "arab", "المحتويات"),
    ("be", "cyrl", "Змест"),
    ("bg", "cyrl", "Съдържание"),
    ("bs", "latn", "Sadržaj"),
    ("bs", "cyrl", "Садржај"),
    ("ca", "latn", "Índex"),
    ("cs", "latn", "Obsah"),
    ("cy", "latn", "Cynnwys"),
    ("da", "latn", "Indhold"),
    ("de", "latn", "Inhalt"),
    ("el", "grek", "Περιεχόμενα"),
    ("es", "latn", "Índice"),
    ("et", "latn", "Sisukord"),
    ("eu", "latn", "Aurkibidea"),
    ("fa", "arab", "فهرست مطالب"),
    ("fi", "latn", "Sisällys"),
    ("fr", "latn", "Table des matières"),
    ("gl", "latn", "Índice"),
    ("he", "hebr", "תוכן העניינים"),
    ("iw", "hebr", "תוכן העניינים"),
    ("hr", "latn", "Sadržaj"),
    ("hu", "latn", "Tartalom"),
    ("id", "latn", "Daftar Isi"),
    ("is", "latn", "Efnisyfirlit"),
    ("it", "latn", "Indice"),
    ("ja", "jpan", "目次"),
    ("ko", "kore", "차례"),
    ("lt", "latn", "Turinys"),
    ("lv", "latn", "Saturs"),
    ("mk", "cyrl", "Содржина"),
    ("nb", "latn", "Innhold"),
    ("nl", "latn", "Inhoud"),
    ("nn", "latn", "Innhald"),
    ("no", "latn", "Innhold"),
    ("pl", "latn", "Spis treści"),
    ("pt", "latn", "Sumário"),
    ("pt-pt", "latn", "Índice"),
    ("ro", "latn", "Cuprins"),
    ("ru", "cyrl", "Содержание"),
    ("sk", "latn", "Obsah"),
    ("sl", "latn", "Kazalo"),
    ("sr", "cyrl", "Садржај"),
    ("sr", "latn", "Sadržaj"),
    ("sv", "latn", "Innehåll"),
    ("th", "thai", "สารบัญ"),
    ("tr", "latn", "İçindekiler"),
    ("uk", "cyrl", "Зміст"),
    ("vi", "latn", "Mục lục"),
    ("zh", "hans", "目录"),
    ("zh", "hant", "目錄"),
    ("zh-hk", "hant", "目錄"),
    ("zh-mo", "hant", "目錄"),
    ("zh-tw", "hant", "目錄"),
];

/// What a table of contents is called in books of a language, of its region before others and, where the tag names a script, in
/// that; in English where it isn't known here.
pub(super) fn contents(language: &str) -> &'static str {
    let tag = tag(language).to_ascii_lowercase();
    let primary = tag.split('-').next().unwrap_or_default();
    let part = |wanted: fn(&&str) -> bool| tag.split('-').skip(1).find(wanted);
    let (script, region) = (part(|part| is_script(part)), part(|part| part.len() == 2));
    let regional = region.map(|region| format!("{primary}-{region}"));
    let called = |name: &str| {
        CONTENTS.iter().find(|(of, own, _)| *of == name && script.is_none_or(|script| script == *own))
    };
    let found = regional.and_then(|name| called(&name)).or_else(|| called(primary));
    found.map_or("Contents", |(.., words)| words)
}

/// Whether a tag's part names a script.
fn is_script(part: &str) -> bool {
    part.len() == 4 && part.bytes().all(|byte| byte.is_ascii_alphabetic())
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
    parts.next_if(|part| is_script(part));
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
        assert!(
            is_right_to_left("he")
                && is_right_to_left("ar-EG")
                && is_right_to_left(" ar_EG")
                && is_right_to_left("az-Arab")
        );
        assert!(!is_right_to_left("en") && !is_right_to_left("ar-Latn"));
    }

    #[test]
    fn a_table_of_contents_is_called_as_in_other_books_of_the_language() {
        for (tag, called) in [
            ("de-AT", "Inhalt"),
            (" de_AT", "Inhalt"),
            ("ar", "المحتويات"),
            ("zh", "目录"),
            ("zh-Hant", "目錄"),
            ("zh-TW", "目錄"),
            ("zh-Hans-HK", "目录"),
            ("sr", "Садржај"),
            ("sr-Latn", "Sadržaj"),
            ("pt-BR", "Sumário"),
            ("pt-PT", "Índice"),
        ] {
            assert_eq!(contents(tag), called, "{tag}");
        }
        // Nor in letters that the book isn't in.
        for unknown in ["und", "", "ar-Latn", "zh-Latn", "xx"] {
            assert_eq!(contents(unknown), "Contents", "{unknown}");
        }
    }
}

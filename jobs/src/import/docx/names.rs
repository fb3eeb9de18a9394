//! The bookmarks that our own export makes, read back. See the head of `export::docx`.

/// The chapter's number (from 1) and the anchor of a heading: `c1_some-place__2` is `some-place_2` in the first chapter.
pub(super) fn anchor(bookmark: &str) -> Option<(usize, String)> {
    let (chapter, name) = bookmark.strip_prefix('c')?.split_once('_')?;
    Some((chapter.parse().ok()?, decoded(name)?))
}

/// The same of all bookmarks of a heading, of which the name may be too long for one: `h1_…`, then `p7_some-pl`, `p8_ace`.
pub(super) fn anchor_of(bookmarks: &[String]) -> Option<(usize, String)> {
    let place = bookmarks.iter().position(|name| anchor(name).is_some() || hashed(name).is_some())?;
    let Some(chapter) = hashed(&bookmarks[place]) else { return anchor(&bookmarks[place]) };
    let pieces = bookmarks[place + 1..].iter().map_while(|name| {
        let (number, piece) = name.strip_prefix('p')?.split_once('_')?;
        number.parse::<u32>().is_ok().then_some(piece)
    });
    let all: String = pieces.collect();
    if all.is_empty() { None } else { Some((chapter, decoded(&all)?)) }
}

/// The chapter of a name that stands for a long one.
fn hashed(bookmark: &str) -> Option<usize> {
    let (chapter, hash) = bookmark.strip_prefix('h')?.split_once('_')?;
    let is_hash = hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| chapter.parse().ok())?
}

/// The language of a code block: `code_7_rust`.
pub(super) fn language(bookmark: &str) -> Option<String> {
    let (number, name) = bookmark.strip_prefix("code_")?.split_once('_')?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then(|| decoded(name))?
}

fn decoded(name: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c != '_' {
            out.push(c);
            continue;
        }
        let next = rest.chars().next()?;
        rest = &rest[next.len_utf8()..];
        match next {
            '0' => {
                let (code, after) = rest.split_once('_')?;
                out.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
                rest = after;
            }
            '_' => out.push('_'),
            letter => out.extend(letter.to_uppercase()),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_bookmarks_are_read() {
        assert_eq!(anchor("c1_some-place__2"), Some((1, "some-place_2".into())));
        assert_eq!(anchor("c12__0c4__020__b"), Some((12, "Ä B".into())));
        assert_eq!(anchor("chapter_1"), None);
        assert_eq!(anchor("c1__0zz_"), None);
        let long = ["_Toc1", "h2_0123456789abcdef", "p7_some-pl", "p8_ace__2", "note_1"].map(str::to_owned);
        assert_eq!(anchor_of(&long), Some((2, "some-place_2".into())));
        assert_eq!(anchor_of(&long[..2]), None);
        assert_eq!(language("code_7__c_02b__02b_").as_deref(), Some("C++"));
        assert_eq!(language("code_x_c"), None);
    }
}

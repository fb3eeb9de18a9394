//! Names that Word accepts: bookmarks of letters, digits, `-` and `_`, at most 40 characters, unique whatever the case.

/// How long a bookmark's name may be.
const MOST_CHARACTERS: usize = 40;

/// Anchors longer than this are known by their hash alone.
const MOST_TOLD: usize = 1_000;

/// A chapter's bookmark.
pub(super) fn chapter(index: usize) -> String {
    format!("chapter_{}", index + 1)
}

/// The bookmark around a note's first reference.
pub(super) fn note(number: u32) -> String {
    format!("note_{number}")
}

/// A heading's bookmark; the way back from it is told in the module's head. Long anchors are known by their hash.
pub(super) fn anchor(chapter: usize, anchor: &str) -> String {
    let name = format!("c{}_{}", chapter + 1, encoded(anchor));
    if name.len() <= MOST_CHARACTERS {
        return name;
    }
    // FNV-1a: the same in every process.
    let hash = anchor.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("h{}_{hash:016x}", chapter + 1)
}

/// What tells an anchor that its bookmark's name has no room for: pieces of it, to be put behind [`piece`]'s beginning.
pub(super) fn rest(chapter: usize, name: &str) -> String {
    let encoded = encoded(name);
    let has_room = format!("c{}_", chapter + 1).len() + encoded.len() <= MOST_CHARACTERS;
    if has_room || encoded.len() > MOST_TOLD { String::new() } else { encoded }
}

/// The bookmark with the next piece of what [`rest`] gave; the piece is gone from it then.
pub(super) fn piece(id: u32, rest: &mut String) -> String {
    let mut name = format!("p{id}_");
    let end = rest.len().min(MOST_CHARACTERS - name.len());
    name.extend(rest.drain(..end));
    name
}

/// The bookmark that tells a code block's language, or `None` where the name would be too long.
pub(super) fn code(id: u32, language: &str) -> Option<String> {
    let name = format!("code_{id}_{}", encoded(language));
    (name.len() <= MOST_CHARACTERS).then_some(name)
}

fn encoded(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 8);
    for c in name.chars() {
        match c {
            'a'..='z' | '0'..='9' | '-' => out.push(c),
            '_' => out.push_str("__"),
            'A'..='Z' => out.extend(['_', c.to_ascii_lowercase()]),
            other => out.push_str(&format!("_0{:x}_", u32::from(other))),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bookmarks_are_legal_and_differ_whatever_the_case() {
        assert_eq!(anchor(0, "some-place_2"), "c1_some-place__2");
        assert_eq!(anchor(11, "Ä B"), "c12__0c4__020__b");
        assert_ne!(anchor(0, "Place").to_lowercase(), anchor(0, "place"));
        let long = "a".repeat(38);
        assert_eq!(anchor(0, &long[..37]).len(), 40);
        assert!(anchor(0, &long).starts_with("h1_") && anchor(0, &long).len() == 19);
        let (mut rest, mut told) = (rest(0, &format!("{long}-and-{long}")), String::new());
        for id in [9, 10, 11] {
            let name = piece(id, &mut rest);
            assert!(name.len() <= 40);
            told.push_str(name.split_once('_').unwrap().1);
        }
        assert_eq!((rest.as_str(), told), ("", format!("{long}-and-{long}")));
        assert_eq!(super::rest(0, "short") + &super::rest(0, &"a".repeat(1_001)), "");
        assert_eq!(code(7, "C++").as_deref(), Some("code_7__c_02b__02b_"));
        assert_eq!(code(7, &long), None);
    }
}

//! Names made from titles: of chapter files, of pictures, of anchors. What comes out is always a
//! [`FileName`] and needs no escaping in a Markdown link.

use std::collections::{HashMap, HashSet};

use presswork::domain::FileName;
use unicode_normalization::UnicodeNormalization as _;

/// The file name of a chapter: `0001-the-beginning.md`. `index` counts from 0.
pub fn chapter_name(index: usize, title: &str) -> String {
    let slug = slug(title, 40);
    let slug = if slug.is_empty() { "chapter" } else { &slug };
    let name = format!("{:04}-{slug}.md", index + 1);
    if name.parse::<FileName>().is_ok() { name } else { format!("{:04}-chapter.md", index + 1) }
}

/// A picture's file name from the source's: `My Pic.JPEG` of type `image/jpeg` is `my-pic.jpg`.
pub fn picture_name(source: &str, media_type: &str) -> String {
    let file = source.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let stem = slug(stem, 60);
    let stem = if stem.is_empty() { "picture" } else { &stem };
    let extension = extension(media_type);
    let name = format!("{stem}.{extension}");
    if name.parse::<FileName>().is_ok() { name } else { format!("picture-{stem}.{extension}") }
}

/// The usual extension of a picture's media type.
fn extension(media_type: &str) -> &'static str {
    match media_type {
        "image/png" => "png",
        "image/jpeg" => "jpg",
        "image/gif" => "gif",
        "image/webp" => "webp",
        _ => "svg",
    }
}

/// Letters and digits of any script in lower case, Latin ones without their accents, all else as single hyphens; at
/// most `most` characters.
pub fn slug(text: &str, most: usize) -> String {
    let mut slug = String::new();
    let mut gap = false;
    // Bounded before it is normalised; a title may be a whole paragraph.
    for c in text.chars().take(most * 4).nfkd().flat_map(char::to_lowercase) {
        if matches!(c, '\u{300}'..='\u{36f}' | '\'' | '’') {
            continue;
        }
        // The voicing marks of kana were taken apart too, but mean another letter.
        let voiced = matches!(c, '\u{3099}' | '\u{309a}') && !gap && !slug.is_empty();
        if c.is_alphanumeric() || voiced {
            if gap && !slug.is_empty() {
                slug.push('-');
            }
            gap = false;
            slug.push(c);
        } else {
            gap = true;
        }
    }
    // Composed again: Hangul and kana were taken apart with the accents.
    slug.nfc().take(most).collect::<String>().trim_end_matches('-').to_owned()
}

/// The anchor that Markdown tools give a heading by its text: `The *End*, again` is `the-end-again`.
pub fn heading_anchor(text: &str) -> String {
    let mut anchor = String::new();
    for c in text.chars().take(200).flat_map(char::to_lowercase) {
        match c {
            ' ' => anchor.push('-'),
            '-' | '_' => anchor.push(c),
            c if c.is_alphanumeric() => anchor.push(c),
            _ => {}
        }
    }
    anchor
}

/// Names that are told apart even where case is not.
#[derive(Clone, Debug, Default)]
pub struct UniqueNames(Numbered);

impl UniqueNames {
    /// The name, or where it is taken a numbered one: `cover.png`, `cover-2.png`.
    pub fn add(&mut self, name: &str) -> String {
        let (stem, extension) = match name.rsplit_once('.') {
            Some((stem, extension)) => (stem, format!(".{extension}")),
            None => (name, String::new()),
        };
        let number =
            self.0.add(&name.to_lowercase(), |number| format!("{stem}-{number}{extension}").to_lowercase());
        number.map_or_else(|| name.to_owned(), |number| format!("{stem}-{number}{extension}"))
    }
}

/// The anchors of a chapter.
#[derive(Clone, Debug, Default)]
pub struct UniqueAnchors(Numbered);

impl UniqueAnchors {
    /// Whether the anchor is taken.
    pub fn has(&self, anchor: &str) -> bool {
        self.0.taken.contains(anchor)
    }

    /// The anchor, or where it is taken a numbered one: `the-end-2`. `None` for an empty one.
    pub fn add(&mut self, anchor: &str) -> Option<String> {
        if anchor.is_empty() {
            return None;
        }
        let number = self.0.add(anchor, |number| format!("{anchor}-{number}"));
        Some(number.map_or_else(|| anchor.to_owned(), |number| format!("{anchor}-{number}")))
    }
}

/// What is taken, and where the count stands for what was asked for again: counting from the start each time would
/// take a book of a hundred thousand equal anchors minutes.
#[derive(Clone, Debug, Default)]
struct Numbered {
    taken: HashSet<String>,
    next: HashMap<String, u32>,
}

impl Numbered {
    /// Takes the name, or else the first free one of those with a number; answers the number.
    fn add(&mut self, name: &str, numbered: impl Fn(u32) -> String) -> Option<u32> {
        if self.taken.insert(name.to_owned()) {
            return None;
        }
        let next = self.next.entry(name.to_owned()).or_insert(2);
        loop {
            let number = *next;
            *next += 1;
            if self.taken.insert(numbered(number)) {
                return Some(number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_become_names() {
        assert_eq!(chapter_name(0, "The Beginning!"), "0001-the-beginning.md");
        assert_eq!(chapter_name(11, "Élan & Œuvre — d’été"), "0012-elan-œuvre-dete.md");
        assert_eq!(chapter_name(2, "第三章 がく"), "0003-第三章-がく.md");
        assert_eq!(chapter_name(3, "***"), "0004-chapter.md");
        assert_eq!(picture_name("../a/My Pic.JPEG", "image/jpeg"), "my-pic.jpg");
        assert_eq!(picture_name("nul.png", "image/png"), "picture-nul.png");
        assert_eq!(heading_anchor("The End, again"), "the-end-again");
    }

    #[test]
    fn taken_names_are_numbered_whatever_their_case() {
        let mut names = UniqueNames::default();
        assert_eq!(names.add("a.png"), "a.png");
        assert_eq!(names.add("A.png"), "A-2.png");
        assert_eq!(names.add("a.png"), "a-3.png");
    }

    #[test]
    fn a_hundred_thousand_equal_anchors_are_numbered_in_one_go() {
        let mut anchors = UniqueAnchors::default();
        assert_eq!(anchors.add("x-3"), Some("x-3".into()));
        let last = (0..100_000).filter_map(|_| anchors.add("x")).last();
        assert_eq!(last.as_deref(), Some("x-100001"));
        assert_eq!(anchors.add(""), None);
    }

    #[test]
    fn any_title_makes_a_legal_name() {
        for title in ["", "..", "con", "\u{202e}x", "a/b\\c", &"é".repeat(500), "\u{0}"] {
            for name in [chapter_name(0, title), picture_name(title, "image/png")] {
                assert!(name.parse::<FileName>().is_ok(), "{name:?}");
            }
        }
    }
}

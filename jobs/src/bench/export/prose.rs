//! New words for old sentences. A text that is merely repeated compresses thirty times smaller than prose does, and five
//! times as fast; a baseline of such bytes says nothing. So each copy of a chapter gets other words, of the handbook's own, as
//! often as they come up there. Must not know: what a chapter is.

use presswork::domain::Random;

/// The words of a text, each as often as it comes up.
pub(super) struct Words(Vec<String>);

impl Words {
    /// Those of some texts' paragraphs.
    pub(super) fn of<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let lines = texts.flat_map(plain_lines).filter(|(_, is_plain)| *is_plain);
        Self(
            lines
                .flat_map(|(line, _)| line.split(|c: char| !is_letter(c)))
                .filter(|word| is_word(word))
                .map(str::to_owned)
                .collect(),
        )
    }

    /// The text with other words in its paragraphs; what has a meaning in Markdown stays.
    pub(super) fn exchanged(&self, text: &str, random: &dyn Random) -> String {
        let mut out = String::with_capacity(text.len() + text.len() / 8);
        for (line, is_plain) in plain_lines(text) {
            if is_plain {
                self.exchange(line, random, &mut out);
            } else {
                out.push_str(line);
            }
            out.push('\n');
        }
        out
    }

    fn exchange(&self, line: &str, random: &dyn Random, out: &mut String) {
        let mut rest = line;
        while !rest.is_empty() {
            let letters = rest.find(|c| !is_letter(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(letters);
            let other = is_word(word).then(|| random.below(self.0.len() as u64));
            let other = other.and_then(|place| self.0.get(usize::try_from(place).ok()?));
            out.push_str(other.map_or(word, String::as_str));
            let others = after.find(is_letter).unwrap_or(after.len());
            out.push_str(&after[..others]);
            rest = &after[others..];
        }
    }
}

fn is_letter(c: char) -> bool {
    c.is_ascii_alphabetic()
}

fn is_word(word: &str) -> bool {
    word.len() > 2
}

/// The lines of a text, and whether each is without markup that other words could spoil.
fn plain_lines(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut is_code = false;
    text.lines().map(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        // Anchors are made of headings.
        let begins_plainly = !line.starts_with('#');
        let is_plain = begins_plainly && !is_code && !is_fence && !line.contains(MARKUP);
        (line, is_plain)
    })
}

/// What other words could spoil: links, code, tags, tables.
const MARKUP: [char; 12] = ['[', ']', '<', '>', '`', '_', '&', '|', '\\', '~', '{', '}'];

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::ZlibEncoder};
    use presswork::domain::SeededRandom;

    use super::*;
    use crate::handbook;

    #[test]
    fn markup_stays_and_the_same_seed_gives_the_same_words() {
        let text = "# A title\n\nSome words, and more of them.\n\n```rust\nSome code of mine\n```\n\n- A list [here](there).\nA `mark`.";
        let words = Words::of([text].into_iter());
        let exchanged = |seed| words.exchanged(text, &SeededRandom::new(seed));
        assert_eq!(exchanged(7), exchanged(7));
        assert_ne!(exchanged(7), exchanged(8));
        let stays: Vec<_> = text.lines().filter(|line| !line.starts_with("Some words")).collect();
        let kept: Vec<String> = exchanged(7).lines().map(str::to_owned).collect();
        assert!(stays.iter().all(|line| kept.iter().any(|kept| kept == line)), "{kept:?}");
        assert_eq!(kept.len(), text.lines().count());
    }

    #[test]
    fn copies_of_the_handbook_compress_like_prose() {
        let texts: Vec<&str> = handbook::FILES
            .iter()
            .filter(|(name, _)| name.ends_with(".md"))
            .map(|(_, bytes)| std::str::from_utf8(bytes).unwrap())
            .collect();
        let (words, random) = (Words::of(texts.iter().copied()), SeededRandom::new(1));
        let (mut plain, mut packed) = (0, ZlibEncoder::new(Vec::new(), Compression::new(6)));
        for _ in 0..3 {
            for text in &texts {
                let copy = words.exchanged(text, &random);
                plain += copy.len();
                packed.write_all(copy.as_bytes()).unwrap();
            }
        }
        let ratio = plain as f64 / packed.finish().unwrap().len() as f64;
        assert!((2.0..4.0).contains(&ratio), "{ratio}");
    }
}

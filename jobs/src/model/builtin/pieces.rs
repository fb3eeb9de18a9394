//! Pieces of words, which the model reads and writes. Owns: [`Pieces`].

use std::collections::HashMap;

/// A piece, by its place in the vocabulary.
pub(super) type Piece = u16;

/// All pieces.
pub(super) struct Pieces {
    texts: Vec<&'static str>,
    places: HashMap<&'static str, Piece>,
    longest: usize,
    /// The end of a paragraph.
    pub(super) end: Piece,
}

impl Pieces {
    pub(super) fn new(texts: Vec<&'static str>) -> Option<Self> {
        let places =
            texts.iter().enumerate().map(|(place, text)| Some((*text, Piece::try_from(place).ok()?)));
        let places: HashMap<_, _> = places.collect::<Option<_>>()?;
        let end = *places.get("\n")?;
        let longest = texts.iter().map(|text| text.len()).max()?;
        Some(Self { texts, places, longest, end })
    }

    /// A piece's text.
    pub(super) fn text(&self, piece: Piece) -> &'static str {
        self.texts.get(usize::from(piece)).copied().unwrap_or_default()
    }

    /// All of them, in order.
    pub(super) fn texts(&self) -> &[&'static str] {
        &self.texts
    }

    /// A text in pieces, each the longest that fits into its word. Letters and signs that the model has never seen are left
    /// out.
    pub(super) fn of(&self, text: &str) -> Vec<Piece> {
        let text = plain(text);
        let mut pieces = Vec::new();
        let mut rest = &*text;
        while !rest.is_empty() {
            let (word, after) = rest.split_at(word_length(rest));
            rest = after;
            self.cut(word, &mut pieces);
        }
        pieces
    }

    fn cut(&self, mut word: &str, pieces: &mut Vec<Piece>) {
        while let Some(first) = word.chars().next() {
            let longest = word.floor_char_boundary(self.longest);
            let fitting = (1..=longest).rev().filter(|end| word.is_char_boundary(*end));
            let found = fitting.filter_map(|end| Some((end, *self.places.get(&word[..end])?))).next();
            pieces.extend(found.map(|(_, piece)| piece));
            word = &word[found.map_or(first.len_utf8(), |(end, _)| end)..];
        }
    }
}

/// How long the first word is: letters, a digit or a sign, with a space before it.
fn word_length(text: &str) -> usize {
    let space = usize::from(text.starts_with(' '));
    let rest = &text[space..];
    let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
    match rest.chars().next() {
        _ if letters > 0 => space + letters,
        None | Some(' ') => 1,
        Some('\n') if space == 1 => 1,
        Some(sign) => space + sign.len_utf8(),
    }
}

/// The text in the letters that the model knows, white space as one space, or one end of a paragraph where lines end.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut gap = "";
    for letter in text.chars() {
        let letter = match letter {
            '“' | '”' | '„' | '«' | '»' => '"',
            '‘' | '’' => '\'',
            '–' => '—',
            '\n' => {
                gap = "\n";
                continue;
            }
            _ if letter.is_whitespace() => {
                gap = if gap.is_empty() { " " } else { gap };
                continue;
            }
            _ if letter.is_control() => continue,
            _ => letter,
        };
        if !plain.is_empty() {
            plain.push_str(gap);
        }
        gap = "";
        plain.push(letter);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::super::weights::Weights;

    fn there_and_back(text: &str) -> String {
        let pieces = &Weights::built_in().unwrap().pieces;
        pieces.of(text).into_iter().map(|piece| pieces.text(piece)).collect()
    }

    #[test]
    fn a_text_of_known_letters_comes_back_as_it_was() {
        for text in ["She had a \"mind\", Mr. Darcy; and—more: (two)!\nIt's done.", "a", " "] {
            assert_eq!(there_and_back(text), text.trim());
        }
        assert_eq!(there_and_back("“one”  \t two\r\n\n \nthree"), "\"one\" two\nthree");
    }

    #[test]
    fn what_the_model_has_never_seen_is_left_out_whatever_it_is() {
        for nothing in ["", "日本語", "\u{0}\u{1b}\u{7f}\u{202e}", "🎭🎭", "\n \u{feff}\n"] {
            assert_eq!(there_and_back(nothing).trim(), "", "{nothing:?}");
        }
        assert_eq!(there_and_back("Größe\u{0}x 本"), "Grex ");
    }
}

//! How many words a text has, in any script.

/// Counts words as text comes, piece by piece.
#[derive(Clone, Copy, Debug, Default)]
pub struct WordCount {
    words: u64,
    in_word: bool,
}

impl WordCount {
    /// How many words a whole text has.
    pub fn of(text: &str) -> u64 {
        let mut count = Self::default();
        count.add(text);
        count.words
    }

    /// Counts on.
    pub fn add(&mut self, text: &str) {
        for c in text.chars() {
            // Scripts without spaces: each character a word.
            let alone =
                matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}');
            let part = c.is_alphanumeric();
            self.words += u64::from(alone || (part && !self.in_word));
            self.in_word = (part || (self.in_word && matches!(c, '\'' | '’' | '-'))) && !alone;
        }
    }

    /// The next text is another word, whatever it begins with.
    pub fn part(&mut self) {
        self.in_word = false;
    }

    /// How many there were.
    pub fn words(self) -> u64 {
        self.words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_in_any_script_and_over_pieces() {
        assert_eq!(WordCount::of("It's a well-known fact: 3 «mots», ok?"), 7);
        assert_eq!(WordCount::of("本を読む"), 4);
        let mut count = WordCount::default();
        count.add("some");
        count.add("thing");
        count.part();
        count.add("else");
        assert_eq!(count.words(), 2);
    }
}

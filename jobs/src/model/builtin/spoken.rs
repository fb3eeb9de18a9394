//! What the pieces say. Owns: [`Spoken`], which gives the text out word by word, with the request's names, and ends it before
//! what the request wants to stop at.

use super::names::Names;

/// A text on its way out.
pub(super) struct Spoken {
    names: Names,
    stops: Vec<String>,
    /// A word that may go on.
    word: String,
    /// What may be the beginning of something to stop at.
    held: String,
    is_over: bool,
}

impl Spoken {
    pub(super) fn new(names: Names, stops: Vec<String>) -> Self {
        Self { names, stops, word: String::new(), held: String::new(), is_over: false }
    }

    /// Takes a piece, and gives what can be said now.
    pub(super) fn hear(&mut self, piece: &str) -> String {
        for letter in piece.chars() {
            if letter.is_ascii_alphabetic() {
                self.word.push(letter);
                continue;
            }
            self.end_word();
            match letter {
                // Paragraphs stand apart by an empty line.
                '\n' => self.held.push_str("\n\n"),
                letter => self.held.push(letter),
            }
        }
        self.let_go(false)
    }

    /// What is left at the end.
    pub(super) fn finish(&mut self) -> String {
        self.end_word();
        self.let_go(true)
    }

    /// Whether it has come to what it was to stop at: nothing more is said.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    fn end_word(&mut self) {
        self.held.push_str(self.names.say(&self.word));
        self.word.clear();
    }

    fn let_go(&mut self, everything: bool) -> String {
        if self.is_over {
            return String::new();
        }
        let found = self.stops.iter().filter_map(|stop| self.held.find(&**stop)).min();
        if let Some(found) = found {
            self.is_over = true;
            self.held.truncate(found);
            return std::mem::take(&mut self.held);
        }
        let kept = if everything {
            0
        } else {
            self.stops.iter().map(|stop| begun(&self.held, stop)).max().unwrap_or(0)
        };
        let rest = self.held.split_off(self.held.len() - kept);
        std::mem::replace(&mut self.held, rest)
    }
}

/// How much of the end of a text may be the beginning of another.
fn begun(text: &str, stop: &str) -> usize {
    let longest = stop.len().min(text.len());
    (1..=longest)
        .rev()
        .find(|length| stop.is_char_boundary(*length) && text.ends_with(&stop[..*length]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pieces: &[&str], stops: &[&str]) -> (Vec<String>, String, bool) {
        let mut spoken =
            Spoken::new(Names::of("of Ada"), stops.iter().map(|stop| (*stop).to_owned()).collect());
        let said = pieces.iter().map(|piece| spoken.hear(piece)).collect();
        (said, spoken.finish(), spoken.is_over())
    }

    #[test]
    fn words_are_said_once_they_are_whole_and_with_the_requests_names() {
        let (pieces, rest, over) = said(&["Em", "ma", " was", "\n", "H", "er"], &[]);
        assert_eq!(
            (pieces, rest, over),
            (["", "", "Ada ", "was\n\n", "", ""].map(str::to_owned).into(), "Her".to_owned(), false,)
        );
    }

    #[test]
    fn nothing_is_said_from_what_it_stops_at_however_it_comes() {
        for (stops, whole) in [
            (&["was"][..], "Ada "),
            (&["\n"], "Ada was."),
            (&["\n\nHer"], "Ada was."),
            (&["zz", "s."], "Ada wa"),
            (&["er", "her"], "Ada was.\n\nH"),
            (&["Ada"], ""),
            (&["Emma"], "Ada was.\n\nHer"),
            (&["was. "], "Ada was.\n\nHer"),
        ] {
            let (pieces, rest, over) = said(&["Em", "ma", " was", ".", "\n", "H", "er"], stops);
            assert_eq!(pieces.concat() + &rest, whole, "{stops:?}");
            assert_eq!(over, !whole.ends_with("Her"), "{stops:?}");
        }
    }
}

//! Whom the text is about. Owns: [`Names`], which puts the people of the request in the place of those whom the model knows.
//!
//! The model has learned from seven novels, and knows no people but theirs. Its text says their names; what is given out says
//! those of the request, as far as it has any: the first that comes up is the first that the request names. Given names and
//! surnames apart.

use std::collections::{BTreeMap, BTreeSet};

/// The people of the novels, by given names.
const GIVEN: &str = "
    Anna Anne Augusta Betsey Catherine Charles Charlotte Edmund Edward Eleanor Elinor Eliza Elizabeth Emma
    Fanny Frank Frederick George Georgiana Harriet Henrietta Henry Isabella Ishmael James Jane John Julia Kitty
    Lizzy Louisa Lucy Lydia Margaret Maria Marianne Mary Nancy Peter Pip Queequeg Richard Robert Sophia Susan
    Thomas Tom Walter William";

/// By surnames, or by the only name that they have.
const SURNAMES: &str = "
    Ahab Allen Bates Bennet Benwick Bertram Bildad Bingley Bourgh Brandon Campbell Campbells Churchill Cole
    Collins Crawford Croft Daggoo Dalrymple Darcy Dashwood Dashwoods Dixon Elliot Elton Eltons Fairfax Fedallah
    Ferrars Fitzwilliam Flask Forster Gardiner Goddard Grant Harville Hayter Hughes Hurst Jennings Knightley
    Larkins Lucas Maple Martin Middleton Morland Musgrove Musgroves Norris Palmer Peleg Perry Phillips Price
    Rushworth Russell Shepherd Smith Starbuck Steele Steelkilt Stubb Tashtego Taylor Thorpe Tilney Wallis
    Wentworth Weston Westons Wickham Williams Willoughby Woodhouse Yates";

/// Words with a capital that name nobody; the novels have many.
const OTHERS: &str = "
    Admiral American April August Bath Captain Christian Christmas Colonel December Doctor Dr England English February French Friday
    German God Heaven House India Indian January July June King Lady Latin Leviathan London Lord Lyme Madam March
    Markdown May Miss Mister Monday Mr Mrs Nantucket November October Pacific Park Pequod Queen Right Saturday September Sir
    Spanish Sperm St Street Sunday Thursday Tuesday Wednesday Whale White Ye Your";

/// So many of the request's people are taken in.
const MOST: usize = 16;
/// So much of the request is looked through for them.
const LOOKED_THROUGH: usize = 65_536;
/// Names of people are not longer.
const LONGEST: usize = 24;

/// Who stands for whom.
pub(super) struct Names {
    given: Line,
    surnames: Line,
}

/// People who wait to be named.
struct Line {
    new: Vec<String>,
    /// Who has been named already, and by whom.
    known: BTreeMap<&'static str, usize>,
}

impl Names {
    /// Those of a request.
    pub(super) fn of(text: &str) -> Self {
        let people = people(&text[..text.floor_char_boundary(LOOKED_THROUGH)]);
        let (whole, single): (Vec<_>, Vec<_>) = people.into_iter().partition(|name| name.len() > 1);
        let (mut given, mut surnames): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        // Who has one name only is called by it in every way.
        for name in whole.into_iter().chain(single) {
            let [first, .., last] = *name else {
                let known =
                    [&given, &surnames].iter().any(|names| names.iter().any(|known| known == name[0]));
                if !known {
                    add(&mut given, name[0]);
                    add(&mut surnames, name[0]);
                }
                continue;
            };
            add(&mut given, first);
            add(&mut surnames, last);
        }
        Self { given: Line::new(given), surnames: Line::new(surnames) }
    }

    /// What to say for a word.
    pub(super) fn say<'a>(&'a mut self, word: &'a str) -> &'a str {
        let place = |list: &'static str| list.split_whitespace().find(|name| *name == word);
        if let Some(name) = place(GIVEN) {
            return self.given.say(name);
        }
        match place(SURNAMES) {
            Some(name) => self.surnames.say(name),
            None => word,
        }
    }
}

fn add(names: &mut Vec<String>, name: &str) {
    if names.len() < MOST && !names.iter().any(|known| known == name) {
        names.push(name.to_owned());
    }
}

impl Line {
    fn new(new: Vec<String>) -> Self {
        Self { new, known: BTreeMap::new() }
    }

    fn say(&mut self, name: &'static str) -> &str {
        if self.new.is_empty() {
            return name;
        }
        let next = self.known.len() % self.new.len();
        &self.new[*self.known.entry(name).or_insert(next)]
    }
}

/// Names in a text: words with a capital within a sentence or at the head of a list's item, that never stand without it and are
/// in no quotation, which is a title as often; two and more together are one name.
fn people(text: &str) -> Vec<Vec<&str>> {
    let mut people: Vec<Vec<&str>> = Vec::new();
    let mut name: Vec<&str> = Vec::new();
    // A word that begins a sentence has a capital anyway.
    let (mut begins, mut is_quoted) = (true, false);
    let mut at = 0;
    while let Some(from) = text[at..].find(char::is_alphabetic).map(|found| at + found) {
        let between = &text[at..from];
        for sign in between.chars() {
            is_quoted = match sign {
                '"' => !is_quoted,
                '“' => true,
                '”' | '\n' => false,
                _ => is_quoted,
            };
        }
        begins |= between.contains(['.', '!', '?', '\n', ':', '#', '"', '“']);
        begins &= !between.ends_with("\n- ");
        if between != " " {
            people.extend((!name.is_empty()).then(|| std::mem::take(&mut name)));
        }
        let length =
            text[from..].find(|letter: char| !letter.is_alphabetic() && letter != '\'' && letter != '’');
        at = length.map_or(text.len(), |length| from + length);
        let word = text[from..at].trim_end_matches("'s").trim_end_matches("’s").trim_end_matches(['\'', '’']);
        if !begins && !is_quoted && is_name(word) {
            name.push(word);
        } else {
            people.extend((!name.is_empty()).then(|| std::mem::take(&mut name)));
        }
        begins = false;
    }
    people.extend((!name.is_empty()).then_some(name));
    let lower: BTreeSet<&str> =
        text.split(|letter: char| !letter.is_alphabetic()).filter(|word| !is_name(word)).collect();
    people.retain(|name| name.iter().all(|word| !lower.contains(&*word.to_lowercase())));
    people
}

fn is_name(word: &str) -> bool {
    let mut letters = word.chars();
    let capital = letters.next().is_some_and(char::is_uppercase);
    let rest = letters.as_str();
    let is_shaped = capital && rest.chars().count() >= 2 && rest.chars().all(char::is_lowercase);
    is_shaped && word.len() <= LONGEST && !OTHERS.split_whitespace().any(|other| other == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_people_of_the_request_stand_in_for_those_of_the_novels() {
        let mut names = Names::of(
            "Write about a keeper, Ada Lovelace, and her dog Rex. Ada Lovelace is old.\nRex is not.",
        );
        for (word, said) in [
            ("Emma", "Ada"),
            ("Darcy", "Lovelace"),
            ("Fanny", "Rex"),
            ("Emma", "Ada"),
            ("Jane", "Ada"),
            ("Ahab", "Rex"),
            ("house", "house"),
            ("London", "London"),
        ] {
            assert_eq!(names.say(word), said, "{word}");
        }
        assert_eq!(Names::of("a story of nobody. The Nobody.").say("Emma"), "Emma");
    }

    #[test]
    fn names_are_told_from_words_that_only_begin_a_sentence() {
        for (text, found) in [
            ("Write a chapter about Ada.", vec![vec!["Ada"]]),
            ("The Chapter: a chapter of Ada Byron’s life", vec![vec!["Ada", "Byron"]]),
            ("Ask JSON of a NASA man, or I am lost", vec![]),
            ("with Ægir, Émile and Ödön", vec![vec!["Ægir"], vec!["Émile"], vec!["Ödön"]]),
            ("", vec![]),
            ("a Very-Long Name", vec![vec!["Very"], vec!["Long", "Name"]]),
            (
                "the book \"On Two Roofs\" by Ada\nCast:\n- Tom Sand, thief\n- Eve.",
                vec![vec!["Ada"], vec!["Tom", "Sand"], vec!["Eve"]],
            ),
            ("in May Captain Nemo went to London with Miss Aronnax", vec![vec!["Nemo"], vec!["Aronnax"]]),
        ] {
            let words: Vec<Vec<&str>> = people(text);
            assert_eq!(words, found, "{text}");
        }
        let endless = format!("to A{}", "b".repeat(1_000));
        assert!(people(&endless).is_empty());
    }
}

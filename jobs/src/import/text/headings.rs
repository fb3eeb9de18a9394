//! What a line looks like when it is a heading. Whether it is one, [`plan`](super::plan) decides from all of them.

/// A sort of heading; a book keeps to one or two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Sort {
    /// `CHAPTER I.`, `Kapitel 3: Der Weg`.
    Chapter,
    /// `PART TWO`, `Book III`: above chapters.
    Part,
    /// `第三章`.
    Cjk,
    /// `Prologue`, `EPILOGUE`: beside chapters, without a number.
    Named,
    /// `1.`, `IV`, `3. The Title`.
    Number,
    /// `THE DUEL` between blank lines.
    Capitals,
    /// What the text's owner says.
    Said,
}

const CHAPTERS: [&str; 16] = [
    "chapter",
    "kapitel",
    "chapitre",
    "capítulo",
    "capitulo",
    "capitolo",
    "hoofdstuk",
    "rozdział",
    "глава",
    "luku",
    "letter",
    "stave",
    "canto",
    "scene",
    "adventure",
    "lesson",
];
const PARTS: [&str; 11] =
    ["part", "book", "volume", "teil", "buch", "partie", "livre", "parte", "libro", "act", "section"];
const NAMED: [&str; 14] = [
    "prologue",
    "epilogue",
    "preface",
    "foreword",
    "introduction",
    "afterword",
    "conclusion",
    "appendix",
    "prolog",
    "epilog",
    "vorwort",
    "nachwort",
    "einleitung",
    "dedication",
];

/// What the line would be as a heading, with its number (0 without one).
pub(super) fn sort_of(line: &str) -> Option<(Sort, u32)> {
    let text = line.trim();
    let count = text.chars().take(81).count();
    if count == 0 || count > 80 {
        return None;
    }
    if let Some(number) = cjk(text) {
        return Some((Sort::Cjk, number));
    }
    let mut words = text.split_whitespace();
    let first = words.next()?;
    let keyword = first.trim_end_matches(['.', ':']).to_lowercase();
    let of = |list: &[&str]| list.contains(&keyword.as_str());
    if of(&CHAPTERS) || of(&PARTS) {
        let word = words.next().map(|word| word.trim_end_matches(['.', ':', ',', '—', '-', ']']));
        if let Some(number) = word.and_then(number) {
            return Some((if of(&CHAPTERS) { Sort::Chapter } else { Sort::Part }, number));
        }
    }
    if of(&NAMED) && words.next().is_none() {
        return Some((Sort::Named, 0));
    }
    let bare = first.trim_end_matches(['.', ')', ':']);
    let rest = text[first.len()..].trim();
    let marked = bare.len() < first.len();
    if let Some(number) = roman(bare).or_else(|| digits(bare))
        && (rest.is_empty() || (marked && rest.chars().count() <= 60 && !rest.ends_with(['.', ',', ';'])))
    {
        return Some((Sort::Number, number));
    }
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    let capitals = letters >= 4 && count <= 60 && !text.chars().any(char::is_lowercase);
    // A number that no one would write is no title either.
    let cased = text.chars().any(|c| c.is_uppercase() && !"IVXLCDM".contains(c));
    (capitals && cased && !text.ends_with([',', ';'])).then_some((Sort::Capitals, 0))
}

/// The number of `第三章 …`, `第12話`.
fn cjk(text: &str) -> Option<u32> {
    let rest = text.strip_prefix('第')?;
    let end = rest.find(['章', '回', '話', '话', '節', '节', '卷', '巻', '部', '幕', '篇'])?;
    cjk_number(rest[..end].trim())
}

fn cjk_number(text: &str) -> Option<u32> {
    if text.is_empty() || text.chars().count() > 8 {
        return None;
    }
    let (mut total, mut digit) = (0_u32, 0_u32);
    for c in text.chars() {
        let wide = u32::from(c).checked_sub(0xff10).filter(|d| *d < 10);
        if let Some(value) = c.to_digit(10).or(wide) {
            digit = digit.checked_mul(10)?.checked_add(value)?;
            continue;
        }
        match "〇一二三四五六七八九".chars().position(|one| one == c) {
            Some(value) => digit = value as u32,
            None => {
                let unit = match c {
                    '十' => 10,
                    '百' => 100,
                    '千' => 1000,
                    _ => return None,
                };
                total += digit.max(1).checked_mul(unit)?;
                digit = 0;
            }
        }
    }
    total.checked_add(digit)
}

/// A number in figures, Roman figures or English words.
fn number(word: &str) -> Option<u32> {
    const WORDS: [&str; 21] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
        "twenty",
    ];
    const ORDINALS: [&str; 11] =
        ["", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"];
    const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    let lower = word.to_lowercase();
    let position = |list: &[&str], word: &str| list.iter().position(|w| *w == word).map(|p| p as u32);
    let composed = || {
        let (tens, ones) = lower.split_once('-').unwrap_or((&lower, ""));
        let ones = if ones.is_empty() { Some(0) } else { position(&WORDS[..10], ones) };
        Some((position(&TENS, tens)? + 2) * 10 + ones?)
    };
    digits(word)
        .or_else(|| roman(word))
        .or_else(|| position(&WORDS, &lower))
        .or_else(|| position(&ORDINALS, &lower).filter(|n| *n > 0))
        .or_else(composed)
}

fn digits(word: &str) -> Option<u32> {
    (!word.is_empty() && word.len() <= 4 && word.bytes().all(|b| b.is_ascii_digit()))
        .then(|| word.parse().ok())
        .flatten()
}

/// A Roman number of one case, written as it should be: `IX`, not `IIII`.
pub(super) fn roman(word: &str) -> Option<u32> {
    if word.is_empty() || word.len() > 9 {
        return None;
    }
    let upper = word.to_ascii_uppercase();
    if word != upper && word != word.to_ascii_lowercase() {
        return None;
    }
    let value = |c| Some([1, 5, 10, 50, 100, 500, 1000][b"IVXLCDM".iter().position(|one| *one == c)?]);
    let values = upper.bytes().map(value).collect::<Option<Vec<u32>>>()?;
    let total = roman_value(&values)?;
    (total > 0 && as_roman(total) == upper).then_some(total)
}

fn roman_value(values: &[u32]) -> Option<u32> {
    let mut total = 0_i64;
    for (place, value) in values.iter().enumerate() {
        let less = values.get(place + 1).is_some_and(|next| next > value);
        total += if less { -i64::from(*value) } else { i64::from(*value) };
    }
    u32::try_from(total).ok()
}

fn as_roman(mut number: u32) -> String {
    const PARTS: [(u32, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let mut text = String::new();
    for (value, part) in PARTS {
        while number >= value {
            text.push_str(part);
            number -= value;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_known_by_their_looks() {
        for (line, sort, number) in [
            ("CHAPTER I.", Sort::Chapter, 1),
            ("Chapter 12: The Title", Sort::Chapter, 12),
            ("Chapter Twenty-One", Sort::Chapter, 21),
            ("Kapitel 3", Sort::Chapter, 3),
            ("PART TWO", Sort::Part, 2),
            ("BOOK THE", Sort::Capitals, 0),
            ("第三章", Sort::Cjk, 3),
            ("第十二回 夢", Sort::Cjk, 12),
            ("第１０話", Sort::Cjk, 10),
            ("IV.", Sort::Number, 4),
            ("7. The Long Way", Sort::Number, 7),
            ("Epilogue", Sort::Named, 0),
            ("THE DUEL", Sort::Capitals, 0),
        ] {
            assert_eq!(sort_of(line), Some((sort, number)), "{line}");
        }
        for line in ["", "Chapter of accidents", "He went home.", "IIII.", "book that I read", "1234567"] {
            assert_eq!(sort_of(line), None, "{line}");
        }
    }
}

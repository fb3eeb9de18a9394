//! Lines of a width. Characters count as consoles show them: wide ones two columns, combining ones none.

/// How many columns a line has.
pub(super) const WIDTH: usize = 72;

/// How many columns a text takes.
pub(super) fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().map(columns).sum() }
}

/// A character's columns, roughly: East Asian wide ranges, combining marks and invisible joiners.
fn columns(c: char) -> usize {
    match c {
        '\u{300}'..='\u{36f}'
        | '\u{483}'..='\u{489}'
        | '\u{591}'..='\u{5bd}'
        | '\u{610}'..='\u{61a}'
        | '\u{64b}'..='\u{65f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}'
        | '\u{20d0}'..='\u{20f0}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{fe20}'..='\u{fe2f}'
        | '\u{feff}' => 0,
        c if is_wide(c) => 2,
        _ => 1,
    }
}

fn is_wide(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{303e}' | '\u{3041}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}' | '\u{1f300}'..='\u{1f64f}' | '\u{1f900}'..='\u{1f9ff}' | '\u{20000}'..='\u{3fffd}')
}

/// Whether a line may not begin with the character: closing punctuation of East Asian text.
fn stays_behind(c: char) -> bool {
    "、。,.!?)]}:;」』】〉》〕!?,.:;)]}ーっッ々".contains(c)
}

/// The text in lines of at most `room` columns, where words allow it; line feeds in it are kept.
pub(super) fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for part in text.trim().split('\n') {
        let (mut line, mut used) = (String::new(), 0);
        for word in part.split([' ', '\t']).filter(|word| !word.is_empty()) {
            for (at, piece) in pieces(word).into_iter().enumerate() {
                let (space, wide) = (usize::from(at == 0 && used > 0), width(piece));
                if used > 0 && used + space + wide > room {
                    lines.push(std::mem::take(&mut line));
                    used = 0;
                } else if space > 0 {
                    line.push(' ');
                    used += 1;
                }
                line.push_str(piece);
                used += wide;
            }
        }
        lines.push(line);
    }
    lines
}

/// A word cut where it may be broken: around wide characters, which stand without blanks.
fn pieces(word: &str) -> Vec<&str> {
    if word.is_ascii() {
        return vec![word];
    }
    let mut pieces = Vec::new();
    let (mut begin, mut before) = (0, None);
    for (at, c) in word.char_indices() {
        if let Some(before) = before
            && (is_wide(c) || is_wide(before))
            && !stays_behind(c)
            && columns(c) > 0
        {
            pieces.push(&word[begin..at]);
            begin = at;
        }
        before = Some(c);
    }
    pieces.push(&word[begin..]);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_fill_lines_and_long_ones_stand_alone() {
        assert_eq!(wrap("aa bb  cc dd", 5), ["aa bb", "cc dd"]);
        assert_eq!(wrap("aa\nbb abcdefgh cc", 5), ["aa", "bb", "abcdefgh", "cc"]);
        assert_eq!(wrap("", 5), [""]);
    }

    #[test]
    fn wide_characters_take_two_columns_and_break_anywhere() {
        assert_eq!(width("日本e\u{301}"), 5);
        assert_eq!(wrap("日本語日本語。", 6), ["日本語", "日本", "語。"]);
    }
}

//! What can be taken from a text without a model: where its last whole sentence ends, and what it is about in a few of its own
//! sentences. Must not know: jobs, models.

/// How many bytes of a text are looked through for a sentence's end, from behind.
const LOOK_BACK: usize = 16 << 10;

/// Where the last whole sentence of a text ends; 0 where there is none.
pub(super) fn whole_sentences(text: &str) -> usize {
    let text = text.trim_end();
    let from = text.ceil_char_boundary(text.len().saturating_sub(LOOK_BACK));
    sentence_ends(&text[from..]).last().map_or(0, |end| from + end)
}

/// Where sentences end, in order: behind a full stop and what closes it, where white space or nothing follows. Scripts without
/// spaces need none.
fn sentence_ends(text: &str) -> impl Iterator<Item = usize> + '_ {
    let mut letters = text.char_indices().peekable();
    std::iter::from_fn(move || {
        while let Some((at, c)) = letters.next() {
            let wide = matches!(c, '。' | '！' | '？');
            if !wide && !matches!(c, '.' | '!' | '?' | '…') {
                continue;
            }
            let mut end = at + c.len_utf8();
            let closes = |c: char| {
                matches!(
                    c,
                    '.' | '!'
                        | '?'
                        | '…'
                        | '"'
                        | '\''
                        | '”'
                        | '’'
                        | '»'
                        | '«'
                        | '“'
                        | ')'
                        | ']'
                        | '」'
                        | '』'
                        | '*'
                        | '_'
                        | '。'
                        | '！'
                        | '？'
                )
            };
            while let Some((at, c)) = letters.next_if(|(_, c)| closes(*c)) {
                end = at + c.len_utf8();
            }
            if wide || letters.peek().is_none_or(|(_, next)| next.is_whitespace()) {
                return Some(end);
            }
        }
        None
    })
}

/// A text in a few of its own sentences, of at most so many characters: the first of paragraphs that stand evenly in it, the last
/// one's last sentence too, since the next chapter begins there.
pub(super) fn summary(text: &str, most: usize) -> String {
    let paragraphs: Vec<&str> =
        text.split("\n\n").map(str::trim).filter(|paragraph| is_prose(paragraph)).collect();
    let last = paragraphs.last().map(|paragraph| last_sentence(paragraph)).unwrap_or_default();
    let last = cut(last, most / 3);
    let room = most.saturating_sub(last.chars().count() + 1);
    // About 120 characters a sentence.
    let wanted = (room / 120).clamp(1, paragraphs.len().max(1));
    let mut taken = Vec::new();
    let mut left = room;
    for number in 0..wanted {
        let Some(paragraph) = paragraphs.get(number * paragraphs.len() / wanted) else { break };
        let sentence = cut(first_sentence(paragraph), left.min(300));
        let length = sentence.chars().count() + 1;
        if sentence.is_empty() || length > left {
            continue;
        }
        left -= length;
        taken.push(sentence);
    }
    if !taken.contains(&last) {
        taken.push(last);
    }
    taken.retain(|sentence| !sentence.is_empty());
    cut(&taken.join(" "), most)
}

/// No heading, rule, table or picture.
fn is_prose(paragraph: &str) -> bool {
    paragraph.chars().any(char::is_alphanumeric) && !paragraph.starts_with(['#', '|', '!', '`', '~'])
}

fn first_sentence(paragraph: &str) -> &str {
    let end = sentence_ends(paragraph).next().unwrap_or(paragraph.len());
    paragraph[..end].trim()
}

fn last_sentence(paragraph: &str) -> &str {
    let ends: Vec<usize> = sentence_ends(paragraph).collect();
    let begin = match ends.as_slice() {
        [.., before, last] if *last == paragraph.len() => *before,
        [.., last] if *last < paragraph.len() => *last,
        _ => 0,
    };
    paragraph[begin..].trim()
}

/// On one line, at most so many characters, cut at a word where it is cut.
pub(super) fn cut(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((end, _)) = line.char_indices().nth(most) else { return line };
    let head = &line[..line[..end].char_indices().next_back().map_or(0, |(last, _)| last)];
    let head = head.rfind(' ').map_or(head, |space| if space > 0 { &head[..space] } else { head });
    if head.is_empty() { String::new() } else { format!("{head}…") }
}

/// The end of a text, at most so many characters of it, begun at a word.
pub(super) fn tail(text: &str, most: usize) -> &str {
    let text = text.trim_end();
    let Some((begin, _)) = text.char_indices().rev().nth(most.saturating_sub(1)) else { return text };
    if begin == 0 {
        return text;
    }
    let tail = &text[begin..];
    tail.find(char::is_whitespace).map_or(tail, |space| tail[space..].trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_sentence_is_found() {
        for (text, whole) in [
            ("One. Two. Thr", "One. Two."),
            ("One. \"Two!\" Thr", "One. \"Two!\""),
            ("One.\n", "One."),
            ("It cost 3.50 and no", ""),
            ("本を読む。それ", "本を読む。"),
            ("", ""),
            ("Wait…", "Wait…"),
        ] {
            assert_eq!(&text[..whole_sentences(text)], whole, "{text}");
        }
        let long = format!("Yes. {}", "é".repeat(LOOK_BACK));
        assert_eq!(whole_sentences(&long), 0);
    }

    #[test]
    fn a_summary_is_made_of_the_texts_own_sentences_and_bounded() {
        let text = "Ann woke. It rained.\n\n## No\n\nShe left the house. Nobody saw.\n\nThe train was late. She waited alone.";
        let summary = summary(text, 300);
        assert_eq!(summary, "Ann woke. She left the house. She waited alone.");
        let long = "A sentence of some words stands here. Another.\n\n".repeat(200);
        assert!((100..=500).contains(&super::summary(&long, 500).chars().count()));
        assert_eq!(super::summary("", 100), "");
        assert!(super::summary(&"é".repeat(9_000), 100).chars().count() <= 100);
    }

    #[test]
    fn texts_are_cut_at_words() {
        assert_eq!(cut("one  two\nthree", 100), "one two three");
        assert_eq!(cut("one two three", 9), "one two…");
        assert_eq!(tail("one two three", 7), "three");
        assert_eq!(tail("one two three", 13), "one two three");
        assert_eq!(tail("one two three", 100), "one two three");
    }
}

//! Runs as Markdown text. A mark's delimiter is read as one only beside the right characters (CommonMark §6.2); where a
//! letter stands in the way, it is written as a numeric reference, which ends in a semicolon: that always does.

use super::{
    Image,
    escape::{Place, line_start, push_address, push_code, push_reference, push_text, push_title},
    inline::{Mark, Piece},
    loss,
};
use crate::book::{Losses, markdown_html::caption_comment};

/// The runs as text. Lines are parted by line feeds; in headings and cells there is one line.
pub(super) fn render(pieces: &[Piece], place: Place, losses: &mut Losses) -> String {
    let mut out = String::new();
    // Of the open marks; those that are not written have none.
    let mut delimiters: Vec<Option<char>> = Vec::new();
    // The next text must not begin with a letter: a delimiter ended before it.
    let mut no_letter = false;
    for (at, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Text(text) => {
                let next = pieces.get(at + 1);
                // At the edges of a block white space says nothing, at a mark's it would undo the mark.
                let mut text = text.as_str();
                if out.is_empty() {
                    text = text.trim_start_matches([' ', '\t']);
                }
                if next.is_none() {
                    text = text.trim_end_matches([' ', '\t']);
                }
                let Some(first) = text.chars().next() else { continue };
                let before = at.checked_sub(1).map(|at| &pieces[at]);
                if matches!(first, ':' | '(') && matches!(before, Some(Piece::Note(_))) {
                    // Else the mark would be a definition or a link.
                    out.push('\\');
                } else if (no_letter && !first.is_ascii_punctuation() && first != ' ' && first != '\t')
                    || (matches!(before, Some(Piece::Open(_))) && first.is_whitespace())
                {
                    push_reference(&mut out, first);
                    text = &text[first.len_utf8()..];
                }
                let last = text.chars().next_back().filter(|last| last.is_whitespace());
                match (last, next) {
                    (Some(last), Some(Piece::Close(_))) => {
                        push_text(&mut out, &text[..text.len() - last.len_utf8()], place, Some('&'));
                        push_reference(&mut out, last);
                    }
                    _ => push_text(&mut out, text, place, next.and_then(first_char)),
                }
            }
            Piece::Code(code) => push_code(&mut out, code, place),
            Piece::Image(alt, image, title) => push_image(&mut out, alt, image, title, place),
            Piece::Note(label) => {
                out.push_str("[^");
                out.push_str(label);
                out.push(']');
            }
            Piece::Soft => out.push(if place == Place::Line { '\n' } else { ' ' }),
            Piece::Hard if place == Place::Line => out.push_str("\\\n"),
            Piece::Hard => {
                losses.add(loss::LINE_BREAK);
                out.push(' ');
            }
            Piece::Open(mark) => {
                let next = pieces.get(at + 1).and_then(first_char);
                let delimiter = delimiter(*mark, &delimiters, &out);
                if confuses(delimiter, &delimiters, &out, next) {
                    losses.add(loss::MARK);
                    delimiters.push(None);
                    continue;
                }
                // A single letter could still become a reference, for a mark behind it.
                let is_word =
                    matches!(pieces.get(at + 1), Some(Piece::Text(text)) if text.chars().nth(1).is_some());
                let intraword = delimiter == '*' && is_word && next.is_some_and(char::is_alphanumeric);
                make_way(&mut out, intraword);
                push_delimiter(&mut out, *mark, delimiter);
                delimiters.push(Some(delimiter));
            }
            Piece::Close(mark) => {
                let Some(delimiter) = delimiters.pop().flatten() else { continue };
                let is_letter = out.chars().next_back().is_some_and(char::is_alphanumeric);
                push_delimiter(&mut out, *mark, delimiter);
                no_letter = delimiter != '*' || !is_letter;
                continue;
            }
            Piece::OpenLink => {
                // Right behind a note's mark it would be that one's address.
                if matches!(at.checked_sub(1).map(|at| &pieces[at]), Some(Piece::Note(_))) {
                    out.push(' ');
                }
                out.push('[');
            }
            Piece::CloseLink(address, title) => {
                out.push_str("](");
                push_address(&mut out, address, place);
                if !title.is_empty() {
                    push_title(&mut out, title, place);
                }
                out.push(')');
            }
        }
        no_letter = false;
    }
    if place == Place::Line { with_line_starts(&out) } else { out }
}

/// What a piece begins with, as far as delimiters are concerned.
fn first_char(piece: &Piece) -> Option<char> {
    match piece {
        Piece::Text(text) => text.chars().next(),
        Piece::Image(..) => Some('!'),
        Piece::Note(_) | Piece::OpenLink => Some('['),
        Piece::CloseLink(..) => Some(']'),
        Piece::Code(_) => Some('`'),
        Piece::Open(_) | Piece::Close(_) => Some('*'),
        Piece::Soft | Piece::Hard => Some(' '),
    }
}

/// Which character stands for the mark: the other one of `*` and `_` inside or right behind the one.
fn delimiter(mark: Mark, open: &[Option<char>], out: &str) -> char {
    match mark {
        Mark::Strikethrough | Mark::Subscript => '~',
        Mark::Superscript => '^',
        Mark::Emphasis | Mark::Strong => {
            let is_taken = |c: char| open.contains(&Some(c));
            if is_taken('*') || (out.ends_with('*') && !is_taken('_')) { '_' } else { '*' }
        }
    }
}

/// Whether a caret or tilde that could as well close something stands inside another: pulldown-cmark tries that, fails,
/// and then takes the outer one for text.
fn confuses(delimiter: char, open: &[Option<char>], out: &str, next: Option<char>) -> bool {
    let is_of_them = |c: char| matches!(c, '~' | '^');
    let could_close =
        !out.is_empty() && !out.ends_with([' ', '\t', '\n']) && !next.is_some_and(char::is_alphanumeric);
    is_of_them(delimiter) && could_close && open.iter().flatten().any(|open| is_of_them(*open))
}

fn push_delimiter(out: &mut String, mark: Mark, delimiter: char) {
    out.push(delimiter);
    if matches!(mark, Mark::Strong | Mark::Strikethrough) {
        out.push(delimiter);
    }
}

/// Writes a letter at the end as a reference, so that a delimiter behind it opens. `intraword` where it would anyway.
fn make_way(out: &mut String, intraword: bool) {
    if let Some(last) = out.chars().next_back()
        && !intraword
        && !last.is_ascii_punctuation()
        && !matches!(last, ' ' | '\t' | '\n')
    {
        out.pop();
        // An escaped character is punctuation, so no backslash stands before it.
        push_reference(out, last);
    }
}

fn push_image(out: &mut String, alt: &str, image: &Image<'_>, title: &str, place: Place) {
    out.push_str("![");
    let alt: Vec<&str> = alt.split_whitespace().collect();
    push_text(out, &alt.join(" "), place, Some(']'));
    out.push(']');
    match image {
        Image::At(address) => {
            out.push('(');
            push_address(out, address, place);
            if !title.is_empty() {
                push_title(out, title, place);
            }
            out.push(')');
        }
        Image::Defined(name, caption) => {
            out.push('[');
            out.push_str(name);
            out.push(']');
            if let Some(caption) = caption {
                out.push_str(&caption_comment(caption));
            }
        }
        Image::Missing => {}
    }
}

fn with_line_starts(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    for (at, line) in text.split('\n').enumerate() {
        if at > 0 {
            out.push('\n');
        }
        match line_start(line) {
            Some(at) => {
                out.push_str(&line[..at]);
                out.push('\\');
                out.push_str(&line[at..]);
            }
            None => out.push_str(line),
        }
    }
    out
}

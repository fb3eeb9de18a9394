//! Text in Markdown: a backslash before what would be read as markup, and no more than that, as people edit these files.

/// Where a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In a paragraph or an image's description.
    Line,
    /// In a heading, where a number sign or a brace at the end means something.
    Heading,
    /// In a table's cell, where a bar means something even when escaped.
    Cell,
}

/// Appends `text`, which has no line feeds; `after` is the character that follows it.
pub(super) fn push_text(out: &mut String, text: &str, place: Place, after: Option<char>) {
    let mut chars = text.chars().peekable();
    let mut before = out.chars().next_back();
    while let Some(c) = chars.next() {
        let next = chars.peek().copied().or(after);
        let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let escape = match c {
            '\\' | '`' | '*' | '[' | ']' | '<' | '~' | '^' => true,
            '_' => !(is_word(before) && is_word(next)),
            '&' => next.is_some_and(|next| next == '#' || next.is_ascii_alphanumeric()),
            '!' => next == Some('['),
            '#' | '{' | '}' => place == Place::Heading,
            '|' if place == Place::Cell => {
                out.push_str("&#124;");
                before = Some(c);
                continue;
            }
            '|' => true,
            _ => false,
        };
        if escape {
            out.push('\\');
        }
        if c.is_control() && c != '\t' {
            push_reference(out, c);
        } else {
            out.push(c);
        }
        before = Some(c);
    }
}

/// Appends a character as a numeric reference.
pub(super) fn push_reference(out: &mut String, c: char) {
    out.push_str(&format!("&#{};", u32::from(c)));
}

/// Where a line needs a backslash because of what means something at its beginning only: bullets, numbers, quotes,
/// headings, underlines.
pub(super) fn line_start(line: &str) -> Option<usize> {
    let first = line.chars().next()?;
    let is_space_at = |at: usize| line[at..].chars().next().is_none_or(|c| c == ' ' || c == '\t');
    let only = |of: &[char]| line.chars().all(|c| of.contains(&c));
    match first {
        '>' => Some(0),
        '#' => {
            let signs = line.len() - line.trim_start_matches('#').len();
            (signs <= 6 && is_space_at(signs)).then_some(0)
        }
        '+' => (is_space_at(1) || line.starts_with("+++")).then_some(0),
        '-' => (is_space_at(1) || only(&['-', ' ', '\t', ':', '|', '\\'])).then_some(0),
        ':' => only(&['-', ' ', '\t', ':', '|', '\\']).then_some(0),
        '=' => only(&['=', ' ', '\t']).then_some(0),
        '0'..='9' => {
            let digits = line.bytes().take_while(u8::is_ascii_digit).count();
            let sign = line[digits..].chars().next();
            (digits <= 9 && matches!(sign, Some('.' | ')')) && is_space_at(digits + 1)).then_some(digits)
        }
        _ => None,
    }
}

/// Appends a link's address.
pub(super) fn push_address(out: &mut String, address: &str, place: Place) {
    let bare = !address.is_empty()
        && address.chars().all(|c| !c.is_whitespace() && !c.is_control() && !matches!(c, '(' | ')' | '<'));
    if !bare {
        out.push('<');
    }
    for c in address.chars() {
        match c {
            // Inline code binds more tightly than links.
            '\\' | '<' | '>' | '`' => {
                out.push('\\');
                out.push(c);
            }
            '&' => out.push_str("&amp;"),
            '|' if place == Place::Cell => out.push_str("&#124;"),
            c if c.is_control() => push_reference(out, c),
            c => out.push(c),
        }
    }
    if !bare {
        out.push('>');
    }
}

/// Appends a title in quotes behind a blank.
pub(super) fn push_title(out: &mut String, title: &str, place: Place) {
    out.push_str(" \"");
    for c in title.chars() {
        match c {
            '"' | '\\' | '<' | '`' | '*' | '[' | ']' => {
                out.push('\\');
                out.push(c);
            }
            '&' => out.push_str("&amp;"),
            '|' if place == Place::Cell => out.push_str("&#124;"),
            c if c != ' ' && (c.is_control() || c.is_whitespace()) => push_reference(out, c),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Appends inline code between as many backticks as it takes.
pub(super) fn push_code(out: &mut String, code: &str, place: Place) {
    let fence = "`".repeat(longest_run(code, '`') + 1);
    let pad = code.starts_with('`')
        || code.ends_with('`')
        || code.starts_with(' ') && code.ends_with(' ') && !code.trim_matches(' ').is_empty();
    let pad = if pad { " " } else { "" };
    out.push_str(&fence);
    out.push_str(pad);
    if place == Place::Cell {
        out.push_str(&code.replace('|', "\\|"));
    } else {
        out.push_str(code);
    }
    out.push_str(pad);
    out.push_str(&fence);
}

/// The length of the longest run of `c`.
pub(super) fn longest_run(text: &str, c: char) -> usize {
    let (mut longest, mut run) = (0, 0);
    for found in text.chars() {
        run = if found == c { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

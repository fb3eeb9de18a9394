//! The little that is read of S3's answers, and of Google's: elements by their names, one below another.

use std::borrow::Cow;

/// What stands between the tags of the elements of a name, in order. Elements of one name never hold one another in S3's
/// answers.
pub(super) fn elements<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, behind) = rest.split_once(open.as_str())?;
        let (inner, behind) = behind.split_once(close.as_str())?;
        rest = behind;
        Some(inner)
    })
}

/// The text of the first element of a name.
pub(super) fn text<'a>(from: &'a str, name: &'a str) -> Option<Cow<'a, str>> {
    unescape(elements(from, name).next()?)
}

fn unescape(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('&') {
        return Some(Cow::Borrowed(text));
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('&') {
        let (entity, behind) = behind.split_once(';')?;
        plain.push_str(before);
        plain.push(match entity {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            number => {
                let code = match number.strip_prefix("#x") {
                    Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                    None => number.strip_prefix('#')?.parse().ok()?,
                };
                char::from_u32(code)?
            }
        });
        rest = behind;
    }
    plain.push_str(rest);
    Some(Cow::Owned(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_by_name_and_their_text_is_read() {
        let answer =
            "<R><Part><ETag>&quot;a&amp;b&#34;&#x41;</ETag></Part><Part><ETag>x</ETag></Part><Cut></R>";
        let tags: Vec<_> = elements(answer, "Part").map(|part| text(part, "ETag").unwrap()).collect();
        assert_eq!(tags, ["\"a&b\"A", "x"]);
        assert_eq!(text(answer, "Cut"), None);
        assert_eq!(text("<A>&nothing;</A>", "A"), None);
    }
}

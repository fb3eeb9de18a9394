//! XML as elements and text, bounded and without surprises: no entities of a document's own, end tags checked, depth
//! capped, errors with entry and line.

use std::borrow::Cow;

use quick_xml::{Reader, events::Event};

use crate::book::{BookError, markdown::plain_text};

/// How deep elements may be nested.
const MOST_DEPTH: usize = 512;
/// How many bytes an element's attributes have at most; only pictures inside addresses need that much.
const MOST_TAG_BYTES: usize = 1 << 20;

/// An element's start.
#[derive(Clone, Debug)]
pub(in crate::import) struct Element {
    /// Without its prefix, in lower case.
    pub(in crate::import) name: String,
    attributes: Vec<(String, String)>,
}

impl Element {
    pub(in crate::import) fn new(name: String, attributes: Vec<(String, String)>) -> Self {
        Self { name, attributes }
    }

    /// Gives an attribute another value, or a first one.
    pub(in crate::import) fn set(&mut self, name: &str, value: String) {
        match self.attributes.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => *old = value,
            None => self.attributes.push((name.to_owned(), value)),
        }
    }

    /// Takes an attribute away.
    pub(in crate::import) fn unset(&mut self, name: &str) {
        self.attributes.retain(|(key, _)| key != name);
    }

    /// An attribute by its name, prefix included: `href`, `epub:type`.
    pub(in crate::import) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether the attribute holds the word.
    pub(in crate::import) fn has_word(&self, name: &str, word: &str) -> bool {
        self.get(name).is_some_and(|value| value.split_whitespace().any(|one| one == word))
    }
}

/// Whoever takes a document's content.
pub(in crate::import) trait Handler {
    fn start(&mut self, element: Element) -> Result<(), BookError>;
    fn text(&mut self, text: &str) -> Result<(), BookError>;
    fn end(&mut self) -> Result<(), BookError>;
}

/// Reads a document; errors name `place` and a line.
pub(super) fn parse(text: &str, place: &str, handler: &mut dyn Handler) -> Result<(), BookError> {
    let mut reader = Reader::from_str(text);
    let config = reader.config_mut();
    config.expand_empty_elements = true;
    // Seen in many books, and clear enough.
    config.allow_dangling_amp = true;
    let mut depth = 0_usize;
    let wrong = |position: u64, problem: String| {
        let position = usize::try_from(position).unwrap_or(usize::MAX).min(text.len());
        let line = text.as_bytes()[..position].iter().filter(|byte| **byte == b'\n').count() + 1;
        Err(BookError::at(place, format!("line {line}, byte {position}"), problem))
    };
    loop {
        let event = match reader.read_event() {
            Ok(event) => event,
            Err(error) => return wrong(reader.error_position(), format!("the XML is broken: {error}")),
        };
        match event {
            Event::Start(start) => {
                depth += 1;
                if depth > MOST_DEPTH {
                    return wrong(reader.buffer_position(), format!("nested more than {MOST_DEPTH} deep"));
                }
                if start.len() > MOST_TAG_BYTES {
                    return wrong(reader.buffer_position(), "a tag has more than 1 MiB".to_owned());
                }
                let mut attributes = Vec::new();
                for attribute in start.html_attributes().with_checks(false) {
                    match attribute {
                        Ok(attribute) => {
                            let key = attribute.key.as_ref().to_owned();
                            attributes.push((key, unescaped(&attribute.value).into_owned()));
                        }
                        Err(error) => {
                            return wrong(
                                reader.buffer_position(),
                                format!("an attribute is broken: {error}"),
                            );
                        }
                    }
                }
                let name = start.local_name().as_ref().to_ascii_lowercase();
                handler.start(Element { name, attributes })?;
            }
            Event::End(_) => {
                depth = depth.saturating_sub(1);
                handler.end()?;
            }
            Event::Text(piece) => handler.text(&piece.into_inner())?,
            Event::CData(piece) => handler.text(&piece.into_inner())?,
            Event::GeneralRef(reference) => {
                let name: &str = &reference.into_inner();
                match entity(name) {
                    Some(text) => handler.text(&text)?,
                    None => handler.text(&format!("&{name};"))?,
                }
            }
            Event::DocType(doctype) => {
                let doctype = doctype.into_inner();
                if doctype.contains('[') || doctype.contains("<!") {
                    let problem = "the document declares entities of its own, which is refused: remove the part in \
                                   brackets of its DOCTYPE";
                    return wrong(reader.buffer_position(), problem.to_owned());
                }
            }
            Event::Eof if depth > 0 => {
                return wrong(
                    text.len() as u64,
                    "the XML ends in the middle: the file is cut off".to_owned(),
                );
            }
            Event::Eof => return Ok(()),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

/// The text of `amp`, `#233`, `nbsp`.
pub(in crate::import) fn entity(name: &str) -> Option<Cow<'static, str>> {
    Some(Cow::Borrowed(match name {
        "amp" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" => "'",
        "nbsp" | "#160" | "#xa0" | "#xA0" => "\u{a0}",
        "shy" => "\u{ad}",
        "ensp" => "\u{2002}",
        "emsp" => "\u{2003}",
        "thinsp" => "\u{2009}",
        "zwnj" => "\u{200c}",
        "zwj" => "\u{200d}",
        _ => {
            if let Some(number) = name.strip_prefix('#') {
                let hexadecimal = number.strip_prefix(['x', 'X']);
                let code = match hexadecimal {
                    Some(digits) => u32::from_str_radix(digits, 16),
                    None => number.parse(),
                };
                return code.ok().and_then(char::from_u32).map(|c| Cow::Owned(c.to_string()));
            }
            // CommonMark knows all entities of HTML, so its parser has the table.
            if name.len() > 40 || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return None;
            }
            let written = format!("&{name};");
            let text = plain_text(&written);
            return (!text.is_empty() && text != written).then_some(Cow::Owned(text));
        }
    }))
}

/// An attribute's value with its references resolved.
fn unescaped(raw: &str) -> Cow<'_, str> {
    if !raw.contains(['&', '\n', '\r', '\t']) {
        return Cow::Borrowed(raw);
    }
    // A line end in an attribute is a blank, unless it is written as a reference (XML §3.3.3).
    let raw = raw.replace(['\n', '\r', '\t'], " ");
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw.as_str();
    while let Some(place) = rest.find('&') {
        text.push_str(&rest[..place]);
        rest = &rest[place..];
        let end = rest.bytes().take(48).position(|byte| byte == b';');
        match end.and_then(|end| Some((end, entity(&rest[1..end])?))) {
            Some((end, resolved)) => {
                text.push_str(&resolved);
                rest = &rest[end + 1..];
            }
            None => {
                text.push('&');
                rest = &rest[1..];
            }
        }
    }
    text.push_str(rest);
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_of_html_are_known() {
        for (name, text) in [("eacute", "é"), ("mdash", "—"), ("#233", "é"), ("#xE9", "é"), ("hellip", "…")]
        {
            assert_eq!(entity(name).as_deref(), Some(text), "{name}");
        }
        assert_eq!(entity("nosuchthing"), None);
        assert_eq!(entity("#xffffffff"), None);
        assert_eq!(unescaped("a&amp;b&eacute;&x"), "a&bé&x");
    }
}

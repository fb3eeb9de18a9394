//! What a picture is, by its first bytes, and what it is called in the book. A picture is handed on once, whatever
//! number of images show it.

use std::{
    collections::HashMap,
    io::{Cursor, Read},
};

use super::BookSink;
use crate::book::{
    BookError,
    names::{UniqueNames, picture_name},
};

/// How many bytes a picture has at most.
pub(super) const MOST_PICTURE_BYTES: u64 = 32 << 20;
/// How many pictures a book has at most.
const MOST_PICTURES: usize = 20_000;
/// How many bytes tell what a picture is.
const HEAD_BYTES: u64 = 1 << 10;

/// The pictures of a book that is being read.
#[derive(Debug, Default)]
pub(super) struct Pictures {
    names: UniqueNames,
    /// The asset's name by the source's own key; `None` where it turned out to be no picture.
    known: HashMap<String, Option<String>>,
}

impl Pictures {
    /// What became of a picture that was met before.
    pub(super) fn known(&self, key: &str) -> Option<&Option<String>> {
        self.known.get(key)
    }

    /// How many are known.
    pub(super) fn count(&self) -> usize {
        self.known.len()
    }

    /// Remembers that there is no such picture.
    pub(super) fn missing(&mut self, key: &str) {
        if self.known.len() < MOST_PICTURES {
            self.known.insert(key.to_owned(), None);
        }
    }

    /// Hands a picture on under a name like `source`; `None` where it is in no known format. `key` is what the
    /// manuscript calls it, by which it is found again.
    pub(super) fn add(
        &mut self,
        key: &str,
        source: &str,
        data: &mut dyn Read,
        sink: &mut dyn BookSink,
    ) -> Result<Option<String>, BookError> {
        if self.known.len() >= MOST_PICTURES {
            return Err(BookError::input(source, "the book has more than 20,000 pictures"));
        }
        let mut head = Vec::new();
        data.take(HEAD_BYTES).read_to_end(&mut head).map_err(own_error(source))?;
        let name = match media_type(&head) {
            None => None,
            Some("image/svg+xml") => {
                let mut drawing = head;
                data.take(MOST_PICTURE_BYTES + 1).read_to_end(&mut drawing).map_err(own_error(source))?;
                if drawing.len() as u64 > MOST_PICTURE_BYTES {
                    return Err(BookError::input(source, "the picture is larger than 32 MiB"));
                }
                // A book is to be read, not run; and an EPUB with a script in it would have to say so.
                if is_active(&drawing) {
                    None
                } else {
                    let name = self.names.add(&picture_name(source, "image/svg+xml"));
                    sink.asset(&name, "image/svg+xml", &mut drawing.as_slice())?;
                    Some(name)
                }
            }
            Some(media_type) => {
                let name = self.names.add(&picture_name(source, media_type));
                let limited = Cursor::new(head).chain(data).take(MOST_PICTURE_BYTES + 1);
                let mut counted = Counted { inner: limited, source, read: 0 };
                sink.asset(&name, media_type, &mut counted)?;
                Some(name)
            }
        };
        self.known.insert(key.to_owned(), name.clone());
        Ok(name)
    }
}

/// A `BookError` that travelled in an `io::Error`, or a failure to read.
pub(super) fn own_error(source: &str) -> impl Fn(std::io::Error) -> BookError {
    move |error| match error.downcast::<BookError>() {
        Ok(own) => own,
        Err(error) => super::read_error(source)(error),
    }
}

/// Fails beyond [`MOST_PICTURE_BYTES`].
struct Counted<'a, R> {
    inner: R,
    source: &'a str,
    read: u64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(into)?;
        self.read += read as u64;
        if self.read > MOST_PICTURE_BYTES {
            return Err(BookError::input(self.source, "the picture is larger than 32 MiB").into());
        }
        Ok(read)
    }
}

/// Whether a drawing holds scripts, other documents, or entities that might hide some.
fn is_active(drawing: &[u8]) -> bool {
    let text = String::from_utf8_lossy(drawing).to_ascii_lowercase();
    let named = ["<script", ":script", "<!entity", "foreignobject", "javascript:", "<iframe"];
    // An attribute such as onload, behind white space or the quote of the one before it.
    let handler = || {
        text.match_indices("on").any(|(place, _)| {
            let before = text[..place].chars().next_back();
            let rest = text[place + 2..].trim_start_matches(|c: char| c.is_ascii_lowercase());
            before.is_some_and(|c| c.is_whitespace() || matches!(c, '"' | '\'' | '/'))
                && rest.len() < text.len() - place - 2
                && rest.trim_start().starts_with('=')
        })
    };
    named.iter().any(|name| text.contains(name)) || handler()
}

/// The media type of a picture that begins like this.
pub(super) fn media_type(head: &[u8]) -> Option<&'static str> {
    let svg = || {
        let text = String::from_utf8_lossy(head);
        let text = text.trim_start_matches('\u{feff}').trim_start();
        text.starts_with("<svg")
            || (text.starts_with('<') && !text.contains("<html") && text.contains("<svg"))
    };
    match head {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ if svg() => Some("image/svg+xml"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawings_with_scripts_are_told() {
        for active in [
            "<svg><script>x</script></svg>",
            "<svg xmlns:s='x'><s:script/></svg>",
            "<svg onload=\"x\"/>",
            "<svg a='b'onClick = 'x'/>",
            "<!DOCTYPE svg [<!ENTITY a '&#60;'>]><svg/>",
            "<svg><a href='JavaScript:x'/></svg>",
            "<svg><foreignObject/></svg>",
        ] {
            assert!(is_active(active.as_bytes()), "{active}");
        }
        for quiet in ["<svg><text>based on x = y</text></svg>", "<svg><text>one on two</text></svg>"] {
            assert!(!is_active(quiet.as_bytes()), "{quiet}");
        }
    }

    #[test]
    fn pictures_are_told_by_their_first_bytes() {
        assert_eq!(media_type(b"\x89PNG\r\n"), Some("image/png"));
        assert_eq!(media_type(b"RIFF0000WEBPVP8 "), Some("image/webp"));
        assert_eq!(media_type(b"<?xml version='1.0'?>\n<svg xmlns=''"), Some("image/svg+xml"));
        assert_eq!(media_type(b"<html><svg>"), None);
        assert_eq!(media_type(b""), None);
    }
}

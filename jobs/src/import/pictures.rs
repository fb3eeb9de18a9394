//! What a picture is, by its first bytes, and what it is called in the book. A picture is handed on once, whatever
//! number of images show it; one that is damaged is none. How it is looked at is `picture_check`'s.

use std::{
    collections::HashMap,
    io::{Cursor, Read},
};

use super::{BookSink, picture_check::PictureCheck};
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
    /// The asset's name by the source's own key; `None` where it turned out to be no picture, or a damaged one.
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

    /// Hands a picture on under a name like `source`; `None` where it is in no known format or damaged. `key` is what
    /// the manuscript calls it, by which it is found again.
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
                let check = PictureCheck::new(media_type);
                let mut looked_at = LookedAt { inner: limited, source, read: 0, check, is_damaged: false };
                let taken = sink.asset(&name, media_type, &mut looked_at);
                match taken {
                    Ok(()) => Some(name),
                    // It could not be read to its end, so the sink does not have it.
                    Err(_) if looked_at.is_damaged => None,
                    Err(error) => return Err(error),
                }
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

/// Fails beyond [`MOST_PICTURE_BYTES`], and at the end of a picture that is not whole.
struct LookedAt<'a, R> {
    inner: R,
    source: &'a str,
    read: u64,
    check: PictureCheck,
    is_damaged: bool,
}

impl<R: Read> Read for LookedAt<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(into)?;
        self.read += read as u64;
        if self.read > MOST_PICTURE_BYTES {
            return Err(BookError::input(self.source, "the picture is larger than 32 MiB").into());
        }
        self.check.take(into.get(..read).unwrap_or_default());
        if read == 0 && !into.is_empty() && !self.check.is_whole() {
            self.is_damaged = true;
            return Err(BookError::input(self.source, "the picture is damaged").into());
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
    use crate::import::tests::{Kept, PNG};

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

    #[test]
    fn a_damaged_picture_is_none_and_the_next_one_comes_in() {
        let (mut pictures, mut kept) = (Pictures::default(), Kept::default());
        let large = [PNG, &vec![7; 3 << 20]].concat();
        let cut = &PNG[..PNG.len() - 1];
        for (key, bytes, is_taken) in [
            ("cut.png", cut, false),
            ("garbage.png", b"\x89PNG\r\n\x1a\ngarbage", false),
            ("whole.png", PNG, true),
            ("large.png", &large[..], true),
            ("cut.jpg", b"\xff\xd8\xff\xd9", false),
        ] {
            let name = pictures.add(key, key, &mut &*bytes, &mut kept).unwrap();
            assert_eq!(name.as_deref(), is_taken.then_some(key));
            assert_eq!(pictures.known(key), Some(&name), "{key}");
        }
        assert_eq!(kept.assets.keys().collect::<Vec<_>>(), ["large.png", "whole.png"]);
        assert_eq!((&kept.assets["whole.png"].1[..], &kept.assets["large.png"].1), (PNG, &large));
    }

    #[test]
    fn what_a_sink_says_of_a_whole_picture_ends_the_import() {
        struct Full;
        impl BookSink for Full {
            fn chapter(&mut self, _: &str, _: &str, _: String) -> Result<(), BookError> {
                Ok(())
            }

            fn asset(&mut self, name: &str, _: &str, data: &mut dyn Read) -> Result<(), BookError> {
                data.read_to_end(&mut Vec::new())?;
                Err(BookError::input(name, "full"))
            }
        }
        let error = Pictures::default().add("a.png", "a.png", &mut &*PNG, &mut Full).unwrap_err();
        assert!(error.to_string().contains("full"), "{error}");
    }

    #[test]
    fn too_large_a_picture_is_refused_whether_or_not_it_is_whole() {
        for begin in [PNG, b"\x89PNG\r\n\x1a\n"] {
            let large = [begin, &vec![0; MOST_PICTURE_BYTES as usize]].concat();
            let added =
                Pictures::default().add("a.png", "a.png", &mut large.as_slice(), &mut Kept::default());
            let error = added.unwrap_err().to_string();
            assert!(error.contains("larger than 32 MiB"), "{error}");
        }
    }
}

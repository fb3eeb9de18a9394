//! An object that may grow long, as that of a table of contents does: written as it comes, so that it is never in memory
//! as a whole. Must not know: what the object means.

use std::io::{self, Write};

use pdf_writer::Ref;

use super::objects::Objects;

/// Bytes that are held back; an object with more does not travel with others.
const MOST: usize = 16 << 10;

/// The body of an object that is being written. No other object may be written before its end.
#[derive(Debug)]
pub(super) struct Body {
    id: Ref,
    held: String,
    /// Whether its beginning is in the file.
    is_begun: bool,
}

impl Body {
    /// A body that begins with `head`.
    pub(super) fn new(id: Ref, head: String) -> Self {
        Self { id, held: head, is_begun: false }
    }

    /// Adds to it.
    pub(super) fn push(&mut self, objects: &mut Objects, out: &mut dyn Write, text: &str) -> io::Result<()> {
        self.held.push_str(text);
        if self.held.len() < MOST {
            return Ok(());
        }
        if self.is_begun {
            objects.piece(out, self.held.as_bytes())?;
        } else {
            self.is_begun = true;
            let begun = format!("{} 0 obj\n{}", self.id.get(), self.held);
            objects.plain(out, self.id, begun.as_bytes())?;
        }
        self.held.clear();
        Ok(())
    }

    /// Adds references to objects.
    pub(super) fn references(
        &mut self,
        objects: &mut Objects,
        out: &mut dyn Write,
        ids: &[Ref],
    ) -> io::Result<()> {
        ids.iter().try_for_each(|id| self.push(objects, out, &format!("{} 0 R ", id.get())))
    }

    /// Ends it.
    pub(super) fn end(self, objects: &mut Objects, out: &mut dyn Write) -> io::Result<()> {
        if self.is_begun {
            objects.piece(out, self.held.as_bytes())?;
            objects.piece(out, b"\nendobj\n")
        } else {
            objects.body(out, self.id, self.held.as_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_body_goes_to_the_file_as_it_comes() {
        let mut objects = Objects::new([0; 16]);
        let mut out = Vec::new();
        let (long, short) = (objects.alloc(), objects.alloc());
        let mut body = Body::new(long, "[".to_owned());
        let ids: Vec<Ref> = (1..=50_000).map(Ref::new).collect();
        body.references(&mut objects, &mut out, &ids).unwrap();
        assert!(body.held.capacity() <= 2 * MOST, "{}", body.held.capacity());
        body.push(&mut objects, &mut out, "]").unwrap();
        body.end(&mut objects, &mut out).unwrap();
        let written = String::from_utf8(out.clone()).unwrap();
        assert!(written.starts_with(&format!("{} 0 obj\n[1 0 R 2 0 R ", long.get())));
        assert!(written.ends_with(" 50000 0 R ]\nendobj\n"), "{}", &written[written.len() - 40..]);
        assert_eq!(objects.kept(), 1);
        Body::new(short, "[]".to_owned()).end(&mut objects, &mut out).unwrap();
        assert_eq!((out.len(), objects.kept()), (written.len(), 2), "a short one waits for others");
    }
}

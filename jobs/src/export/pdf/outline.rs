//! The outline, which readers show beside the pages: chapters, and the headings of level 2 in each. A heading's entry
//! is written when the next one is known; a chapter's at its end.

use std::io::{self, Write};

use pdf_writer::Ref;

use super::objects::{Objects, text};

/// The outline.
#[derive(Debug)]
pub(super) struct Outline {
    root: Ref,
    /// The first chapter's entry; the others follow.
    chapters: Ref,
    count: usize,
    /// The open chapter's headings: the first, the last that waits for the next, and how many.
    first: Option<Ref>,
    last: Option<Entry>,
    inside: usize,
}

/// A heading that waits for the next.
#[derive(Debug)]
struct Entry {
    id: Ref,
    title: String,
    place: Ref,
    previous: Option<Ref>,
}

impl Outline {
    /// For so many chapters.
    pub(super) fn new(objects: &mut Objects, count: usize) -> Self {
        let (root, chapters) = (objects.alloc(), objects.alloc_many(count));
        Self { root, chapters, count, first: None, last: None, inside: 0 }
    }

    fn chapter(&self, index: usize) -> i32 {
        self.chapters.get() + i32::try_from(index).unwrap_or_default()
    }

    /// A heading in the open chapter.
    pub(super) fn heading(
        &mut self,
        objects: &mut Objects,
        out: &mut dyn Write,
        chapter: usize,
        title: String,
        place: Ref,
    ) -> io::Result<()> {
        let id = objects.alloc();
        let before = self.last.take();
        let previous = before.as_ref().map(|before| before.id);
        if let Some(before) = before {
            self.write(objects, out, chapter, &before, Some(id))?;
        }
        self.first.get_or_insert(id);
        self.inside += 1;
        self.last = Some(Entry { id, title, place, previous });
        Ok(())
    }

    fn write(
        &self,
        objects: &mut Objects,
        out: &mut dyn Write,
        chapter: usize,
        entry: &Entry,
        next: Option<Ref>,
    ) -> io::Result<()> {
        let link =
            |name: &str, id: Option<Ref>| id.map_or(String::new(), |id| format!("/{name} {} 0 R", id.get()));
        let body = format!(
            "<</Title {}/Parent {} 0 R/Dest {} 0 R{}{}>>",
            text(&entry.title),
            self.chapter(chapter),
            entry.place.get(),
            link("Prev", entry.previous),
            link("Next", next)
        );
        objects.body(out, entry.id, body.as_bytes())
    }

    /// A chapter ends.
    pub(super) fn end_chapter(
        &mut self,
        objects: &mut Objects,
        out: &mut dyn Write,
        index: usize,
        title: &str,
        place: Ref,
    ) -> io::Result<()> {
        let (first, last) = (self.first.take(), self.last.take());
        let inside = std::mem::take(&mut self.inside);
        let mut body =
            format!("<</Title {}/Parent {} 0 R/Dest {} 0 R", text(title), self.root.get(), place.get());
        if index > 0 {
            body.push_str(&format!("/Prev {} 0 R", self.chapter(index - 1)));
        }
        if index + 1 < self.count {
            body.push_str(&format!("/Next {} 0 R", self.chapter(index + 1)));
        }
        if let (Some(first), Some(last)) = (first, last) {
            self.write(objects, out, index, &last, None)?;
            body.push_str(&format!("/First {} 0 R/Last {} 0 R/Count -{inside}", first.get(), last.id.get()));
        }
        body.push_str(">>");
        objects.body(out, Ref::new(self.chapter(index)), body.as_bytes())
    }

    /// Writes the root; `None` where there is no chapter.
    pub(super) fn finish(&self, objects: &mut Objects, out: &mut dyn Write) -> io::Result<Option<Ref>> {
        let Some(last) = self.count.checked_sub(1) else { return Ok(None) };
        let body = format!(
            "<</Type/Outlines/First {} 0 R/Last {} 0 R/Count {}>>",
            self.chapter(0),
            self.chapter(last),
            self.count
        );
        objects.body(out, self.root, body.as_bytes())?;
        Ok(Some(self.root))
    }
}

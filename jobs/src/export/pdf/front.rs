//! What stands in front of the first chapter: the cover, the title, and the table of contents, which is written last,
//! when every chapter's page is known.

use std::{io::Write, sync::Arc};

use super::{
    CHARACTER, Pdf,
    flow::{Ink, Row},
    inline::{Inlines, Mood, row, rows},
    look::TextLook,
    metadata,
    paper::Furniture,
    structure::{Action, Span, Target, alternative},
    text::{Align, Typesetter},
};
use crate::{
    book::{BookError, check::is_legal},
    export::language,
};

impl Pdf {
    pub(super) fn begin_book(&mut self, out: &mut dyn Write) -> Result<(), BookError> {
        self.paper.objects.begin(out)?;
        let lookup = Arc::clone(&self.lookup);
        self.paper.set_heads(Some(lookup.title()), "");
        self.cover(out)?;
        self.title_page(out)?;
        self.paper.set_front(false);
        Ok(())
    }

    /// The cover fills its page.
    fn cover(&mut self, out: &mut dyn Write) -> Result<(), BookError> {
        let lookup = Arc::clone(&self.lookup);
        let Some((index, asset)) = lookup.cover() else { return Ok(()) };
        let objects = &mut self.paper.objects;
        let Some(picture) = self.pictures.get(index, asset, self.assets.as_mut(), objects, out)? else {
            self.losses.add(crate::export::loss::IMAGE);
            return Ok(());
        };
        let look = self.paper.look.clone();
        let (width, height) = picture.size();
        let scale = (look.paper.0 / width).min(look.paper.1 / height);
        let (width, height) = (width * scale, height * scale);
        self.paper.structure.open(&mut self.paper.objects, "Figure");
        self.paper.structure.entry(&alternative(lookup.title()));
        let mark = self.paper.structure.span(Span::default());
        self.paper.structure.close();
        let x = (look.paper.0 - width) / 2.0 - look.left(1);
        // Up from the text's upper edge, where the row stands.
        let y = (look.paper.1 - height) / 2.0 - (look.paper.1 - look.top);
        let ink = Ink::Picture { x, y, width, height, picture: picture.id(), mark };
        self.push_rows(vec![Row { ink: vec![ink], ..Row::default() }], 0.0, out)?;
        self.paper.set_furniture(Furniture::Nothing);
        self.front_elements += 1;
        Ok(self.paper.flush(out)?)
    }

    fn title_page(&mut self, out: &mut dyn Write) -> Result<(), BookError> {
        let lookup = Arc::clone(&self.lookup);
        let (metadata, look) = (&lookup.book().metadata, self.paper.look.clone());
        let line = |factor: f32| TextLook { align: Align::Centre, hyphenate: false, ..look.scaled(factor) };
        self.paper.structure.open(&mut self.paper.objects, "Sect");
        self.front_elements += 1;
        let big = TextLook { leading: look.size * 3.0, ..line(2.5) };
        self.centred(lookup.title(), &big, look.height * 0.22, out)?;
        let mut subtitle = line(1.3);
        subtitle.face.italic = true;
        self.centred(&metadata.subtitle, &subtitle, look.size * 1.2, out)?;
        let mut above = look.size * 4.0;
        for author in &metadata.authors {
            self.centred(author, &line(1.25), above, out)?;
            above = look.size * 0.4;
        }
        let mut above = look.size * 7.0;
        for imprint in metadata.imprint() {
            if !imprint.trim().is_empty() {
                self.centred(imprint, &line(0.92), above, out)?;
                above = look.size * 0.3;
            }
        }
        self.paper.structure.close();
        self.paper.structure.seal(self.paper.flow.pushed());
        self.paper.set_furniture(Furniture::Nothing);
        Ok(self.paper.flush(out)?)
    }

    fn centred(
        &mut self,
        text: &str,
        look: &TextLook,
        above: f32,
        out: &mut dyn Write,
    ) -> Result<(), BookError> {
        // Unlike the stream, book.json comes unchecked.
        let text: String = text.chars().filter(|c| is_legal(*c)).take(4_000).collect();
        if text.trim().is_empty() {
            return Ok(());
        }
        let is_first = self.paper.flow.is_empty();
        self.paper.structure.open(&mut self.paper.objects, "P");
        let width = self.paper.look.width;
        let lines = self.paper.set(&Inlines::of(text.trim()), look, width);
        self.paper.structure.close();
        let mut rows = rows(lines, look, 0.0);
        if let (true, Some(first)) = (is_first, rows.first_mut()) {
            // The first row of a page has nothing above it.
            first.ascent += above;
        }
        self.push_rows(rows, above, out)
    }

    pub(super) fn end_book(&mut self, out: &mut dyn Write) -> Result<(), BookError> {
        let promised = self.lookup.book().chapters.len();
        if self.numbers.len() != promised {
            let problem = format!("the book has {promised} chapters, and {} came", self.numbers.len());
            return Err(BookError::input("book.json", problem));
        }
        self.paper.set_front(true);
        self.contents(out)?;
        // The first chapter begins on a right-hand page.
        if self.paper.front_pages() % 2 == 1 {
            self.paper.blank(out)?;
        }
        self.paper.structure.move_forward(usize::from(promised > 0), self.front_elements);
        for _ in 0..self.paper.typesetter.missing() {
            self.losses.add(CHARACTER);
        }
        metadata::finish(self, out)
    }

    fn contents(&mut self, out: &mut dyn Write) -> Result<(), BookError> {
        let lookup = Arc::clone(&self.lookup);
        if self.numbers.is_empty() {
            return Ok(());
        }
        let words = language::contents(&self.language);
        let words = if Typesetter::has(words) { words } else { "Contents" };
        self.paper.set_heads(Some(words), words);
        self.paper.set_furniture(Furniture::Number);
        self.paper.structure.open(&mut self.paper.objects, "Sect");
        self.paper.structure.open(&mut self.paper.objects, "H1");
        let heading = self.paper.look.heading(1);
        let width = self.paper.look.width;
        let lines = self.paper.set(&Inlines::of(words), &heading, width);
        self.paper.structure.close();
        let mut title = rows(lines, &heading, 0.0);
        if let Some(first) = title.first_mut() {
            first.ascent += self.paper.look.height * 0.06;
        }
        self.push_rows(title, 0.0, out)?;
        self.paper.flow.keep_next();
        self.gap = self.paper.look.size * 1.6;
        self.paper.structure.open(&mut self.paper.objects, "TOC");
        for (index, number) in std::mem::take(&mut self.numbers).into_iter().enumerate() {
            self.contents_entry(&lookup.chapter_title(index), index, number, out)?;
        }
        self.paper.structure.close();
        self.paper.structure.close();
        self.paper.structure.seal(self.paper.flow.pushed());
        Ok(self.paper.flush(out)?)
    }

    fn contents_entry(
        &mut self,
        title: &str,
        index: usize,
        number: i32,
        out: &mut dyn Write,
    ) -> Result<(), BookError> {
        let look = TextLook { align: Align::Start, hyphenate: false, ..self.paper.look.body() };
        let action = Action::Place(self.places.chapter(index));
        let target = Arc::new(Target { action, contents: title.to_owned(), shows: false });
        let title: String = title.chars().filter(|c| is_legal(*c)).take(2_000).collect();
        let (width, room) = (self.paper.look.width, self.paper.look.width - look.size * 3.2);
        let is_right_to_left = self.paper.look.right_to_left;
        let x = if is_right_to_left { width - room } else { 0.0 };
        self.paper.structure.open(&mut self.paper.objects, "TOCI");
        let link = |text: &str| {
            let mut inlines = Inlines::default();
            inlines.push(text, Mood::default(), Some(&target));
            inlines
        };
        let lines = self.paper.set(&link(&title), &look, room);
        let figures =
            self.paper.set(&link(&number.to_string()), &TextLook { align: Align::End, ..look }, width);
        self.paper.structure.close();
        let (last, figure) = (lines.last().cloned(), figures.into_iter().next());
        let mut entry = rows(lines, &look, x);
        if entry.is_empty() {
            entry.extend(figure.clone().map(|line| row(line, &look, 0.0)));
        } else if let (Some(row), Some(line), Some(figure)) = (entry.last_mut(), last, figure) {
            let (begin, end) = if is_right_to_left {
                (figure.x + figure.width, x + line.x)
            } else {
                (line.x + line.width, figure.x)
            };
            let distance = look.size * 0.7;
            if end - begin > distance * 3.0 {
                row.ink.push(Ink::Leader { x: begin + distance, width: end - begin - 2.0 * distance });
            }
            row.ink.extend(figure.pieces.into_iter().map(|piece| Ink::Text { x: 0.0, piece }));
        }
        for row in entry.iter_mut().skip(1) {
            row.keep = true;
        }
        self.push_rows(entry, look.size * 0.35, out)
    }
}

//! Pictures in the text, with their captions; where one can't be shown, its words.

use std::{
    io::{self, Write},
    sync::Arc,
};

use super::{
    Pdf,
    blocks::Leaf,
    flow::{Ink, Row},
    inline::{Inlines, rows, unbroken},
    picture::Picture,
    structure::{Span, alternative},
    text::Align,
};
use crate::{
    book::BookError,
    export::{lookup, loss},
};

/// Points a pixel, where there is room: 96 pixels are an inch.
const PIXEL: f32 = 0.75;

impl Pdf {
    pub(super) fn image(
        &mut self,
        source: &str,
        alt: &str,
        title: &str,
        out: &mut dyn Write,
    ) -> Result<(), BookError> {
        let lookup = Arc::clone(&self.lookup);
        let (index, asset) = match lookup.picture(source) {
            lookup::Picture::Asset(index, asset) => (index, asset),
            lookup::Picture::Remote => {
                self.losses.add(loss::REMOTE_IMAGE);
                self.words_instead(alt, title, Some(source))?;
                return Ok(());
            }
            lookup::Picture::Missing => {
                self.losses.add(loss::MISSING_IMAGE);
                self.words_instead(alt, title, None)?;
                return Ok(());
            }
        };
        // Cells and headings are too narrow for pictures.
        let stands_alone = self.table.is_none() && !matches!(self.leaf, Some(Leaf::Heading { .. }));
        let picture = match stands_alone {
            true => self.pictures.get(index, asset, self.assets.as_mut(), &mut self.paper.objects, out)?,
            false => None,
        };
        let Some(picture) = picture else {
            self.losses.add(loss::IMAGE);
            self.words_instead(alt, title, None)?;
            return Ok(());
        };
        self.end_text(out)?;
        self.figure(picture, alt, title, out)
    }

    /// A picture that can't be shown: what it shows in words, where it is, if that is known, and its caption.
    fn words_instead(&mut self, alt: &str, title: &str, address: Option<&str>) -> io::Result<()> {
        let alt = if alt.trim().is_empty() { "image" } else { alt };
        let mood = self.mood();
        // Where it makes no link, the picture is what is lost, and counted.
        let is_in_link = self.links.iter().any(Option::is_some);
        let target = match address {
            Some(address) if !is_in_link => self.target(address)?,
            _ => None,
        };
        self.links.push(target.map(Arc::new));
        self.push(&format!("[{}]", unbroken(alt.trim())), mood);
        self.links.pop();
        if !title.trim().is_empty() {
            self.push(&format!(" {}", unbroken(title.trim())), mood);
        }
        Ok(())
    }

    fn figure(
        &mut self,
        picture: Picture,
        alt: &str,
        title: &str,
        out: &mut dyn Write,
    ) -> Result<(), BookError> {
        let (x, room) = self.measure();
        let (width, height) = picture.size();
        let (mut width, mut height) = (width * PIXEL, height * PIXEL);
        let scale = (room / width).min(self.paper.look.height * 0.8 / height).min(1.0);
        (width, height) = (width * scale, height * scale);
        let words = if alt.trim().is_empty() { title.trim() } else { alt.trim() };
        self.has_silent |= words.is_empty();
        self.paper.structure.open(&mut self.paper.objects, "Figure");
        self.paper.structure.entry(&alternative(words));
        let mark = self.paper.structure.span(Span::default());
        self.paper.structure.close();
        let x = x + (room - width) / 2.0;
        let ink = Ink::Picture { x, y: 0.0, width, height, picture: picture.id(), mark };
        let gap = self.paper.look.gap();
        let row = Row { ascent: height, ink: vec![ink], ..Row::default() };
        self.push_rows(vec![row], gap, out)?;
        if !title.trim().is_empty() {
            self.paper.flow.keep_next();
            let mut look = self.paper.look.scaled(0.88);
            (look.face.italic, look.align, look.hyphenate) = (true, Align::Centre, false);
            self.paper.structure.open(&mut self.paper.objects, "Caption");
            let (x, room) = self.measure();
            let lines = self.paper.set(&Inlines::of(&unbroken(title.trim())), &look, room);
            self.paper.structure.close();
            self.push_rows(rows(lines, &look, x), gap * 0.6, out)?;
        }
        (self.gap, self.follows) = (gap * 1.2, false);
        Ok(())
    }
}

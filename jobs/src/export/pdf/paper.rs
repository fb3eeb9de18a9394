//! Pages, written as they fill: places rows on paper, with running heads and numbers, and tells the structure what
//! stands where. Must not know: blocks and chapters.

use std::io::{self, Write};

use pdf_writer::Ref;

use super::{
    flow::{Flow, Ink, Row},
    look::Look,
    objects::Objects,
    sheet::Sheet,
    structure::{ARTIFACT, Structure},
    text::{Align, FontIndex, Line, Measure, Run, Style, Typesetter},
    tree::Pages,
};
use crate::book::check::is_legal;

/// Where pages come from.
pub(super) struct Paper {
    /// The file.
    pub(super) objects: Objects,
    /// What is what.
    pub(super) structure: Structure,
    /// Text to glyphs.
    pub(super) typesetter: Typesetter,
    /// What all pages have in common.
    pub(super) look: Look,
    /// Rows that wait for their page.
    pub(super) flow: Flow,
    front: Pages,
    body: Pages,
    in_front: bool,
    /// By font: its object, written last.
    fonts: Vec<Ref>,
    /// What stands above the text on the left and on the right page.
    heads: [Vec<Line>; 2],
    /// What stands on the next page beside its rows.
    furniture: Furniture,
}

/// What stands on a page beside its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Furniture {
    /// A running head and the number.
    #[default]
    Full,
    /// The number below the text.
    Number,
    /// Nothing.
    Nothing,
}

/// A place on the paper, from its lower left corner.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) x: f32,
    pub(super) y: f32,
}

impl Paper {
    /// No page yet.
    pub(super) fn new(mut objects: Objects, typesetter: Typesetter, look: Look) -> Self {
        let structure = Structure::new(&mut objects);
        let flow = Flow::new(look.height);
        Self {
            objects,
            structure,
            typesetter,
            look,
            flow,
            front: Pages::default(),
            body: Pages::default(),
            in_front: true,
            fonts: Vec::new(),
            heads: [Vec::new(), Vec::new()],
            furniture: Furniture::Nothing,
        }
    }

    /// Whether the pages to come stand in front of the first chapter.
    pub(super) fn set_front(&mut self, in_front: bool) {
        self.in_front = in_front;
    }

    /// The next page has only this beside its rows.
    pub(super) fn set_furniture(&mut self, furniture: Furniture) {
        self.furniture = furniture;
    }

    /// The number of the page that is filled now.
    pub(super) fn number(&self) -> i32 {
        if self.in_front { self.front.count() + 1 } else { self.body.count() + 1 }
    }

    /// How many pages there are in front.
    pub(super) fn front_pages(&self) -> i32 {
        self.front.count()
    }

    /// Sets what stands above the text: on the left page, and on the right one.
    pub(super) fn set_heads(&mut self, left: Option<&str>, right: &str) {
        if let Some(left) = left {
            self.heads[0] = self.head(left);
        }
        self.heads[1] = self.head(right);
    }

    /// One line, cut where it is too long.
    fn head(&mut self, text: &str) -> Vec<Line> {
        let look = self.look.scaled(0.85);
        let face = super::text::Face { italic: true, ..look.face };
        let style = Style { face, size: look.size, rise: 0.0 };
        let room = self.look.width * 0.8;
        // Unlike the stream, book.json comes unchecked.
        let legal: String = text.chars().filter(|c| is_legal(*c)).collect();
        let mut text: String = legal.split_whitespace().collect::<Vec<_>>().join(" ");
        text.truncate(text.floor_char_boundary(400));
        loop {
            let run = [Run { text: &text, style, mark: ARTIFACT }];
            if text.chars().count() < 8 || self.typesetter.natural_width(&run) <= room {
                break;
            }
            let less = text.chars().count() * 9 / 10 - 1;
            text = text.chars().take(less).collect::<String>().trim_end_matches(['…', ' ', ',']).to_owned()
                + "…";
        }
        self.line(&text, style, Align::Centre)
    }

    /// Text across the page, in one line if it fits.
    fn line(&mut self, text: &str, style: Style, align: Align) -> Vec<Line> {
        let measure = Measure {
            width: self.look.width,
            first_indent: 0.0,
            align,
            hyphenate: false,
            preformatted: false,
        };
        let mut lines = Vec::new();
        self.typesetter.set(&[Run { text, style, mark: ARTIFACT }], &measure, &mut lines);
        lines.truncate(1);
        lines
    }

    /// Takes a row; writes pages that are full.
    pub(super) fn push(&mut self, row: Row, out: &mut dyn Write) -> io::Result<()> {
        self.flow.push(row);
        while let Some(page) = self.flow.overfull() {
            self.ship(page, out)?;
        }
        Ok(())
    }

    /// Ends the page.
    pub(super) fn flush(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(page) = self.flow.flush() {
            self.ship(page, out)?;
        }
        Ok(())
    }

    /// Writes a page with nothing on it.
    pub(super) fn blank(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.set_furniture(Furniture::Nothing);
        self.ship(Vec::new(), out)
    }

    fn ship(&mut self, rows: Vec<Row>, out: &mut dyn Write) -> io::Result<()> {
        let number = self.number();
        let left = self.look.left(number);
        let page = self.objects.alloc();
        let mut sheet = Sheet::new(page, (self.look.paper.0, self.look.size));
        let mut y = self.look.paper.1 - self.look.top;
        let mut places = Vec::new();
        for (index, row) in rows.into_iter().enumerate() {
            y -= if index == 0 { 0.0 } else { row.above };
            places.extend(row.places.iter().map(|place| (*place, y)));
            y -= row.ascent;
            let at = At { x: left, y };
            for ink in row.ink {
                match ink {
                    Ink::Text { x, piece } => sheet.text(At { x: at.x + x, y }, piece),
                    Ink::Rule { x, y: up, width, height, grey } => {
                        sheet.rule(At { x: at.x + x, y: y + up }, width, height, grey);
                    }
                    Ink::Leader { x, width } => sheet.leader(At { x: at.x + x, y }, width),
                    Ink::Picture { x, y: up, width, height, picture, mark } => {
                        sheet.picture(At { x: at.x + x, y: y + up }, (width, height), picture, mark);
                    }
                }
            }
            y -= row.descent;
        }
        match std::mem::take(&mut self.furniture) {
            Furniture::Nothing => {}
            furniture => self.furnish(&mut sheet, number, left, furniture),
        }
        while self.fonts.len() < self.typesetter.fonts() {
            let font = self.objects.alloc();
            self.fonts.push(font);
        }
        for (place, y) in places {
            self.place(place, page, y, out)?;
        }
        let parent = self.parent();
        sheet.write(&mut self.objects, &mut self.structure, &self.fonts, parent, out)?;
        let pages = if self.in_front { &mut self.front } else { &mut self.body };
        pages.add(&mut self.objects, out, page)?;
        self.structure.settle(&mut self.objects, out, self.flow.shipped())
    }

    fn parent(&mut self) -> Ref {
        let pages = if self.in_front { &mut self.front } else { &mut self.body };
        pages.parent(&mut self.objects)
    }

    /// Writes a destination.
    fn place(&mut self, place: Ref, page: Ref, y: f32, out: &mut dyn Write) -> io::Result<()> {
        let y = (y + self.look.size * 0.5).min(self.look.paper.1);
        self.objects.body(out, place, format!("[{} 0 R/XYZ 0 {y:.1} null]", page.get()).as_bytes())
    }

    /// Running head and page number.
    fn furnish(&mut self, sheet: &mut Sheet, number: i32, left: f32, furniture: Furniture) {
        let look = self.look.scaled(0.85);
        let style = Style { face: look.face, size: look.size, rise: 0.0 };
        let text = if self.in_front { roman(number) } else { number.to_string() };
        let is_left = (number % 2 == 0) != self.look.right_to_left;
        let head_y = self.look.paper.1 - self.look.top + self.look.size * 1.5;
        let (line, y) = if furniture == Furniture::Number {
            let y = (self.look.paper.1 - self.look.top - self.look.height) * 0.55;
            (self.line(&text, style, Align::Centre), y)
        } else {
            for line in self.heads[usize::from(number % 2 == 1)].clone() {
                sheet.line(At { x: left, y: head_y }, line);
            }
            let outside = if is_left == self.look.right_to_left { Align::End } else { Align::Start };
            (self.line(&text, style, outside), head_y)
        };
        for line in line {
            sheet.line(At { x: left, y }, line);
        }
    }

    /// Writes fonts and the page tree; gives the tree's root.
    pub(super) fn finish(&mut self, out: &mut dyn Write) -> io::Result<Ref> {
        let root = self.objects.alloc();
        let front = std::mem::take(&mut self.front);
        let body = std::mem::take(&mut self.body);
        let count = front.count() + body.count();
        let mut kids = Vec::new();
        for pages in [front, body] {
            kids.extend(pages.finish(&mut self.objects, out, root)?);
        }
        let (width, height) = self.look.paper;
        self.objects.object(out, root, |object| {
            let mut dict = object.dict();
            dict.pair(super::objects::name("Type"), super::objects::name("Pages"));
            dict.pair(super::objects::name("Count"), count);
            dict.insert(super::objects::name("Kids")).array().items(kids);
            dict.insert(super::objects::name("MediaBox")).array().items([0.0, 0.0, width, height]);
        })?;
        for (index, font) in (0..).zip(std::mem::take(&mut self.fonts)) {
            self.font(FontIndex(index), font, out)?;
        }
        Ok(root)
    }

    fn font(&mut self, index: FontIndex, font: Ref, out: &mut dyn Write) -> io::Result<()> {
        let objects = std::cell::RefCell::new((&mut self.objects, out));
        let mut alloc = || objects.borrow_mut().0.alloc();
        let mut put = |id: Ref, chunk: &pdf_writer::Chunk| {
            let (objects, out) = &mut *objects.borrow_mut();
            objects.plain(*out, id, chunk.as_bytes())
        };
        self.typesetter.write_font(index, font, &mut alloc, &mut put)
    }
}

/// A page number in front of the first chapter.
fn roman(number: i32) -> String {
    const DIGITS: [(i32, &str); 13] = [
        (1000, "m"),
        (900, "cm"),
        (500, "d"),
        (400, "cd"),
        (100, "c"),
        (90, "xc"),
        (50, "l"),
        (40, "xl"),
        (10, "x"),
        (9, "ix"),
        (5, "v"),
        (4, "iv"),
        (1, "i"),
    ];
    let (mut left, mut text) = (number.max(0), String::new());
    for (value, digits) in DIGITS {
        while left >= value {
            text.push_str(digits);
            left -= value;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn roman_numbers_are_counted_as_romans_did() {
        assert_eq!([1, 4, 9, 14, 49, 1994].map(super::roman), ["i", "iv", "ix", "xiv", "xlix", "mcmxciv"]);
    }
}

//! A part's paragraphs and tables, as Word means them: fields are followed, tracked changes accepted, comments dropped.
//! A paragraph is held whole, a table too; the rest of the part is not.

use super::{
    styles::{Look, Styles},
    xml::{Element, Node, Xml},
};
use crate::book::{BookError, Losses};

mod bounds;
mod field;
mod marks;
mod model;
mod picture;
mod table;

pub(super) use bounds::{MOST_NAME_BYTES, cut};
use bounds::{MOST_PARAGRAPH_BYTES, bookmark, of_link};
use field::{Field, FieldKind};
pub(super) use marks::Marks;
pub(super) use model::{Block, Cell, Content, Link, NoteId, Paragraph, Picture, Piece, Table, Target};

/// Reads a part.
pub(super) struct Reader<'a> {
    xml: Xml<'a>,
    styles: &'a Styles,
    fields: Vec<Field>,
    /// How many fields are open besides those.
    fields_beyond: usize,
    pub(super) losses: Losses,
    /// The marks of notes that were met, where it is not known from before which there are.
    pub(super) marks: Marks,
    known: Option<&'a Marks>,
    /// Bookmarks since the last piece.
    recent: Vec<String>,
    /// Bookmarks between paragraphs belong to the next one.
    waiting: Vec<String>,
    /// Whether the content control that was begun holds the contents.
    in_contents: bool,
    table_bytes: Option<usize>,
    cells: usize,
}

impl<'a> Reader<'a> {
    /// Reads `xml`.
    pub(super) fn new(xml: Xml<'a>, styles: &'a Styles) -> Self {
        Self {
            xml,
            styles,
            fields: Vec::new(),
            fields_beyond: 0,
            losses: Losses::default(),
            marks: Marks::default(),
            known: None,
            recent: Vec::new(),
            waiting: Vec::new(),
            in_contents: false,
            table_bytes: None,
            cells: 0,
        }
    }

    /// Reads `xml`, where all `marks` of notes are known: notes mention others whose marks stand in the text, and either
    /// may mention notes still to come.
    pub(super) fn knowing(xml: Xml<'a>, styles: &'a Styles, marks: &'a Marks) -> Self {
        Self { known: Some(marks), ..Self::new(xml, styles) }
    }

    /// The next block, whatever stands around it.
    pub(super) fn next(&mut self) -> Result<Option<Block>, BookError> {
        loop {
            let element = match self.xml.next()? {
                Node::Start(element) => element,
                Node::Eof => {
                    self.end_fields();
                    return Ok(None);
                }
                Node::End | Node::Text(_) => continue,
            };
            match element.name.as_str() {
                "p" => {
                    let paragraph = self.paragraph()?;
                    let hidden = self.is_in_contents() && paragraph.pieces.is_empty();
                    if !hidden {
                        return Ok(Some(Block::Paragraph(paragraph)));
                    }
                    self.wait(paragraph.bookmarks);
                }
                "tbl" => {
                    (self.table_bytes, self.cells) = (Some(0), 0);
                    let table = self.table()?;
                    self.table_bytes = None;
                    return Ok(Some(Block::Table(table)));
                }
                _ => self.between(&element)?,
            }
        }
    }

    /// What may stand between paragraphs.
    fn between(&mut self, element: &Element) -> Result<(), BookError> {
        match element.name.as_str() {
            "sdtPr" => self.control(),
            "sdtContent" if std::mem::take(&mut self.in_contents) => self.xml.skip(),
            "bookmarkStart" => {
                self.wait(bookmark(element).map(str::to_owned));
                Ok(())
            }
            "sectPr" | "Fallback" | "background" => self.xml.skip(),
            _ => Ok(()),
        }
    }

    /// What a content control holds.
    fn control(&mut self) -> Result<(), BookError> {
        let mut depth = 1_usize;
        while depth > 0 {
            match self.xml.next()? {
                Node::Start(element) => {
                    depth += 1;
                    self.in_contents |=
                        element.name == "docPartGallery" && element.value() == "Table of Contents";
                }
                Node::End => depth -= 1,
                Node::Text(_) => {}
                Node::Eof => break,
            }
        }
        Ok(())
    }

    fn paragraph(&mut self) -> Result<Paragraph, BookError> {
        let mut paragraph =
            Paragraph { bookmarks: std::mem::take(&mut self.waiting), ..Paragraph::default() };
        for field in &mut self.fields {
            field.link = None;
        }
        self.recent.clear();
        self.inside(&mut paragraph, None)?;
        self.end_instructions();
        Ok(paragraph)
    }

    /// What stands in a paragraph, or in something in it.
    fn inside(&mut self, paragraph: &mut Paragraph, link: Option<usize>) -> Result<(), BookError> {
        self.check_depth()?;
        loop {
            let element = match self.xml.next()? {
                Node::Start(element) => element,
                Node::End | Node::Eof => return Ok(()),
                Node::Text(_) => continue,
            };
            match element.name.as_str() {
                "pPr" => self.properties(paragraph)?,
                "r" => {
                    let mut look = Look::default();
                    self.run(paragraph, link, &mut look)?;
                }
                "hyperlink" => {
                    let target = match (element.get("id"), element.get("anchor")) {
                        (Some(id), _) => Some(Target::Relation(of_link(id))),
                        (None, Some(anchor)) => Some(Target::Bookmark(of_link(anchor))),
                        (None, None) => None,
                    };
                    let title = of_link(element.get("tooltip").unwrap_or_default());
                    let own = match target {
                        Some(target) => Some(self.add_link(paragraph, Link { target, title })?),
                        None => link,
                    };
                    self.inside(paragraph, own)?;
                }
                "fldSimple" => {
                    let instruction = element.get("instr").unwrap_or_default();
                    let before = self.begin_simple(instruction, paragraph)?;
                    self.inside(paragraph, link)?;
                    self.end_simple(before);
                }
                "ins" | "moveTo" => {
                    self.losses.add("tracked insertion, kept");
                    self.inside(paragraph, link)?;
                }
                "del" | "moveFrom" => {
                    self.losses.add("tracked deletion, dropped");
                    self.deleted(paragraph)?;
                }
                "smartTag" | "customXml" | "sdt" | "sdtContent" | "dir" | "bdo" | "AlternateContent"
                | "Choice" => {
                    self.inside(paragraph, link)?;
                }
                "bookmarkStart" => {
                    if let Some(name) = bookmark(&element) {
                        self.mark(paragraph, name)?;
                    }
                    self.xml.skip()?;
                }
                "oMath" | "oMathPara" => {
                    self.losses.add("formula, kept as text");
                    let text = self.xml.text(64 << 10)?;
                    self.push(paragraph, link, Look::default(), Content::Text(text))?;
                }
                _ => self.xml.skip()?,
            }
        }
    }

    fn properties(&mut self, paragraph: &mut Paragraph) -> Result<(), BookError> {
        let mut changes = 0_u64;
        let (mut list, mut level) = (None, 0);
        self.xml.children(&mut |xml, element| {
            match element.name.as_str() {
                "pStyle" => element.value().clone_into(&mut paragraph.style),
                "jc" => element.value().clone_into(&mut paragraph.alignment),
                "bidi" => paragraph.right_to_left = Some(element.is_on()),
                "pageBreakBefore" => paragraph.page_break = element.is_on(),
                "outlineLvl" => paragraph.outline = element.value().parse().ok(),
                "pBdr" => {
                    return xml.children(&mut |xml, side| {
                        paragraph.line |= side.name == "bottom" && side.is_on();
                        xml.skip()
                    });
                }
                "numPr" => {
                    return xml.children(&mut |xml, number| {
                        match number.name.as_str() {
                            "ilvl" => level = number.value().parse().unwrap_or(0).min(8),
                            "numId" => list = Some(number.value().to_owned()),
                            _ => {}
                        }
                        xml.skip()
                    });
                }
                "sectPr" => paragraph.page_break_after = true,
                "pPrChange" => changes += 1,
                _ => {}
            }
            xml.skip()
        })?;
        let named = paragraph.style.len() + paragraph.alignment.len();
        self.weigh(paragraph, named + list.as_ref().map_or(0, String::len))?;
        paragraph.list = list.map(|list| (list, level));
        (0..changes).for_each(|_| self.losses.add("tracked change of a format"));
        Ok(())
    }

    fn run(
        &mut self,
        paragraph: &mut Paragraph,
        link: Option<usize>,
        look: &mut Look,
    ) -> Result<(), BookError> {
        self.check_depth()?;
        loop {
            let element = match self.xml.next()? {
                Node::Start(element) => element,
                Node::End | Node::Eof => return Ok(()),
                Node::Text(_) => continue,
            };
            match element.name.as_str() {
                "rPr" => {
                    self.look(look)?;
                    continue;
                }
                "t" => {
                    let text = self.xml.text(MOST_PARAGRAPH_BYTES)?;
                    self.push(paragraph, link, *look, Content::Text(text.replace(['\n', '\r'], " ")))?;
                    continue;
                }
                "instrText" => {
                    let text = self.xml.text(16 << 10)?;
                    self.instruct(&text);
                    continue;
                }
                "fldChar" => {
                    self.field_sign(element.get("fldCharType").unwrap_or_default(), paragraph)?;
                }
                "tab" => self.push(paragraph, link, *look, Content::Text("\t".into()))?,
                "noBreakHyphen" => self.push(paragraph, link, *look, Content::Text("\u{2011}".into()))?,
                "softHyphen" => self.push(paragraph, link, *look, Content::Text("\u{ad}".into()))?,
                "br" if matches!(element.get("type"), Some("page" | "column")) => {
                    let is_page = element.get("type") == Some("page");
                    let at_start = paragraph.pieces.is_empty();
                    paragraph.page_break |= is_page && at_start;
                    paragraph.page_break_after |= is_page && !at_start;
                }
                "br" | "cr" => self.push(paragraph, link, *look, Content::Break)?,
                "sym" => {
                    self.losses.add("symbol of a font");
                    self.push(paragraph, link, *look, Content::Text("\u{fffd}".into()))?;
                }
                "footnoteReference" | "endnoteReference" => {
                    let id = cut(element.get("id").unwrap_or_default(), MOST_NAME_BYTES).to_owned();
                    let note = NoteId { at_end: element.name == "endnoteReference", id };
                    if self.known.is_none() {
                        self.marks.add(self.recent.drain(..), &note);
                    }
                    self.push(paragraph, link, *look, Content::Note(Some(note)))?;
                }
                "commentReference" => self.losses.add("comment"),
                "drawing" | "pict" | "object" => {
                    self.picture(paragraph, link, *look)?;
                    continue;
                }
                // In a run they hold what runs hold.
                "AlternateContent" | "Choice" | "ruby" | "rubyBase" | "r" => {
                    self.run(paragraph, link, look)?;
                    continue;
                }
                _ => {}
            }
            self.xml.skip()?;
        }
    }

    fn look(&mut self, look: &mut Look) -> Result<(), BookError> {
        let (styles, mut of_style) = (self.styles, Look::default());
        self.xml.children(&mut |xml, element| {
            match element.name.as_str() {
                "rStyle" => of_style = Look { styled: true, ..styles.run(element.value()) },
                _ => look.set(&element),
            }
            xml.skip()
        })?;
        *look = look.over(of_style);
        Ok(())
    }

    fn push(
        &mut self,
        paragraph: &mut Paragraph,
        link: Option<usize>,
        look: Look,
        content: Content,
    ) -> Result<(), BookError> {
        if look.hidden == Some(true) {
            self.losses.add(crate::book::loss::HIDDEN);
            return Ok(());
        }
        let mut link = link;
        let mut bytes = content.bytes();
        for field in &mut self.fields {
            if !field.in_result {
                field.drop_piece();
                return Ok(());
            }
            match &field.kind {
                FieldKind::Contents => {
                    field.drop_piece();
                    return Ok(());
                }
                FieldKind::NoteAgain(bookmark) => {
                    let note = self.known.unwrap_or(&self.marks).note(bookmark);
                    paragraph.mark_looks(note, look, link);
                    field.drop_piece();
                    return Ok(());
                }
                FieldKind::Link(to) => {
                    let own = *field.link.get_or_insert_with(|| {
                        bytes += to.bytes();
                        paragraph.links.push(to.clone());
                        paragraph.links.len() - 1
                    });
                    link = link.or(Some(own));
                }
                FieldKind::Other => {}
            }
        }
        self.weigh(paragraph, bytes)?;
        self.recent.clear();
        match (paragraph.pieces.last_mut(), content) {
            (
                Some(Piece { content: Content::Text(before), look: same, link: in_link }),
                Content::Text(text),
            ) if *same == look && *in_link == link => {
                before.push_str(&text);
            }
            (_, content) => paragraph.pieces.push(Piece { content, look, link }),
        }
        Ok(())
    }
}

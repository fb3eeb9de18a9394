//! A part's paragraphs and tables, as Word means them: fields are followed, tracked changes accepted, comments dropped.
//! A paragraph is held whole, a table too; the rest of the part is not.

use std::collections::HashMap;

use super::{
    styles::{Look, Styles},
    xml::{Element, Node, Xml},
};
use crate::book::{BookError, Losses};

mod field;
mod model;
mod picture;
mod table;

use field::{Field, FieldKind};
pub(super) use model::{Block, Cell, Content, Link, NoteId, Paragraph, Picture, Piece, Table, Target};

/// How many bytes of text a paragraph has at most, and a table.
const MOST_PARAGRAPH_BYTES: usize = 8 << 20;
const MOST_TABLE_BYTES: usize = 32 << 20;
/// How many bookmarks around notes are remembered.
const MOST_MARKS: usize = 200_000;

/// Reads a part.
pub(super) struct Reader<'a> {
    xml: Xml<'a>,
    styles: &'a Styles,
    fields: Vec<Field>,
    pub(super) losses: Losses,
    /// Bookmarks that stand around a note's mark.
    pub(super) marks: HashMap<String, NoteId>,
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
            losses: Losses::default(),
            marks: HashMap::new(),
            recent: Vec::new(),
            waiting: Vec::new(),
            in_contents: false,
            table_bytes: None,
            cells: 0,
        }
    }

    /// The next block, whatever stands around it.
    pub(super) fn next(&mut self) -> Result<Option<Block>, BookError> {
        loop {
            let element = match self.xml.next()? {
                Node::Start(element) => element,
                Node::Eof => return Ok(None),
                Node::End | Node::Text(_) => continue,
            };
            match element.name.as_str() {
                "p" => {
                    let paragraph = self.paragraph()?;
                    let hidden = self.is_in_contents() && paragraph.pieces.is_empty();
                    if !hidden {
                        return Ok(Some(Block::Paragraph(paragraph)));
                    }
                    self.waiting.extend(paragraph.bookmarks);
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
                self.waiting.extend(element.get("name").map(str::to_owned));
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
        Ok(paragraph)
    }

    /// What stands in a paragraph, or in something in it.
    fn inside(&mut self, paragraph: &mut Paragraph, link: Option<usize>) -> Result<(), BookError> {
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
                        (Some(id), _) => Some(Target::Relation(id.to_owned())),
                        (None, Some(anchor)) => Some(Target::Bookmark(anchor.to_owned())),
                        (None, None) => None,
                    };
                    let title = element.get("tooltip").unwrap_or_default().to_owned();
                    let own = target.map(|target| {
                        paragraph.links.push(Link { target, title });
                        paragraph.links.len() - 1
                    });
                    self.inside(paragraph, own.or(link))?;
                }
                "fldSimple" => {
                    let field = Field::simple(element.get("instr").unwrap_or_default());
                    self.fields.push(field);
                    self.begin_result(paragraph);
                    self.inside(paragraph, link)?;
                    self.fields.pop();
                }
                "ins" | "moveTo" => {
                    self.losses.add("tracked insertion, kept");
                    self.inside(paragraph, link)?;
                }
                "del" | "moveFrom" => {
                    self.losses.add("tracked deletion, dropped");
                    self.xml.skip()?;
                }
                "smartTag" | "customXml" | "sdt" | "sdtContent" | "dir" | "bdo" | "AlternateContent"
                | "Choice" => {
                    self.inside(paragraph, link)?;
                }
                "bookmarkStart" => {
                    if let Some(name) = element.get("name") {
                        if self.recent.len() < 64 {
                            self.recent.push(name.to_owned());
                        }
                        if paragraph.bookmarks.len() < 1000 {
                            paragraph.bookmarks.push(name.to_owned());
                        }
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
                    if let Some(field) = self.fields.last_mut() {
                        field.say(&text);
                    }
                    continue;
                }
                "fldChar" => match element.get("fldCharType") {
                    Some("begin") if self.fields.len() < 64 => self.fields.push(Field::default()),
                    Some("separate") => self.begin_result(paragraph),
                    Some("end") => {
                        // Some fields have no result.
                        if self.fields.last().is_some_and(|field| !field.in_result) {
                            self.begin_result(paragraph);
                        }
                        self.fields.pop();
                    }
                    _ => {}
                },
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
                    let id = element.get("id").unwrap_or_default().to_owned();
                    let note = NoteId { at_end: element.name == "endnoteReference", id };
                    for name in self.recent.drain(..) {
                        if self.marks.len() < MOST_MARKS {
                            self.marks.insert(name, note.clone());
                        }
                    }
                    self.push(paragraph, link, *look, Content::Note(note))?;
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
            self.losses.add("hidden text");
            return Ok(());
        }
        let mut link = link;
        for field in &mut self.fields {
            if !field.in_result {
                return Ok(());
            }
            match field.kind() {
                FieldKind::Contents => return Ok(()),
                FieldKind::NoteAgain(bookmark) => {
                    if let Some(note) = self.marks.get(&bookmark) {
                        paragraph.mark_looks(note, look, link);
                    }
                    return Ok(());
                }
                FieldKind::Link(to) => {
                    let own = *field.link.get_or_insert_with(|| {
                        paragraph.links.push(to);
                        paragraph.links.len() - 1
                    });
                    link = link.or(Some(own));
                }
                FieldKind::Other => {}
            }
        }
        let bytes = match &content {
            Content::Text(text) => text.len(),
            _ => 64,
        };
        paragraph.bytes += bytes;
        if let Some(table) = &mut self.table_bytes {
            *table += bytes;
            if *table > MOST_TABLE_BYTES {
                return Err(self.xml.wrong("a table has more than 32 MiB of text: divide it"));
            }
        }
        if paragraph.bytes > MOST_PARAGRAPH_BYTES {
            return Err(self.xml.wrong("a paragraph has more than 8 MiB: divide it"));
        }
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

//! Paragraphs and tables as balanced events: which quotes, lists and items they stand in, and which marks their runs
//! share. Knows neither files nor XML.

use std::{borrow::Cow, collections::HashMap};

use super::{
    styles::{Resolved, Role, Sign, Styles},
    text::{Content, Link, NoteId, Paragraph, Picture, Piece, Table as Source},
};
use crate::{
    book::{Alignment, BookError, EndTag, Event, EventSink, Losses, Tag},
    import::{
        one_line,
        table::{Table, owned},
    },
};

mod runs;

use runs::Runs;

/// How many lists are counted.
const MOST_COUNTED: usize = 100_000;

/// Where blocks go, and what pieces refer to.
pub(super) trait Desk {
    /// Where a link leads; `None` where only its text is to be kept.
    fn link(&mut self, link: &Link) -> Option<String>;
    /// The name or address of a picture, if there is one.
    ///
    /// # Errors
    /// Where it can't be read or taken.
    fn picture(&mut self, picture: &Picture) -> Result<Option<String>, BookError>;
    /// The label of a note, if there is one.
    fn note(&mut self, note: &NoteId) -> Option<String>;
    /// Where events go.
    fn out(&mut self) -> &mut dyn EventSink;
    /// What is lost.
    fn losses(&mut self) -> &mut Losses;
}

/// What is open around blocks.
#[derive(Debug, PartialEq)]
enum Frame {
    Quote,
    List { list: String, level: u8, is_numbered: bool },
    Item,
}

/// The blocks of one text.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    frames: Vec<Frame>,
    /// The next number of each list's levels, for lists that go on.
    next: HashMap<(String, u8), u64>,
    /// Whether lines of code may follow in the block that is open.
    in_code: bool,
    /// The caption of the picture above, which needs no saying again.
    caption: Option<String>,
}

/// What a paragraph's own properties and its style come to.
pub(super) fn resolved(paragraph: &Paragraph, styles: &Styles) -> Resolved {
    let mut resolved = styles.paragraph(&paragraph.style);
    if let (Role::Body, Some(level)) = (resolved.role, paragraph.outline.filter(|level| *level < 9)) {
        resolved.role = Role::Heading(level + 1);
    }
    if let Some((list, level)) = &paragraph.list {
        // The number 0 takes the style's list away.
        resolved.list = (list != "0").then(|| (list.clone(), *level));
    }
    if paragraph.line && paragraph.is_blank() {
        resolved.role = Role::Rule;
    }
    resolved
}

impl Blocks {
    /// A paragraph; `anchor` is the name of a heading, `base` the level at which chapters begin, `language` of code.
    pub(super) fn paragraph(
        &mut self,
        paragraph: &Paragraph,
        styles: &Styles,
        heading: (u8, Option<String>),
        language: Option<String>,
        desk: &mut dyn Desk,
    ) -> Result<(), BookError> {
        let resolved = resolved(paragraph, styles);
        let caption = self.caption.take();
        let is_heading = matches!(resolved.role, Role::Heading(_));
        let item = resolved.list.as_ref().filter(|_| !is_heading);
        let sign = item.map(|(list, level)| styles.sign(list, *level));
        let starts = item.is_some() && sign != Some(Sign::Nothing);
        let path = match item {
            Some(_) if resolved.is_own => resolved.path.clone(),
            Some((_, level)) => {
                // Where a level is left out, the item stands right in the one above.
                let depth = self.frames.iter().filter(|frame| matches!(frame, Frame::Item)).count();
                let level = usize::from(*level).min(if starts { depth } else { depth.saturating_sub(1) });
                let items = if starts || depth > 0 { "L".repeat(level + 1) } else { String::new() };
                format!("{items}{}", resolved.path)
            }
            None if resolved.path.is_empty()
                && paragraph.style == "ListParagraph"
                && !paragraph.is_blank() =>
            {
                self.path()
            }
            None => resolved.path.clone(),
        };
        if paragraph.is_blank() && !starts && !is_block_of_its_own(resolved.role) {
            return Ok(());
        }
        let own_code = matches!(resolved.role, Role::Code { own: true });
        let goes_on =
            self.in_code && resolved.role == (Role::Code { own: false }) && !starts && self.path() == path;
        let run = Runs::new(paragraph, &resolved, desk)?;
        let out = desk.out();
        if goes_on {
            return code(paragraph, out);
        }
        self.end_code(out)?;
        self.place(&path, item.filter(|_| starts), styles, out)?;
        match resolved.role {
            Role::Separator => Ok(()),
            Role::Rule => out.event(Event::Rule),
            Role::Heading(_) | Role::Title => {
                let (level, anchor) = heading;
                out.event(Event::Start(Tag::Heading { level, anchor: anchor.map(Cow::Owned) }))?;
                run.send(true, out)?;
                out.event(Event::End(EndTag::Heading(level)))
            }
            Role::Code { .. } => {
                let language = Cow::Owned(language.unwrap_or_default());
                out.event(Event::Start(Tag::CodeBlock { language }))?;
                self.in_code = true;
                code(paragraph, out)?;
                if own_code { self.end_code(out) } else { Ok(()) }
            }
            Role::Caption if caption.is_some() && caption == Some(one_line(&paragraph.text(), 8000)) => {
                Ok(())
            }
            Role::Compact if starts && path.ends_with('L') => run.send(false, out),
            _ if paragraph.is_blank() => Ok(()),
            _ => {
                if let [Piece { content: Content::Picture(picture), .. }] = paragraph.pieces.as_slice() {
                    self.caption = Some(one_line(&picture.title, 8000));
                }
                out.event(Event::Start(Tag::Paragraph))?;
                run.send(false, out)?;
                out.event(Event::End(EndTag::Paragraph))
            }
        }
    }

    /// A table.
    pub(super) fn table(
        &mut self,
        source: &Source,
        styles: &Styles,
        desk: &mut dyn Desk,
    ) -> Result<(), BookError> {
        self.end_code(desk.out())?;
        self.caption = None;
        let path = styles.paragraph(&source.style).path;
        self.place(&path, None, styles, desk.out())?;
        let mut table = Table::default();
        for row in &source.rows {
            table.row();
            for cell in row {
                table.begin_cell()?;
                table.align(alignment(cell.paragraphs.first(), styles));
                let mut kept = Kept::default();
                for paragraph in cell.paragraphs.iter().filter(|paragraph| !paragraph.is_blank()) {
                    if !kept.0.is_empty() {
                        desk.losses().add("block inside a table cell or heading");
                        kept.event(Event::Text(" ".into()))?;
                    }
                    Runs::new(paragraph, &resolved(paragraph, styles), desk)?.send(true, &mut kept)?;
                }
                table.cell = Some(kept.0);
                table.end_cell(cell.span)?;
            }
        }
        if table.is_empty() { Ok(()) } else { table.write(desk.out()) }
    }

    /// Ends whatever is open.
    pub(super) fn finish(&mut self, out: &mut dyn EventSink) -> Result<(), BookError> {
        self.end_code(out)?;
        self.caption = None;
        self.close(0, out)
    }

    fn end_code(&mut self, out: &mut dyn EventSink) -> Result<(), BookError> {
        if std::mem::take(&mut self.in_code) { out.event(Event::End(EndTag::CodeBlock)) } else { Ok(()) }
    }

    /// The quotes and items that are open.
    fn path(&self) -> String {
        let letters = self.frames.iter().filter_map(|frame| match frame {
            Frame::Quote => Some('Q'),
            Frame::Item => Some('L'),
            Frame::List { .. } => None,
        });
        letters.collect()
    }

    fn close(&mut self, down_to: usize, out: &mut dyn EventSink) -> Result<(), BookError> {
        for frame in self.frames.drain(down_to..).rev() {
            out.event(Event::End(match frame {
                Frame::Quote => EndTag::Quote,
                Frame::Item => EndTag::Item,
                Frame::List { is_numbered, .. } => EndTag::List(is_numbered),
            }))?;
        }
        Ok(())
    }

    /// Opens and closes what is around a block at `path`, whose innermost item begins where `item` is one.
    fn place(
        &mut self,
        path: &str,
        item: Option<&(String, u8)>,
        styles: &Styles,
        out: &mut dyn EventSink,
    ) -> Result<(), BookError> {
        let path: Vec<u8> = path.bytes().take(crate::book::check::MOST_DEPTH).collect();
        let begins = item.and_then(|_| path.iter().rposition(|letter| *letter == b'L'));
        let (mut kept, mut at) = (0, 0);
        for (place, frame) in self.frames.iter().enumerate() {
            let same = match frame {
                Frame::List { .. } => continue,
                Frame::Quote => path.get(at) == Some(&b'Q'),
                Frame::Item => path.get(at) == Some(&b'L') && begins != Some(at),
            };
            if !same {
                break;
            }
            (kept, at) = (place + 1, at + 1);
        }
        if begins == Some(at)
            && let (Some((list, level)), Some(Frame::List { list: open, level: open_level, .. })) =
                (item, self.frames.get(kept))
            && list == open
            && level == open_level
        {
            kept += 1;
        }
        self.close(kept, out)?;
        for (place, letter) in path.iter().enumerate().skip(at) {
            if *letter == b'Q' {
                out.event(Event::Start(Tag::Quote))?;
                self.frames.push(Frame::Quote);
                continue;
            }
            let numbered = item.filter(|_| begins == Some(place));
            if !matches!(self.frames.last(), Some(Frame::List { .. })) {
                let first = numbered.and_then(|item| self.first(item, styles));
                let (list, level) = numbered.cloned().unwrap_or_default();
                out.event(Event::Start(Tag::List { first }))?;
                self.frames.push(Frame::List { list, level, is_numbered: first.is_some() });
            }
            out.event(Event::Start(Tag::Item))?;
            self.frames.push(Frame::Item);
            if let Some(item) = numbered {
                self.count(item, styles);
            }
        }
        Ok(())
    }

    /// The number that a list begins with here: where it was left, if it goes on.
    fn first(&self, item: &(String, u8), styles: &Styles) -> Option<u64> {
        let Sign::Number(first) = styles.sign(&item.0, item.1) else { return None };
        Some(self.next.get(item).copied().unwrap_or(first).min(999_999_999))
    }

    fn count(&mut self, item: &(String, u8), styles: &Styles) {
        if let Sign::Number(first) = styles.sign(&item.0, item.1)
            && self.next.len() < MOST_COUNTED
        {
            *self.next.entry(item.clone()).or_insert(first) += 1;
        }
        // What stands deeper begins anew.
        for level in item.1 + 1..9 {
            self.next.remove(&(item.0.clone(), level));
        }
    }
}

/// Whether an empty paragraph of this sort means something.
fn is_block_of_its_own(role: Role) -> bool {
    matches!(role, Role::Rule | Role::Separator | Role::Code { .. })
}

/// How a paragraph of a cell is set. In one that runs from right to left, Word's left is where lines begin.
fn alignment(paragraph: Option<&Paragraph>, styles: &Styles) -> Alignment {
    let Some(paragraph) = paragraph else { return Alignment::None };
    let turned = paragraph.right_to_left.unwrap_or(styles.right_to_left);
    match paragraph.alignment.as_str() {
        "center" => Alignment::Center,
        "left" | "start" if turned => Alignment::Right,
        "right" | "end" if turned => Alignment::Left,
        "left" | "start" => Alignment::Left,
        "right" | "end" => Alignment::Right,
        _ => Alignment::None,
    }
}

#[derive(Default)]
struct Kept(Vec<Event<'static>>);

impl EventSink for Kept {
    fn event(&mut self, event: Event<'_>) -> Result<(), BookError> {
        self.0.push(owned(event));
        Ok(())
    }
}

/// A paragraph of code: its lines, with a line feed behind each.
fn code(paragraph: &Paragraph, out: &mut dyn EventSink) -> Result<(), BookError> {
    let mut any = false;
    for piece in &paragraph.pieces {
        match &piece.content {
            Content::Text(text) => out.event(Event::Text(Cow::Borrowed(text)))?,
            Content::Break => out.event(Event::Text("\n".into()))?,
            Content::Picture(_) | Content::Note(_) => continue,
        }
        any = true;
    }
    if any { out.event(Event::Text("\n".into())) } else { Ok(()) }
}

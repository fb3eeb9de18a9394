//! What stands in a paragraph: text, code, links, pictures.

use std::sync::Arc;

use super::{
    body::Body,
    links::{self, Relationships},
    names, page,
    paragraph::{Content, Link},
    picture::Picture,
    runs::{self, Sort},
    size,
    styles::{Kind, indents},
};
use crate::{
    book::{Asset, BookError, LinkTarget},
    export::{
        archived::reading,
        escape::{escaped, push_escaped},
        lookup, loss, url,
    },
};

/// Word's bound for what is shown when a link is pointed at.
const MOST_HINT_CHARACTERS: usize = 260;

impl Body {
    pub(super) fn text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if self.story.paragraph.as_ref().is_some_and(|open| open.kind == Kind::Code) {
            return self.lines(text);
        }
        self.run(text, if self.is_in_link() { Sort::Link } else { Sort::Plain });
    }

    pub(super) fn code(&mut self, code: &str) {
        self.run(code, Sort::Code);
    }

    fn run(&mut self, text: &str, sort: Sort) {
        self.ready(Some(text));
        let story = &mut self.story;
        let Some(open) = &mut story.paragraph else { return };
        open.content = Content::More;
        runs::push_text(&mut story.out, text, sort, &story.marks, open.right_to_left);
    }

    pub(super) fn line_break(&mut self) {
        self.ready(None);
        self.story.out.push_str("<w:r><w:br/></w:r>");
        self.has_more();
    }

    pub(super) fn has_more(&mut self) {
        if let Some(open) = &mut self.story.paragraph {
            open.content = Content::More;
        }
    }

    /// Lines of code. The line feed at the end of all waits for what follows it, and goes if nothing does.
    fn lines(&mut self, text: &str) {
        self.ready(None);
        let story = &mut self.story;
        let Some(open) = &mut story.paragraph else { return };
        open.content = Content::More;
        let out = &mut story.out;
        out.push_str("<w:r>");
        for (at, line) in text.split('\n').enumerate() {
            if at > 0 && std::mem::replace(&mut open.line_waits, true) {
                out.push_str("<w:br/>");
            }
            if !line.is_empty() && std::mem::take(&mut open.line_waits) {
                out.push_str("<w:br/>");
            }
            for (at, piece) in line.split('\t').enumerate() {
                if at > 0 {
                    out.push_str("<w:tab/>");
                }
                if !piece.is_empty() {
                    out.push_str("<w:t xml:space=\"preserve\">");
                    push_escaped(out, piece);
                    out.push_str("</w:t>");
                }
            }
        }
        out.push_str("</w:r>");
    }

    /// Whether a link is open that leads somewhere.
    pub(super) fn is_in_link(&self) -> bool {
        self.story.links.iter().any(|link| link.closing.is_some())
    }

    /// The relationships of what is being written.
    fn relationships(&mut self) -> &mut Relationships {
        if self.story.note.is_some() && !self.notes.at_chapter_end {
            &mut self.note_links
        } else {
            &mut self.links
        }
    }

    pub(super) fn start_link(&mut self, target: &str, title: &str) -> Result<(), BookError> {
        let mut link = Link { opening: None, closing: None };
        if self.is_in_link() {
            self.losses.add(loss::NESTED_LINK);
        } else if let Some((opening, closing)) = self.link(target, title)? {
            link = Link { opening: Some(opening), closing: Some(closing) };
        } else {
            self.losses.add(self.lookup.lost_link(self.chapter, target));
        }
        self.story.links.push(link);
        Ok(())
    }

    pub(super) fn end_link(&mut self) {
        if let Some(Link { opening: None, closing: Some(closing) }) = self.story.links.pop() {
            self.story.out.push_str(closing);
        }
    }

    /// A link's start and end tags, if it leads anywhere.
    fn link(&mut self, target: &str, title: &str) -> Result<Option<(String, &'static str)>, BookError> {
        let lookup = Arc::clone(&self.lookup);
        let (index, anchor) = match lookup.link(self.chapter, target) {
            LinkTarget::External(target) => return self.link_out(url::valid(target), title),
            LinkTarget::Chapter { index, anchor } => (index, anchor),
            LinkTarget::Nowhere => return Ok(None),
        };
        let mut name = names::chapter(index);
        if !anchor.is_empty() {
            let place = names::anchor(index, anchor);
            if self.anchors.ask(index, &place)? {
                name = place;
            } else {
                self.losses.add(loss::ANCHOR);
            }
        }
        let hint = hint(title);
        Ok(Some((format!("<w:hyperlink w:anchor=\"{name}\"{hint} w:history=\"1\">"), "</w:hyperlink>")))
    }

    fn link_out(
        &mut self,
        address: Option<String>,
        title: &str,
    ) -> Result<Option<(String, &'static str)>, BookError> {
        let Some(address) = address.filter(|address| links::is_short(address)) else { return Ok(None) };
        Ok(Some(match self.relationships().link(&address)? {
            Some(id) => {
                let hint = hint(title);
                (format!("<w:hyperlink r:id=\"{id}\"{hint} w:history=\"1\">"), "</w:hyperlink>")
            }
            None => {
                let field = format!(" HYPERLINK \"{address}\" ");
                (format!("<w:fldSimple w:instr=\"{}\">", escaped(&field)), "</w:fldSimple>")
            }
        }))
    }

    pub(super) fn image(&mut self, source: &str, alt: &str, title: &str) -> Result<(), BookError> {
        let lookup = Arc::clone(&self.lookup);
        match lookup.picture(source) {
            lookup::Picture::Asset(index, asset) => self.picture(index, asset, alt, title),
            lookup::Picture::Remote => {
                self.losses.add(loss::REMOTE_IMAGE);
                self.instead_of_image(url::valid(source), alt, title)
            }
            lookup::Picture::Missing => {
                self.losses.add(loss::MISSING_IMAGE);
                self.instead_of_image(None, alt, title)
            }
        }
    }

    fn picture(&mut self, index: usize, asset: &Asset, alt: &str, title: &str) -> Result<(), BookError> {
        let markup = self.drawing(index, asset, alt, title, self.room())?;
        self.ready(None);
        let story = &mut self.story;
        let properties = runs::properties(Sort::Plain, &story.marks, false);
        story.out.push_str(&format!("<w:r>{properties}{markup}</w:r>"));
        if let Some(open) = &mut story.paragraph {
            let is_first = open.content == Content::Nothing;
            open.content = if is_first { Content::Picture(title.to_owned()) } else { Content::More };
        }
        Ok(())
    }

    /// A picture's markup, inside of a run; remembers that it is shown.
    pub(super) fn drawing(
        &mut self,
        index: usize,
        asset: &Asset,
        alt: &str,
        title: &str,
        most: (u32, u32),
    ) -> Result<String, BookError> {
        let size = match self.shown.get(&index) {
            Some(size) => *size,
            None => {
                let size = size::of(&mut *self.assets.open(asset)?).map_err(reading(asset))?;
                self.shown.insert(index, size);
                size
            }
        };
        if size.is_none() {
            self.losses.add(loss::PICTURE_SIZE);
        }
        let id = self.id();
        let is_drawing = asset.media_type == "image/svg+xml";
        if is_drawing {
            self.losses.add(loss::DRAWING);
        }
        let relationships = self.relationships();
        let own = relationships.picture(index);
        let relationship: &str = if is_drawing { relationships.fallback() } else { &own };
        let drawing = is_drawing.then_some(own.as_str());
        let picture = Picture { id, name: &asset.name, alt, title, relationship, drawing, size, most };
        Ok(picture.markup())
    }

    /// How wide and high a picture may be here.
    fn room(&self) -> (u32, u32) {
        let (left, right) = indents(&self.story.path);
        let width = page::TEXT_WIDTH.saturating_sub(left + right);
        let columns = self.story.tables.last().map_or(1, |table| table.columns.len().max(1));
        let columns = u32::try_from(columns).unwrap_or(u32::MAX);
        ((width / columns).max(200), page::PICTURE_HEIGHT)
    }

    /// A picture that can't be shown: what it shows in words, where it is, if that is known, and its caption.
    fn instead_of_image(&mut self, address: Option<String>, alt: &str, title: &str) -> Result<(), BookError> {
        let words = format!("[{}]", if alt.trim().is_empty() { "image" } else { alt });
        let link = if self.is_in_link() { None } else { self.link_out(address, "")? };
        match link {
            None => self.text(&words),
            Some((opening, closing)) => {
                self.story.links.push(Link { opening: Some(opening), closing: Some(closing) });
                self.text(&words);
                self.end_link();
            }
        }
        if !title.trim().is_empty() {
            self.text(&format!(" {}", title.trim()));
        }
        Ok(())
    }
}

/// The attribute for a link's title.
fn hint(title: &str) -> String {
    if title.is_empty() {
        return String::new();
    }
    let end = title.char_indices().nth(MOST_HINT_CHARACTERS).map_or(title.len(), |(end, _)| end);
    format!(" w:tooltip=\"{}\"", escaped(&title[..end]))
}

//! Blocks as XHTML that HTML parsers read as well: EPUB chapters and the HTML file differ only in their [`Style`].
//!
//! The text piles up in a buffer that the exporter drains after each event. Footnotes wait until their chapter's end.
//! Where an HTML file needs a picture's bytes the buffer has a mark ([`PICTURE`]), as they may be large.

use std::{io, sync::Arc};

use super::{
    anchors::{self, Anchors},
    escape::{escaped, push_escaped, runs_right_to_left},
    language,
    lookup::Lookup,
    loss, url,
};
use crate::book::{Alignment, EndTag, Event, LinkTarget, Losses, Tag};

mod notes;
mod pictures;

use notes::Notes;
pub(super) use pictures::picture_file;

/// Stands around an asset's index where its bytes belong. No legal text has it.
pub(super) const PICTURE: char = '\u{0}';

/// What the two formats do differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// One file a chapter, `epub:type` allowed, pictures as files.
    Epub,
    /// All chapters in one file below the book's title, pictures inside.
    Html,
}

/// A table that is open.
#[derive(Debug)]
struct Table {
    columns: Vec<Alignment>,
    column: usize,
    in_head: bool,
    has_body: bool,
}

/// A title in an attribute, where a line end must be a reference to be one.
fn lines(title: &str) -> String {
    escaped(title).replace('\n', "&#10;")
}

/// Turns events into markup.
#[derive(Debug)]
pub(super) struct Markup {
    style: Style,
    lookup: Arc<Lookup>,
    right_to_left: bool,
    anchors: Anchors,
    notes: Notes,
    /// What is written of the chapter and not drained.
    body: String,
    chapter: usize,
    /// A start tag waits for its `>`, because the text after it may need a direction.
    tag_is_open: bool,
    /// Whether that is a paragraph's.
    paragraph_is_open: bool,
    /// For each open link, whether it was written.
    links: Vec<bool>,
    tables: Vec<Table>,
    /// What could not be carried over.
    pub(super) losses: Losses,
    /// By asset: whether an image showed it.
    pub(super) used: Vec<bool>,
    /// Whether an image had no alternative text.
    pub(super) has_silent_image: bool,
}

impl Markup {
    /// For the chapters of one book.
    pub(super) fn new(style: Style, lookup: Arc<Lookup>) -> Self {
        let metadata = &lookup.book().metadata;
        Self {
            style,
            right_to_left: language::is_right_to_left(&metadata.language),
            anchors: Anchors::new(lookup.scratch()),
            notes: Notes::default(),
            body: String::new(),
            chapter: 0,
            tag_is_open: false,
            paragraph_is_open: false,
            links: Vec::new(),
            tables: Vec::new(),
            losses: Losses::default(),
            used: vec![false; lookup.book().assets.len()],
            has_silent_image: false,
            lookup,
        }
    }

    /// What is written and not yet drained; the caller empties it.
    pub(super) fn buffer(&mut self) -> &mut String {
        &mut self.body
    }

    /// Takes an event; those around the whole book mean nothing here.
    pub(super) fn event(&mut self, event: Event<'_>) -> io::Result<()> {
        match event {
            Event::ChapterStart { index, title } => return self.start_chapter(index, &title),
            Event::ChapterEnd => return self.end_chapter(),
            Event::Start(tag) => return self.start(tag),
            Event::End(end) => self.end(end),
            Event::Text(text) => {
                self.close_tag(Some(&text));
                push_escaped(self.out(), &text);
            }
            Event::Code(code) => {
                self.push("<code>");
                push_escaped(self.out(), &code);
                self.push("</code>");
            }
            Event::Image { source, alt, title } => self.image(&source, &alt, &title),
            Event::SoftBreak => self.push("\n"),
            Event::HardBreak => self.push("<br/>\n"),
            Event::Rule => self.push("<hr/>\n"),
            Event::FootnoteReference(label) => self.note_reference(&label),
            Event::BookStart | Event::BookEnd => {}
        }
        Ok(())
    }

    /// A chapter's address, for links to it.
    pub(super) fn chapter_address(style: Style, index: usize) -> String {
        match style {
            Style::Epub => format!("chapter-{:05}.xhtml", index + 1),
            Style::Html => format!("#c{}", index + 1),
        }
    }

    /// An id in a chapter as it stands in the file: unique in the document, not only in the chapter.
    fn full_id(&self, chapter: usize, id: &str) -> String {
        match self.style {
            Style::Epub => id.to_owned(),
            Style::Html => format!("c{}-{id}", chapter + 1),
        }
    }

    fn out(&mut self) -> &mut String {
        self.notes.open_text().unwrap_or(&mut self.body)
    }

    fn push(&mut self, markup: &str) {
        self.close_tag(None);
        self.out().push_str(markup);
    }

    /// Writes a start tag up to its `>`.
    fn open_tag(&mut self, tag: &str) {
        self.push(tag);
        self.tag_is_open = true;
        self.paragraph_is_open = tag == "<p";
    }

    fn close_tag(&mut self, text: Option<&str>) {
        if std::mem::take(&mut self.tag_is_open) {
            let other = text.and_then(runs_right_to_left).is_some_and(|rtl| rtl != self.right_to_left);
            self.out().push_str(if other { " dir=\"auto\">" } else { ">" });
        }
    }

    fn start_chapter(&mut self, index: usize, title: &str) -> io::Result<()> {
        self.chapter = index;
        self.push(&match self.style {
            // Whether the first heading is the title says the importer how to bring the book back as it was.
            Style::Epub => {
                let titled = if title.trim().is_empty() { "untitled" } else { "titled" };
                format!("<section epub:type=\"chapter\" role=\"doc-chapter\" data-chapter=\"{titled}\">\n")
            }
            Style::Html => format!("<section role=\"doc-chapter\" id=\"c{}\">\n", index + 1),
        });
        if !title.trim().is_empty() {
            let level = self.level(1);
            self.open_tag(&format!("<h{level}"));
            self.event(Event::Text(title.into()))?;
            self.push(&format!("</h{level}>\n"));
        }
        Ok(())
    }

    fn end_chapter(&mut self) -> io::Result<()> {
        self.write_notes();
        for id in self.anchors.end_chapter()? {
            self.losses.add(loss::ANCHOR);
            let span = format!("<span id=\"{}\"></span>\n", self.full_id(self.chapter, &id));
            self.push(&span);
        }
        self.push("</section>\n");
        Ok(())
    }

    /// The book's title takes the first level in HTML.
    fn level(&self, level: u8) -> u8 {
        if self.style == Style::Html { (level + 1).min(6) } else { level.clamp(1, 6) }
    }

    fn start(&mut self, tag: Tag<'_>) -> io::Result<()> {
        match tag {
            Tag::Paragraph => self.open_tag("<p"),
            Tag::Heading { level, anchor } => {
                let mut tag = format!("<h{}", self.level(level));
                if let Some(anchor) = anchor
                    && let id = anchors::id(&anchor)
                    && self.anchors.define(&id)
                {
                    tag.push_str(&format!(" id=\"{}\"", self.full_id(self.chapter, &id)));
                    if self.style == Style::Epub && id != anchor {
                        tag.push_str(&format!(" data-anchor=\"{}\"", escaped(&anchor)));
                    }
                }
                self.open_tag(&tag);
            }
            Tag::Quote => self.push("<blockquote>\n"),
            Tag::List { first: None } => self.push("<ul>\n"),
            Tag::List { first: Some(1) } => self.push("<ol>\n"),
            // HTML's start is a signed number of 32 bits.
            Tag::List { first: Some(first) } => {
                self.push(&format!("<ol start=\"{}\">\n", first.min(u64::from(i32::MAX.unsigned_abs()))));
            }
            Tag::Item => self.open_tag("<li"),
            Tag::CodeBlock { language } => {
                self.push("<pre><code");
                if let Some(language) = language.split_whitespace().next() {
                    let class = format!(" class=\"language-{}\"", escaped(language));
                    self.out().push_str(&class);
                }
                self.out().push('>');
            }
            Tag::Table { columns } => {
                self.push("<table>\n");
                self.tables.push(Table { columns, column: 0, in_head: false, has_body: false });
            }
            Tag::TableHead => self.start_row(true),
            Tag::TableRow => self.start_row(false),
            Tag::TableCell => self.start_cell(),
            Tag::Footnote { label } => {
                self.close_tag(None);
                self.notes.open(&label);
            }
            Tag::Emphasis => self.push("<em>"),
            Tag::Strong => self.push("<strong>"),
            Tag::Strikethrough => self.push("<del>"),
            Tag::Superscript => self.push("<sup>"),
            Tag::Subscript => self.push("<sub>"),
            Tag::Link { target, title } => return self.start_link(&target, &title),
        }
        Ok(())
    }

    fn end(&mut self, end: EndTag) {
        let markup = match end {
            EndTag::Paragraph => "</p>\n",
            EndTag::Heading(level) => &format!("</h{}>\n", self.level(level)),
            EndTag::Quote => "</blockquote>\n",
            EndTag::List(true) => "</ol>\n",
            EndTag::List(false) => "</ul>\n",
            EndTag::Item => "</li>\n",
            EndTag::CodeBlock => "</code></pre>\n",
            EndTag::Table => match self.tables.pop() {
                Some(table) if table.has_body => "</tbody>\n</table>\n",
                _ => "</table>\n",
            },
            EndTag::TableHead => "</tr></thead>\n",
            EndTag::TableRow => "</tr>\n",
            EndTag::TableCell if self.tables.last().is_some_and(|table| table.in_head) => "</th>",
            EndTag::TableCell => "</td>",
            EndTag::Footnote => {
                self.close_tag(None);
                return self.notes.close();
            }
            EndTag::Emphasis => "</em>",
            EndTag::Strong => "</strong>",
            EndTag::Strikethrough => "</del>",
            EndTag::Superscript => "</sup>",
            EndTag::Subscript => "</sub>",
            EndTag::Link if self.links.pop() == Some(true) => "</a>",
            EndTag::Link => "",
        };
        self.push(markup);
    }

    fn start_row(&mut self, is_head: bool) {
        let mut first_of_body = false;
        if let Some(table) = self.tables.last_mut() {
            (table.column, table.in_head) = (0, is_head);
            first_of_body = !is_head && !std::mem::replace(&mut table.has_body, !is_head);
        }
        self.push(if is_head {
            "<thead><tr>"
        } else if first_of_body {
            "<tbody>\n<tr>"
        } else {
            "<tr>"
        });
    }

    fn start_cell(&mut self) {
        let (mut in_head, mut alignment) = (false, Alignment::None);
        if let Some(table) = self.tables.last_mut() {
            in_head = table.in_head;
            alignment = table.columns.get(table.column).copied().unwrap_or_default();
            table.column += 1;
        }
        let class = match alignment {
            Alignment::None => "",
            Alignment::Left => " class=\"left\"",
            Alignment::Center => " class=\"center\"",
            Alignment::Right => " class=\"right\"",
        };
        let tag = if in_head { "<th scope=\"col\"" } else { "<td" };
        self.open_tag(&format!("{tag}{class}"));
    }

    /// The `href` of a link's target, not yet escaped.
    fn address(&mut self, target: &str) -> io::Result<Option<String>> {
        let lookup = Arc::clone(&self.lookup);
        let (index, anchor) = match lookup.link(self.chapter, target) {
            LinkTarget::External(target) => return Ok(url::valid(target)),
            LinkTarget::Chapter { index, anchor } => (index, anchor),
            LinkTarget::Nowhere => return Ok(None),
        };
        let chapter = Self::chapter_address(self.style, index);
        if anchor.is_empty() {
            return Ok(Some(chapter));
        }
        let id = anchors::id(anchor);
        if !self.anchors.ask(index, &id)? {
            self.losses.add(loss::ANCHOR);
            return Ok(Some(chapter));
        }
        Ok(Some(match self.style {
            Style::Epub if index == self.chapter => format!("#{id}"),
            Style::Epub => format!("{chapter}#{id}"),
            Style::Html => format!("#{}", self.full_id(index, &id)),
        }))
    }

    fn start_link(&mut self, target: &str, title: &str) -> io::Result<()> {
        let address = if self.links.contains(&true) {
            self.losses.add(loss::NESTED_LINK);
            None
        } else {
            let address = self.address(target)?;
            if address.is_none() {
                self.losses.add(loss::LINK);
            }
            address
        };
        self.links.push(address.is_some());
        if let Some(address) = address {
            let mut tag = format!("<a href=\"{}\"", escaped(&address));
            if !title.is_empty() {
                tag.push_str(&format!(" title=\"{}\"", lines(title)));
            }
            tag.push('>');
            self.push(&tag);
        }
        Ok(())
    }
}

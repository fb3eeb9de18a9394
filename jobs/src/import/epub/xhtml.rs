//! XHTML as content: which element means what. Where links and images lead is asked of a [`Book`]; what has no place in
//! a book is dropped and counted.

use std::collections::HashMap;

use super::{
    flow::Flow,
    hidden::Hidden,
    xml::{Element, Handler},
};
use crate::book::{BookError, EndTag, Event, Losses, Tag, loss, names::UniqueAnchors};

mod code;
mod heading;
mod hints;
mod links;

use hints::{alignment, is_of_notes, language, leads_on};
pub(in crate::import) use hints::{is_note, is_titled, marked_by_class, may_be_note, note_label};

/// What the end of an element ends.
#[derive(Debug)]
enum Ends {
    Nothing,
    Boundary,
    Paragraph,
    Block(EndTag),
    Item,
    Run,
    Heading,
    SkippedHeading,
    Code,
    Quotation,
    Ruby,
    Definition,
    Cell(usize),
    Table,
    Svg,
    Skipped,
}

/// What a chapter asks of the book around it.
pub(in crate::import) trait Surroundings {
    /// The target of a link from this chapter; `None` where only its text is to be kept.
    fn link(&mut self, href: &str) -> Option<String>;
    /// Whether marks and notes may be told by classes and ids alone. Where that was done before, it is not.
    fn has_plain_notes(&self) -> bool {
        false
    }
}

/// Reads one chapter.
pub(in crate::import) struct Xhtml<'a> {
    flow: Flow<'a>,
    around: &'a mut dyn Surroundings,
    losses: &'a mut Losses,
    /// Images by their `src`: the asset's name.
    images: &'a HashMap<String, Option<String>>,
    /// The footnotes that the chapter defines: their labels by their ids.
    notes: &'a HashMap<String, String>,
    ends: Vec<Ends>,
    skipping: usize,
    code: Option<String>,
    anchors: UniqueAnchors,
    /// Whether the next heading is the chapter's title, which stands elsewhere.
    skip_heading: bool,
    in_skipped: bool,
    svg_images: Option<usize>,
    pending_anchor: Option<String>,
    /// Whether a section of notes has begun in which nothing stands yet.
    at_notes: bool,
    hidden: Hidden,
}

impl<'a> Xhtml<'a> {
    pub(in crate::import) fn new(
        flow: Flow<'a>,
        around: &'a mut dyn Surroundings,
        losses: &'a mut Losses,
        images: &'a HashMap<String, Option<String>>,
        notes: &'a HashMap<String, String>,
        skip_heading: bool,
    ) -> Self {
        Self {
            flow,
            around,
            losses,
            images,
            notes,
            ends: Vec::new(),
            skipping: 0,
            code: None,
            anchors: UniqueAnchors::default(),
            skip_heading,
            in_skipped: false,
            svg_images: None,
            pending_anchor: None,
            at_notes: false,
            hidden: Hidden::default(),
        }
    }

    /// Ends what is open.
    pub(in crate::import) fn finish(mut self) -> Result<(), BookError> {
        self.flow.finish()
    }

    /// A note that stood here was taken away.
    pub(in crate::import) fn note_taken(&mut self) {
        self.flow.note_taken();
    }

    fn is_note(&self, element: &Element) -> bool {
        is_note(element) || self.around.has_plain_notes() && may_be_note(element)
    }

    fn skip(&mut self, lost: Option<&'static str>) -> Ends {
        if let Some(lost) = lost {
            self.losses.add(lost);
        }
        self.skipping = 1;
        Ends::Skipped
    }

    fn run(&mut self, tag: Tag<'static>) -> Ends {
        if self.flow.run(tag) { Ends::Run } else { Ends::Nothing }
    }

    fn block(&mut self, tag: Tag<'static>) -> Result<Ends, BookError> {
        if self.flow.in_cell() || self.flow.in_heading() {
            self.losses.add("block inside a table cell or heading");
            self.flow.boundary()?;
            return Ok(Ends::Boundary);
        }
        let end = tag.end();
        self.flow.block(tag)?;
        Ok(Ends::Block(end))
    }

    fn element(&mut self, element: &Element) -> Result<Ends, BookError> {
        let name = element.name.as_str();
        if self.svg_images.is_some() && name != "image" {
            return Ok(Ends::Nothing);
        }
        let at_notes = self.at_notes;
        self.at_notes = is_of_notes(element) || at_notes && leads_on(name);
        // A note's mark has its name for the way back from the note.
        if let Some(id) =
            element.get("id").filter(|_| self.flow.in_heading() && !links::is_note_mark(element))
        {
            self.flow.heading_anchor(id);
        }
        if self.is_note(element)
            && let Some(label) = element.get("id").and_then(|id| self.notes.get(id))
            && !self.flow.in_footnote()
        {
            return self.block(Tag::Footnote { label: label.clone().into() });
        }
        Ok(match name {
            "head" | "style" | "title" | "rp" | "template" | "meta" => self.skip(None),
            "script" => self.skip(Some("script")),
            "form" | "input" | "button" | "select" | "textarea" => self.skip(Some("form")),
            "audio" => self.skip(Some("audio")),
            "video" => self.skip(Some("video")),
            "iframe" | "object" | "embed" | "canvas" => self.skip(Some("embedded object")),
            "math" => {
                if let Some(text) = element.get("alttext") {
                    self.flow.text(text)?;
                }
                self.skip(Some("formula"))
            }
            "svg" => {
                self.svg_images = Some(0);
                Ends::Svg
            }
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => self.heading(name.as_bytes()[1] - b'0', element)?,
            "blockquote" => self.block(Tag::Quote)?,
            "ul" | "menu" => self.block(Tag::List { first: None })?,
            "ol" => {
                let first = element.get("start").and_then(|start| start.trim().parse().ok());
                self.block(Tag::List { first: Some(first.filter(|n| *n <= 999_999_999).unwrap_or(1)) })?
            }
            "li" => {
                if self.flow.in_cell() || self.flow.in_heading() {
                    self.block(Tag::Item)?
                } else if self.flow.is_in_list()? {
                    self.flow.item()?;
                    Ends::Item
                } else {
                    self.flow.boundary()?;
                    Ends::Boundary
                }
            }
            "dt" => {
                self.flow.boundary()?;
                if self.flow.run(Tag::Strong) { Ends::Definition } else { Ends::Boundary }
            }
            "pre" => self.block(Tag::CodeBlock { language: language(element).into() })?,
            "code" if self.in_pre() => {
                self.flow.code_language(language(element));
                Ends::Nothing
            }
            // Our own export writes a picture's title out below it, too.
            "span" if element.get("data-caption") == Some("title") => self.skip(None),
            "span" => self.remote_image(element)?.unwrap_or(Ends::Nothing),
            "code" | "kbd" | "samp" | "tt" if self.code.is_none() && !self.in_pre() => {
                self.code = Some(String::new());
                Ends::Code
            }
            "table" => {
                if self.flow.begin_table()? {
                    Ends::Table
                } else {
                    self.losses.add("table inside a table");
                    self.flow.boundary()?;
                    Ends::Boundary
                }
            }
            "tr" if self.flow.in_table() && !self.flow.in_cell() => {
                self.flow.row();
                Ends::Nothing
            }
            "td" | "th" => {
                let span = element.get("colspan").and_then(|span| span.trim().parse().ok()).unwrap_or(1);
                if element.get("rowspan").is_some_and(|span| span.trim() != "1") {
                    self.losses.add("table cell over several rows");
                }
                if self.flow.begin_cell(alignment(element))? {
                    Ends::Cell(span)
                } else {
                    self.flow.boundary()?;
                    Ends::Boundary
                }
            }
            // The line that divides notes from the text.
            "hr" if at_notes || element.has_word("class", "footnotes-sep") => {
                self.flow.boundary()?;
                Ends::Nothing
            }
            "hr" => {
                self.flow.rule()?;
                Ends::Nothing
            }
            "br" => {
                self.flow.line_break()?;
                Ends::Nothing
            }
            "img" => {
                let text = |name| element.get(name).unwrap_or_default();
                self.image(text("src"), text("alt"), text("title"))?;
                Ends::Nothing
            }
            "image" => {
                if let Some(count) = &mut self.svg_images {
                    *count += 1;
                }
                let source = element.get("xlink:href").or_else(|| element.get("href")).unwrap_or_default();
                self.image(source, element.get("title").unwrap_or_default(), "")?;
                Ends::Nothing
            }
            "a" => self.link(element)?,
            "em" | "i" | "cite" | "dfn" | "var" => self.run(Tag::Emphasis),
            "strong" | "b" => self.run(Tag::Strong),
            "del" | "s" | "strike" => self.run(Tag::Strikethrough),
            "sup" => self.run(Tag::Superscript),
            "sub" => self.run(Tag::Subscript),
            "q" => {
                self.flow.text("“")?;
                Ends::Quotation
            }
            "rt" => {
                self.flow.text("（")?;
                Ends::Ruby
            }
            "p" | "div" | "section" | "article" | "aside" | "header" | "footer" | "main" | "figure"
            | "figcaption" | "dl" | "dd" | "address" | "nav" | "body" | "center" | "caption" | "details"
            | "summary" | "hgroup" | "fieldset" | "legend" | "dialog" | "dir" | "listing" | "search"
            | "marquee" => {
                // A link to a section means its heading.
                if matches!(name, "section" | "div" | "article" | "header" | "hgroup") {
                    self.pending_anchor = element.get("id").map(str::to_owned).or(self.pending_anchor.take());
                } else {
                    self.pending_anchor = None;
                }
                self.flow.boundary()?;
                if is_titled(element).is_some() {
                    // Our own export adds blanks at the ends of lines only.
                    self.flow.keep_blanks();
                }
                if matches!(name, "p" | "dd" | "div") {
                    self.flow.in_paragraph = true;
                    return Ok(Ends::Paragraph);
                }
                Ends::Boundary
            }
            _ => Ends::Nothing,
        })
    }

    fn in_pre(&self) -> bool {
        self.ends.iter().any(|end| matches!(end, Ends::Block(EndTag::CodeBlock)))
    }
}

impl Handler for Xhtml<'_> {
    fn start(&mut self, element: Element) -> Result<(), BookError> {
        if self.skipping > 0 {
            self.skipping += 1;
            return Ok(());
        }
        let is_note =
            self.is_note(&element) && element.get("id").is_some_and(|id| self.notes.contains_key(id));
        if self.hidden.start(&element, is_note) {
            self.losses.add(loss::HIDDEN);
        }
        if self.hidden.is_out() {
            self.ends.push(Ends::Nothing);
            return Ok(());
        }
        let quiet = self.code.is_some() || self.in_skipped;
        if element.name == "br"
            && let Some(code) = &mut self.code
        {
            code.push(' ');
        }
        let ends = match element.name.as_str() {
            // In code and in a title that stands elsewhere only images and nesting count.
            "img" | "image" | "script" | "style" => self.element(&element)?,
            _ if quiet => Ends::Nothing,
            _ => self.element(&element)?,
        };
        self.ends.push(ends);
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), BookError> {
        if self.skipping > 0 || self.in_skipped || self.svg_images.is_some() || self.hidden.is_out() {
            return Ok(());
        }
        self.at_notes &= text.trim().is_empty();
        match &mut self.code {
            Some(code) => {
                code.push_str(text);
                Ok(())
            }
            None => self.flow.text(text),
        }
    }

    fn end(&mut self) -> Result<(), BookError> {
        if self.skipping > 1 {
            self.skipping -= 1;
            return Ok(());
        }
        self.hidden.end();
        match self.ends.pop().unwrap_or(Ends::Nothing) {
            Ends::Nothing => Ok(()),
            Ends::Skipped => {
                self.skipping = 0;
                Ok(())
            }
            Ends::Boundary => self.flow.boundary(),
            Ends::Paragraph => {
                self.flow.boundary()?;
                self.flow.in_paragraph = self.ends.iter().rev().any(|end| matches!(end, Ends::Paragraph));
                Ok(())
            }
            Ends::Block(end) => self.flow.end_block(end),
            Ends::Item => self.flow.end_block(EndTag::Item),
            Ends::Run => self.flow.end_run(),
            Ends::Heading => self.flow.end_heading(),
            Ends::SkippedHeading => {
                self.in_skipped = false;
                self.flow.boundary()
            }
            Ends::Code => {
                let code = self.code.take().unwrap_or_default();
                let code = code::in_a_line(&code);
                if code.is_empty() { Ok(()) } else { self.flow.inline(Event::Code(code.into())) }
            }
            Ends::Quotation => self.flow.text("”"),
            Ends::Ruby => self.flow.text("）"),
            Ends::Definition => {
                self.flow.end_run()?;
                self.flow.boundary()
            }
            Ends::Cell(span) => self.flow.end_cell(span),
            Ends::Table => self.flow.end_table(),
            Ends::Svg => {
                if self.svg_images.take() == Some(0) {
                    self.losses.add("SVG drawing");
                }
                Ok(())
            }
        }
    }
}

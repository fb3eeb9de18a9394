//! The first pass over a chapter's file: enough to name it and to know where links to it lead.

use std::collections::{HashMap, HashSet};

use super::{
    Archive,
    hidden::Hidden,
    xhtml::{is_note, is_titled, marked_by_class, may_be_note, note_label},
    xml::{Element, Handler, parse},
};
use crate::{
    book::BookError,
    import::{HELD_TITLE, one_line},
};

/// How many ids at a chapter's beginning, notes and images are remembered.
const MOST_REMEMBERED: usize = 20_000;
/// How many bytes of text a title page has at most.
const MOST_TITLE_PAGE_BYTES: usize = 4 << 10;

/// What a chapter's file has.
#[derive(Debug, Default)]
pub(super) struct Outline {
    /// The first heading's text, where it comes before other text.
    pub(super) heading: Option<String>,
    /// How many bytes of text, white space aside.
    pub(super) words: u64,
    /// The text of a title page, where the file says that it is one and is as short as one.
    pub(super) title_page: Option<String>,
    /// The sources of its images, as they are written.
    pub(super) images: Vec<String>,
    /// Ids before the first text.
    pub(super) start_ids: Vec<String>,
    /// The footnotes that something refers to, or that our own export wrote: their labels by their ids.
    pub(super) notes: HashMap<String, String>,
    /// The headings that links may lead to: their anchors by their ids.
    pub(super) anchors: HashMap<String, String>,
    /// Whether the chapter has a title, where our own export says so.
    pub(super) titled: Option<bool>,
}

/// Reads a file's outline.
pub(super) fn outline(archive: &mut Archive, path: &str) -> Result<Outline, BookError> {
    let text = archive.text(path)?;
    let mut reader = Reader::default();
    parse(&text, &archive.place(path), &mut reader)?;
    let mut outline = reader.outline;
    outline.heading = reader.heading.map(|text| one_line(&text, HELD_TITLE)).filter(|text| !text.is_empty());
    let referred = reader.referred;
    let notes = reader.defined.into_iter().filter(|(id, (_, own))| *own || referred.contains(id));
    outline.notes = notes.map(|(id, (label, _))| (id, label)).collect();
    Ok(outline)
}

#[derive(Default)]
struct Reader {
    outline: Outline,
    open: Vec<String>,
    seen: HashSet<String>,
    heading: Option<String>,
    /// How deep the first heading is, while it is open.
    in_heading: Option<usize>,
    skipped: usize,
    /// The id of the section that was begun: a link to that means its heading.
    pending: Option<String>,
    /// Whether the open heading has an anchor.
    is_anchored: bool,
    in_any_heading: Option<usize>,
    /// Labels by ids, and whether our own export wrote them.
    defined: HashMap<String, (String, bool)>,
    referred: HashSet<String>,
    /// Those that are referred to by a link's class.
    marked: HashSet<String>,
    hidden: Hidden,
}

impl Reader {
    /// Notes the anchor that a heading will have: its own id, else its section's, else the first one inside.
    fn anchor(&mut self, element: &Element) {
        let id = element.get("id").map(str::to_owned);
        let level =
            element.name.strip_prefix('h').is_some_and(|level| matches!(level.as_bytes(), [b'1'..=b'6']));
        let found = match element.name.as_str() {
            _ if level => {
                let found = id.or(self.pending.take());
                self.is_anchored = found.is_some();
                self.in_any_heading = Some(self.open.len());
                found
            }
            _ if self.in_any_heading.is_some() => id.filter(|_| !self.is_anchored),
            "section" | "div" | "article" | "header" | "hgroup" => {
                self.pending = id.or(self.pending.take());
                None
            }
            "p" | "ul" | "ol" | "table" | "pre" | "blockquote" | "figure" | "aside" | "nav" | "main" => {
                self.pending = None;
                None
            }
            _ => None,
        };
        if let Some(id) = found
            && self.outline.anchors.len() < MOST_REMEMBERED
        {
            self.is_anchored = true;
            let anchor = element.get("data-anchor").unwrap_or(&id).to_owned();
            self.outline.anchors.insert(id, anchor);
        }
    }
}

impl Handler for Reader {
    fn start(&mut self, element: Element) -> Result<(), BookError> {
        let name = element.name.as_str();
        self.open.push(element.name.clone());
        self.skipped += usize::from(matches!(name, "head" | "script" | "style"));
        // A note that nothing says to be one comes behind its mark.
        let is_marked = |id: &str| may_be_note(&element) && self.marked.contains(id);
        let is_note = is_note(&element) || element.get("id").is_some_and(is_marked);
        self.hidden.start(&element, is_note);
        if self.hidden.is_out() {
            return Ok(());
        }
        if element.has_word("epub:type", "titlepage") && self.outline.words == 0 {
            self.outline.title_page = Some(String::new());
        }
        if let Some(id) = element.get("id") {
            let at_start =
                self.outline.words == 0 && self.outline.images.is_empty() || self.in_heading.is_some();
            if at_start && self.outline.start_ids.len() < MOST_REMEMBERED {
                self.outline.start_ids.push(id.to_owned());
            }
            if is_note && self.defined.len() < MOST_REMEMBERED {
                let own = element.get("data-label").filter(|label| !label.is_empty());
                let label = own.map_or_else(|| note_label(id), str::to_owned);
                self.defined.insert(id.to_owned(), (label, own.is_some()));
            }
        }
        self.outline.titled = is_titled(&element).or(self.outline.titled);
        self.anchor(&element);
        if let Some(id) = marked_by_class(&element)
            && self.marked.len() < MOST_REMEMBERED
        {
            self.marked.insert(id.to_owned());
            self.referred.insert(id.to_owned());
        }
        match name {
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" if self.heading.is_none() && self.outline.words == 0 => {
                self.heading = Some(String::new());
                self.in_heading = Some(self.open.len());
            }
            "a" if element.has_word("epub:type", "noteref") || element.has_word("role", "doc-noteref") => {
                if let Some((_, id)) = element.get("href").and_then(|href| href.rsplit_once('#'))
                    && self.referred.len() < MOST_REMEMBERED
                {
                    self.referred.insert(id.to_owned());
                }
            }
            "img" | "image" => {
                let source =
                    element.get("src").or_else(|| element.get("xlink:href")).or_else(|| element.get("href"));
                if let Some(source) = source
                    && self.outline.images.len() < MOST_REMEMBERED
                    && self.seen.insert(source.to_owned())
                {
                    self.outline.images.push(source.to_owned());
                }
            }
            "br" => self.text(" ")?,
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), BookError> {
        if self.skipped > 0 || self.hidden.is_out() {
            return Ok(());
        }
        if self.in_heading.is_some()
            && let Some(heading) = &mut self.heading
            && heading.len() < 4096
        {
            heading.push_str(text);
        }
        if let Some(page) = &mut self.outline.title_page {
            page.push_str(text);
            if page.len() > MOST_TITLE_PAGE_BYTES {
                self.outline.title_page = None;
            }
        }
        self.outline.words += text.split_whitespace().map(|word| word.len() as u64).sum::<u64>();
        Ok(())
    }

    fn end(&mut self) -> Result<(), BookError> {
        self.hidden.end();
        if let Some(page) = &mut self.outline.title_page {
            page.push(' ');
        }
        if self.in_heading == Some(self.open.len()) {
            self.in_heading = None;
        }
        if self.in_any_heading == Some(self.open.len()) {
            self.in_any_heading = None;
        }
        if let Some(name) = self.open.pop() {
            self.skipped -= usize::from(matches!(name.as_str(), "head" | "script" | "style"));
        }
        Ok(())
    }
}

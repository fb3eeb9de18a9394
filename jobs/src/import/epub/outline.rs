//! The first pass over a chapter's file: enough to name it and to know where links to it lead.

use std::collections::HashSet;

use super::{
    Archive,
    xml::{Element, Handler, parse},
};
use crate::book::BookError;

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
    /// The ids of footnotes that something refers to.
    pub(super) notes: HashSet<String>,
}

/// Reads a file's outline.
pub(super) fn outline(archive: &mut Archive, path: &str) -> Result<Outline, BookError> {
    let text = archive.text(path)?;
    let mut reader = Reader::default();
    parse(&text, &archive.place(path), &mut reader)?;
    let mut outline = reader.outline;
    outline.heading = reader.heading.map(|text| super::one_line(&text, 200)).filter(|text| !text.is_empty());
    outline.notes = reader.defined.intersection(&reader.referred).cloned().collect();
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
    defined: HashSet<String>,
    referred: HashSet<String>,
}

impl Handler for Reader {
    fn start(&mut self, element: Element) -> Result<(), BookError> {
        let name = element.name.as_str();
        self.open.push(element.name.clone());
        self.skipped += usize::from(matches!(name, "head" | "script" | "style"));
        if element.has_word("epub:type", "titlepage") && self.outline.words == 0 {
            self.outline.title_page = Some(String::new());
        }
        if let Some(id) = element.get("id") {
            let at_start =
                self.outline.words == 0 && self.outline.images.is_empty() || self.in_heading.is_some();
            if at_start && self.outline.start_ids.len() < MOST_REMEMBERED {
                self.outline.start_ids.push(id.to_owned());
            }
            let is_note =
                ["footnote", "endnote", "rearnote"].iter().any(|kind| element.has_word("epub:type", kind))
                    || element.has_word("role", "doc-footnote")
                    || element.has_word("role", "doc-endnote");
            if is_note && self.defined.len() < MOST_REMEMBERED {
                self.defined.insert(id.to_owned());
            }
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
        if self.skipped > 0 {
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
            page.push(' ');
            if page.len() > MOST_TITLE_PAGE_BYTES {
                self.outline.title_page = None;
            }
        }
        self.outline.words += text.split_whitespace().map(|word| word.len() as u64).sum::<u64>();
        Ok(())
    }

    fn end(&mut self) -> Result<(), BookError> {
        if self.in_heading == Some(self.open.len()) {
            self.in_heading = None;
        }
        if let Some(name) = self.open.pop() {
            self.skipped -= usize::from(matches!(name.as_str(), "head" | "script" | "style"));
        }
        Ok(())
    }
}

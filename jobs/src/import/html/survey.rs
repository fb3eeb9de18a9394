//! The first pass over an HTML file: its metadata and pictures, its headings, the places that links may lead to, and its notes, which
//! are held until the chapter that refers to them is written.

use std::collections::{HashMap, HashSet};

use super::{
    front::{Line, meta},
    headings::{Heading, OpenHeading},
    marks::{is_free, is_header, is_left_out, marked, short},
    page::Page,
    places::Places,
    tree::Step,
};
use crate::{
    book::{BookError, Metadata, names::UniqueAnchors},
    import::{
        BookSink, HELD_TITLE,
        epub::{hidden::Hidden, xhtml::note_label, xml::Element},
        markdown::resolve::{Files, picture},
        one_line,
        pictures::Pictures,
    },
};

/// How many headings, places and pictures of a file are remembered.
const MOST_REMEMBERED: usize = 200_000;
/// How many bytes of notes are held.
const MOST_NOTE_BYTES: usize = 8 << 20;
/// How many characters of a heading are kept.
const MOST_HEADING: usize = HELD_TITLE;

/// What the first pass has found.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) metadata: Metadata,
    pub(super) headings: Vec<Heading>,
    /// The elements that are headings by their names, but empty: their numbers.
    pub(super) empty_headings: HashSet<usize>,
    /// Whether text or a picture stands before the first heading.
    pub(super) has_front: bool,
    /// Which header the first heading stands in, where that says what a title page says.
    pub(super) title_header: Option<usize>,
    /// Where links may lead.
    pub(super) places: Places,
    /// The pictures' names in the book, by their sources in short.
    pub(super) pictures: HashMap<String, Option<String>>,
    /// The notes by their ids.
    pub(super) notes: HashMap<String, Vec<Step>>,
    /// Where they stand: the elements' numbers.
    pub(super) note_places: HashSet<usize>,
    /// Those that have begun, also where they turned out to be too long.
    pub(super) note_starts: HashSet<usize>,
    /// The labels of the notes.
    pub(super) labels: HashMap<String, String>,
    pub(super) cover: Option<String>,
    pub(super) warnings: Vec<String>,
}

/// A note that is being read.
struct Note {
    depth: usize,
    place: usize,
    id: String,
    steps: Vec<Step>,
}

struct Surveyor<'a> {
    survey: Survey,
    file: &'a str,
    files: &'a Files,
    pictures: &'a mut Pictures,
    sink: &'a mut dyn BookSink,
    referred: HashSet<String>,
    /// A section's id, which leads to its heading.
    pending: Option<String>,
    heading: Option<OpenHeading>,
    /// How deep the open title, header of a title page, line of it, and note are.
    title: Option<usize>,
    header: Option<usize>,
    header_has_text: bool,
    headers: usize,
    line: Option<(usize, Line, String)>,
    note: Option<Note>,
    /// How many elements have begun.
    elements: usize,
    left_out: Option<usize>,
    hidden: Hidden,
    note_bytes: usize,
    has_text: bool,
}

/// Reads a file through; its pictures go to `sink`.
pub(super) fn survey(
    tree: &mut Page<'_>,
    file: &str,
    files: &Files,
    pictures: &mut Pictures,
    sink: &mut dyn BookSink,
) -> Result<Survey, BookError> {
    let mut surveyor = Surveyor {
        survey: Survey::default(),
        file,
        files,
        pictures,
        sink,
        referred: HashSet::new(),
        pending: None,
        heading: None,
        title: None,
        header: None,
        header_has_text: false,
        headers: 0,
        line: None,
        note: None,
        elements: 0,
        left_out: None,
        hidden: Hidden::default(),
        note_bytes: 0,
        has_text: false,
    };
    let mut path: Vec<String> = Vec::new();
    while let Some(step) = tree.next()? {
        match &step {
            Step::Start(element) => {
                surveyor.elements += 1;
                let is_note = surveyor.left_out.is_none() && surveyor.is_note(element);
                surveyor.hidden.start(element, is_note);
                if surveyor.left_out.is_none() && !surveyor.hidden.is_out() {
                    surveyor.start(element, &path)?;
                }
                path.push(element.name.clone());
                if surveyor.left_out.is_none() && is_left_out(&element.name) {
                    surveyor.left_out = Some(path.len());
                }
            }
            Step::Text(text) if surveyor.left_out.is_none() && !surveyor.hidden.is_out() => {
                surveyor.text(text)
            }
            Step::Text(_) | Step::End => {}
        }
        let is_end = matches!(step, Step::End);
        surveyor.hold(step);
        if is_end {
            surveyor.hidden.end();
            surveyor.end(path.len());
            path.pop();
        }
    }
    let mut survey = surveyor.survey;
    let (mut ids, mut labels): (Vec<&String>, _) = (survey.notes.keys().collect(), UniqueAnchors::default());
    ids.sort();
    let named = ids.into_iter().filter_map(|id| Some((id.clone(), labels.add(&note_label(id))?)));
    survey.labels = named.collect();
    Ok(survey)
}

impl Surveyor<'_> {
    /// Keeps a step of the open note.
    fn hold(&mut self, step: Step) {
        let Some(Note { steps, .. }) = &mut self.note else { return };
        self.note_bytes += 32
            + match &step {
                Step::Text(text) => text.len(),
                _ => 0,
            };
        steps.push(step);
        // Too much: it stays where it is.
        if self.note_bytes > MOST_NOTE_BYTES {
            self.note = None;
        }
    }

    fn start(&mut self, element: &Element, path: &[String]) -> Result<(), BookError> {
        let name = element.name.as_str();
        match name {
            "html" => {
                self.survey.metadata.language =
                    element.get("lang").or(element.get("xml:lang")).unwrap_or_default().to_owned()
            }
            "meta" => meta(element, &mut self.survey.metadata),
            "title" if !path.iter().any(|name| name == "svg") && self.survey.metadata.title.is_empty() => {
                self.title = Some(path.len() + 1);
            }
            "img" | "image" => self.picture(element)?,
            _ => {}
        }
        if let Some(id) = marked(element, path)
            && self.referred.len() < MOST_REMEMBERED
        {
            self.referred.insert(id);
            self.heading.iter_mut().for_each(|heading| heading.holds = true);
        }
        self.place(element, path);
        let is_first = self.survey.headings.is_empty() && !self.has_text;
        if is_header(element, path) {
            self.headers += 1;
            if is_first && self.header.is_none() {
                (self.header, self.header_has_text) = (Some(path.len() + 1), false);
            }
        }
        if self.header.is_some() && self.line.is_none() {
            self.line = Line::of(element).map(|line| (path.len() + 1, line, String::new()));
        }
        if name == "br" {
            self.text(" ");
        }
        Ok(())
    }

    /// Whether a note begins that something has referred to.
    fn is_note(&self, element: &Element) -> bool {
        matches!(element.name.as_str(), "li" | "aside" | "div" | "p" | "section" | "dd")
            && self.note.is_none()
            && element
                .get("id")
                .is_some_and(|id| self.referred.contains(id) && !self.survey.notes.contains_key(id))
    }

    /// Notes where a link to an element leads, and headings and notes that begin.
    fn place(&mut self, element: &Element, path: &[String]) {
        let (name, id) = (element.name.as_str(), element.get("id").map(str::to_owned));
        let level = match name.as_bytes() {
            [b'h', level @ b'1'..=b'6'] => Some(level - b'0'),
            _ => None,
        };
        let headings = self.survey.headings.len();
        if let Some(level) = level
            && headings < MOST_REMEMBERED
        {
            let anchor = id.clone().or(self.pending.take());
            let (depth, place) = (path.len() + 1, self.elements);
            self.heading = Some(OpenHeading { depth, place, holds: false, ids: Vec::new() });
            if let Some(anchor) = &anchor {
                self.survey.places.insert(anchor, headings + 1, true);
            }
            let anchor = anchor.map(Box::from);
            let heading = Heading { level, is_free: is_free(path), anchor, ..Heading::default() };
            self.survey.headings.push(heading);
            return;
        }
        if matches!(name, "section" | "div" | "article" | "header" | "hgroup") {
            self.pending = id.clone().or(self.pending.take());
        } else if matches!(
            name,
            "p" | "ul" | "ol" | "table" | "pre" | "blockquote" | "figure" | "aside" | "main"
        ) {
            self.pending = None;
        }
        let Some(id) = id else { return };
        if self.is_note(element) {
            self.survey.note_starts.insert(self.elements);
            self.note =
                Some(Note { depth: path.len() + 1, place: self.elements, id: id.clone(), steps: Vec::new() });
        }
        if self.survey.places.len() < MOST_REMEMBERED {
            self.heading.iter_mut().for_each(|heading| heading.ids.push(id.clone()));
            // Inside of a heading it is the heading's, where that has none.
            let open = self
                .heading
                .as_ref()
                .and_then(|_| self.survey.headings.last_mut())
                .filter(|open| open.anchor.is_none());
            let is_anchor = open.is_some() && marked(element, path).is_none();
            if let Some(open) = open.filter(|_| is_anchor) {
                open.anchor = Some(id.as_str().into());
            }
            if self.survey.places.get(&id).is_none() {
                self.survey.places.insert(&id, headings, is_anchor);
            }
        }
    }

    fn picture(&mut self, element: &Element) -> Result<(), BookError> {
        self.count_text();
        self.heading.iter_mut().for_each(|heading| heading.holds = true);
        let text = |name| element.get(name).filter(|text| !text.is_empty());
        let Some(source) = text("src").or(text("xlink:href")).or(text("href")) else { return Ok(()) };
        if crate::book::markdown::is_web(source) {
            return Ok(());
        }
        let key = short(source);
        let known = self.survey.pictures.get(&key).cloned();
        let found = match known {
            Some(found) => found,
            None => {
                let found = picture(source, self.file, self.files, self.pictures, self.sink)?;
                if found.is_none() {
                    let shown: String = source.chars().take(100).collect();
                    let text = format!("{}: the image {shown:?} was not found or is no picture", self.file);
                    self.survey.warnings.push(text);
                    self.survey.warnings.truncate(100);
                }
                if self.survey.pictures.len() < MOST_REMEMBERED {
                    self.survey.pictures.insert(key, found.clone());
                }
                found
            }
        };
        if self.header.is_some() && element.has_word("class", "cover") && self.survey.cover.is_none() {
            self.survey.cover = found;
        }
        Ok(())
    }

    /// There is something to read here.
    fn count_text(&mut self) {
        if self.heading.is_some() || self.note.is_some() {
            return;
        }
        if self.header.is_some() {
            self.header_has_text = true;
            return;
        }
        self.has_text = true;
        match self.survey.headings.last_mut() {
            Some(heading) => heading.has_text = true,
            None => self.survey.has_front = true,
        }
    }

    fn text(&mut self, text: &str) {
        let add = |to: &mut String| {
            if to.len() < 4 * MOST_HEADING {
                to.push_str(&text[..text.floor_char_boundary(4 * MOST_HEADING)]);
            }
        };
        if let Some((_, _, line)) = &mut self.line {
            add(line);
        }
        if self.heading.is_some() {
            if let Some(heading) = self.survey.headings.last_mut() {
                add(&mut heading.text);
            }
        } else if self.title.is_some() {
            add(&mut self.survey.metadata.title);
        } else if !text.trim().is_empty() {
            self.count_text();
        }
    }

    fn end_heading(&mut self, open: OpenHeading) {
        let Some(heading) = self.survey.headings.last_mut() else { return };
        heading.text = one_line(&heading.text, MOST_HEADING);
        heading.text.shrink_to_fit();
        let is_empty = heading.text.trim().is_empty() && !open.holds;
        if is_empty && self.survey.empty_headings.len() < MOST_REMEMBERED {
            self.survey.empty_headings.insert(open.place);
            // What leads to it leads to what comes behind it.
            self.pending = self.survey.headings.pop().and_then(|heading| heading.anchor).map(String::from);
            let headings = self.survey.headings.len();
            for id in self.pending.iter().chain(&open.ids) {
                self.survey.places.insert(id, headings, false);
            }
        } else if self.header.is_some() && self.survey.headings.len() == 1 {
            self.survey.title_header = Some(self.headers);
        }
    }

    fn end(&mut self, depth: usize) {
        if self.left_out == Some(depth) {
            self.left_out = None;
        }
        if self.title == Some(depth) {
            self.title = None;
            let title = &mut self.survey.metadata.title;
            *title = one_line(title, MOST_HEADING);
        }
        if let Some(heading) = self.heading.take_if(|heading| heading.depth == depth) {
            self.end_heading(heading);
        }
        if self.header == Some(depth) {
            self.header = None;
            if self.header_has_text && self.survey.title_header.is_none() {
                self.count_text();
            }
        }
        if self.line.as_ref().is_some_and(|(at, ..)| *at == depth)
            && let Some((_, line, text)) = self.line.take()
        {
            line.tell(&one_line(&text, MOST_HEADING), &mut self.survey.metadata);
        }
        if self.note.as_ref().is_some_and(|note| note.depth == depth)
            && let Some(note) = self.note.take()
        {
            self.survey.note_places.insert(note.place);
            self.survey.notes.insert(note.id, note.steps);
        }
    }
}

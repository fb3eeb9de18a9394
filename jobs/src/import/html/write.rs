//! The second pass over an HTML file: its chapters are written.

use std::collections::HashMap;

use super::{
    marks::{is_header, is_left_out, marked, short},
    page::Page,
    plan::{Links, Planned},
    survey::Survey,
    tree::Step,
};
use crate::{
    book::{BookError, Losses, loss},
    import::{
        chapters::Chapters,
        epub::{
            flow::Flow,
            hidden::Hidden,
            xhtml::Xhtml,
            xml::{Element, Handler as _},
        },
    },
};

/// A file that is being written.
pub(super) struct Writer<'a> {
    pub(super) tree: Page<'a>,
    pub(super) survey: &'a Survey,
    pub(super) planned: &'a Planned,
    pub(super) links: Links<'a>,
    /// What the chapter before its first heading is called.
    pub(super) front_title: String,
    path: Vec<String>,
    elements: usize,
    headings: usize,
    headers: usize,
    left_out: Option<usize>,
    hidden: Hidden,
    /// The notes that the open chapter refers to first, in order.
    wanted: Vec<String>,
    /// The chapters that notes stand in.
    placed: HashMap<String, usize>,
    losses: Losses,
}

/// Why a chapter's steps end.
enum Ended {
    AtHeading(Element),
    AtEnd,
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        tree: Page<'a>,
        survey: &'a Survey,
        planned: &'a Planned,
        links: Links<'a>,
        front_title: String,
    ) -> Self {
        Self {
            tree,
            survey,
            planned,
            links,
            front_title,
            path: Vec::new(),
            elements: 0,
            headings: 0,
            headers: 0,
            left_out: None,
            hidden: Hidden::default(),
            wanted: Vec::new(),
            placed: HashMap::new(),
            losses: Losses::default(),
        }
    }

    /// Writes all of its chapters.
    pub(super) fn write(mut self, chapters: &mut Chapters<'_>) -> Result<(), BookError> {
        let mut index = self.planned.first;
        let mut begun = match self.planned.has_front {
            true => None,
            // Nothing to read stands before the first heading.
            false => match self.pass_front()? {
                Some(heading) => Some(heading),
                None => return Ok(()),
            },
        };
        loop {
            let title = match &begun {
                Some(_) => self.survey.headings[self.headings - 1].text.clone(),
                None => self.front_title.clone(),
            };
            chapters.begin(index, &title)?;
            self.links.chapter = index;
            let ended = self.chapter(chapters, begun)?;
            if matches!(ended, Ended::AtEnd) {
                self.unmarked_notes(chapters)?;
            }
            chapters.end()?;
            chapters.losses().merge(&std::mem::take(&mut self.losses));
            index += 1;
            begun = match ended {
                Ended::AtEnd => break,
                Ended::AtHeading(heading) => Some(heading),
            };
        }
        let cut = self.tree.tokens().cut;
        (0..cut).for_each(|_| chapters.losses().add("over-long attribute, cut"));
        (0..self.tree.too_deep()).for_each(|_| chapters.losses().add("element nested too deep"));
        Ok(())
    }

    /// Passes over what comes before the first chapter's heading.
    fn pass_front(&mut self) -> Result<Option<Element>, BookError> {
        while let Some(step) = self.tree.next()? {
            match self.step(step)? {
                Seen::Begins(heading) => return Ok(Some(heading)),
                Seen::Step(_) | Seen::Note | Seen::Nothing => {}
            }
        }
        Ok(None)
    }

    /// Writes what there is up to the next chapter's heading, and the notes that it refers to.
    fn chapter(&mut self, chapters: &mut Chapters<'_>, begun: Option<Element>) -> Result<Ended, BookError> {
        let survey = self.survey;
        let mut losses = Losses::default();
        // The reader asks for links while this goes on.
        let mut links = Links { book: self.links.book, file: self.links.file, chapter: self.links.chapter };
        let flow = Flow::new(chapters);
        let titled = begun.is_some();
        let mut reader = Xhtml::new(flow, &mut links, &mut losses, &survey.pictures, &survey.labels, titled);
        if let Some(heading) = begun {
            reader.start(heading)?;
        }
        let ended = loop {
            let Some(step) = self.tree.next()? else { break Ended::AtEnd };
            match self.step(step)? {
                Seen::Begins(heading) => break Ended::AtHeading(heading),
                Seen::Step(Step::Start(element)) => reader.start(element)?,
                Seen::Step(Step::Text(text)) => reader.text(&text)?,
                Seen::Step(Step::End) => reader.end()?,
                Seen::Note => reader.note_taken(),
                Seen::Nothing => {}
            }
        };
        reader.finish()?;
        self.notes(chapters, &mut losses)?;
        self.losses.merge(&losses);
        Ok(ended)
    }

    /// Writes as text the notes whose marks were left out with what they stood in.
    fn unmarked_notes(&mut self, chapters: &mut Chapters<'_>) -> Result<(), BookError> {
        let mut ids: Vec<&String> =
            self.survey.notes.keys().filter(|id| !self.placed.contains_key(*id)).collect();
        ids.sort();
        for id in ids {
            let mut losses = Losses::default();
            self.note(id, "", chapters, &mut losses)?;
            self.losses.merge(&losses);
        }
        Ok(())
    }

    /// Writes the notes that the chapter refers to.
    fn notes(&mut self, chapters: &mut Chapters<'_>, losses: &mut Losses) -> Result<(), BookError> {
        let mut at = 0;
        while let Some(id) = self.wanted.get(at).cloned() {
            at += 1;
            self.note(&id, "doc-footnote", chapters, losses)?;
        }
        self.wanted.clear();
        Ok(())
    }

    /// Writes one, in the role of a note or as text.
    fn note(
        &mut self,
        id: &str,
        role: &str,
        chapters: &mut Chapters<'_>,
        losses: &mut Losses,
    ) -> Result<(), BookError> {
        let survey = self.survey;
        let Some(steps) = survey.notes.get(id) else { return Ok(()) };
        let mut links = Links { book: self.links.book, file: self.links.file, chapter: self.links.chapter };
        let flow = Flow::new(chapters);
        let mut reader = Xhtml::new(flow, &mut links, losses, &survey.pictures, &survey.labels, false);
        for (place, step) in steps.iter().enumerate() {
            match step.clone() {
                Step::Start(mut element) => {
                    self.mend(&mut element);
                    if place == 0 {
                        element.set("role", role.to_owned());
                        element.unset("epub:type");
                        // It is shown where its mark says so.
                        element.unset("hidden");
                        element.unset("style");
                    }
                    reader.start(element)?;
                }
                Step::Text(text) => reader.text(&text)?,
                Step::End => reader.end()?,
            }
        }
        reader.finish()
    }

    /// What a step means for the chapters; what is left out is left out here.
    fn step(&mut self, step: Step) -> Result<Seen, BookError> {
        match step {
            Step::Text(_) if self.left_out.is_some() => Ok(Seen::Nothing),
            Step::Text(text) => Ok(Seen::Step(Step::Text(text))),
            Step::End => {
                self.hidden.end();
                let is_out = self.left_out.is_some();
                if self.left_out == Some(self.path.len()) {
                    self.left_out = None;
                }
                self.path.pop();
                Ok(if is_out { Seen::Nothing } else { Seen::Step(Step::End) })
            }
            Step::Start(element) => self.start(element),
        }
    }

    fn start(&mut self, mut element: Element) -> Result<Seen, BookError> {
        self.elements += 1;
        self.path.push(element.name.clone());
        let is_hidden = self.hidden.start(&element, self.survey.note_starts.contains(&self.elements));
        let is_empty = self.survey.empty_headings.contains(&self.elements);
        if self.left_out.is_some() {
            // Counted all the same, as they were the first time.
            let is_counted = !is_empty && !self.hidden.is_out() && !self.in_left_out_by_name();
            self.headings += usize::from(is_heading(&element.name) && is_counted);
            return Ok(Seen::Nothing);
        }
        if is_hidden || is_empty {
            if is_hidden && !is_left_out(&element.name) {
                self.losses.add(loss::HIDDEN);
            }
            self.left_out = Some(self.path.len());
            return Ok(Seen::Nothing);
        }
        let outside = &self.path[..self.path.len() - 1];
        let is_header = is_header(&element, outside);
        self.headers += usize::from(is_header);
        let is_title =
            is_header && self.survey.title_header == Some(self.headers) && self.planned.skips_first;
        let is_note = self.survey.note_places.contains(&self.elements);
        if is_left_out(&element.name) || is_title || is_note {
            match element.name.as_str() {
                "nav" => self.losses.add("navigation"),
                "style" => self.losses.add("style sheet"),
                "script" => self.losses.add("script"),
                _ => {}
            }
            self.left_out = Some(self.path.len());
            return Ok(if is_note { Seen::Note } else { Seen::Nothing });
        }
        self.mend(&mut element);
        if element.name == "sup"
            && let Some(Step::Start(inner)) = self.tree.peek()?
            && marked(inner, &["sup".to_owned()]).is_some_and(|id| self.survey.notes.contains_key(&id))
        {
            // A note's mark is raised anyhow.
            element.name = "span".to_owned();
        }
        if !is_heading(&element.name) {
            return Ok(Seen::Step(Step::Start(element)));
        }
        let place = self.headings;
        self.headings += 1;
        if self.planned.begins.binary_search(&place).is_ok() {
            return Ok(Seen::Begins(element));
        }
        if place == 0 && self.planned.skips_first {
            self.left_out = Some(self.path.len());
            return Ok(Seen::Nothing);
        }
        // A chapter's title is of level 1, what is below it of level 2.
        let level = element.name.as_bytes()[1] - b'0';
        let above = self.planned.level.saturating_sub(1);
        element.name = format!("h{}", level.saturating_sub(above).clamp(2, 6));
        Ok(Seen::Step(Step::Start(element)))
    }

    /// Whether this is in something that is left out by its name, in which the first pass counts no headings.
    fn in_left_out_by_name(&self) -> bool {
        let inside = self.left_out.and_then(|depth| self.path.get(depth - 1..));
        inside.is_some_and(|path| path.iter().any(|name| is_left_out(name)))
    }

    /// Pictures by their names in the book, and marks of notes as such.
    fn mend(&mut self, element: &mut Element) {
        for name in ["src", "xlink:href"] {
            if let Some(source) = element.get(name).filter(|source| source.starts_with("data:")) {
                let short = short(source);
                element.set(name, short);
            }
        }
        if element.name != "a" {
            return;
        }
        if let Some(id) = marked(element, &self.path)
            && self.survey.notes.contains_key(&id)
        {
            // A note stands in one chapter: in others its mark is a link to that.
            let chapter = self.links.chapter;
            let first = *self.placed.entry(id.clone()).or_insert_with(|| {
                self.wanted.push(id);
                chapter
            });
            if first == chapter {
                element.set("role", "doc-noteref".to_owned());
            } else {
                element.unset("role");
                element.unset("epub:type");
            }
            return;
        }
        let back = ["footnote-back", "footnote-backref", "reversefootnote"];
        if back.iter().any(|class| element.has_word("class", class)) {
            element.set("role", "doc-backlink".to_owned());
        }
    }
}

/// What a step is for the chapter that is open.
enum Seen {
    Begins(Element),
    Step(Step),
    /// A note, which is written at its chapter's end.
    Note,
    Nothing,
}

fn is_heading(name: &str) -> bool {
    matches!(name.as_bytes(), [b'h', b'1'..=b'6'])
}

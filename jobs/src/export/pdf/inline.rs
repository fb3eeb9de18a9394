//! Runs of text as they come from the stream, and rows of lines made of them.

use std::{borrow::Cow, sync::Arc};

use pdf_writer::Ref;

use super::{
    flow::{Ink, Row},
    look::TextLook,
    paper::Paper,
    structure::{Span, Target},
    text::{Face, Family, Line, Measure, Run, Style},
};

/// Text of one look.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Inline {
    /// The text; a line feed is a break that the author wants.
    pub(super) text: String,
    /// How it differs from the text around it.
    pub(super) mood: Mood,
    /// The link that it is.
    pub(super) target: Option<Arc<Target>>,
    /// The destination that leads here.
    pub(super) place: Option<Ref>,
}

/// A text with blanks for its line ends: only a hard break may part lines.
pub(super) fn unbroken(text: &str) -> Cow<'_, str> {
    match text.contains(['\n', '\r']) {
        true => Cow::Owned(text.replace(['\n', '\r'], " ")),
        false => Cow::Borrowed(text),
    }
}

/// How a run differs from the text around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mood {
    pub(super) bold: bool,
    pub(super) italic: bool,
    pub(super) code: bool,
    pub(super) strike: bool,
    /// Raised, lowered, or neither.
    pub(super) rise: i8,
}

/// The runs of a block.
#[derive(Clone, Debug, Default)]
pub(super) struct Inlines {
    /// In reading order.
    pub(super) runs: Vec<Inline>,
    /// How many bytes they have.
    pub(super) bytes: usize,
}

impl Inlines {
    /// Adds a run; joins it to the one before where they look alike.
    pub(super) fn push(&mut self, text: &str, mood: Mood, target: Option<&Arc<Target>>) {
        self.bytes += text.len();
        let alike = |run: &&mut Inline| {
            run.mood == mood
                && run.place.is_none()
                && run.target.as_ref().map(Arc::as_ptr) == target.map(Arc::as_ptr)
        };
        match self.runs.last_mut().filter(alike) {
            Some(run) => run.text.push_str(text),
            None => {
                self.runs.push(Inline { text: text.to_owned(), mood, target: target.cloned(), place: None })
            }
        }
    }

    /// Whether there is nothing to see.
    pub(super) fn is_blank(&self) -> bool {
        self.runs.iter().all(|run| run.text.trim().is_empty())
    }

    /// The plain text.
    pub(super) fn plain(&self) -> String {
        self.runs.iter().map(|run| run.text.as_str()).collect()
    }

    /// Plain text as it is.
    pub(super) fn of(text: &str) -> Self {
        let mut inlines = Self::default();
        inlines.push(text, Mood::default(), None);
        inlines
    }
}

impl Mood {
    /// The letters, in text that looks like this.
    fn style(self, look: &TextLook) -> Style {
        // Code in code is only code.
        let code = self.code && look.face.family != Family::Mono;
        let family = if code { Family::Mono } else { look.face.family };
        // Emphasis in what is slanted stands upright.
        let face =
            Face { family, bold: look.face.bold || self.bold, italic: look.face.italic != self.italic };
        let size = look.size * if code { 0.86 } else { 1.0 };
        match self.rise {
            0 => Style { face, size, rise: 0.0 },
            up if up > 0 => Style { face, size: size * 0.66, rise: size * 0.36 },
            _ => Style { face, size: size * 0.66, rise: -size * 0.14 },
        }
    }
}

impl Paper {
    /// Text as lines, its runs told to the structure as content of the element that is open.
    pub(super) fn set(&mut self, inlines: &Inlines, look: &TextLook, width: f32) -> Vec<Line> {
        let mut marks: Vec<u32> = Vec::with_capacity(inlines.runs.len());
        let mut before: Option<&Inline> = None;
        for run in &inlines.runs {
            let joins = before.is_some_and(|before| {
                before.target.as_ref().map(Arc::as_ptr) == run.target.as_ref().map(Arc::as_ptr)
                    && before.mood.strike == run.mood.strike
                    && before.place.is_none()
                    && run.place.is_none()
            });
            before = Some(run);
            if joins {
                marks.extend(marks.last().copied());
                continue;
            }
            let span = Span {
                target: run.target.clone(),
                place: run.place,
                strike: run.mood.strike,
                ..Span::default()
            };
            let mark = if run.target.is_some() {
                self.structure.open(&mut self.objects, "Link");
                let mark = self.structure.span(span);
                self.structure.close();
                mark
            } else {
                self.structure.span(span)
            };
            marks.push(mark);
        }
        let runs: Vec<Run<'_>> = inlines
            .runs
            .iter()
            .zip(marks)
            .map(|(run, mark)| Run { text: &run.text, style: run.mood.style(look), mark })
            .collect();
        let mut lines = Vec::new();
        self.typesetter.set(&runs, &measure(look, width), &mut lines);
        lines
    }

    /// The width of the text if it stood on one line.
    pub(super) fn natural_width(&mut self, inlines: &Inlines, look: &TextLook) -> f32 {
        let runs: Vec<Run<'_>> = inlines
            .runs
            .iter()
            .map(|run| Run { text: &run.text, style: run.mood.style(look), mark: super::structure::ARTIFACT })
            .collect();
        self.typesetter.natural_width(&runs)
    }
}

fn measure(look: &TextLook, width: f32) -> Measure {
    Measure {
        width,
        first_indent: look.first_indent,
        align: look.align,
        hyphenate: look.hyphenate,
        preformatted: look.preformatted,
    }
}

/// A row for a line whose measure begins at `x`.
pub(super) fn row(line: Line, look: &TextLook, x: f32) -> Row {
    // Letters of other scripts may be taller than the leading foresees.
    let is_tall = line.ascent + line.descent > look.leading * 1.5;
    let ascent = (look.leading * 0.74).max(if is_tall { line.ascent } else { 0.0 });
    let descent = (look.leading * 0.26).max(if is_tall { line.descent } else { 0.0 });
    let ink = line.pieces.into_iter().map(|piece| Ink::Text { x, piece }).collect();
    Row { ascent, descent, ink, ..Row::default() }
}

/// Rows of a paragraph: neither its first line nor its last one stands alone on a page.
pub(super) fn rows(lines: Vec<Line>, look: &TextLook, x: f32) -> Vec<Row> {
    let count = lines.len();
    let keep = |at: usize| at > 0 && (at == 1 || at + 1 == count);
    (0..).zip(lines).map(|(at, line)| Row { keep: keep(at), ..row(line, look, x) }).collect()
}

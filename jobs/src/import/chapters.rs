//! Events in, whole chapters as Markdown out: counts words and pictures, splits what grows too large at a block's end,
//! and refuses a book in which there is nothing.

use std::{borrow::Cow, collections::HashSet};

use super::{BookSink, MOST_TITLE, Report, one_line, title_of};
use crate::book::{
    BookError, Checked, EndTag, Event, EventSink, Losses, Tag, loss,
    names::{UniqueNames, chapter_name},
    project::MOST_CHAPTER_BYTES,
    words::WordCount,
    writer::{MarkdownWriter, ProjectNames},
};

/// A chapter that is larger is split before its next block.
const SPLIT_BYTES: usize = MOST_CHAPTER_BYTES / 4 * 3;
/// A paragraph that is larger is split where it stands, code behind a line.
const SPLIT_BLOCK_BYTES: usize = MOST_CHAPTER_BYTES / 8;
/// How many chapters a book has at most.
pub(super) const MOST_CHAPTERS: usize = 50_000;
/// What is wrong with a block that can't be split.
pub(super) const TOO_LARGE: &str = "a table, list or quotation in it is larger than 4 MiB: divide it";

/// The chapters of a book that is being read. Between [`begin`](Self::begin) and [`end`](Self::end) it is a sink of
/// blocks, without `ChapterStart` and `ChapterEnd`.
pub(super) struct Chapters<'a> {
    sink: &'a mut dyn BookSink,
    pub(super) report: Report,
    file: String,
    names: UniqueNames,
    open: Option<Open>,
}

/// The chapter that is open.
struct Open {
    name: String,
    title: String,
    part: usize,
    text: Checked<Text>,
    /// The tags that are open, for a block that has to be split.
    depth: usize,
    top: Option<Split>,
    /// Bytes of text in the current top-level block.
    block: usize,
    /// Whether the text so far ends with a line.
    is_line_end: bool,
    words: WordCount,
    /// The footnotes that stand in it already: a source read in pieces may bring them again.
    notes: HashSet<String>,
    /// How many tags of such a repeated footnote are open.
    skipping: usize,
}

/// The Markdown of the open chapter.
struct Text(MarkdownWriter<ProjectNames>);

impl EventSink for Text {
    fn event(&mut self, event: Event<'_>) -> Result<(), BookError> {
        self.0.event(&event);
        Ok(())
    }
}

/// A block that can be split anywhere.
enum Split {
    Paragraph,
    Code(String),
}

impl<'a> Chapters<'a> {
    /// Chapters for `sink`; errors name `file`.
    pub(super) fn new(sink: &'a mut dyn BookSink, report: Report, file: &str) -> Self {
        Self { sink, report, file: file.to_owned(), names: UniqueNames::default(), open: None }
    }

    /// The sink, for pictures.
    pub(super) fn sink(&mut self) -> &mut dyn BookSink {
        self.sink
    }

    /// The file that errors name from now on.
    pub(super) fn set_file(&mut self, file: &str) {
        file.clone_into(&mut self.file);
    }

    /// Begins chapter `index` (from 0), which is to be called `title`.
    pub(super) fn begin(&mut self, index: usize, title: &str) -> Result<(), BookError> {
        if index >= MOST_CHAPTERS {
            return Err(BookError::input(&self.file, "the book has more than 50,000 chapters"));
        }
        let name = self.names.add(&file_name(index, title));
        let title = title_of(title, &mut self.report.losses);
        self.open(name, title, 1)
    }

    fn open(&mut self, name: String, title: String, part: usize) -> Result<(), BookError> {
        let heading = if part == 1 { title.clone() } else { continued(&title) };
        let mut text = Checked::new(Text(MarkdownWriter::for_project()), &*self.file);
        text.event(Event::ChapterStart { index: 0, title: heading.into() })?;
        let notes = HashSet::new();
        self.open = Some(Open {
            name,
            title,
            part,
            text,
            depth: 0,
            top: None,
            block: 0,
            is_line_end: true,
            words: WordCount::default(),
            notes,
            skipping: 0,
        });
        Ok(())
    }

    /// Ends the chapter and hands it on.
    pub(super) fn end(&mut self) -> Result<(), BookError> {
        self.close().map(drop)
    }

    fn close(&mut self) -> Result<Option<(String, String, usize)>, BookError> {
        let Some(mut open) = self.open.take() else { return Ok(None) };
        open.text.event(Event::ChapterEnd)?;
        let (Text(mut writer), mended) = open.text.into_parts();
        self.report.losses.merge(&mended);
        self.report.losses.merge(writer.losses());
        let text = std::mem::take(writer.buffer());
        if text.len() > MOST_CHAPTER_BYTES {
            return Err(BookError::at(&self.file, format!("chapter {:?}", open.title), TOO_LARGE));
        }
        let title = if open.part == 1 { open.title.clone() } else { continued(&open.title) };
        let name = match open.part {
            1 => open.name.clone(),
            part => {
                let stem = open.name.strip_suffix(".md").unwrap_or(&open.name);
                self.names.add(&format!("{stem}-part-{part}.md"))
            }
        };
        self.sink.chapter(&name, &title, text)?;
        self.report.chapters += 1;
        Ok(Some((open.name, open.title, open.part)))
    }

    /// Ends the open part of a chapter and goes on in a next one.
    fn roll(&mut self) -> Result<(), BookError> {
        if let Some((name, title, part)) = self.close()? {
            if part == 1 {
                self.report.warn(format!("the chapter {title:?} is larger than 4 MiB and was split"));
            }
            self.open(name, title, part + 1)?;
        }
        Ok(())
    }

    /// What came of it all.
    ///
    /// # Errors
    /// `Input` where the book holds neither words nor pictures.
    pub(super) fn finish(mut self) -> Result<Report, BookError> {
        self.end()?;
        if self.report.words == 0 && self.report.images == 0 {
            return Err(BookError::input(self.file, "the book is empty: it has no words and no pictures"));
        }
        Ok(self.report)
    }

    /// The losses so far.
    pub(super) fn losses(&mut self) -> &mut Losses {
        &mut self.report.losses
    }

    fn count_words(&mut self, text: &str) {
        let Some(open) = &mut self.open else { return };
        let before = open.words.words();
        open.words.add(text);
        self.report.words += open.words.words() - before;
    }

    /// Splits the current paragraph or code block, and the chapter with it where that is large.
    fn split_block(&mut self) -> Result<(), BookError> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let Some(split) = open.top.take() else { return Ok(()) };
        let end = match split {
            Split::Paragraph => EndTag::Paragraph,
            Split::Code(_) => EndTag::CodeBlock,
        };
        self.report.losses.add(loss::SPLIT);
        self.event(Event::End(end))?;
        self.event(Event::Start(match split {
            Split::Paragraph => Tag::Paragraph,
            Split::Code(language) => Tag::CodeBlock { language: language.into() },
        }))
    }
}

/// The file that chapter `index` with this title goes to, for links from other chapters.
pub(super) fn file_name(index: usize, title: &str) -> String {
    chapter_name(index, &one_line(title, MOST_TITLE))
}

fn continued(title: &str) -> String {
    if title.is_empty() { "(continued)".to_owned() } else { format!("{title} (continued)") }
}

impl EventSink for Chapters<'_> {
    fn event(&mut self, event: Event<'_>) -> Result<(), BookError> {
        if self.skips(&event) {
            return Ok(());
        }
        match &event {
            Event::Text(text) => {
                self.count_words(text);
                // In pieces, so that a huge one can be split on the way.
                if text.len() > SPLIT_BLOCK_BYTES {
                    let is_code = self.open.as_ref().is_some_and(Open::is_code);
                    let mut rest = &**text;
                    while !rest.is_empty() {
                        let (head, tail) = rest.split_at(cut(rest, is_code));
                        self.write(Event::Text(Cow::Borrowed(head)), head.len())?;
                        rest = tail;
                    }
                    return Ok(());
                }
            }
            Event::Code(code) => self.count_words(code),
            Event::Image { .. } => self.report.images += 1,
            _ => {
                if let Some(open) = &mut self.open {
                    open.words.part();
                }
            }
        }
        let bytes = match &event {
            Event::Text(text) | Event::Code(text) => text.len(),
            Event::Image { source, alt, .. } => source.len() + alt.len(),
            _ => 1,
        };
        self.write(event, bytes)
    }
}

impl Chapters<'_> {
    /// Whether an event belongs to a footnote that the chapter has already.
    fn skips(&mut self, event: &Event<'_>) -> bool {
        let Some(open) = &mut self.open else { return false };
        match event {
            Event::Start(_) if open.skipping > 0 => open.skipping += 1,
            Event::Start(Tag::Footnote { label }) if !open.notes.insert(label.to_string()) => {
                open.skipping = 1
            }
            Event::End(_) if open.skipping > 0 => {
                open.skipping -= 1;
                return true;
            }
            _ => {}
        }
        open.skipping > 0
    }

    /// Passes an event on, after room was made for it.
    fn write(&mut self, event: Event<'_>, bytes: usize) -> Result<(), BookError> {
        let inline = !matches!(event, Event::Start(_) | Event::End(_));
        if let Some(open) = &self.open
            && inline
            && open.depth == 1
            && open.block + bytes > SPLIT_BLOCK_BYTES
            && open.block > 0
            && open.top.is_some()
            // A line without end is cut all the same.
            && (!open.is_code() || open.is_line_end || open.block + bytes > 2 * SPLIT_BLOCK_BYTES)
        {
            self.split_block()?;
        }
        // Not where a block ends: nothing may follow, and what was split once is not to be split again.
        if matches!(event, Event::Start(_)) && self.is_full() {
            self.roll()?;
        }
        let Some(open) = &mut self.open else {
            return Err(BookError::input(&self.file, "text outside of any chapter"));
        };
        match &event {
            Event::Start(tag) => {
                if open.depth == 0 {
                    open.block = 0;
                    open.top = match tag {
                        Tag::Paragraph => Some(Split::Paragraph),
                        Tag::CodeBlock { language } => Some(Split::Code(language.to_string())),
                        _ => None,
                    };
                }
                open.depth += 1;
            }
            Event::End(_) => open.depth = open.depth.saturating_sub(1),
            Event::Text(text) => {
                open.block += bytes;
                open.is_line_end = text.ends_with('\n');
            }
            _ => open.block += bytes,
        }
        open.text.event(event)
    }

    /// Whether the next block belongs to another part of the chapter.
    fn is_full(&mut self) -> bool {
        let between = self.open.as_mut().filter(|open| open.depth == 0);
        between.is_some_and(|open| open.text.inner_mut().0.buffer().len() > SPLIT_BYTES)
    }
}

impl Open {
    fn is_code(&self) -> bool {
        matches!(self.top, Some(Split::Code(_)))
    }
}

/// Where a text that is too long for a block is cut.
fn cut(text: &str, is_code: bool) -> usize {
    let most = text.floor_char_boundary(SPLIT_BLOCK_BYTES);
    let line = text[..most].rfind('\n').filter(|_| is_code && most < text.len());
    line.map_or(most, |line| line + 1)
}

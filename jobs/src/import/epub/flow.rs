//! Content as balanced events: what XHTML wraps is written only once there is something in it, loose text becomes
//! paragraphs, white space is collapsed, runs are closed and opened again around blocks. Knows no XHTML.

use std::borrow::Cow;

use super::blanks::Blanks;
use crate::{
    book::{BookError, EndTag, Event, EventSink, Tag},
    import::table::{Table, owned},
};

mod tables;

/// Something that content stands in, written when there is content.
#[derive(Debug)]
struct Wanted {
    tag: Tag<'static>,
    open: bool,
    /// Whether a note was taken out of it: where that was all, nothing is left of it.
    had_note: bool,
    /// Whether it is an item that was made for what stands loose in a list.
    is_made: bool,
}

impl Wanted {
    fn new(tag: Tag<'static>) -> Self {
        Self { tag, open: false, had_note: false, is_made: false }
    }

    fn made_item() -> Self {
        Self { is_made: true, ..Self::new(Tag::Item) }
    }
}

/// Writes content to a sink.
pub(in crate::import) struct Flow<'a> {
    sink: &'a mut dyn EventSink,
    blocks: Vec<Wanted>,
    /// Runs, of which the first `open_runs` are open.
    runs: Vec<Tag<'static>>,
    open_runs: usize,
    paragraph: bool,
    /// Whether the paragraph is an item's loose text, as in `<li>text</li>`, which is none in the stream.
    plain: bool,
    /// Whether an element says that its text is a paragraph.
    pub(super) in_paragraph: bool,
    heading: Option<Wanted>,
    blanks: Blanks,
    verbatim: bool,
    table: Option<Table>,
}

impl<'a> Flow<'a> {
    pub(in crate::import) fn new(sink: &'a mut dyn EventSink) -> Self {
        Self {
            sink,
            blocks: Vec::new(),
            runs: Vec::new(),
            open_runs: 0,
            paragraph: false,
            plain: false,
            in_paragraph: false,
            heading: None,
            blanks: Blanks::default(),
            verbatim: false,
            table: None,
        }
    }

    /// Whether a heading is open.
    pub(super) fn in_heading(&self) -> bool {
        self.heading.is_some()
    }

    /// Whether the innermost block is a list, which can hold nothing but items.
    fn in_list(&self) -> bool {
        matches!(self.blocks.last(), Some(Wanted { tag: Tag::List { .. }, .. }))
    }

    /// Whether an item can begin; one that was made for what stands loose before it ends.
    pub(super) fn is_in_list(&mut self) -> Result<bool, BookError> {
        if self.blocks.last().is_some_and(|block| block.is_made) {
            self.end_block(EndTag::Item)?;
        }
        Ok(self.in_list())
    }

    /// Whether a footnote is open.
    pub(super) fn in_footnote(&self) -> bool {
        self.blocks.iter().any(|block| matches!(block.tag, Tag::Footnote { .. }))
    }

    fn send(&mut self, event: Event<'_>) -> Result<(), BookError> {
        match self.table.as_mut().and_then(|table| table.cell.as_mut()) {
            Some(cell) => {
                cell.push(owned(event));
                Ok(())
            }
            None => self.sink.event(event),
        }
    }

    /// The paragraph ends, if one is open.
    pub(super) fn boundary(&mut self) -> Result<(), BookError> {
        if self.in_cell() || self.heading.is_some() {
            // Lines of a cell or heading stay one text.
            self.blanks.add('\n');
            return Ok(());
        }
        self.close_runs(0)?;
        if std::mem::take(&mut self.paragraph) && !std::mem::take(&mut self.plain) {
            self.send(Event::End(EndTag::Paragraph))?;
        }
        self.blanks.forget();
        Ok(())
    }

    /// A block begins; nothing is written before there is content.
    pub(super) fn block(&mut self, tag: Tag<'static>) -> Result<(), BookError> {
        self.boundary()?;
        if self.in_list() && !matches!(tag, Tag::Item) {
            self.blocks.push(Wanted::made_item());
        }
        self.verbatim = matches!(tag, Tag::CodeBlock { .. });
        if matches!(tag, Tag::Footnote { .. }) {
            self.note_taken();
        }
        self.blocks.push(Wanted::new(tag));
        Ok(())
    }

    /// The innermost block of the same sort ends, and items that were made for loose text with it.
    pub(super) fn end_block(&mut self, end: EndTag) -> Result<(), BookError> {
        self.boundary()?;
        self.verbatim = false;
        let same = |block: &Wanted| std::mem::discriminant(&block.tag.end()) == std::mem::discriminant(&end);
        if !self.blocks.iter().any(same) {
            return Ok(());
        }
        // What is empty but can be seen all the same: an item's sign, a quotation's line.
        let is_shown = |block: &Wanted| {
            matches!(block.tag, Tag::Item | Tag::CodeBlock { .. } | Tag::Quote | Tag::Footnote { .. })
        };
        if self
            .blocks
            .last()
            .is_some_and(|block| same(block) && is_shown(block) && !block.open && !block.had_note)
        {
            self.open_blocks()?;
        }
        while let Some(block) = self.blocks.pop() {
            if block.open {
                self.sink.event(Event::End(block.tag.end()))?;
            }
            if same(&block) {
                break;
            }
        }
        if matches!(end, EndTag::Footnote)
            && self.blocks.last().is_some_and(|item| item.is_made && !item.open)
        {
            self.blocks.pop();
        }
        Ok(())
    }

    /// A note was taken out of what is open.
    pub(super) fn note_taken(&mut self) {
        self.blocks.iter_mut().for_each(|block| block.had_note = true);
    }

    /// The language of the code block that was begun, where it has none.
    pub(super) fn code_language(&mut self, name: String) {
        if let Some(Wanted { tag: Tag::CodeBlock { language }, open: false, .. }) = self.blocks.last_mut()
            && language.is_empty()
        {
            *language = Cow::Owned(name);
        }
    }

    /// An item begins.
    pub(super) fn item(&mut self) -> Result<(), BookError> {
        self.block(Tag::Item)
    }

    /// A heading begins.
    pub(super) fn begin_heading(&mut self, level: u8, anchor: Option<String>) -> Result<(), BookError> {
        self.boundary()?;
        let tag = Tag::Heading { level, anchor: anchor.map(Cow::Owned) };
        self.heading = Some(Wanted::new(tag));
        Ok(())
    }

    /// An anchor inside the heading is the heading's, where it has no other and was not written yet.
    pub(super) fn heading_anchor(&mut self, id: &str) {
        if let Some(Wanted { tag: Tag::Heading { anchor: anchor @ None, .. }, open: false, .. }) =
            &mut self.heading
        {
            *anchor = Some(Cow::Owned(id.to_owned()));
        }
    }

    /// The heading ends.
    pub(super) fn end_heading(&mut self) -> Result<(), BookError> {
        self.close_runs(0)?;
        if let Some(Wanted { tag, open: true, .. }) = self.heading.take() {
            self.send(Event::End(tag.end()))?;
        }
        self.blanks.forget();
        Ok(())
    }

    /// A run begins; false where it is one inside its like, which means nothing.
    pub(super) fn run(&mut self, tag: Tag<'static>) -> bool {
        let same = |run: &Tag<'_>| std::mem::discriminant(run) == std::mem::discriminant(&tag);
        if self.runs.iter().any(same) {
            return false;
        }
        self.runs.push(tag);
        true
    }

    /// The innermost run ends.
    pub(super) fn end_run(&mut self) -> Result<(), BookError> {
        if !self.runs.is_empty() {
            self.close_runs(self.runs.len() - 1)?;
            self.runs.pop();
        }
        Ok(())
    }

    fn close_runs(&mut self, down_to: usize) -> Result<(), BookError> {
        while self.open_runs > down_to {
            self.open_runs -= 1;
            let end = self.runs[self.open_runs].end();
            self.send(Event::End(end))?;
        }
        Ok(())
    }

    /// Writes all that the blocks around the content wait for.
    fn open_blocks(&mut self) -> Result<(), BookError> {
        if self.in_list() {
            self.blocks.push(Wanted::made_item());
        }
        // What a note stands in is none of the note's.
        let note = self.blocks.iter().position(|block| matches!(block.tag, Tag::Footnote { .. }));
        for place in note.unwrap_or(0)..self.blocks.len() {
            if !self.blocks[place].open {
                self.blocks[place].open = true;
                let tag = self.blocks[place].tag.clone();
                self.sink.event(Event::Start(tag))?;
            }
        }
        Ok(())
    }

    /// Makes room for content.
    fn open(&mut self) -> Result<(), BookError> {
        if !self.in_cell() {
            if !self.paragraph && self.heading.as_ref().is_none_or(|heading| !heading.open) {
                self.open_blocks()?;
            }
            match &mut self.heading {
                Some(heading) if !heading.open => {
                    heading.open = true;
                    let tag = heading.tag.clone();
                    self.send(Event::Start(tag))?;
                }
                None if !self.paragraph && !self.verbatim => {
                    self.paragraph = true;
                    let in_item = matches!(self.blocks.last(), Some(Wanted { tag: Tag::Item, .. }));
                    self.plain = in_item && !self.in_paragraph;
                    if !self.plain {
                        self.send(Event::Start(Tag::Paragraph))?;
                    }
                }
                _ => {}
            }
        }
        if self.verbatim {
            return Ok(());
        }
        for _ in 0..self.blanks.take_breaks() {
            self.send(Event::HardBreak)?;
        }
        if let Some(blanks) = self.blanks.take() {
            self.send(Event::Text(blanks))?;
        }
        while self.open_runs < self.runs.len() {
            let tag = self.runs[self.open_runs].clone();
            self.open_runs += 1;
            self.send(Event::Start(tag))?;
        }
        Ok(())
    }

    /// Whether content stands right before, so that white space counts.
    fn has_content(&self) -> bool {
        match self.table.as_ref().and_then(|table| table.cell.as_ref()) {
            Some(cell) => !cell.is_empty(),
            None => self.paragraph || self.heading.as_ref().is_some_and(|heading| heading.open),
        }
    }

    /// Text as XHTML means it.
    pub(super) fn text(&mut self, text: &str) -> Result<(), BookError> {
        if self.verbatim {
            if text.is_empty() {
                return Ok(());
            }
            self.open()?;
            return self.send(Event::Text(Cow::Borrowed(text)));
        }
        let white = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}');
        let mut content = String::new();
        for c in text.chars() {
            if white(c) {
                if !content.is_empty() || self.has_content() {
                    self.blanks.add(c);
                }
            } else {
                if content.is_empty() {
                    self.open()?;
                } else if let Some(blanks) = self.blanks.take() {
                    content.push_str(&blanks);
                }
                content.push(c);
            }
        }
        if content.is_empty() { Ok(()) } else { self.send(Event::Text(Cow::Owned(content))) }
    }

    /// From here on blanks in a line are the author's, not the markup's.
    pub(super) fn keep_blanks(&mut self) {
        self.blanks.keep = true;
    }

    /// Content that is no text: code, an image, a footnote's mark.
    pub(super) fn inline(&mut self, event: Event<'_>) -> Result<(), BookError> {
        if self.verbatim {
            return Ok(());
        }
        self.open()?;
        self.send(event)
    }

    /// A line end that the author wants; one before the end of a paragraph means nothing.
    pub(super) fn line_break(&mut self) -> Result<(), BookError> {
        if self.verbatim {
            return self.text("\n");
        }
        if self.has_content() {
            self.blanks.add_break();
        }
        Ok(())
    }

    /// A thematic break.
    pub(super) fn rule(&mut self) -> Result<(), BookError> {
        self.boundary()?;
        if self.in_cell() || self.heading.is_some() {
            return Ok(());
        }
        self.open_blocks()?;
        self.send(Event::Rule)
    }

    /// Ends whatever is open.
    pub(super) fn finish(&mut self) -> Result<(), BookError> {
        self.end_heading()?;
        self.end_table()?;
        self.boundary()?;
        while let Some(block) = self.blocks.pop() {
            if block.open {
                self.sink.event(Event::End(block.tag.end()))?;
            }
        }
        Ok(())
    }
}

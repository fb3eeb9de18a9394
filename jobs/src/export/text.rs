//! Plain text in UTF-8, wrapped at 72 columns, as mail readers and consoles show it. Headings are underlined, lists have
//! hanging indents, notes stand at their chapter's end. Bold and italic go without a count: every reader of plain text
//! expects that. Counted are pictures and links inside the book; web addresses are written behind their link.

use std::{collections::BTreeMap, io::Write, sync::Arc};

use self::{
    table::Table,
    wrap::{WIDTH, width, wrap},
};
use super::{Exporter, lookup::Lookup, loss};
use crate::book::{BookError, EndTag, Event, LinkTarget, Losses, Tag, check::is_legal};

mod table;
mod wrap;

/// How far notes are indented, so that their numbers stand out.
const NOTE_INDENT: usize = 5;

/// Writes a text file.
pub(super) struct Text {
    lookup: Arc<Lookup>,
    page: Page,
    chapter: usize,
    /// The words of the open block; a line feed is a break that the author wants.
    words: String,
    leaf: Option<Leaf>,
    table: Option<Table>,
    lists: Vec<Option<u64>>,
    /// For each open link, its address and where its words begin.
    links: Vec<Option<(String, usize)>>,
    notes: BTreeMap<String, Note>,
    mentioned: usize,
    /// Pages that wait while a note inside them is written.
    suspended: Vec<(Page, String)>,
    losses: Losses,
}

/// Lines, and what stands before them.
#[derive(Default)]
struct Page {
    out: String,
    frames: Vec<Frame>,
    last: Option<Leaf>,
}

/// A container's indent: on its first line, and on the rest.
struct Frame {
    first: Option<String>,
    rest: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaf {
    Plain,
    Paragraph,
    Heading(u8),
    Code,
    Table,
}

#[derive(Default)]
struct Note {
    /// 0 while nothing mentions it.
    number: usize,
    text: Option<String>,
}

impl Page {
    /// Columns that are left beside the indents.
    fn room(&self) -> usize {
        let indent: usize = self.frames.iter().map(|frame| width(&frame.rest)).sum();
        WIDTH.saturating_sub(indent).max(24)
    }

    fn line(&mut self, line: &str) {
        let begin = self.out.len();
        for frame in &mut self.frames {
            match frame.first.take() {
                Some(first) => self.out.push_str(&first),
                None => self.out.push_str(&frame.rest),
            }
        }
        self.out.push_str(line);
        let end = self.out[begin..].trim_end_matches(' ').len();
        self.out.truncate(begin + end);
        self.out.push('\n');
    }

    /// Parts a block from the one before: items of a tight list stand close.
    fn begin(&mut self, leaf: Leaf) {
        if self.last.is_some() && !(self.last == Some(Leaf::Plain) && leaf == Leaf::Plain) {
            let mut line = String::new();
            for frame in &self.frames {
                // Indents whose first line is to come are blank above it.
                if frame.first.is_none() {
                    line.push_str(&frame.rest);
                }
            }
            self.out.push_str(line.trim_end());
            self.out.push('\n');
        }
        self.last = Some(leaf);
    }
}

impl Text {
    /// A text file of the book, not begun.
    pub(super) fn new(lookup: Arc<Lookup>) -> Self {
        Self {
            lookup,
            page: Page::default(),
            chapter: 0,
            words: String::new(),
            leaf: None,
            table: None,
            lists: Vec::new(),
            links: Vec::new(),
            notes: BTreeMap::new(),
            mentioned: 0,
            suspended: Vec::new(),
            losses: Losses::default(),
        }
    }

    fn title_page(&mut self) {
        let lookup = Arc::clone(&self.lookup);
        let metadata = &lookup.book().metadata;
        // Unlike the stream, book.json comes unchecked.
        let legal = |text: &str| text.chars().filter(|c| is_legal(*c)).collect::<String>();
        self.page.begin(Leaf::Heading(1));
        self.heading(&legal(lookup.title()), '=');
        let lines = [&metadata.subtitle].into_iter().chain(&metadata.authors).map(String::as_str);
        for line in lines.chain(metadata.imprint()) {
            if !line.trim().is_empty() {
                self.page.begin(Leaf::Paragraph);
                self.paragraph(&legal(line));
            }
        }
    }

    fn heading(&mut self, text: &str, sign: char) {
        let lines = wrap(text, self.page.room());
        let longest = lines.iter().map(|line| width(line)).max().unwrap_or(0);
        for line in &lines {
            self.page.line(line);
        }
        if longest > 0 {
            self.page.line(&sign.to_string().repeat(longest));
        }
    }

    fn paragraph(&mut self, text: &str) {
        for line in wrap(text, self.page.room()) {
            self.page.line(&line);
        }
    }

    fn start_chapter(&mut self, index: usize, title: &str) {
        self.chapter = index;
        self.page.out.push_str("\n\n");
        self.page.last = None;
        if !title.trim().is_empty() {
            self.page.begin(Leaf::Heading(1));
            self.heading(title, '=');
        }
    }

    fn end_chapter(&mut self) {
        self.end_leaf();
        let mut notes: Vec<Note> = std::mem::take(&mut self.notes).into_values().collect();
        self.mentioned = 0;
        notes.sort_by_key(|note| if note.number == 0 { usize::MAX } else { note.number });
        for (at, note) in notes.into_iter().enumerate() {
            let Some(text) = note.text else {
                self.losses.add(loss::FOOTNOTE);
                continue;
            };
            self.page.begin(Leaf::Paragraph);
            let first = format!("{:<NOTE_INDENT$}", format!("[{}]", at + 1));
            self.page.frames.push(Frame { first: Some(first), rest: " ".repeat(NOTE_INDENT) });
            for line in text.lines() {
                self.page.line(line);
            }
            self.page.frames.pop();
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Emphasis | Tag::Strong | Tag::Strikethrough | Tag::Superscript | Tag::Subscript => return,
            Tag::Link { target, .. } => return self.start_link(&target),
            Tag::TableHead | Tag::TableRow | Tag::TableCell => {}
            _ => self.end_leaf(),
        }
        match tag {
            Tag::Paragraph => self.leaf = Some(Leaf::Paragraph),
            Tag::Heading { level, .. } => self.leaf = Some(Leaf::Heading(level)),
            Tag::CodeBlock { .. } => self.leaf = Some(Leaf::Code),
            Tag::Quote => self.page.frames.push(Frame { first: None, rest: "    ".to_owned() }),
            Tag::List { first } => self.lists.push(first),
            Tag::Item => {
                let bullet = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        let bullet = format!("{number}. ");
                        *number = number.saturating_add(1);
                        bullet
                    }
                    _ => "- ".to_owned(),
                };
                self.page.frames.push(Frame { rest: " ".repeat(bullet.len()), first: Some(bullet) });
            }
            Tag::Table { columns } => {
                if self.page.last == Some(Leaf::Table) {
                    // The table before is another one.
                    self.page.last = Some(Leaf::Paragraph);
                }
                self.table = Some(Table::new(columns, self.page.room()));
            }
            Tag::Footnote { label } => {
                let indent = Frame { first: None, rest: " ".repeat(NOTE_INDENT) };
                let page = Page { frames: vec![indent], ..Page::default() };
                self.suspended.push((std::mem::replace(&mut self.page, page), label.into_owned()));
            }
            _ => {}
        }
    }

    fn end(&mut self, end: EndTag) {
        match end {
            EndTag::Link => self.end_link(),
            EndTag::TableCell => {
                let cell = std::mem::take(&mut self.words);
                if let Some(table) = &mut self.table {
                    table.cell(&cell);
                }
            }
            EndTag::TableHead | EndTag::TableRow => {
                let lines = self.table.as_mut().map(|table| table.end_row(end == EndTag::TableHead));
                self.table_lines(lines.unwrap_or_default());
            }
            EndTag::Table => {
                let lines = self.table.take().map(Table::finish);
                self.table_lines(lines.unwrap_or_default());
            }
            EndTag::Paragraph | EndTag::Heading(_) | EndTag::CodeBlock => self.end_leaf(),
            EndTag::Quote | EndTag::Item => {
                self.end_leaf();
                if self.page.frames.last().is_some_and(|frame| frame.first.is_some()) {
                    self.page.begin(Leaf::Plain);
                    self.page.line("");
                }
                self.page.frames.pop();
            }
            EndTag::List(_) => {
                self.lists.pop();
            }
            EndTag::Footnote => self.end_note(),
            EndTag::Emphasis
            | EndTag::Strong
            | EndTag::Strikethrough
            | EndTag::Superscript
            | EndTag::Subscript => {}
        }
    }

    fn table_lines(&mut self, lines: Vec<String>) {
        if !lines.is_empty() && self.page.last != Some(Leaf::Table) {
            self.page.begin(Leaf::Table);
        }
        for line in lines {
            self.page.line(&line);
        }
    }

    /// Keeps the note's lines, without the indent that they were wrapped for.
    fn end_note(&mut self) {
        self.end_leaf();
        if let Some((page, label)) = self.suspended.pop() {
            let note = std::mem::replace(&mut self.page, page);
            let lines = note.out.lines().map(|line| line.get(NOTE_INDENT..).unwrap_or_default());
            let text = lines.collect::<Vec<_>>().join("\n");
            self.notes.entry(label).or_default().text.get_or_insert(text);
        }
    }

    fn end_leaf(&mut self) {
        let words = std::mem::take(&mut self.words);
        let Some(leaf) = self.leaf.take() else { return };
        if words.trim().is_empty() {
            return;
        }
        self.page.begin(leaf);
        match leaf {
            Leaf::Plain | Leaf::Paragraph | Leaf::Table => self.paragraph(&words),
            Leaf::Heading(level) => {
                self.heading(&words.replace('\n', " "), if level <= 2 { '-' } else { '~' })
            }
            Leaf::Code => {
                self.page.frames.push(Frame { first: None, rest: "    ".to_owned() });
                for line in words.trim_end_matches('\n').split('\n') {
                    self.page.line(line);
                }
                self.page.frames.pop();
            }
        }
    }

    fn start_link(&mut self, target: &str) {
        let address = match self.lookup.link(self.chapter, target) {
            LinkTarget::External(url) => Some((url.to_owned(), self.words.len())),
            LinkTarget::Chapter { .. } => {
                self.losses.add(loss::LINK_TARGET);
                None
            }
            LinkTarget::Nowhere => {
                self.losses.add(loss::LINK);
                None
            }
        };
        self.links.push(address);
    }

    /// Writes the address behind the words, unless they say it themselves.
    fn end_link(&mut self) {
        if let Some((address, begin)) = self.links.pop().flatten() {
            let words = self.words.get(begin..).unwrap_or_default();
            let bare = |text: &str| {
                let text = text.trim().trim_end_matches('/');
                text.split_once(':').map_or(text, |(_, rest)| rest).trim_start_matches('/').to_owned()
            };
            if bare(words) != bare(&address) {
                self.push(&format!(" <{address}>"));
            }
        }
    }

    /// Adds words to the open block; in a tight item, they open one.
    fn push(&mut self, words: &str) {
        if self.table.is_none() {
            self.leaf.get_or_insert(Leaf::Plain);
        }
        self.words.push_str(words);
    }

    fn image(&mut self, alt: &str, title: &str) {
        self.losses.add(loss::IMAGE);
        let alt = if alt.trim().is_empty() { "[Image]" } else { &format!("[Image: {}]", alt.trim()) };
        self.push(format!("{alt} {}", title.trim()).trim_end());
    }

    fn mention(&mut self, label: &str) {
        let note = self.notes.entry(label.to_owned()).or_default();
        if note.number == 0 {
            self.mentioned += 1;
            note.number = self.mentioned;
        }
        let mark = format!("[{}]", note.number);
        self.push(&mark);
    }
}

impl Exporter for Text {
    fn event(&mut self, event: Event<'_>, out: &mut dyn Write) -> Result<(), BookError> {
        match event {
            Event::BookStart => self.title_page(),
            Event::BookEnd => {}
            Event::ChapterStart { index, title } => self.start_chapter(index, &title),
            Event::ChapterEnd => self.end_chapter(),
            Event::Start(tag) => self.start(tag),
            Event::End(end) => self.end(end),
            Event::Text(text) if self.leaf == Some(Leaf::Code) => {
                self.words.push_str(&text.replace('\r', ""))
            }
            // Only a hard break may part lines.
            Event::Text(text) => self.push(&text.replace(['\n', '\r'], " ")),
            Event::Code(code) => self.push(&code.replace(['\n', '\r'], " ")),
            Event::SoftBreak => self.push(" "),
            Event::HardBreak => self.push("\n"),
            Event::Image { alt, title, .. } => self.image(&alt, &title.replace(['\n', '\r'], " ")),
            Event::FootnoteReference(label) => self.mention(&label),
            Event::Rule => {
                self.end_leaf();
                self.page.begin(Leaf::Paragraph);
                let room = self.page.room();
                self.page.line(&format!("{:^room$}", "* * *"));
            }
        }
        if self.suspended.is_empty() {
            out.write_all(self.page.out.as_bytes())?;
            self.page.out.clear();
        }
        Ok(())
    }

    fn losses(&self) -> &Losses {
        &self.losses
    }
}

//! The stream as JSON, for programs: nothing of the book is lost, and [`SCHEMA`] says what stands where. It is written
//! as it comes; no value is ever whole in memory.

use std::{io::Write, sync::Arc};

use serde_json::json;

use super::{
    AssetSource, Exporter,
    html::encode,
    lookup::{Lookup, Picture},
    loss,
};
use crate::book::{BookError, EndTag, Event, LinkTarget, Losses, Tag};

/// What the file is: a JSON Schema (2020-12), strict.
pub const SCHEMA: &str = include_str!("book.schema.json");

/// Writes a JSON file.
pub(super) struct Json {
    lookup: Arc<Lookup>,
    assets: Box<dyn AssetSource>,
    text: String,
    chapter: usize,
    /// What is open, with what closes it.
    open: Vec<Open>,
    /// Marks and links around the runs to come.
    marks: Vec<Mark>,
    /// How many links the chapter has so far.
    links: u64,
    losses: Losses,
    used: Vec<bool>,
}

/// An array that is being written.
struct Open {
    kind: Kind,
    is_empty: bool,
    close: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Of chapters, blocks, items or rows: whatever comes is its member.
    Blocks,
    /// Of runs.
    Runs,
    /// Of the runs of a tight item, which end where a block begins.
    Plain,
    /// The text of a code block.
    Code,
    /// A table's cells.
    Cells,
    /// A table whose head has not come.
    Headless,
}

enum Mark {
    Named(&'static str),
    /// A link's JSON up to its closing brace, if it leads anywhere.
    Link(Option<String>),
}

impl Json {
    /// A JSON file of the book, not begun.
    pub(super) fn new(lookup: Arc<Lookup>, assets: Box<dyn AssetSource>) -> Self {
        let used = vec![false; lookup.book().assets.len()];
        Self {
            lookup,
            assets,
            text: String::new(),
            chapter: 0,
            open: Vec::new(),
            marks: Vec::new(),
            links: 0,
            losses: Losses::default(),
            used,
        }
    }

    /// A comma where the array has a member already.
    fn member(&mut self) {
        if let Some(open) = self.open.last_mut()
            && !std::mem::replace(&mut open.is_empty, false)
        {
            self.text.push_str(",\n");
        }
    }

    /// Ends the runs of a tight item, if they are open: a block comes.
    fn end_plain(&mut self) {
        if self.open.last().is_some_and(|open| open.kind == Kind::Plain) {
            self.close();
        }
    }

    fn block(&mut self, start: &str, kind: Kind, close: &'static str) {
        self.end_plain();
        self.member();
        self.text.push_str(start);
        self.open.push(Open { kind, is_empty: true, close });
    }

    fn close(&mut self) {
        if let Some(open) = self.open.pop() {
            self.text.push_str(open.close);
        }
    }

    /// A run with the marks around it.
    fn run(&mut self, mut run: serde_json::Map<String, serde_json::Value>) {
        if self.open.last().is_none_or(|open| open.kind == Kind::Blocks) {
            self.block("{\"type\":\"plain\",\"runs\":[", Kind::Plain, "]}");
        }
        let (mut marks, mut link) = (Vec::new(), None);
        for mark in &self.marks {
            match mark {
                Mark::Named(name) => marks.push(*name),
                // What stands around a link stands around its runs, too: the place must be said.
                Mark::Link(Some(target)) if link.is_none() => {
                    let inside = marks.len();
                    let inside = if inside > 0 { format!(",\"inside\":{inside}") } else { String::new() };
                    link = Some(format!("{target}{inside}}}"));
                }
                Mark::Link(_) => {}
            }
        }
        if !marks.is_empty() {
            run.insert("marks".to_owned(), json!(marks));
        }
        let run = serde_json::Value::Object(run).to_string();
        self.member();
        match link {
            // The link is JSON already; it goes before the closing brace.
            Some(link) => self.text.push_str(&format!("{},\"link\":{link}}}", &run[..run.len() - 1])),
            None => self.text.push_str(&run),
        }
    }

    fn simple_run(&mut self, kind: &str, key: &str, value: &str) {
        let mut run = serde_json::Map::new();
        run.insert("type".to_owned(), kind.into());
        if !key.is_empty() {
            run.insert(key.to_owned(), value.into());
        }
        self.run(run);
    }

    fn start(&mut self, tag: Tag<'_>) {
        const END: &str = "]}";
        match tag {
            Tag::Paragraph => self.block("{\"type\":\"paragraph\",\"runs\":[", Kind::Runs, END),
            Tag::Heading { level, anchor } => {
                let anchor = anchor.map(|anchor| format!("\"anchor\":{},", quoted(&anchor)));
                let anchor = anchor.unwrap_or_default();
                let start = format!("{{\"type\":\"heading\",\"level\":{level},{anchor}\"runs\":[");
                self.block(&start, Kind::Runs, END);
            }
            Tag::Quote => self.block("{\"type\":\"quote\",\"blocks\":[", Kind::Blocks, END),
            Tag::List { first } => {
                let first = first.map(|first| format!("\"first\":{first},")).unwrap_or_default();
                self.block(&format!("{{\"type\":\"list\",{first}\"items\":["), Kind::Blocks, END);
            }
            Tag::Item => self.block("{\"blocks\":[", Kind::Blocks, END),
            Tag::CodeBlock { language } => {
                let start = format!("{{\"type\":\"code\",\"language\":{},\"text\":\"", quoted(&language));
                self.block(&start, Kind::Code, "\"}");
            }
            Tag::Table { columns } => {
                let start = format!("{{\"type\":\"table\",\"columns\":{},\"head\":", json!(columns));
                // The rows' array begins once the head is there.
                self.block(&start, Kind::Headless, END);
            }
            Tag::TableHead => {
                self.text.push('[');
                if let Some(table) = self.open.last_mut() {
                    table.kind = Kind::Blocks;
                }
                self.open.push(Open { kind: Kind::Cells, is_empty: true, close: "],\"rows\":[" });
            }
            Tag::TableRow => {
                self.end_head();
                self.block("[", Kind::Cells, "]");
            }
            Tag::TableCell => self.block("[", Kind::Runs, "]"),
            Tag::Footnote { label } => {
                let start = format!("{{\"type\":\"footnote\",\"label\":{},\"blocks\":[", quoted(&label));
                self.block(&start, Kind::Blocks, END);
            }
            Tag::Emphasis => self.marks.push(Mark::Named("emphasis")),
            Tag::Strong => self.marks.push(Mark::Named("strong")),
            Tag::Strikethrough => self.marks.push(Mark::Named("strikethrough")),
            Tag::Superscript => self.marks.push(Mark::Named("superscript")),
            Tag::Subscript => self.marks.push(Mark::Named("subscript")),
            Tag::Link { target, title } => {
                let link = self.link(&target, &title);
                self.marks.push(Mark::Link(link));
            }
        }
    }

    fn link(&mut self, target: &str, title: &str) -> Option<String> {
        let mut link = match self.lookup.link(self.chapter, target) {
            LinkTarget::External(url) => json!({ "url": url }),
            LinkTarget::Chapter { index, anchor: "" } => json!({ "chapter": index }),
            LinkTarget::Chapter { index, anchor } => json!({ "chapter": index, "anchor": anchor }),
            LinkTarget::Nowhere => {
                self.losses.add(loss::LINK);
                return None;
            }
        };
        if !title.is_empty() {
            link["title"] = title.into();
        }
        self.links += 1;
        link["id"] = self.links.into();
        // Without its closing brace, as more follows.
        let mut link = link.to_string();
        link.pop();
        Some(link)
    }

    fn end(&mut self, end: EndTag) {
        match end {
            EndTag::Emphasis
            | EndTag::Strong
            | EndTag::Strikethrough
            | EndTag::Superscript
            | EndTag::Subscript
            | EndTag::Link => {
                self.marks.pop();
            }
            _ => {
                self.end_plain();
                self.end_head();
                self.close();
            }
        }
    }

    /// A table without a head gets an empty one.
    fn end_head(&mut self) {
        if let Some(table) = self.open.last_mut().filter(|open| open.kind == Kind::Headless) {
            table.kind = Kind::Blocks;
            self.text.push_str("[],\"rows\":[");
        }
    }

    fn image(&mut self, source: &str, alt: &str, title: &str) {
        match self.lookup.picture(source) {
            Picture::Asset(index, _) => self.used[index] = true,
            Picture::Remote => {}
            Picture::Missing => self.losses.add(loss::MISSING_IMAGE),
        }
        let mut run = serde_json::Map::new();
        for (key, value) in [("type", "image"), ("source", source), ("alt", alt)] {
            run.insert(key.to_owned(), value.into());
        }
        if !title.is_empty() {
            run.insert("title".to_owned(), title.into());
        }
        self.run(run);
    }

    fn end_book(&mut self, out: &mut dyn Write) -> Result<(), BookError> {
        out.write_all(b"],\n\"assets\":[")?;
        let lookup = Arc::clone(&self.lookup);
        let cover = lookup.cover().map(|(index, _)| index);
        let mut comma = "";
        for (index, asset) in lookup.book().assets.iter().enumerate() {
            if self.used[index] || cover == Some(index) {
                let (name, kind) = (quoted(&asset.name), quoted(&asset.media_type));
                write!(out, "{comma}{{\"name\":{name},\"media_type\":{kind},\"data\":\"")?;
                encode(self.assets.as_mut(), asset, out)?;
                out.write_all(b"\"}")?;
                comma = ",\n";
            }
        }
        Ok(out.write_all(b"]}\n")?)
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl Exporter for Json {
    fn event(&mut self, event: Event<'_>, out: &mut dyn Write) -> Result<(), BookError> {
        match event {
            Event::BookStart => {
                let metadata = serde_json::to_string(&self.lookup.book().metadata)
                    .map_err(|error| BookError::storage("writing the metadata", error))?;
                self.text.push_str("{\"format\":\"presswork-book-export\",\"version\":1,\n\"metadata\":");
                self.text.push_str(&metadata);
                self.text.push_str(",\n\"chapters\":[");
                self.open.push(Open { kind: Kind::Blocks, is_empty: true, close: "" });
            }
            Event::ChapterStart { index, title } => {
                (self.chapter, self.links) = (index, 0);
                self.block(&format!("{{\"title\":{},\"blocks\":[", quoted(&title)), Kind::Blocks, "]}");
            }
            Event::ChapterEnd => {
                self.end_plain();
                self.close();
            }
            Event::Start(tag) => self.start(tag),
            Event::End(end) => self.end(end),
            Event::Text(text) if self.open.last().is_some_and(|open| open.kind == Kind::Code) => {
                let text = quoted(&text);
                self.text.push_str(&text[1..text.len() - 1]);
            }
            Event::Text(text) => self.simple_run("text", "text", &text),
            Event::Code(code) => self.simple_run("code", "text", &code),
            Event::SoftBreak => self.simple_run("soft_break", "", ""),
            Event::HardBreak => self.simple_run("hard_break", "", ""),
            Event::FootnoteReference(label) => self.simple_run("footnote_reference", "label", &label),
            Event::Image { source, alt, title } => self.image(&source, &alt, &title),
            Event::Rule => {
                self.end_plain();
                self.member();
                self.text.push_str("{\"type\":\"rule\"}");
            }
            Event::BookEnd => {
                out.write_all(self.text.as_bytes())?;
                self.text.clear();
                return self.end_book(out);
            }
        }
        out.write_all(self.text.as_bytes())?;
        self.text.clear();
        Ok(())
    }

    fn losses(&self) -> &Losses {
        &self.losses
    }
}

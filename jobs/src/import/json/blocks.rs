//! The blocks and runs of our JSON as events. What a run has around it (marks, a link) is said of each run alone; what
//! neighbours share is opened once.

use std::{borrow::Cow, collections::HashMap, io::Read};

use super::tokens::Tokens;
use crate::{
    book::{Alignment, BookError, EndTag, Event, EventSink, Losses, Tag, markdown::is_web},
    import::chapters::Chapters,
};

/// What a chapter's blocks refer to.
pub(super) struct Around<'a> {
    /// The files of all chapters, by index.
    pub(super) chapters: &'a [String],
    /// The chapter that is read.
    pub(super) index: usize,
    /// Pictures by the names that they have in the file.
    pub(super) pictures: &'a HashMap<String, Option<String>>,
}

/// What a block says before what it holds.
#[derive(Default)]
struct Head {
    kind: String,
    level: u8,
    anchor: Option<String>,
    language: String,
    label: String,
    first: Option<u64>,
    columns: Vec<Alignment>,
    /// What its content opened.
    open: Option<EndTag>,
}

/// Something around runs.
#[derive(Clone, PartialEq)]
enum Wrap {
    Mark(EndTag),
    Link { id: Option<u64>, target: String, title: String },
}

/// A run as it is written.
#[derive(Default)]
struct Run {
    kind: String,
    text: String,
    source: String,
    alt: String,
    title: String,
    marks: Vec<EndTag>,
    link: Option<Link>,
}

#[derive(Default)]
struct Link {
    url: Option<String>,
    chapter: Option<u64>,
    anchor: String,
    title: String,
    id: Option<u64>,
    inside: usize,
}

/// Reads an array of blocks into the open chapter.
pub(super) fn blocks<R: Read>(
    tokens: &mut Tokens<R>,
    around: &Around<'_>,
    out: &mut Chapters<'_>,
) -> Result<(), BookError> {
    tokens.array(&mut |tokens| block(tokens, around, out))
}

fn block<R: Read>(
    tokens: &mut Tokens<R>,
    around: &Around<'_>,
    out: &mut Chapters<'_>,
) -> Result<(), BookError> {
    let mut head = Head::default();
    tokens.object(&mut |tokens, key| {
        if key != "type" && head.kind.is_empty() {
            return Err(tokens
                .wrong("a block's \"type\" must come first: keep the order of keys that the export had"));
        }
        match (key, head.kind.as_str()) {
            ("type", _) => head.kind = tokens.string()?,
            ("level", _) => head.level = tokens.number()?.clamp(2, 6) as u8,
            ("anchor", _) => head.anchor = Some(tokens.string()?),
            ("language", _) => head.language = tokens.string()?,
            ("label", _) => head.label = tokens.string()?,
            ("first", _) => head.first = Some(tokens.number()?.min(999_999_999)),
            ("columns", _) => head.columns = columns(tokens)?,
            ("runs", "plain") => runs(tokens, around, out)?,
            ("runs", "paragraph" | "heading") | ("blocks", "quote" | "footnote") | ("items", "list") => {
                let tag = tag(&mut head);
                let end = tag.end();
                out.event(Event::Start(tag))?;
                match key {
                    "runs" => runs(tokens, around, out)?,
                    "blocks" => blocks(tokens, around, out)?,
                    _ => tokens.array(&mut |tokens| item(tokens, around, out))?,
                }
                out.event(Event::End(end))?;
            }
            ("text", "code") => {
                out.event(Event::Start(tag(&mut head)))?;
                tokens.pieces(&mut |_, piece| out.event(Event::Text(Cow::Borrowed(piece))))?;
                out.event(Event::End(EndTag::CodeBlock))?;
            }
            ("head" | "rows", "table") => {
                if head.open.is_none() {
                    out.event(Event::Start(tag(&mut head)))?;
                    head.open = Some(EndTag::Table);
                }
                if key == "head" {
                    row(tokens, Tag::TableHead, around, out)?;
                } else {
                    tokens.array(&mut |tokens| row(tokens, Tag::TableRow, around, out))?;
                }
            }
            (key, kind) => {
                let problem = format!("{key:?} has no place in a block of the type {kind:?}");
                return Err(tokens.wrong(problem));
            }
        }
        Ok(())
    })?;
    match head.kind.as_str() {
        "rule" => out.event(Event::Rule),
        _ => head.open.map_or(Ok(()), |end| out.event(Event::End(end))),
    }
}

/// The tag of a block whose content comes now.
fn tag(head: &mut Head) -> Tag<'static> {
    match head.kind.as_str() {
        "heading" => Tag::Heading { level: head.level.max(2), anchor: head.anchor.take().map(Cow::Owned) },
        "quote" => Tag::Quote,
        "footnote" => Tag::Footnote { label: std::mem::take(&mut head.label).into() },
        "list" => Tag::List { first: head.first },
        "code" => Tag::CodeBlock { language: std::mem::take(&mut head.language).into() },
        "table" => Tag::Table { columns: std::mem::take(&mut head.columns) },
        _ => Tag::Paragraph,
    }
}

fn columns<R: Read>(tokens: &mut Tokens<R>) -> Result<Vec<Alignment>, BookError> {
    let raw = tokens.raw()?;
    serde_json::from_slice(&raw)
        .map_err(|error| tokens.wrong(format!("a table's columns are wrong: {error}")))
}

fn item<R: Read>(
    tokens: &mut Tokens<R>,
    around: &Around<'_>,
    out: &mut Chapters<'_>,
) -> Result<(), BookError> {
    out.event(Event::Start(Tag::Item))?;
    tokens.object(&mut |tokens, key| match key {
        "blocks" => blocks(tokens, around, out),
        _ => Err(tokens.wrong(format!("{key:?} has no place in a list's item"))),
    })?;
    out.event(Event::End(EndTag::Item))
}

fn row<R: Read>(
    tokens: &mut Tokens<R>,
    tag: Tag<'static>,
    around: &Around<'_>,
    out: &mut Chapters<'_>,
) -> Result<(), BookError> {
    let end = tag.end();
    out.event(Event::Start(tag))?;
    tokens.array(&mut |tokens| {
        out.event(Event::Start(Tag::TableCell))?;
        runs(tokens, around, out)?;
        out.event(Event::End(EndTag::TableCell))
    })?;
    out.event(Event::End(end))
}

fn runs<R: Read>(
    tokens: &mut Tokens<R>,
    around: &Around<'_>,
    out: &mut Chapters<'_>,
) -> Result<(), BookError> {
    let mut open: Vec<Wrap> = Vec::new();
    tokens.array(&mut |tokens| {
        let run = run(tokens)?;
        let wanted = wraps(&run, around, out.losses());
        let shared = open.iter().zip(&wanted).take_while(|(one, other)| one == other).count();
        close(&mut open, shared, out)?;
        for wrap in &wanted[shared..] {
            out.event(Event::Start(match wrap {
                Wrap::Mark(end) => mark_tag(*end),
                Wrap::Link { target, title, .. } => {
                    Tag::Link { target: Cow::Borrowed(target), title: Cow::Borrowed(title) }
                }
            }))?;
        }
        open = wanted;
        content(tokens, run, around, out)
    })?;
    close(&mut open, 0, out)
}

fn close(open: &mut Vec<Wrap>, down_to: usize, out: &mut Chapters<'_>) -> Result<(), BookError> {
    for wrap in open.drain(down_to..).rev() {
        out.event(Event::End(match wrap {
            Wrap::Mark(end) => end,
            Wrap::Link { .. } => EndTag::Link,
        }))?;
    }
    Ok(())
}

fn content<R: Read>(
    tokens: &Tokens<R>,
    run: Run,
    around: &Around<'_>,
    out: &mut Chapters<'_>,
) -> Result<(), BookError> {
    match run.kind.as_str() {
        "text" => out.event(Event::Text(run.text.into())),
        "code" => out.event(Event::Code(run.text.into())),
        "soft_break" => out.event(Event::SoftBreak),
        "hard_break" => out.event(Event::HardBreak),
        "footnote_reference" => out.event(Event::FootnoteReference(run.text.into())),
        "image" => {
            let name = match around.pictures.get(&run.source) {
                Some(name) => name.clone(),
                None => is_web(&run.source).then(|| run.source.clone()),
            };
            match name {
                Some(name) => out.event(Event::Image {
                    source: name.into(),
                    alt: run.alt.into(),
                    title: run.title.into(),
                }),
                None => {
                    out.losses().add("image that was not found");
                    out.event(Event::Text(run.alt.into()))
                }
            }
        }
        kind => Err(tokens.wrong(format!("{kind:?} is no type of a run"))),
    }
}

fn run<R: Read>(tokens: &mut Tokens<R>) -> Result<Run, BookError> {
    let mut run = Run::default();
    tokens.object(&mut |tokens, key| {
        match key {
            "type" => run.kind = tokens.string()?,
            "text" | "label" => run.text = tokens.string()?,
            "source" => run.source = tokens.string()?,
            "alt" => run.alt = tokens.string()?,
            "title" => run.title = tokens.string()?,
            "marks" => tokens.array(&mut |tokens| {
                let name = tokens.string()?;
                let Some(mark) = mark(&name) else {
                    return Err(tokens.wrong(format!("{name:?} is no mark")));
                };
                if run.marks.len() > crate::book::check::MOST_DEPTH {
                    return Err(tokens.wrong("a run has more than 64 marks"));
                }
                run.marks.push(mark);
                Ok(())
            })?,
            "link" => run.link = Some(link(tokens)?),
            key => return Err(tokens.wrong(format!("{key:?} has no place in a run"))),
        }
        Ok(())
    })?;
    Ok(run)
}

fn link<R: Read>(tokens: &mut Tokens<R>) -> Result<Link, BookError> {
    let mut link = Link::default();
    tokens.object(&mut |tokens, key| {
        match key {
            "url" => link.url = Some(tokens.string()?),
            "chapter" => link.chapter = Some(tokens.number()?),
            "anchor" => link.anchor = tokens.string()?,
            "title" => link.title = tokens.string()?,
            "id" => link.id = Some(tokens.number()?),
            "inside" => link.inside = tokens.number()?.min(64) as usize,
            key => return Err(tokens.wrong(format!("{key:?} has no place in a link"))),
        }
        Ok(())
    })?;
    Ok(link)
}

/// What stands around a run, outermost first.
fn wraps(run: &Run, around: &Around<'_>, losses: &mut Losses) -> Vec<Wrap> {
    let mut wraps: Vec<Wrap> = run.marks.iter().map(|mark| Wrap::Mark(*mark)).collect();
    let Some(link) = &run.link else { return wraps };
    let target = match (&link.url, link.chapter) {
        (Some(url), _) => leads_out(url).then(|| url.clone()),
        (None, Some(index)) if index == around.index as u64 && !link.anchor.is_empty() => {
            Some(format!("#{}", link.anchor))
        }
        (None, Some(index)) => {
            let file = usize::try_from(index).ok().and_then(|index| around.chapters.get(index));
            let anchor = if link.anchor.is_empty() { String::new() } else { format!("#{}", link.anchor) };
            file.map(|file| format!("{file}{anchor}"))
        }
        (None, None) => None,
    };
    match target {
        Some(target) => {
            let link = Wrap::Link { id: link.id, target, title: link.title.clone() };
            let inside = run.link.as_ref().map_or(0, |link| link.inside);
            wraps.insert(inside.min(wraps.len()), link);
        }
        None => losses.add("link that leads nowhere"),
    }
    wraps
}

/// Whether a reader may be sent there.
fn leads_out(url: &str) -> bool {
    let scheme = url.split(['/', '?', '#']).next().and_then(|head| head.split_once(':'));
    scheme.is_some_and(|(scheme, _)| {
        ["http", "https", "mailto", "tel", "doi"].contains(&scheme.to_ascii_lowercase().as_str())
    })
}

fn mark(name: &str) -> Option<EndTag> {
    Some(match name {
        "emphasis" => EndTag::Emphasis,
        "strong" => EndTag::Strong,
        "strikethrough" => EndTag::Strikethrough,
        "superscript" => EndTag::Superscript,
        "subscript" => EndTag::Subscript,
        _ => return None,
    })
}

fn mark_tag(end: EndTag) -> Tag<'static> {
    match end {
        EndTag::Strong => Tag::Strong,
        EndTag::Strikethrough => Tag::Strikethrough,
        EndTag::Superscript => Tag::Superscript,
        EndTag::Subscript => Tag::Subscript,
        _ => Tag::Emphasis,
    }
}

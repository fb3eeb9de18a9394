//! A whole book as one Markdown file: front matter in TOML, chapters under headings of the first level, pictures as
//! definitions at the end, so that the text stays readable. What was unique in a chapter gets the chapter's number:
//! `{#c2}` is the second chapter, `{#c2-place}` a place in it; the importer knows that and takes it off again.

use std::{borrow::Cow, io::Write, sync::Arc};

use crate::{
    book::{
        Asset, BookError, Event, LinkTarget, Losses, Metadata,
        writer::{Image, MarkdownWriter, Naming, plain_name, title},
    },
    export::{
        AssetSource, Exporter,
        html::encode,
        lookup::{Lookup, Picture},
    },
};

/// Writes a Markdown file.
pub(in crate::export) struct Markdown {
    lookup: Arc<Lookup>,
    assets: Box<dyn AssetSource>,
    writer: MarkdownWriter<BookNames>,
}

/// Names that are unique in the book.
struct BookNames {
    lookup: Arc<Lookup>,
    chapter: usize,
    used: Vec<bool>,
    /// By asset: the caption that its definition will have, which is the first that comes.
    captions: Vec<Option<String>>,
}

impl BookNames {
    fn chapter_name(index: usize) -> String {
        format!("c{}", index + 1)
    }
}

impl Naming for BookNames {
    fn link<'a>(&mut self, target: &'a str) -> Option<Cow<'a, str>> {
        Some(match self.lookup.link(self.chapter, target) {
            LinkTarget::External(url) => Cow::Borrowed(url),
            LinkTarget::Chapter { index, anchor: "" } => format!("#{}", Self::chapter_name(index)).into(),
            LinkTarget::Chapter { index, anchor } => {
                let anchor = format!("{}-{anchor}", Self::chapter_name(index));
                format!("#{}", plain_name(&anchor)).into()
            }
            LinkTarget::Nowhere => return None,
        })
    }

    fn image<'a>(&mut self, source: &'a str, title: &str) -> Image<'a> {
        match self.lookup.picture(source) {
            Picture::Asset(index, asset) => {
                self.used[index] = true;
                let first = self.captions[index].get_or_insert_with(|| title.to_owned());
                Image::Defined(image_name(index, asset), (first != title).then(|| title.to_owned()))
            }
            Picture::Remote => Image::At(Cow::Borrowed(source)),
            Picture::Missing => Image::Missing,
        }
    }

    fn anchor<'a>(&self, anchor: &'a str) -> Cow<'a, str> {
        format!("{}-{anchor}", Self::chapter_name(self.chapter)).into()
    }

    fn label<'a>(&self, label: &'a str) -> Cow<'a, str> {
        format!("{}-{label}", Self::chapter_name(self.chapter)).into()
    }

    fn chapter_anchor(&self) -> Option<String> {
        Some(Self::chapter_name(self.chapter))
    }
}

/// The definition of a picture: the asset's name, where that needs no escaping, else a number.
fn image_name(index: usize, asset: &Asset) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if asset.name.contains('.') && asset.name.chars().all(is_plain) && asset.name.to_lowercase() == asset.name
    {
        return asset.name.clone();
    }
    format!("image-{}", index + 1)
}

impl Markdown {
    /// A Markdown file of the book, not begun.
    pub(in crate::export) fn new(lookup: Arc<Lookup>, assets: Box<dyn AssetSource>) -> Self {
        let used = vec![false; lookup.book().assets.len()];
        let captions = vec![None; used.len()];
        let names = BookNames { lookup: Arc::clone(&lookup), chapter: 0, used, captions };
        let writer = MarkdownWriter::new(names);
        Self { lookup, assets, writer }
    }

    fn definitions(&mut self, out: &mut dyn Write) -> Result<(), BookError> {
        let lookup = Arc::clone(&self.lookup);
        for (index, asset) in lookup.book().assets.iter().enumerate() {
            if self.writer.naming().used[index] {
                self.definition(index, asset, out)?;
            }
        }
        Ok(())
    }

    fn definition(&mut self, index: usize, asset: &Asset, out: &mut dyn Write) -> Result<(), BookError> {
        // The media type comes from a book.json that people may edit: nothing in it may end the address.
        let kind: String =
            asset.media_type.chars().filter(|c| c.is_ascii_alphanumeric() || "/+-.".contains(*c)).collect();
        write!(out, "\n[{}]: data:{kind};base64,", image_name(index, asset))?;
        encode(self.assets.as_mut(), asset, out)?;
        match self.writer.naming().captions[index].as_deref() {
            // On a line of its own: the one above may be very long.
            Some(caption) if !caption.is_empty() => writeln!(out, "\n {}", title(caption))?,
            _ => writeln!(out)?,
        }
        Ok(())
    }
}

/// The front matter, between lines of `+++`.
fn front_matter(metadata: &Metadata, cover: Option<String>) -> String {
    let mut out = String::from("+++\n");
    for (key, value) in [
        ("title", &metadata.title),
        ("subtitle", &metadata.subtitle),
        ("language", &metadata.language),
        ("identifier", &metadata.identifier),
        ("description", &metadata.description),
        ("date", &metadata.date),
        ("publisher", &metadata.publisher),
        ("rights", &metadata.rights),
    ] {
        if !value.is_empty() {
            out.push_str(&format!("{key} = {}\n", toml_string(value)));
        }
    }
    for (key, values) in [("authors", &metadata.authors), ("subjects", &metadata.subjects)] {
        if !values.is_empty() {
            let values: Vec<String> = values.iter().map(|value| toml_string(value)).collect();
            out.push_str(&format!("{key} = [{}]\n", values.join(", ")));
        }
    }
    if let Some(name) = cover {
        out.push_str(&format!("cover = {}\n", toml_string(&name)));
    }
    out.push_str("+++\n");
    out
}

/// A basic string of TOML (<https://toml.io/en/v1.0.0#string>).
fn toml_string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

impl Exporter for Markdown {
    fn event(&mut self, event: Event<'_>, out: &mut dyn Write) -> Result<(), BookError> {
        match &event {
            Event::BookStart => {
                let lookup = Arc::clone(&self.lookup);
                let cover = lookup.cover().map(|(index, asset)| {
                    self.writer.naming().used[index] = true;
                    image_name(index, asset)
                });
                out.write_all(front_matter(&self.lookup.book().metadata, cover).as_bytes())?;
            }
            Event::ChapterStart { index, .. } => {
                self.writer.naming().chapter = *index;
                out.write_all(b"\n")?;
            }
            Event::BookEnd => return self.definitions(out),
            _ => {}
        }
        self.writer.event(&event);
        let text = self.writer.buffer();
        out.write_all(text.as_bytes())?;
        text.clear();
        Ok(())
    }

    fn losses(&self) -> &Losses {
        self.writer.losses()
    }
}

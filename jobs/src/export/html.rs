//! One HTML file with everything inside: style, contents, chapters, pictures. No script, nothing is loaded.

use std::{
    io::{self, Write},
    sync::Arc,
};

use super::{
    AssetSource, Exporter,
    archived::reading,
    escape::escaped,
    language,
    lookup::Lookup,
    markup::{Markup, PICTURE, Style},
};
use crate::book::{Asset, BookError, Event, Losses};

/// Writes an HTML file.
pub(super) struct Html {
    lookup: Arc<Lookup>,
    assets: Box<dyn AssetSource>,
    markup: Markup,
}

impl Html {
    /// An HTML file of the book, not begun.
    pub(super) fn new(lookup: Arc<Lookup>, assets: Box<dyn AssetSource>) -> Self {
        let markup = Markup::new(Style::Html, Arc::clone(&lookup));
        Self { lookup, assets, markup }
    }

    fn begin(&mut self, out: &mut dyn Write) -> Result<(), BookError> {
        let lookup = Arc::clone(&self.lookup);
        let metadata = &lookup.book().metadata;
        let language = language::tag(&metadata.language);
        let direction = if language::is_right_to_left(&language) { "rtl" } else { "ltr" };
        let title = escaped(lookup.title());
        write!(
            out,
            "<!DOCTYPE html>\n<html lang=\"{language}\" dir=\"{direction}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n"
        )?;
        let authors = metadata.authors.iter().map(|author| ("author", author));
        let rest = [("description", &metadata.description), ("dcterms.rights", &metadata.rights)];
        for (name, value) in authors.chain(rest).filter(|(_, value)| !value.trim().is_empty()) {
            writeln!(out, "<meta name=\"{name}\" content=\"{}\">", escaped(value))?;
        }
        writeln!(out, "<style>\n{}</style>\n</head>\n<body>", include_str!("html/style.css"))?;
        writeln!(out, "<header>")?;
        if let Some((index, asset)) = lookup.cover() {
            self.markup.used[index] = true;
            write!(out, "<img class=\"cover\" src=\"data:{};base64,", escaped(&asset.media_type))?;
            encode(self.assets.as_mut(), asset, out)?;
            writeln!(out, "\" alt=\"{title}\">")?;
        }
        writeln!(out, "<h1 dir=\"auto\">{title}</h1>")?;
        let authors = metadata.authors.iter().map(|author| ("author", author.as_str()));
        let imprint = metadata.imprint().map(|line| ("imprint", line));
        for (class, line) in
            [("subtitle", metadata.subtitle.as_str())].into_iter().chain(authors).chain(imprint)
        {
            if !line.trim().is_empty() {
                writeln!(out, "<p class=\"{class}\" dir=\"auto\">{}</p>", escaped(line.trim()))?;
            }
        }
        writeln!(out, "</header>")?;
        let chapters = lookup.book().chapters.len();
        if chapters > 0 {
            let contents = language::contents(&metadata.language);
            writeln!(out, "<nav role=\"doc-toc\" aria-label=\"{contents}\">\n<ol>")?;
            for index in 0..chapters {
                let address = Markup::chapter_address(Style::Html, index);
                let title = lookup.chapter_title(index);
                writeln!(out, "<li><a href=\"{address}\" dir=\"auto\">{}</a></li>", escaped(&title))?;
            }
            writeln!(out, "</ol>\n</nav>")?;
        }
        Ok(writeln!(out, "<main>")?)
    }

    /// Passes on what is written, with each picture's bytes in the place of its mark.
    fn drain(&mut self, out: &mut dyn Write) -> Result<(), BookError> {
        let mut text = std::mem::take(self.markup.buffer());
        for (at, piece) in text.split(PICTURE).enumerate() {
            // Marks stand in pairs: every second piece is an index.
            let asset = if at % 2 == 1 { piece.parse::<usize>().ok() } else { None };
            match asset.and_then(|index| self.lookup.book().assets.get(index)) {
                Some(asset) => encode(self.assets.as_mut(), asset, out)?,
                None => out.write_all(piece.as_bytes())?,
            }
        }
        text.clear();
        *self.markup.buffer() = text;
        Ok(())
    }
}

/// Writes an asset's bytes in base64, a piece at a time.
pub(super) fn encode(
    assets: &mut dyn AssetSource,
    asset: &Asset,
    out: &mut dyn Write,
) -> Result<(), BookError> {
    let mut source = assets.open(asset)?;
    let mut encoder = base64::write::EncoderWriter::new(out, &base64::engine::general_purpose::STANDARD);
    let mut piece = [0; 12 << 10];
    loop {
        match source.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => encoder.write_all(&piece[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(reading(asset)(error)),
        }
    }
    encoder.finish()?;
    Ok(())
}

impl Exporter for Html {
    fn event(&mut self, event: Event<'_>, out: &mut dyn Write) -> Result<(), BookError> {
        match event {
            Event::BookStart => self.begin(out),
            Event::BookEnd => Ok(out.write_all(b"</main>\n</body>\n</html>\n")?),
            event => {
                self.markup.event(event)?;
                self.drain(out)
            }
        }
    }

    fn losses(&self) -> &Losses {
        &self.markup.losses
    }
}

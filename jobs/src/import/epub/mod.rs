//! EPUB 2 and 3. Two passes over the spine: the first ([`outline`]) decides which files are chapters, what they are
//! called and which pictures and notes they have, so that links can lead to chapters still to come; the second writes.
//!
//! `archive` (shared) bounds the ZIP, `xml` the XML; `package` knows metadata, spine and titles; `xhtml` what elements mean,
//! `hidden` what nobody is meant to read, `flow` how content becomes balanced blocks.

use std::collections::{HashMap, HashSet};

use super::{
    BookSink, HELD_TITLE, Imported, Report, SourceFile, SourceFormat,
    archive::Archive,
    chapters::{Chapters, file_name},
    one_line,
    pictures::Pictures,
};
use crate::book::{
    BookError, Losses, Metadata,
    markdown::{is_web, percent_decode},
    names::slug,
};

mod blanks;
pub(super) mod flow;
pub(super) mod hidden;
mod outline;
mod package;
#[cfg(test)]
pub(in crate::import) mod tests;
pub(super) mod xhtml;
pub(super) mod xml;

use flow::Flow;
use outline::{Outline, outline};
use package::{Package, package, resolve};
use xhtml::{Surroundings, Xhtml};

/// A chapter that will be.
struct Planned {
    path: String,
    title: String,
    outline: Outline,
    /// Whether the spine names a picture itself.
    picture: bool,
}

/// Imports an EPUB.
pub(super) fn import(source: &SourceFile, sink: &mut dyn BookSink) -> Result<Imported, BookError> {
    let mut archive = Archive::open(source, "an EPUB")?;
    let package = package(&mut archive)?;
    let planned = plan(&mut archive, &package)?;
    let mut links = Links::default();
    for (index, chapter) in planned.iter().enumerate() {
        links.chapters.insert(chapter.path.clone(), (index, file_name(index, &chapter.title)));
        for (id, anchor) in &chapter.outline.anchors {
            links.anchors.insert((chapter.path.clone(), id.clone()), anchor.clone());
        }
        for id in &chapter.outline.start_ids {
            links.starts.insert((chapter.path.clone(), id.clone()));
        }
    }

    let mut chapters = Chapters::new(sink, Report::new(SourceFormat::Epub), &source.name);
    let mut pictures = Pictures::default();
    let mut metadata = package.metadata.clone();
    metadata.title = one_line(&metadata.title, HELD_TITLE);
    if let Some(cover) = &package.cover {
        metadata.cover = bring(cover, &package, &mut archive, &mut pictures, &mut chapters)?;
        if metadata.cover.is_none() {
            let place = archive.place(cover);
            chapters.report.warn(format!("the cover {place} was not found or is no picture"));
            chapters.losses().add("cover that was not found");
        }
    }
    for (index, chapter) in planned.iter().enumerate() {
        let place = archive.place(&chapter.path);
        chapters.set_file(&place);
        let mut images = HashMap::new();
        for source in &chapter.outline.images {
            if is_web(source) {
                continue;
            }
            let entry = if chapter.picture { Some(source.clone()) } else { resolve(&chapter.path, source) };
            let name = match entry {
                Some(entry) => bring(&entry, &package, &mut archive, &mut pictures, &mut chapters)?,
                None => None,
            };
            if name.is_none() {
                let shown: String = source.chars().take(100).collect();
                chapters.report.warn(format!("{place}: the image {shown:?} was not found or is no picture"));
            }
            images.insert(source.clone(), name);
        }
        chapters.begin(index, &chapter.title)?;
        let text = if chapter.picture {
            format!("<img src=\"{}\"/>", quick_xml::escape::escape(chapter.path.as_str()))
        } else {
            archive.text(&chapter.path)?
        };
        let skip_heading = chapter.outline.titled == Some(true)
            || chapter.outline.titled.is_none()
                && chapter.outline.heading.as_ref().is_some_and(|heading| is_same(heading, &chapter.title));
        let mut losses = Losses::default();
        links.from.clone_from(&chapter.path);
        let flow = Flow::new(&mut chapters);
        let mut reader =
            Xhtml::new(flow, &mut links, &mut losses, &images, &chapter.outline.notes, skip_heading);
        xml::parse(&text, &place, &mut reader)
            .and_then(|()| reader.finish())
            .map_err(|error| in_file(error, &place))?;
        chapters.losses().merge(&losses);
        chapters.end()?;
    }
    chapters.set_file(&source.name);
    Ok(Imported { metadata, report: chapters.finish()? })
}

/// An error of a part that knows no file, with its file.
pub(super) fn in_file(error: BookError, place: &str) -> BookError {
    match error {
        BookError::Input { file, place: at, problem } if file.is_empty() => {
            BookError::Input { file: place.to_owned(), place: at, problem }
        }
        other => other,
    }
}

/// Decides what the chapters are: files with text or pictures, but neither navigation nor a page for the cover.
fn plan(archive: &mut Archive, package: &Package) -> Result<Vec<Planned>, BookError> {
    let mut planned: Vec<Planned> = Vec::new();
    let mut seen = HashSet::new();
    for item in &package.spine {
        if package.navigation.as_ref() == Some(&item.path) || !seen.insert(item.path.clone()) {
            continue;
        }
        let picture = item.media_type.starts_with("image/");
        let outline = if picture {
            Outline { images: vec![item.path.clone()], ..Outline::default() }
        } else {
            outline(archive, &item.path)?
        };
        let only_cover = outline.words == 0
            && outline.images.iter().all(|image| {
                let entry = if picture { Some(image.clone()) } else { resolve(&item.path, image) };
                entry.is_some() && entry == package.cover
            });
        // Each export makes a title page, so one that says nothing new would be there twice.
        let only_title = outline.images.is_empty()
            && outline.title_page.as_ref().is_some_and(|page| is_told(page, &package.metadata));
        if outline.titled.is_none() && (only_cover || only_title) {
            continue;
        }
        // A navigation may say less than the heading, whose words would be lost: `The Fall` for `7. The Fall`.
        let told = package.titles.get(&item.path);
        let title = match outline.titled {
            Some(true) => outline.heading.clone().unwrap_or_default(),
            Some(false) => String::new(),
            None => match told.filter(|told| !says_more(&outline, told)).or(outline.heading.as_ref()) {
                Some(title) => one_line(title, HELD_TITLE),
                None => format!("Chapter {}", planned.len() + 1),
            },
        };
        planned.push(Planned { path: item.path.clone(), title, outline, picture });
    }
    Ok(planned)
}

/// Whether the metadata has each of a title page's words.
fn is_told(page: &str, metadata: &Metadata) -> bool {
    let lines = [
        &*metadata.title,
        &metadata.subtitle,
        &metadata.publisher,
        &metadata.date,
        metadata.shown_date(),
        &metadata.rights,
        &metadata.description,
    ];
    let words: HashSet<&str> = lines
        .into_iter()
        .chain(metadata.authors.iter().map(String::as_str))
        .flat_map(|line| line.split_whitespace())
        .collect();
    page.split_whitespace().all(|word| words.contains(word))
}

/// Whether a file's heading is a title with more words in front.
fn says_more(outline: &Outline, title: &str) -> bool {
    outline.heading.as_ref().is_some_and(|heading| {
        let (heading, title) = (slug(heading, 200), slug(title, 200));
        heading.len() > title.len() && !title.is_empty() && heading.ends_with(&title)
    })
}

/// Whether a heading says the same as a title, so that it need not be said twice.
fn is_same(heading: &str, title: &str) -> bool {
    let (heading, title) = (slug(heading, 200), slug(title, 200));
    !heading.is_empty() && (heading == title || title.ends_with(&heading) || heading.ends_with(&title))
}

/// Brings a picture in; `None` where there is none.
fn bring(
    entry: &str,
    package: &Package,
    archive: &mut Archive,
    pictures: &mut Pictures,
    chapters: &mut Chapters<'_>,
) -> Result<Option<String>, BookError> {
    if let Some(known) = pictures.known(entry) {
        return Ok(known.clone());
    }
    if !archive.has(entry) {
        pictures.missing(entry);
        return Ok(None);
    }
    let mut data = archive.open_picture(entry)?;
    let name = package.names.get(entry).map_or(entry, String::as_str);
    pictures.add(entry, name, &mut data, chapters.sink())
}

/// Where links lead.
#[derive(Debug, Default)]
struct Links {
    /// The file that links are read in.
    from: String,
    chapters: HashMap<String, (usize, String)>,
    /// Ids at a chapter's very beginning, to which the chapter's name leads.
    starts: HashSet<(String, String)>,
    /// The anchors of headings, by their ids.
    anchors: HashMap<(String, String), String>,
}

impl Surroundings for Links {
    fn has_plain_notes(&self) -> bool {
        true
    }

    fn link(&mut self, href: &str) -> Option<String> {
        let href = href.trim();
        let scheme = href.split(['/', '?', '#']).next().and_then(|head| head.split_once(':'));
        if let Some((scheme, _)) = scheme {
            let known = ["http", "https", "mailto", "tel", "doi"];
            return known.contains(&scheme.to_ascii_lowercase().as_str()).then(|| href.to_owned());
        }
        let (path, id) = href.split_once('#').unwrap_or((href, ""));
        let id = percent_decode(id).into_owned();
        let entry = if path.is_empty() { self.from.clone() } else { resolve(&self.from, path)? };
        let (_, name) = self.chapters.get(&entry)?;
        if id.is_empty() || self.starts.contains(&(entry.clone(), id.clone())) {
            return Some(name.clone());
        }
        // Other places than headings have no name in a book: the chapter is as near as a link can lead.
        let key = (entry, id);
        let Some(anchor) = self.anchors.get(&key) else { return Some(name.clone()) };
        Some(if key.0 == self.from { format!("#{anchor}") } else { format!("{name}#{anchor}") })
    }
}

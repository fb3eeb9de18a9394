//! Where a manuscript's images and links lead: to files that were handed in and nowhere else, to chapters by the
//! headings in them, or out to the web.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use base64::Engine as _;
use presswork::domain::FileName;
use pulldown_cmark::{Event, Parser, Tag};

use super::super::{BookSink, SourceFile, chapters::file_name, pictures::Pictures, read_error};
use crate::book::{
    BookError, Losses,
    markdown::{Resolve, dialect, is_web, percent_decode},
    markdown_labels::Labels,
    names::{UniqueAnchors, heading_anchor},
};

/// How many places that links name are remembered.
const MOST_REFERENCES: usize = 100_000;

/// The files that were handed in, by name.
#[derive(Debug, Default)]
pub(in crate::import) struct Files(HashMap<String, SourceFile>);

impl Files {
    /// One file: no image but those inside it can be shown.
    pub(in crate::import) fn single(file: &SourceFile) -> Self {
        Self::folder(std::slice::from_ref(file))
    }

    /// All files of a folder.
    pub(in crate::import) fn folder(files: &[SourceFile]) -> Self {
        let mut all: HashMap<String, SourceFile> = HashMap::new();
        let (lower, mixed): (Vec<_>, Vec<_>) =
            files.iter().partition(|file| file.name == file.name.to_lowercase());
        for file in lower.into_iter().chain(mixed) {
            // In lower case, so that a text may be careless; as it is where another has that place.
            let lower = file.name.to_lowercase();
            let name = if all.contains_key(&lower) { file.name.clone() } else { lower };
            all.insert(name, file.clone());
        }
        Self(all)
    }
}

/// A path beside `base`, from the folder's root; `None` where it leaves the folder or holds an illegal name.
pub(in crate::import) fn beside(base: &str, target: &str) -> Option<String> {
    let target = percent_decode(target);
    let target = target.split(['?', '#']).next().unwrap_or_default();
    let mut segments: Vec<&str> = base.split('/').collect();
    segments.pop();
    for segment in target.split('/') {
        match segment {
            "." => {}
            ".." => {
                segments.pop()?;
            }
            name => {
                name.parse::<FileName>().ok()?;
                segments.push(name);
            }
        }
    }
    Some(segments.join("/"))
}

/// The sources of a text's images.
pub(super) fn image_sources(text: &str) -> Vec<String> {
    if !text.contains("![") {
        return Vec::new();
    }
    let mut seen = HashSet::new();
    let images = Parser::new_ext(text, dialect()).filter_map(|event| match event {
        Event::Start(Tag::Image { dest_url, .. }) if !is_web(&dest_url) => Some(dest_url.into_string()),
        _ => None,
    });
    images.filter(|source| seen.insert(source.clone())).collect()
}

/// Brings a picture in; `None` where there is none.
pub(in crate::import) fn picture(
    source: &str,
    base: &str,
    all: &Files,
    pictures: &mut Pictures,
    sink: &mut dyn BookSink,
) -> Result<Option<String>, BookError> {
    if let Some(data) = source.strip_prefix("data:") {
        let mut hasher = DefaultHasher::new();
        source.hash(&mut hasher);
        let key = format!("data:{}:{:x}", source.len(), hasher.finish());
        if let Some(known) = pictures.known(&key) {
            return Ok(known.clone());
        }
        return match inline_data(data) {
            Some(bytes) => pictures.add(&key, "picture", &mut bytes.as_slice(), sink),
            None => Ok(None),
        };
    }
    if source.starts_with(EMBEDDED) {
        return Ok(pictures.known(source).cloned().flatten());
    }
    let Some(name) = beside(base, source) else { return Ok(None) };
    let key = if all.0.contains_key(&name) { name.clone() } else { name.to_lowercase() };
    if let Some(known) = pictures.known(&key) {
        return Ok(known.clone());
    }
    match all.0.get(&key) {
        None => {
            pictures.missing(&key);
            Ok(None)
        }
        Some(file) => {
            let mut file = file.open().map_err(read_error(&name))?;
            pictures.add(&key, &name, &mut file, sink)
        }
    }
}

/// What the pictures of definitions are called on the way: no name of a file and no address.
pub(super) const EMBEDDED: &str = "embedded:";

/// Takes the pictures that stand in definitions (`[image-1]: data:…`), as in our own exports: they may be large and
/// every chapter may show them, so they are handed on at once and the definition keeps a short name.
pub(super) struct Embedded<'a> {
    pub(super) pictures: &'a mut Pictures,
    pub(super) sink: &'a mut dyn BookSink,
}

impl Embedded<'_> {
    /// The definition in short, where it holds a picture.
    pub(super) fn take(&mut self, line: &str) -> Result<Option<String>, BookError> {
        let Some((name, body)) = line.trim().split_once("]:") else { return Ok(None) };
        let Some(body) = body.trim().strip_prefix("data:") else { return Ok(None) };
        let (data, title) = body.split_once(char::is_whitespace).unwrap_or((body, ""));
        let source = format!("{EMBEDDED}{}", self.pictures.count());
        match inline_data(data) {
            Some(bytes) => {
                let called = name.trim_start_matches('[');
                self.pictures.add(&source, called, &mut bytes.as_slice(), self.sink)?;
            }
            None => self.pictures.missing(&source),
        }
        Ok(Some(format!("{name}]: {source} {title}")))
    }
}

/// The bytes of a `data:` URL, without its scheme.
fn inline_data(data: &str) -> Option<Vec<u8>> {
    let (kind, body) = data.split_once(',')?;
    if !kind.ends_with(";base64") {
        return Some(percent_decode(body).into_owned().into_bytes());
    }
    let body: String = percent_decode(body).split_whitespace().collect();
    let body = body.trim_end_matches('=');
    base64::engine::general_purpose::STANDARD_NO_PAD.decode(body).ok()
}

/// A heading that a link may lead to.
#[derive(Debug)]
pub(super) struct Heading {
    pub(super) level: u8,
    pub(super) title: String,
    /// The anchor that it says it has.
    pub(super) anchor: Option<String>,
    /// Whether text stands before it.
    pub(super) text_before: bool,
    /// Whether it begins a chapter.
    pub(super) begins: bool,
    /// The index of its chapter.
    pub(super) index: usize,
}

impl Heading {
    /// Whether it is the first one of a book that our own export wrote: that numbers chapters and all that is in them.
    pub(super) fn is_own(&self) -> bool {
        self.level == 1 && !self.text_before && self.anchor.as_deref() == Some("c1")
    }
}

/// The chapter's index and the name in it that our own export made `c2-place` or `c2` of.
fn own_place(anchor: &str) -> Option<(usize, &str)> {
    let (number, name) = anchor.strip_prefix('c')?.split_once('-').unwrap_or((&anchor[1..], ""));
    let number: usize = number.parse().ok()?;
    Some((number.checked_sub(1)?, name))
}

/// Where a link may lead in the book.
#[derive(Clone, Debug)]
struct Place {
    index: usize,
    /// Whether it is the chapter's own heading, which needs no anchor.
    at_start: bool,
}

/// The headings that links name, by file and anchor, and the files of chapters.
#[derive(Debug, Default)]
pub(super) struct Anchors {
    referred: HashSet<String>,
    files: Vec<(String, Vec<Heading>)>,
    places: HashMap<(String, String), Place>,
    names: HashMap<usize, String>,
    first_chapters: HashMap<String, usize>,
    /// Whether the book is one file that our own export wrote.
    own: bool,
}

impl Anchors {
    /// Notes the anchors that a line's links name.
    pub(super) fn refer(&mut self, line: &str) {
        if !line.contains('#') {
            return;
        }
        let links = line.match_indices("](").chain(line.match_indices("]:"));
        for (place, _) in links {
            let target = line[place + 2..].trim_start();
            let target = target.split([')', ' ', '>']).next().unwrap_or_default();
            if let Some((_, anchor)) = target.split_once('#')
                && self.referred.len() < MOST_REFERENCES
                && anchor.len() <= 200
            {
                self.referred.insert(percent_decode(anchor).into_owned());
            }
        }
    }

    /// Notes a file's headings.
    pub(super) fn add_file(
        &mut self,
        name: &str,
        first: usize,
        front: &str,
        headings: Vec<Heading>,
        own: bool,
    ) {
        self.own = own;
        self.first_chapters.insert(name.to_lowercase(), first);
        self.names.insert(first, file_name(first, front));
        for heading in headings.iter().filter(|heading| heading.begins) {
            self.names.insert(heading.index, file_name(heading.index, &heading.title));
        }
        self.files.push((name.to_lowercase(), headings));
    }

    /// Keeps what links name, once all files are known.
    pub(super) fn finish(&mut self) {
        for (file, headings) in std::mem::take(&mut self.files) {
            let mut taken: HashMap<String, u32> = HashMap::new();
            for heading in headings {
                let at_start = heading.begins;
                let by_text = heading_anchor(&heading.title);
                let again = taken.entry(by_text.clone()).or_default();
                // One without a letter has no name that a link could have.
                let numbered = match *again {
                    _ if by_text.is_empty() => None,
                    0 => Some(by_text),
                    again => Some(format!("{by_text}-{again}")),
                };
                *again += 1;
                for anchor in heading.anchor.into_iter().chain(numbered) {
                    if self.referred.contains(&anchor) && !anchor.is_empty() {
                        let place = Place { index: heading.index, at_start };
                        self.places.entry((file.clone(), anchor)).or_insert(place);
                    }
                }
            }
        }
        self.referred = HashSet::new();
    }

    fn place(&self, file: &str, anchor: &str) -> Option<&Place> {
        self.places.get(&(file.to_lowercase(), anchor.to_owned()))
    }

    fn target(&self, from: usize, place: &Place, anchor: &str) -> Option<String> {
        let anchor = if place.at_start { String::new() } else { format!("#{anchor}") };
        if place.index == from && !anchor.is_empty() {
            return Some(anchor);
        }
        Some(format!("{}{anchor}", self.names.get(&place.index)?))
    }
}

/// A chapter of a manuscript, for the reader.
pub(super) struct Manuscript<'a> {
    file: &'a str,
    index: usize,
    level: u8,
    anchors: &'a Anchors,
    taken: UniqueAnchors,
    /// The labels that the text's definitions have.
    pub(super) labels: Labels,
    /// The names of pictures by their sources; `None` where there is no such picture.
    pub(super) found: HashMap<String, Option<String>>,
}

impl<'a> Manuscript<'a> {
    /// Chapter `index`, from a file whose chapters begin at headings of `level`.
    pub(super) fn new(file: &'a str, index: usize, level: u8, anchors: &'a Anchors) -> Self {
        let (taken, labels, found) = (UniqueAnchors::default(), Labels::default(), HashMap::new());
        Self { file, index, level, anchors, taken, labels, found }
    }

    /// A name without the number of the chapter that our own export put in front.
    fn own<'t>(&self, name: &'t str) -> &'t str {
        match own_place(name) {
            Some((index, own)) if self.anchors.own && index == self.index && !own.is_empty() => own,
            _ => name,
        }
    }

    fn inside(&self, target: &str) -> Option<String> {
        let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
        let anchor = percent_decode(anchor);
        if self.anchors.own
            && path.is_empty()
            && let Some((index, name)) = own_place(&anchor)
            && let Some(file) = self.anchors.names.get(&index)
        {
            return Some(match name {
                "" => file.clone(),
                name if index == self.index => format!("#{name}"),
                name => format!("{file}#{name}"),
            });
        }
        let file = if path.is_empty() { self.file.to_owned() } else { beside(self.file, path)? };
        match self.anchors.place(&file, &anchor) {
            Some(place) => self.anchors.target(self.index, place, &anchor),
            None if path.is_empty() => None,
            None => {
                let first = self.anchors.first_chapters.get(&file.to_lowercase())?;
                self.anchors.names.get(first).cloned()
            }
        }
    }
}

impl Resolve for Manuscript<'_> {
    fn image(&mut self, source: &str, losses: &mut Losses) -> Result<Option<String>, BookError> {
        if is_web(source) {
            return Ok(Some(source.to_owned()));
        }
        let found = self.found.get(source).cloned().flatten();
        if found.is_none() {
            losses.add("image that was not found");
        }
        Ok(found)
    }

    fn link<'t>(&mut self, target: &'t str, losses: &mut Losses) -> Option<Cow<'t, str>> {
        let scheme = target.split(['/', '?', '#']).next().and_then(|head| head.split_once(':'));
        if let Some((scheme, _)) = scheme {
            let known = ["http", "https", "mailto", "tel", "doi"];
            if known.contains(&scheme.to_ascii_lowercase().as_str()) {
                return Some(Cow::Borrowed(target));
            }
        } else if let Some(inside) = self.inside(target) {
            return Some(Cow::Owned(inside));
        }
        losses.add("link that leads nowhere");
        None
    }

    fn label<'t>(&self, label: &'t str) -> Cow<'t, str> {
        match self.labels.defined(label) {
            Cow::Borrowed(label) => Cow::Borrowed(self.own(label)),
            Cow::Owned(label) => Cow::Owned(self.own(&label).to_owned()),
        }
    }

    fn heading(&mut self, level: u8, anchor: Option<&str>, text: &str) -> (u8, Option<String>) {
        let anchor = match anchor {
            Some(anchor) => self.taken.add(self.own(anchor)),
            None => {
                let by_text = Some(heading_anchor(text)).filter(|by_text| !by_text.is_empty());
                let numbered =
                    by_text.iter().flat_map(|name| (1..10).map(move |number| format!("{name}-{number}")));
                let here = |anchor: &String| {
                    let place = self.anchors.place(self.file, anchor);
                    place.is_some_and(|place| place.index == self.index && !place.at_start)
                        && !self.taken.has(anchor)
                };
                let found = by_text.clone().into_iter().chain(numbered).find(here);
                found.and_then(|anchor| self.taken.add(&anchor))
            }
        };
        (level.saturating_sub(self.level.saturating_sub(1)).clamp(2, 6), anchor)
    }
}

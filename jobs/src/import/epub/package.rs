//! What an EPUB says of itself: `container.xml` leads to the package document, which has metadata, manifest and spine;
//! a navigation document (EPUB 3) or an NCX (EPUB 2) has the chapters' titles.

use std::collections::{HashMap, HashSet};

use super::{
    Archive,
    xml::{Element, Handler, parse},
};
use crate::{
    book::{BookError, Metadata, markdown::percent_decode},
    import::{HELD_TITLE, one_line},
};

const CONTAINER: &str = "META-INF/container.xml";
const ENCRYPTION: &str = "META-INF/encryption.xml";

/// A file of the book.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Its entry.
    pub(super) path: String,
    pub(super) media_type: String,
    properties: String,
}

/// What a package document says.
#[derive(Debug, Default)]
pub(super) struct Package {
    pub(super) metadata: Metadata,
    pub(super) manifest: HashMap<String, Item>,
    /// Files in reading order.
    pub(super) spine: Vec<Item>,
    /// The cover's entry.
    pub(super) cover: Option<String>,
    /// The navigation document's entry.
    pub(super) navigation: Option<String>,
    /// Titles by entry.
    pub(super) titles: HashMap<String, String>,
    /// The names that pictures had before our own export numbered them, by entry.
    pub(super) names: HashMap<String, String>,
}

/// An entry's path from a reference in another; without its fragment. `None` where it leads outside.
pub(super) fn resolve(base: &str, href: &str) -> Option<String> {
    let path = href.split(['#', '?']).next().unwrap_or_default();
    let path = percent_decode(path);
    if path.contains(['\\', ':']) || path.starts_with('/') {
        return None;
    }
    let mut segments: Vec<&str> = base.split('/').collect();
    segments.pop();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop()?;
            }
            name => segments.push(name),
        }
    }
    Some(segments.join("/"))
}

/// A document as a flat list of elements with their text.
#[derive(Default)]
struct Flat {
    open: Vec<usize>,
    /// Each with its text and its parents' place.
    elements: Vec<(Element, String, Option<usize>)>,
}

/// How many elements a document of this sort has at most, and how many bytes of text an element.
const MOST_ELEMENTS: usize = 400_000;
const MOST_ELEMENT_BYTES: usize = 64 << 10;

impl Handler for Flat {
    fn start(&mut self, element: Element) -> Result<(), BookError> {
        let parent = self.open.last().copied();
        if self.elements.len() >= MOST_ELEMENTS {
            return Err(BookError::input("", "the document has too many elements"));
        }
        self.open.push(self.elements.len());
        self.elements.push((element, String::new(), parent));
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), BookError> {
        if let Some(last) = self.open.last() {
            let into = &mut self.elements[*last].1;
            if into.len() + text.len() <= MOST_ELEMENT_BYTES {
                into.push_str(text);
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), BookError> {
        // The text of what is inside is part of what is around: `<a><b>x</b></a>`.
        if let Some(ended) = self.open.pop()
            && let Some(around) = self.open.last().copied()
            && matches!(
                self.elements[around].0.name.as_str(),
                "a" | "span" | "b" | "i" | "em" | "strong" | "sup"
            )
        {
            let text = self.elements[ended].1.clone();
            return self.text(&text);
        }
        Ok(())
    }
}

fn flat(archive: &mut Archive, path: &str) -> Result<Flat, BookError> {
    let text = archive.text(path)?;
    let place = archive.place(path);
    let mut flat = Flat::default();
    parse(&text, &place, &mut flat).map_err(|error| match error {
        BookError::Input { file, problem, .. } if file.is_empty() => BookError::input(&place, problem),
        other => other,
    })?;
    Ok(flat)
}

/// Reads what an EPUB says of itself.
pub(super) fn package(archive: &mut Archive) -> Result<Package, BookError> {
    if archive.has(ENCRYPTION) {
        refuse_drm(archive)?;
    }
    if !archive.has(CONTAINER) {
        return Err(BookError::input(
            archive.place(CONTAINER),
            "it is missing: the file is a ZIP archive, but not an EPUB",
        ));
    }
    let container = flat(archive, CONTAINER)?;
    let root = container.elements.iter().find(|(element, ..)| element.name == "rootfile");
    let path = root.and_then(|(element, ..)| resolve("", element.get("full-path")?));
    let Some(path) = path else {
        return Err(BookError::input(archive.place(CONTAINER), "it names no package document"));
    };
    let document = flat(archive, &path)?;
    let mut package = read_package(archive, &path, &document)?;
    let navigation = package.manifest.values().find(|item| has_word(&item.properties, "nav"));
    package.navigation = navigation.map(|item| item.path.clone());
    let ncx = package.manifest.values().find(|item| item.media_type == "application/x-dtbncx+xml");
    let ncx = ncx.map(|item| item.path.clone());
    // Titles are a help: a navigation that can't be read does not stand in the book's way.
    let mut titles = HashMap::new();
    for path in [package.navigation.clone(), ncx].into_iter().flatten() {
        if titles.is_empty()
            && archive.has(&path)
            && let Ok(document) = flat(archive, &path)
        {
            titles = read_titles(&path, &document);
        }
    }
    package.titles = titles;
    Ok(package)
}

/// Fonts may be obfuscated; anything else that is encrypted can't be read.
fn refuse_drm(archive: &mut Archive) -> Result<(), BookError> {
    const OBFUSCATION: [&str; 2] = ["http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"];
    let document = flat(archive, ENCRYPTION)?;
    let foreign = document
        .elements
        .iter()
        .filter(|(element, ..)| element.name == "encryptionmethod")
        .any(|(element, ..)| !element.get("Algorithm").is_some_and(|one| OBFUSCATION.contains(&one)));
    if foreign {
        return Err(BookError::input(
            archive.place(ENCRYPTION),
            "the book is encrypted (DRM): a copy without it is needed",
        ));
    }
    Ok(())
}

fn has_word(words: &str, word: &str) -> bool {
    words.split_whitespace().any(|one| one == word)
}

fn read_package(archive: &Archive, path: &str, document: &Flat) -> Result<Package, BookError> {
    let mut package = Package::default();
    let metadata = &mut package.metadata;
    let mut cover_id = None;
    let (mut titles, mut kinds) = (Vec::new(), HashMap::new());
    let mut references = Vec::new();
    let (mut given, mut names) = (Vec::new(), HashMap::new());
    for (element, raw, _) in &document.elements {
        let text = one_line(raw, 4000);
        match element.name.as_str() {
            "title" => titles.push((element.get("id").unwrap_or_default(), text)),
            "creator" if !text.is_empty() => metadata.authors.push(text),
            "language" if metadata.language.is_empty() => metadata.language = text,
            "identifier" if metadata.identifier.is_empty() => metadata.identifier = text,
            "description" if metadata.description.is_empty() => metadata.description = text,
            "date" if metadata.date.is_empty() => metadata.date = text,
            "publisher" if metadata.publisher.is_empty() => metadata.publisher = text,
            "rights" if metadata.rights.is_empty() => metadata.rights = text,
            "subject" if !text.is_empty() && metadata.subjects.len() < 100 => metadata.subjects.push(text),
            "meta" if element.get("name") == Some("cover") => {
                cover_id = element.get("content").map(str::to_owned);
            }
            // What our own export had to spell in another way, or to number.
            "meta" if element.get("property").is_some_and(|name| name.starts_with("presswork:")) => {
                let name =
                    element.get("property").and_then(|name| name.split_once(':')).unwrap_or_default().1;
                let Ok(value) = serde_json::from_str::<String>(raw) else { continue };
                match element.get("refines") {
                    Some(of) if name == "name" => {
                        names.insert(of.trim_start_matches('#').to_owned(), value);
                    }
                    Some(_) => {}
                    None => given.push((name.to_owned(), value)),
                }
            }
            "meta" if element.get("property") == Some("title-type") => {
                let of = element.get("refines").unwrap_or_default().trim_start_matches('#');
                kinds.insert(of, text);
            }
            "item" => {
                let (Some(id), Some(href)) = (element.get("id"), element.get("href")) else { continue };
                if href.contains("://") {
                    continue;
                }
                let Some(entry) = resolve(path, href) else {
                    let problem = format!("the manifest's item {id:?} leads outside of the book: {href:?}");
                    return Err(BookError::input(archive.place(path), problem));
                };
                let media_type = element.get("media-type").unwrap_or_default().to_owned();
                let properties = element.get("properties").unwrap_or_default().to_owned();
                let item = Item { path: entry, media_type, properties };
                if package.manifest.insert(id.to_owned(), item).is_some() {
                    let problem = format!("the manifest has two items with the id {id:?}");
                    return Err(BookError::input(archive.place(path), problem));
                }
            }
            "itemref" => references.push(element.get("idref").unwrap_or_default()),
            _ => {}
        }
    }
    for (id, text) in titles {
        match kinds.get(id).map(String::as_str) {
            Some("subtitle") => metadata.subtitle = text,
            _ if metadata.title.is_empty() => metadata.title = text,
            _ => {}
        }
    }
    for (name, value) in given {
        match name.as_str() {
            "title" => metadata.title = value,
            "subtitle" => metadata.subtitle = value,
            "language" => metadata.language = value,
            "identifier" => metadata.identifier = value,
            "date" => metadata.date = value,
            "description" => metadata.description = value,
            "publisher" => metadata.publisher = value,
            "rights" => metadata.rights = value,
            _ => {}
        }
    }
    for (id, name) in names {
        if let Some(item) = package.manifest.get(&id) {
            package.names.insert(item.path.clone(), name);
        }
    }
    for id in references {
        let Some(item) = package.manifest.get(id) else {
            let problem = format!("the spine names {id:?}, which is not in the manifest");
            return Err(BookError::input(archive.place(path), problem));
        };
        if !archive.has(&item.path) {
            let problem =
                format!("a chapter is missing: the spine names {:?}, which is not in the archive", item.path);
            return Err(BookError::input(archive.place(&item.path), problem));
        }
        package.spine.push(item.clone());
    }
    if package.spine.is_empty() {
        return Err(BookError::input(archive.place(path), "the book is empty: its spine names no chapter"));
    }
    let by_property = package.manifest.values().find(|item| has_word(&item.properties, "cover-image"));
    let by_id = cover_id
        .and_then(|id| package.manifest.get(&id))
        .filter(|item| item.media_type.starts_with("image/"));
    package.cover = by_property.or(by_id).map(|item| item.path.clone());
    Ok(package)
}

/// Titles by entry: of `nav` lists or of an NCX. The first that leads to an entry counts.
fn read_titles(path: &str, document: &Flat) -> HashMap<String, String> {
    let mut titles: HashMap<String, String> = HashMap::new();
    let mut label = String::new();
    let mut in_other_list = HashSet::new();
    for (place, (element, text, parent)) in document.elements.iter().enumerate() {
        // Landmarks and page lists are navigation too, but name no chapters.
        let other = element.name == "nav"
            && element.get("epub:type").is_some_and(|kind| kind.split_whitespace().all(|word| word != "toc"));
        if other || parent.is_some_and(|parent| in_other_list.contains(&parent)) {
            in_other_list.insert(place);
            continue;
        }
        let (href, title) = match element.name.as_str() {
            "text" => {
                label = one_line(text, HELD_TITLE);
                continue;
            }
            "content" => (element.get("src"), label.clone()),
            "a" => (element.get("href"), one_line(text, HELD_TITLE)),
            _ => continue,
        };
        if let Some(entry) = href.and_then(|href| resolve(path, href))
            && !title.is_empty()
        {
            titles.entry(entry).or_insert(title);
        }
    }
    titles
}

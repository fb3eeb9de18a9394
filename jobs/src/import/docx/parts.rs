//! The parts of the archive around the text: relationships, properties, and the notes, which are put down in a scratch
//! file to be read in the order in which they are mentioned.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::BuildHasher as _,
    sync::Arc,
};

use super::{
    text::{MOST_NAME_BYTES, NoteId, cut},
    xml::{Node, Xml},
};
use crate::{
    book::{BookError, Metadata},
    import::{archive::Archive, one_line, pictures::own_error, read_error},
    scratch::{Scratch, Spool},
};

/// How many bytes the text has at most, and the notes.
const MOST_TEXT_BYTES: u64 = 2 << 30;
/// How many bytes any other part has at most.
const MOST_PART_BYTES: u64 = 64 << 20;
/// How many relationships a part has at most, and how many notes there are.
const MOST: usize = 1_000_000;
/// How many bytes a note has at most.
const MOST_NOTE_BYTES: u32 = 4 << 20;
/// How many bytes notes may become by being mentioned in many chapters, unless they have half as many by themselves.
const MOST_REPEATED_BYTES: u64 = 64 << 20;

/// The kinds of relationships that are looked for by kind, and not by id.
const KINDS: [&str; 7] = [
    "officeDocument",
    "styles",
    "numbering",
    "footnotes",
    "endnotes",
    "core-properties",
    "custom-properties",
];

/// Where a relationship leads.
#[derive(Clone, Debug)]
pub(super) struct Relation {
    /// The last word of its type (`styles`), if it is one of [`KINDS`].
    pub(super) kind: &'static str,
    pub(super) target: Arc<str>,
    pub(super) is_outside: bool,
}

/// The relationships of a part, by id: in an order, so that of two alike the same is always meant.
pub(super) type Relations = BTreeMap<Box<str>, Relation>;

/// A part that can be read piece by piece.
pub(super) fn open<'a>(archive: &'a mut Archive, path: &str) -> Result<Xml<'a>, BookError> {
    let place = archive.place(path);
    Ok(Xml::new(archive.open_entry(path, MOST_TEXT_BYTES)?, &place))
}

/// Reads the relationships of a part; none where it has none.
pub(super) fn relations(archive: &mut Archive, part: &str) -> Result<Relations, BookError> {
    let (folder, name) = part.rsplit_once('/').unwrap_or(("", part));
    let path =
        if folder.is_empty() { format!("_rels/{name}.rels") } else { format!("{folder}/_rels/{name}.rels") };
    // Many links lead to one address.
    let (mut relations, mut targets) = (Relations::new(), BTreeSet::<Arc<str>>::new());
    if !archive.has(&path) {
        return Ok(relations);
    }
    let place = archive.place(&path);
    let mut xml = Xml::new(archive.open_entry(&path, MOST_PART_BYTES)?, &place);
    loop {
        match xml.next()? {
            Node::Start(element) if element.name == "Relationship" => {
                let get = |name: &str| element.get(name).unwrap_or_default();
                let is_outside = get("TargetMode").eq_ignore_ascii_case("external");
                let target: Arc<str> = match get("Target") {
                    target if is_outside => target.into(),
                    target => inside(folder, target).into(),
                };
                let target = targets.get(&target).cloned().unwrap_or(target);
                targets.insert(target.clone());
                let kind = get("Type").rsplit('/').next().unwrap_or_default();
                let kind = KINDS.into_iter().find(|known| *known == kind).unwrap_or_default();
                if relations.len() >= MOST {
                    return Err(xml.wrong("there are more than a million relationships"));
                }
                let relation = Relation { kind, target, is_outside };
                relations.entry(get("Id").into()).or_insert(relation);
            }
            Node::Eof => return Ok(relations),
            _ => {}
        }
    }
}

/// The entry that a target names; nothing outside of the archive can be named.
fn inside(folder: &str, target: &str) -> String {
    let mut segments: Vec<&str> =
        if target.starts_with('/') { Vec::new() } else { folder.split('/').collect() };
    for segment in target.split('/') {
        match segment {
            "" | "." => {}
            ".." => _ = segments.pop(),
            name => segments.push(name),
        }
    }
    segments.retain(|segment| !segment.is_empty());
    segments.join("/")
}

/// Reads what the document says of itself. What is only on its title page is known later.
pub(super) fn metadata(archive: &mut Archive, relations: &Relations) -> Result<Metadata, BookError> {
    let mut metadata = Metadata::default();
    let find =
        |kind: &str| relations.values().find(|relation| relation.kind == kind).map(|r| r.target.clone());
    if let Some(path) = find("core-properties").filter(|path| archive.has(path)) {
        let place = archive.place(&path);
        let mut xml = Xml::new(archive.open_entry(&path, MOST_PART_BYTES)?, &place);
        while let Some((name, text)) = property(&mut xml)? {
            let line = one_line(&text, 4000);
            match name.as_str() {
                "title" => metadata.title = line,
                "creator" => metadata.authors = list(&line, ";"),
                "keywords" => metadata.subjects = list(&line, if line.contains(';') { ";" } else { "," }),
                "description" => text.trim().clone_into(&mut metadata.description),
                "identifier" => metadata.identifier = line,
                "language" => metadata.language = line,
                _ => {}
            }
        }
    }
    if let Some(path) = find("custom-properties").filter(|path| archive.has(path)) {
        let place = archive.place(&path);
        let mut xml = Xml::new(archive.open_entry(&path, MOST_PART_BYTES)?, &place);
        while let Some((name, text)) = property(&mut xml)? {
            match name.as_str() {
                "Subtitle" => metadata.subtitle = text,
                "Publisher" => metadata.publisher = text,
                "Date" => metadata.date = text,
                "Rights" => metadata.rights = text,
                _ => {}
            }
        }
    }
    Ok(metadata)
}

fn list(line: &str, separator: &str) -> Vec<String> {
    let items = line.split(separator).map(str::trim).filter(|item| !item.is_empty());
    items.take(100).map(str::to_owned).collect()
}

/// The next property and its text: an element below the root.
fn property(xml: &mut Xml<'_>) -> Result<Option<(String, String)>, BookError> {
    loop {
        match xml.next()? {
            Node::Start(element) if matches!(element.name.as_str(), "coreProperties" | "Properties") => {}
            Node::Start(element) => {
                let name = element.get("name").unwrap_or(&element.name).to_owned();
                return Ok(Some((name, xml.text(64 << 10)?)));
            }
            Node::Eof => return Ok(None),
            Node::End | Node::Text(_) => {}
        }
    }
}

/// The notes, and where each stands in scratch.
pub(super) struct Notes {
    scratch: Scratch,
    parts: Vec<Spool>,
    /// By the hashes of their ids: there may be many.
    places: HashMap<u64, Place>,
    /// How many bytes they have together, and how many were read: a note is written in every chapter that mentions it.
    bytes: u64,
    read: u64,
}

/// Where a note stands.
#[derive(Clone, Copy)]
struct Place {
    begin: u64,
    /// No note that is read has more.
    bytes: u32,
    part: u32,
}

impl Notes {
    /// None yet; they are to be put aside in `scratch`.
    pub(super) fn new(scratch: Scratch) -> Self {
        Self { scratch, parts: Vec::new(), places: HashMap::new(), bytes: 0, read: 0 }
    }

    /// Reads the footnotes or the endnotes.
    pub(super) fn add(&mut self, archive: &mut Archive, path: &str, at_end: bool) -> Result<(), BookError> {
        let (place, mut spool) = (archive.place(path), Spool::new(&self.scratch));
        let mut entry = archive.open_entry(path, MOST_TEXT_BYTES)?;
        std::io::copy(&mut entry, &mut spool).map_err(own_error(&place))?;
        drop(entry);
        let part = u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
        let mut xml = Xml::new(spool.reader(), &place);
        loop {
            let begin = xml.position();
            match xml.next()? {
                Node::Start(element) if matches!(element.name.as_str(), "footnote" | "endnote") => {
                    let is_sign = element.get("type").is_some_and(|kind| kind != "normal");
                    let id = cut(element.get("id").unwrap_or_default(), MOST_NAME_BYTES).to_owned();
                    xml.skip()?;
                    if self.places.len() >= MOST {
                        return Err(xml.wrong("there are more than a million notes"));
                    }
                    if !is_sign {
                        let bytes = xml.position() - begin;
                        self.bytes += bytes;
                        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
                        let key = self.places.hasher().hash_one(&NoteId { at_end, id });
                        self.places.insert(key, Place { begin, bytes, part });
                    }
                }
                Node::Eof => break,
                _ => {}
            }
        }
        drop(xml);
        self.parts.push(spool);
        Ok(())
    }

    fn place(&self, note: &NoteId) -> Option<Place> {
        self.places.get(&self.places.hasher().hash_one(note)).copied()
    }

    /// Whether there is such a note.
    pub(super) fn has(&self, note: &NoteId) -> bool {
        self.place(note).is_some()
    }

    /// A note's XML.
    pub(super) fn read(&mut self, note: &NoteId, place: &str) -> Result<Vec<u8>, BookError> {
        let Some(Place { begin, bytes, part }) = self.place(note) else { return Ok(Vec::new()) };
        if bytes > MOST_NOTE_BYTES {
            return Err(BookError::input(place, "a note has more than 4 MiB: divide it"));
        }
        self.read += u64::from(bytes);
        if self.read > MOST_REPEATED_BYTES.max(self.bytes.saturating_mul(2)) {
            let problem = "its notes are mentioned in so many chapters that they would become more than 64 MiB, and more \
                           than twice their size: divide the book";
            return Err(BookError::input(place, problem));
        }
        let mut xml = vec![0; bytes as usize];
        match self.parts.get_mut(part as usize) {
            Some(spool) => spool.read(begin, &mut xml).map_err(read_error(place))?,
            None => xml.clear(),
        }
        Ok(xml)
    }
}

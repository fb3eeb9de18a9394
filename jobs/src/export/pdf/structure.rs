//! The tree that tells readers aloud, and whoever copies text, what is what (ISO 32000-1 §14.7). Elements are written
//! as soon as everything in them stands on a page; only what is open or not yet on a page is kept.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, Write},
    sync::{Arc, OnceLock},
};

use pdf_writer::Ref;

use super::{
    body::Body,
    objects::{Objects, text},
    tree::{Numbers, key},
};

/// The mark of what is no part of the text: running heads, rules, repeated table heads.
pub(super) const ARTIFACT: u32 = u32::MAX;

/// Where a link leads.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    /// Out of the book; the object that says so is written once, when the link is first drawn.
    Uri(String, OnceLock<Ref>),
    /// To a destination, an object that may be still to come.
    Place(Ref),
}

/// A link.
#[derive(Debug, PartialEq)]
pub(super) struct Target {
    /// Where it leads.
    pub(super) action: Action,
    /// What it is, for who can't see it.
    pub(super) contents: String,
    /// Whether it shows as a link.
    pub(super) shows: bool,
}

/// What is drawn for one run of text, wherever it stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Span {
    /// The element that it belongs to, and its place there.
    pub(super) element: u32,
    pub(super) kid: usize,
    /// The link that it is.
    pub(super) target: Option<Arc<Target>>,
    /// The destination that leads here.
    pub(super) place: Option<Ref>,
    /// Whether it is struck through.
    pub(super) strike: bool,
}

#[derive(Debug)]
enum Kid {
    /// Elements that follow each other: of a table of contents there are as many as chapters.
    Elements(Vec<Ref>),
    Content {
        mark: u32,
        places: Vec<(Ref, i32)>,
    },
    Annotation {
        page: Ref,
        annotation: Ref,
    },
}

#[derive(Debug)]
struct Element {
    id: Ref,
    parent: Ref,
    kind: &'static str,
    kids: Vec<Kid>,
    /// Further entries, ready to be written.
    entries: String,
}

/// The structure tree.
#[derive(Debug)]
pub(super) struct Structure {
    root: Ref,
    document: Ref,
    document_kids: Vec<Ref>,
    open: Vec<u32>,
    elements: BTreeMap<u32, Element>,
    spans: BTreeMap<u32, Span>,
    /// Elements that have ended, with the number of rows that must be on pages before they are written.
    closed: VecDeque<(u32, u64)>,
    next_element: u32,
    next_mark: u32,
    parents: Numbers,
    next_key: i32,
    notes: Numbers,
    next_note: i32,
}

impl Structure {
    /// A tree without elements.
    pub(super) fn new(objects: &mut Objects) -> Self {
        Self {
            root: objects.alloc(),
            document: objects.alloc(),
            document_kids: Vec::new(),
            open: Vec::new(),
            elements: BTreeMap::new(),
            spans: BTreeMap::new(),
            closed: VecDeque::new(),
            next_element: 0,
            next_mark: 0,
            parents: Numbers::of_numbers(),
            next_key: 0,
            notes: Numbers::names(),
            next_note: 0,
        }
    }

    /// Begins an element in the one that is open.
    pub(super) fn open(&mut self, objects: &mut Objects, kind: &'static str) -> Ref {
        let id = objects.alloc();
        let parent = match self.open.last().and_then(|open| self.elements.get_mut(open)) {
            Some(parent) => {
                match parent.kids.last_mut() {
                    Some(Kid::Elements(elements)) => elements.push(id),
                    _ => parent.kids.push(Kid::Elements(vec![id])),
                }
                parent.id
            }
            None => {
                self.document_kids.push(id);
                self.document
            }
        };
        let element = Element { id, parent, kind, kids: Vec::new(), entries: String::new() };
        self.elements.insert(self.next_element, element);
        self.open.push(self.next_element);
        self.next_element += 1;
        id
    }

    /// Adds an entry to the element that is open.
    pub(super) fn entry(&mut self, entry: &str) {
        if let Some(element) = self.open.last().and_then(|open| self.elements.get_mut(open)) {
            element.entries.push_str(entry);
        }
    }

    /// Gives the open element, a note, a name of its own.
    pub(super) fn name_note(&mut self, objects: &mut Objects, out: &mut dyn Write) -> io::Result<()> {
        let number = self.next_note;
        self.next_note += 1;
        self.entry(&format!("/ID({})", key(number)));
        match self.open.last().and_then(|open| self.elements.get(open)) {
            Some(element) => self.notes.add(objects, out, number, element.id),
            None => Ok(()),
        }
    }

    /// Ends the element that was begun last.
    pub(super) fn close(&mut self) {
        if let Some(element) = self.open.pop() {
            self.closed.push_back((element, u64::MAX));
        }
    }

    /// What has ended is complete once `rows` rows stand on pages.
    pub(super) fn seal(&mut self, rows: u64) {
        for (_, waiting) in self.closed.iter_mut().rev() {
            if *waiting != u64::MAX {
                break;
            }
            *waiting = rows;
        }
    }

    /// A mark for content in the open element; artifact where none is open.
    pub(super) fn span(&mut self, span: Span) -> u32 {
        let Some(element) = self.open.last().copied() else { return ARTIFACT };
        let mark = self.next_mark;
        self.next_mark += 1;
        let Some(open) = self.elements.get_mut(&element) else { return ARTIFACT };
        self.spans.insert(mark, Span { element, kid: open.kids.len(), ..span });
        open.kids.push(Kid::Content { mark, places: Vec::new() });
        mark
    }

    /// What a mark means.
    pub(super) fn of(&self, mark: u32) -> Option<&Span> {
        self.spans.get(&mark)
    }

    /// The element of a mark stands on a page, as its `content`th piece; what it is.
    pub(super) fn shown(&mut self, mark: u32, page: Ref, content: i32) -> Option<(&'static str, Ref)> {
        let span = self.spans.get(&mark)?;
        let element = self.elements.get_mut(&span.element)?;
        if let Some(Kid::Content { places, .. }) = element.kids.get_mut(span.kid) {
            places.push((page, content));
        }
        Some((element.kind, element.id))
    }

    /// Adds the link's annotation to its element.
    pub(super) fn annotated(&mut self, mark: u32, page: Ref, annotation: Ref) -> Option<Ref> {
        let element = self.elements.get_mut(&self.spans.get(&mark)?.element)?;
        element.kids.push(Kid::Annotation { page, annotation });
        Some(element.id)
    }

    /// Adds entries to the element of a mark.
    pub(super) fn entry_of(&mut self, mark: u32, entry: &str) {
        if let Some(element) = self.spans.get(&mark).and_then(|span| self.elements.get_mut(&span.element)) {
            element.entries.push_str(entry);
        }
    }

    /// The next key of the parent tree, which leads from pages and annotations to elements.
    pub(super) fn parent_key(
        &mut self,
        objects: &mut Objects,
        out: &mut dyn Write,
        value: Ref,
    ) -> io::Result<i32> {
        let key = self.next_key;
        self.next_key += 1;
        self.parents.add(objects, out, key, value)?;
        Ok(key)
    }

    /// Writes the elements that are complete, as `rows` rows stand on pages.
    pub(super) fn settle(&mut self, objects: &mut Objects, out: &mut dyn Write, rows: u64) -> io::Result<()> {
        while let Some((element, waiting)) = self.closed.front().copied() {
            if waiting > rows {
                break;
            }
            self.closed.pop_front();
            if let Some(element) = self.elements.remove(&element) {
                self.write(objects, out, &element)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, objects: &mut Objects, out: &mut dyn Write, element: &Element) -> io::Result<()> {
        let page = element.kids.iter().find_map(|kid| match kid {
            Kid::Content { places, .. } => places.first().map(|(page, _)| *page),
            _ => None,
        });
        let on = page.map_or(String::new(), |page| format!("/Pg {} 0 R", page.get()));
        let (kind, parent, entries) = (element.kind, element.parent.get(), &element.entries);
        let head = format!("<</Type/StructElem/S/{kind}/P {parent} 0 R{on}{entries}/K[");
        let mut body = Body::new(element.id, head);
        for kid in &element.kids {
            match kid {
                Kid::Elements(ids) => body.references(objects, out, ids)?,
                Kid::Content { mark, places } => {
                    self.spans.remove(mark);
                    for (on, content) in places {
                        let place = if Some(*on) == page {
                            format!("{content} ")
                        } else {
                            format!("<</Type/MCR/Pg {} 0 R/MCID {content}>>", on.get())
                        };
                        body.push(objects, out, &place)?;
                    }
                }
                Kid::Annotation { page, annotation } => {
                    let (page, annotation) = (page.get(), annotation.get());
                    let kid = format!("<</Type/OBJR/Pg {page} 0 R/Obj {annotation} 0 R>>");
                    body.push(objects, out, &kid)?;
                }
            }
        }
        body.push(objects, out, "]>>")?;
        body.end(objects, out)
    }

    /// Writes the rest and the root, whose number it gives.
    pub(super) fn finish(&mut self, objects: &mut Objects, out: &mut dyn Write) -> io::Result<Ref> {
        while !self.open.is_empty() {
            self.close();
        }
        self.seal(0);
        self.settle(objects, out, u64::MAX - 1)?;
        let (root, document) = (self.root, self.document);
        let head = format!("<</Type/StructElem/S/Document/P {} 0 R/K[", root.get());
        let mut body = Body::new(document, head);
        body.references(objects, out, &std::mem::take(&mut self.document_kids))?;
        body.push(objects, out, "]>>")?;
        body.end(objects, out)?;
        let parents = std::mem::replace(&mut self.parents, Numbers::of_numbers()).finish(objects, out)?;
        let notes = std::mem::replace(&mut self.notes, Numbers::names()).finish(objects, out)?;
        let mut body =
            format!("<</Type/StructTreeRoot/K[{} 0 R]/ParentTreeNextKey {}", document.get(), self.next_key);
        for (name, tree) in [("ParentTree", parents), ("IDTree", notes)] {
            if let Some(tree) = tree {
                body.push_str(&format!("/{name} {} 0 R", tree.get()));
            }
        }
        body.push_str(">>");
        objects.body(out, root, body.as_bytes())?;
        Ok(root)
    }

    /// Moves the elements that the document got last, `count` of them, to a place in front.
    pub(super) fn move_forward(&mut self, count: usize, to: usize) {
        let at = self.document_kids.len().saturating_sub(count);
        if to <= at {
            self.document_kids[to..].rotate_right(count);
        }
    }
}

/// `/Alt(…)`: what stands in for what can't be read.
pub(super) fn alternative(words: &str) -> String {
    format!("/Alt {}", text(words))
}

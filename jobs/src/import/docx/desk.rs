//! What the blocks of a part ask of the book around it.

use std::collections::HashMap;

use super::{
    Book,
    blocks::Desk,
    text::{Link, NoteId, Picture, Target},
};
use crate::book::{BookError, EventSink, Losses};

/// The notes of a chapter, in the order of their marks.
#[derive(Default)]
pub(super) struct Mentioned {
    pub(super) order: Vec<NoteId>,
    labels: HashMap<NoteId, usize>,
}

impl Mentioned {
    /// A note's label.
    pub(super) fn label(&mut self, note: &NoteId) -> String {
        let next = self.order.len() + 1;
        let label = *self.labels.entry(note.clone()).or_insert(next);
        if label == next {
            self.order.push(note.clone());
        }
        label.to_string()
    }
}

/// A part of the book, for its blocks.
pub(super) struct Here<'b, 'a, 's> {
    pub(super) book: &'b mut Book<'a, 's>,
    pub(super) part: usize,
}

impl Desk for Here<'_, '_, '_> {
    fn link(&mut self, link: &Link) -> Option<String> {
        let index = self.book.next.saturating_sub(1);
        let address = match &link.target {
            Target::Relation(id) => {
                self.book.relations[self.part].get(id.as_str()).map(|relation| relation.target.to_string())
            }
            Target::Address(address) => Some(address.clone()),
            Target::Bookmark(name) => {
                let survey = &self.book.survey;
                let found = survey.places.of(name).and_then(|(chapter, anchor)| {
                    let file = survey.file(chapter)?;
                    Some(match anchor {
                        Some(anchor) if chapter == index => format!("#{anchor}"),
                        Some(anchor) => format!("{file}#{anchor}"),
                        None => file,
                    })
                });
                if found.is_none() {
                    self.book.chapters.losses().add("link that leads nowhere");
                }
                return found;
            }
        };
        let scheme =
            address.as_deref().and_then(|address| address.split(['/', '?', '#']).next()?.split_once(':'));
        let known = ["http", "https", "mailto", "tel", "doi"];
        if scheme.is_some_and(|(scheme, _)| known.contains(&scheme.to_ascii_lowercase().as_str())) {
            return address;
        }
        self.book.chapters.losses().add("link that leads nowhere");
        None
    }

    fn picture(&mut self, picture: &Picture) -> Result<Option<String>, BookError> {
        self.book.bring(picture, self.part)
    }

    fn note(&mut self, note: &NoteId) -> Option<String> {
        self.book.notes.has(note).then(|| self.book.mentioned.label(note))
    }

    fn out(&mut self) -> &mut dyn EventSink {
        &mut self.book.chapters
    }

    fn losses(&mut self) -> &mut Losses {
        self.book.chapters.losses()
    }
}

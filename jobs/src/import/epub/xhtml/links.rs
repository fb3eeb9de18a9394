//! Images and links of XHTML.

use std::borrow::Cow;

use super::{Ends, Xhtml};
use crate::{
    book::{BookError, Event, Tag, markdown::is_web},
    import::epub::xml::Element,
};

/// Whether it leads to a note.
pub(super) fn is_note_mark(element: &Element) -> bool {
    element.has_word("epub:type", "noteref") || element.has_word("role", "doc-noteref")
}

impl Xhtml<'_> {
    /// An image, or its alternative text where there is none.
    pub(super) fn image(&mut self, source: &str, alt: &str, title: &str) -> Result<(), BookError> {
        let name = match self.images.get(source) {
            Some(name) => name.clone(),
            None => is_web(source).then(|| source.to_owned()),
        };
        match name {
            Some(name) => self.flow.inline(Event::Image {
                source: name.into(),
                alt: crate::import::one_line(alt, 8000).into(),
                title: title.to_owned().into(),
            }),
            None => {
                self.losses.add("image that was not found");
                self.flow.text(alt)
            }
        }
    }

    /// An image on the web, which our own export has as a link, as an EPUB may not show it.
    pub(super) fn remote_image(&mut self, element: &Element) -> Result<Option<Ends>, BookError> {
        let Some(source) = element.get("data-image").filter(|source| is_web(source)) else {
            return Ok(None);
        };
        let text = |name| element.get(name).unwrap_or_default();
        self.image(source, text("data-alt"), text("data-title"))?;
        Ok(Some(self.skip(None)))
    }

    /// A link, a note's mark or a way back from a note.
    pub(super) fn link(&mut self, element: &Element) -> Result<Ends, BookError> {
        let Some(href) = element.get("href") else { return Ok(Ends::Nothing) };
        if let Some(skipped) = self.remote_image(element)? {
            return Ok(skipped);
        }
        let by_class = self.around.has_plain_notes() && super::marked_by_class(element).is_some();
        let noted = is_note_mark(element) || by_class;
        let id = href.rsplit_once('#').map(|(_, id)| id).unwrap_or_default();
        if noted && let Some(label) = self.notes.get(id) {
            self.flow.inline(Event::FootnoteReference(Cow::Borrowed(label)))?;
            return Ok(self.skip(None));
        }
        let classes = ["footnote-back", "footnote-backref", "reversefootnote"];
        let back = element.has_word("epub:type", "backlink")
            || element.has_word("role", "doc-backlink")
            || classes.iter().any(|class| element.has_word("class", class));
        if back && self.flow.in_footnote() {
            return Ok(self.skip(None));
        }
        match self.around.link(href) {
            Some(target) => {
                let title = element.get("title").unwrap_or_default().to_owned();
                Ok(self.run(Tag::Link { target: target.into(), title: title.into() }))
            }
            None => {
                self.losses.add("link that leads nowhere");
                Ok(Ends::Nothing)
            }
        }
    }
}

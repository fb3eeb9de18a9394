//! Headings of XHTML: a chapter's title stands elsewhere, the others are below it.

use super::{Ends, Xhtml};
use crate::{
    book::{BookError, Tag},
    import::epub::xml::Element,
};

impl Xhtml<'_> {
    /// A heading begins.
    pub(super) fn heading(&mut self, level: u8, element: &Element) -> Result<Ends, BookError> {
        let pending = self.pending_anchor.take();
        if self.flow.in_cell() || self.flow.in_heading() {
            return self.block(Tag::Paragraph);
        }
        if std::mem::take(&mut self.skip_heading) {
            self.flow.boundary()?;
            self.in_skipped = true;
            return Ok(Ends::SkippedHeading);
        }
        let id = element.get("data-anchor").or(element.get("id")).map(str::to_owned).or(pending);
        let anchor = id.and_then(|id| self.anchors.add(&id));
        self.flow.begin_heading(level.clamp(2, 6), anchor)?;
        Ok(Ends::Heading)
    }
}

//! Texts of Markdown, put together again.

use pulldown_cmark::CowStr;

/// Neighbouring texts, which escapes and entities split, are handed on as one.
#[derive(Default)]
pub(super) struct Pending<'a>(Option<CowStr<'a>>);

impl<'a> Pending<'a> {
    /// Takes a piece; answers the text before it where that has grown long.
    pub(super) fn push(&mut self, piece: CowStr<'a>) -> Option<CowStr<'a>> {
        match self.0.take() {
            Some(before) if before.len() + piece.len() <= super::check::MOST_TEXT_BYTES => {
                let mut both = before.into_string();
                both.push_str(&piece);
                self.0 = Some(both.into());
                None
            }
            before => {
                self.0 = Some(piece);
                before
            }
        }
    }

    /// What waits.
    pub(super) fn take(&mut self) -> Option<CowStr<'a>> {
        self.0.take()
    }
}

//! White space that waits for content behind it: as HTML has it, several blanks are one (CSS Text 3 §4.1.1). Where the markup is
//! known to add none of its own, those of a line are the author's and stay.

use std::borrow::Cow;

/// So many blanks in a row are kept at most; more are no text.
const MOST_KEPT: usize = 1 << 10;
/// So many line ends in a row are kept at most.
const MOST_BREAKS: u32 = 100;

/// White space in a row.
#[derive(Debug, Default)]
pub(super) struct Blanks {
    /// Whether blanks in a line stay as they are.
    pub(super) keep: bool,
    run: String,
    /// Whether it is more than can stay: it goes over the end of a line, or is endless.
    is_one: bool,
    /// How many line ends are among them that the author wants.
    breaks: u32,
}

impl Blanks {
    /// One more.
    pub(super) fn add(&mut self, blank: char) {
        self.is_one |= !self.keep || !matches!(blank, ' ' | '\t') || self.run.len() == MOST_KEPT;
        if self.is_one {
            self.run.clear();
        } else {
            self.run.push(blank);
        }
    }

    /// They lead to nothing.
    pub(super) fn forget(&mut self) {
        self.run.clear();
        (self.is_one, self.breaks) = (false, 0);
    }

    /// A line end that the author wants.
    pub(super) fn add_break(&mut self) {
        self.breaks = (self.breaks + 1).min(MOST_BREAKS);
    }

    /// How many line ends there are before content; blanks around them mean nothing.
    pub(super) fn take_breaks(&mut self) -> u32 {
        let breaks = std::mem::take(&mut self.breaks);
        if breaks > 0 {
            self.forget();
        }
        breaks
    }

    /// What they are before content; nothing where there were none.
    pub(super) fn take(&mut self) -> Option<Cow<'static, str>> {
        let run = std::mem::take(&mut self.run);
        if std::mem::take(&mut self.is_one) {
            return Some(Cow::Borrowed(" "));
        }
        (!run.is_empty()).then_some(Cow::Owned(run))
    }
}

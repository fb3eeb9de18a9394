//! What a document hides: nobody is meant to read it, but for notes that a page shows in a window of its own.

use super::xml::Element;

/// Whether an element is hidden by its attributes. What a search may reveal is there to be read.
pub(in crate::import) fn is_hidden(element: &Element) -> bool {
    // Pages hide all of themselves until their scripts have run.
    if matches!(element.name.as_str(), "html" | "body" | "head") {
        return false;
    }
    let by_style = element.get("style").and_then(|style| {
        let mut rules = style.split(';').filter_map(|rule| rule.split_once(':'));
        let display = rules.rfind(|(name, _)| name.trim().eq_ignore_ascii_case("display"));
        display.and_then(|(_, value)| value.split(['!', ' ']).find(|word| !word.is_empty()))
    });
    match by_style {
        Some(display) => display.eq_ignore_ascii_case("none"),
        None => element.get("hidden").is_some_and(|how| !how.trim().eq_ignore_ascii_case("until-found")),
    }
}

/// Where a pass is in what is hidden. All passes ask it, so that they agree.
#[derive(Debug, Default)]
pub(in crate::import) struct Hidden {
    depth: usize,
    /// The depths at which something hidden, or a note in it, has begun, and whether it is hidden.
    begun: Vec<(usize, bool)>,
}

impl Hidden {
    /// Whether what comes now is hidden.
    pub(in crate::import) fn is_out(&self) -> bool {
        self.begun.last().is_some_and(|(_, is_out)| *is_out)
    }

    /// An element begins; `is_note` where a mark refers to it. True where something hidden begins by it.
    pub(in crate::import) fn start(&mut self, element: &Element, is_note: bool) -> bool {
        self.depth += 1;
        let was_out = self.is_out();
        let begins = !was_out && !is_note && is_hidden(element);
        if begins || (was_out && is_note) {
            self.begun.push((self.depth, begins));
        }
        begins
    }

    /// The innermost element ends.
    pub(in crate::import) fn end(&mut self) {
        self.begun.pop_if(|(depth, _)| *depth == self.depth);
        self.depth = self.depth.saturating_sub(1);
    }
}
